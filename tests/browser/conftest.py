"""Headless Chromium, which comes from the system: ``make browser`` installs it."""

import shutil

import pytest


@pytest.fixture(scope="module")
def chromium():
    """A browser. The tests are skipped, and say so, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        pytest.skip("there is no Chromium: make browser installs it")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield browser
        browser.close()
