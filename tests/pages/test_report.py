"""The report: every claim with all that belongs to it, formulas set as mathematics, links that lead somewhere."""

import html
import importlib.util
import re
from html.parser import HTMLParser

import made_report
import pytest
from made_report import CLAIMS, FIGURE, ROWS

import figures
import paper_checks
from analysis import report
from paper_checks import _errata

KNOWN = {module.CLAIM.id: module.CLAIM for module in paper_checks.claims()}


class Page(HTMLParser):
    """The places, links and pictures of a page, and the text that is neither code, script nor mathematics."""

    def __init__(self, text):
        super().__init__()
        self.places, self.links, self.pictures, self.said, self.inside = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.pictures += [found] if tag == "img" else []
        self.inside += [tag] if tag in ("math", "script", "style", "code", "pre") else []

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        self.said += [] if self.inside else [data]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return made_report.made(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def text(path):
    return path.read_text(encoding="utf-8")


def fold(text, name):
    """The part of the page that is one claim's."""
    return re.search(rf'<details class="claim" id="claim-{name}".*?</details>', text, re.S).group()


def erratum(text, name):
    return re.search(rf'<article class="erratum" id="erratum-{name}">.*?</article>', text, re.S).group()


def rows(part):
    """What the labels of a part say, without tags; a label that occurs several times says all of it."""
    found = {}
    for label, said in re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", part, re.S):
        found[label] = (found.get(label, "") + " " + html.unescape(re.sub(r"<[^>]*>", "", said))).strip()
    return found


def test_a_claim_has_all_that_belongs_to_it(text):
    said = rows(fold(text, "printed_31_paper_index"))
    order = ["the paper", "read as", "premise", "claimed", "measured", "tested with", "figure", "see also", "proof",
             "again", "link"]  # fmt: skip
    assert list(said) == order
    assert said["claimed"] == "at most 0.001 (measured ≤ claimed)"
    assert said["measured"].startswith("0.05: ")
    assert said["premise"].count("holds") == 2
    assert said["figure"] == f"Figure 1: {figures.load(FIGURE).TITLE}"
    assert said["again"] == "python -m paper_checks --only printed_31_paper_index"
    assert said["link"] == "#claim-printed_31_paper_index"
    within = rows(fold(text, "assumption_29_typical"))["interval"]
    assert re.fullmatch(r"0\.\d+ to 0\.\d+", within)
    practice = rows(fold(text, "three_bits_all_layers"))
    assert practice["measured on"].startswith("the digits model: 8×8, a stand-in")
    assert practice["table"] == "Table 4"
    assert fold(text, "three_bits_all_layers").count("On the digits model") == 0
    missing = rows(fold(text, "table_2_churches"))
    assert missing["measured"].startswith("Nothing. What is missing: the weights of LDM-8")
    assert "claimed" not in missing


def test_every_link_of_the_page_leads_somewhere(path, text):
    page = Page(text)
    assert len(page.places) == len(set(page.places))
    within = [link[1:] for link in page.links if link.startswith("#")]
    left_out = {f"claim-{name}" for name in KNOWN} - {f"claim-{name}" for name in CLAIMS}
    assert set(within) - left_out <= set(page.places)
    assert {f"claim-{name}" for name in CLAIMS} <= set(page.places)
    beside = {link for link in page.links if not link.startswith("#")}
    headings = re.findall(r"^## (.*)$", _errata.THEORY.read_text(encoding="utf-8"), re.M)
    for link in beside:
        place, _, anchor = link.partition("#")
        assert (path.parent / place).resolve() == _errata.THEORY.resolve()
        assert anchor in map(_errata.anchor, headings)
    assert len(beside) >= 2


def test_a_figure_and_its_claims_are_linked(text):
    (picture,) = Page(text).pictures
    assert picture["alt"] == figures.load(FIGURE).ALT
    caption = re.search(rf'<figure id="{FIGURE}">.*?</figure>', text, re.S).group()
    shown = [name for name in figures.load(FIGURE).CLAIMS if name in CLAIMS]
    assert re.findall(r'href="#claim-(\w+)"', caption) == shown
    for name in CLAIMS:
        assert (f'data-figure="{FIGURE}"' in fold(text, name)) == (name in shown)


def test_an_erratum_goes_from_what_is_printed_to_the_proof(text):
    failing = [name for name in CLAIMS if KNOWN[name].printed and KNOWN[name].expected in _errata.FAILED]
    assert sorted(re.findall(r'id="erratum-(\w+)"', text)) == sorted(failing)
    for name in failing:
        said = rows(erratum(text, name))
        third = "theory" if KNOWN[name].topic == "practice" else "proof"
        found = ["printed", _errata.FAILED[KNOWN[name].expected].lower(), "corrected"]
        found += ["other models"] if KNOWN[name].elsewhere else []
        assert list(said) == [*found, third, "again"]
        assert all(other in said["other models"] for other in KNOWN[name].elsewhere)
        assert said[third].startswith("docs/theory.md, ")
    part = erratum(text, "printed_31_paper_index")
    assert "0.05, where at most 0.001 is claimed" in rows(part)["counter-example"]
    holding = [name for name in KNOWN["printed_31_paper_index"].instead if name in CLAIMS]
    assert re.findall(r'href="#claim-(\w+)"', part)[1:] == holding


def test_formulas_are_mathematics_and_nothing_else_is_left_of_them(text):
    pytest.importorskip("latex2mathml")
    said = "".join(Page(text).said)
    for sign in ("||", "Σ", "√", "^(", "_{", "ô", "κ", "\\"):
        assert sign not in said, sign
    assert text.count("<math") > 50


def test_the_report_is_made_without_the_library_for_formulas(path, text, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "latex2mathml" else real(name))
    plain = report.build(path.parent, "quick", ROWS).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    assert "<math" not in plain
    assert html.escape(KNOWN["printed_31_paper_index"].statement, quote=False) in plain


def test_the_report_is_small_and_needs_nothing_else(text):
    assert len(text.encode()) < 4e6
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
