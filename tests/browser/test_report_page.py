"""The report in headless Chromium at three widths: nothing overflows, the filter filters, a link opens its claim."""

import json

import numpy as np
import pytest

import figures
import paper_checks
from analysis.report import build
from paper_checks.__main__ import as_json

pytestmark = pytest.mark.browser
CLAIMS = ("printed_31_paper_index", "printed_31_sampling_order", "sharp_closed_loop", "corollary_a3", "reconstruction")
ROWS = [{"label": "W8A4", "n": 2, "recognised": 1.0, "psnr": 30.0, "relative_l2": 0.1, "audit_share": 1.0,
         "activation_bits": 4.0}]  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    (out / "results").mkdir()
    judged = paper_checks.run(only=CLAIMS)
    (out / "results" / "checks.json").write_text(json.dumps(as_json(judged, "quick")), encoding="utf-8")
    (out / "results" / "arms.csv").write_text("label\nW8A4\n", encoding="utf-8")
    figures.make(["error_growth_short"], "quick", out / "figures")
    return build(out, "quick", ROWS)


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (900, "dark"), (1400, "light")])
def test_the_report_can_be_read(chromium, report, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: wrong.append(r.url) if r.url.startswith("http") else None)
    page.goto(f"{report.as_uri()}#claim-printed_31_paper_index")
    page.wait_for_selector("details#claim-printed_31_paper_index[open]")  # the link opened it
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    bright = [np.mean(list(map(int, colour[4:-1].split(",")))) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    assert abs(bright[0] - bright[1]) > 150
    assert all(page.evaluate("[...document.images].map(image => image.alt.length > 40)"))
    assert wrong == []
    page.close()


def test_the_filter_filters(chromium, report):
    page = chromium.new_page()
    page.goto(report.as_uri())
    said = page.locator(".filter output")
    assert said.inner_text() == f"{len(CLAIMS)} of {len(CLAIMS)} shown"
    page.get_by_label("VIOLATED", exact=True).uncheck()
    assert said.inner_text() == f"{len(CLAIMS) - 1} of {len(CLAIMS)} shown"
    assert not page.locator("#claim-printed_31_paper_index").is_visible()
    page.get_by_label("only as printed").check()
    page.get_by_label("words in the statement").fill("sampling order")
    assert said.inner_text() == f"1 of {len(CLAIMS)} shown"
    assert page.locator("#claim-printed_31_sampling_order").is_visible()
    page.close()


def test_the_text_is_there_without_scripts(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.locator(".filter").is_visible()
    assert page.locator("details.claim summary").count() == len(CLAIMS)
    assert page.locator("details.claim summary").first.is_visible()
    assert "#claim-printed_31_paper_index" in page.content()  # among the errata
    context.close()


def test_the_report_is_small(report):
    assert report.stat().st_size < 4e6
