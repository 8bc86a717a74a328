"""The explorer in headless Chromium: it starts, a control moves, the numbers change, and nothing is wrong."""

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from modiff_sim.explore import Settings, look, words

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api")
WAIT = 60_000  # milliseconds that an event may take on a slow machine


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def served(folder):
    port = free_port()
    command = [sys.executable, "-m", "modiff_sim.cli", "explore", "--port", str(port), "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, whatever is installed
    options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **options) as server:
        try:
            assert str(port) in server.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def page(chromium, tmp_path):
    """The page, loaded, with what its console and its requests had to say; nothing may come from elsewhere."""
    with served(tmp_path) as url:
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        wrong = []
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda r: wrong.append(r.url) if not re.match(rf"{url}|ws:|data:|blob:", r.url) else None)
        for _ in range(100):  # until the server listens
            try:
                page.goto(url)
                break
            except sync_api.Error:
                page.wait_for_timeout(200)
        page.wait_for_selector("text=Mean error at the last call", timeout=WAIT)
        wrong.clear()  # refused connections while it started
        yield page
        assert wrong == []


def shown(page):
    return page.locator("text=Mean error at the last call").first.inner_text()


def expected(**changed):
    view = look(Settings(**changed))
    two, largest = (f"{view.curves[norm]['mean'][-1]:.4g}" for norm in ("2", "inf"))
    return f"Mean error at the last call: {two} in the 2-norm, {largest} in the max norm."


def test_a_control_moves_the_numbers(page):
    assert shown(page) == expected()
    page.get_by_label("scheme").select_option(words.LOOPS["open_loop"])
    page.wait_for_selector(f"text={expected(recursion='open_loop')}", timeout=WAIT)
    page.get_by_label("quantizer").first.select_option("minmax")
    page.wait_for_selector(f"text={expected(recursion='open_loop', quantizer='minmax')}", timeout=WAIT)
    assert page.locator("text=printed (30)").count() >= 1


@pytest.mark.parametrize("width", [400, 900])
def test_it_can_be_read_on_a_narrow_screen(page, width):
    """Nothing sticks out, controls cover nothing, text in pictures keeps its size, and pictures say what they show."""
    page.set_viewport_size({"width": width, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = (page.locator(".explore > div").nth(i).bounding_box() for i in (0, 1))
    beside = right["x"] >= left["x"] + left["width"]
    assert beside or right["y"] >= left["y"] + left["height"]
    assert beside == (width == 900)
    for i in range(page.locator(".explore select, .explore input").count()):
        control = page.locator(".explore select, .explore input").nth(i).bounding_box()
        assert control is None or control["x"] + control["width"] <= left["x"] + left["width"] + 1
    pictures = page.evaluate("[...document.images].map(image => [image.alt, image.width, image.naturalWidth])")
    assert len(pictures) == 2
    for alt, shown, drawn in pictures:
        assert "At the last call: mean" in alt
        assert shown > 0.4 * drawn  # letters of 8 points at 150 dpi, 17 pixels, are at least 7 high


def test_a_view_is_saved_as_a_claim(page, tmp_path):
    page.get_by_text("save as claim").click()
    page.wait_for_selector("text=wrote explored.py", timeout=WAIT)
    assert "CLAIM = Claim(" in (tmp_path / "explored.py").read_text(encoding="utf-8")
