"""The report in headless Chromium at three widths: nothing overflows, the filter filters, a link opens its claim."""

import made_report
import numpy as np
import pytest
from made_report import CLAIMS

import paper_checks

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return made_report.made(tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (900, "dark"), (1400, "light")])
def test_the_report_can_be_read(chromium, report, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: wrong.append(r.url) if r.url.startswith("http") else None)
    page.goto(f"{report.as_uri()}#claim-printed_31_paper_index")
    page.wait_for_selector("details#claim-printed_31_paper_index[open]")  # the link opened it
    page.evaluate("document.querySelectorAll('details').forEach(claim => { claim.open = true; })")
    page.wait_for_selector("#claim-sharp_closed_loop dd img")  # the figure is shown with its claims
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
    violated = [module for module in paper_checks.select(only=CLAIMS) if module.CLAIM.expected == "VIOLATED"]
    assert said.inner_text() == f"{len(CLAIMS) - len(violated)} of {len(CLAIMS)} shown"
    assert not page.locator("#claim-printed_31_paper_index").is_visible()
    page.get_by_label("only as printed").check()
    page.get_by_label("words in the statement").fill("sampling order")
    assert said.inner_text() == f"1 of {len(CLAIMS)} shown"
    assert page.locator("#claim-printed_31_sampling_order").is_visible()
    page.evaluate("location.hash = '#claim-corrected_31'")
    page.wait_for_selector("#claim-corrected_31[open]")  # a link leads to what is filtered out, too
    page.close()


def test_it_can_be_printed(chromium, report):
    page = chromium.new_page(viewport={"width": 680, "height": 900})
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.claim[open]").count() == len(CLAIMS)
    for hidden in ("nav", ".filter", "dd img"):
        assert not page.locator(hidden).first.is_visible()
    claim = page.locator("#claim-printed_31_paper_index")
    assert claim.locator("dd").first.bounding_box()["x"] > claim.bounding_box()["x"] + 50  # beside its label
    assert page.locator("figure img").is_visible()
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
