"""The pages of docs/: the tour runs and prints what it shows, and theory.md names what exists."""

import ast
import json
import re
from pathlib import Path

import pytest

import figures
import paper_checks
from analysis import contents, memory, tour
from analysis.tables import __main__ as tables
from analysis.tables import command as tables_command
from analysis.tables.layouts import TABLES
from analysis.tables.rows import committed
from analysis.tables.write import EXCESS, document, page
from analysis.typeset import markdown
from figures import __main__ as drawing
from modiff_sim import Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import judge
from paper_checks import __main__ as claims
from paper_checks import _errata, _verdicts

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def printed(page):
    """What the code cells print, cell by cell; warnings and pictures left out."""
    return [
        "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")
        for cell in page.cells
        if cell.cell_type == "code"
    ]


def test_the_tour_runs_and_prints_what_it_shows():
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    shown, again = printed(nbformat.read(tour.PAGE, as_version=4)), printed(tour.execute(tour.PAGE))
    assert again == shown, "python -m analysis.tour"
    assert sum(map(bool, shown)) >= 8


def test_the_examples_of_the_torch_page_run(capsys):
    """All blocks in one namespace, in order: later ones use what earlier ones made. Smaller than on the page."""
    text = (DOCS / "torch.md").read_text(encoding="utf-8")
    smaller = {
        '"images": 8, "batch": 8, "steps": 6': '"images": 2, "batch": 2, "steps": 4',
        "iterations=20": "iterations=2",
    }
    for shown, small in smaller.items():
        assert text.count(shown) == 1
        text = text.replace(shown, small)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    namespace: dict = {}
    for code in blocks:
        exec(compile(code, "docs/torch.md", "exec"), namespace)
        assert capsys.readouterr().out.strip()
    assert len(blocks) >= 8


@pytest.mark.parametrize(
    "code", re.findall(r"```python\n(.*?)```", (DOCS / "howto.md").read_text(encoding="utf-8"), flags=re.S)
)
def test_a_how_to_runs(code, capsys):
    lines = [each for each in ast.parse(code).body if not isinstance(each, ast.Import | ast.ImportFrom)]
    assert len(lines) <= 6  # short enough to be typed
    exec(compile(code, "docs/howto.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_page_of_tables_shows_the_committed_rows():
    pages = {name: page(name, table, committed(table.model), EXCESS) for name, table in TABLES.items()}
    shown = (DOCS / "tables.md").read_text(encoding="utf-8")
    assert shown == document(pages), "make pages"


#: program of ``make pages`` -> its main, and the pages that it writes
MADE = {
    "paper_checks --page": (claims.main, ("docs/claims.md",)),
    "paper_checks --verdicts": (claims.main, ("docs/verdicts.md", "docs/errata.md")),  # two tests of its own compare it
    "figures --page": (drawing.main, ("docs/figures.md",)),
    "analysis.contents": (contents.main, ("docs/contents.md",)),
    "analysis.tables --page": (tables.main, ("docs/tables.md",)),
    "analysis.memory --page": (memory.main, ("docs/memory.md",)),  # tests/nn/test_memory.py compares it
    "analysis.tour": (tour.main, ("docs/tour.ipynb",)),  # and a test above this one
}


def test_make_pages_runs_all_programs_that_write_pages():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^pages: .*\n((?:\t.*\n)+)", makefile, re.M).group(1)
    assert re.findall(r"python -m (.*)\n", recipe) == list(MADE)
    # a page that says how it is made is among them
    said = {p for p in ("README.md", *(f"docs/{p.name}" for p in DOCS.glob("*.md"))) if _is_made(ROOT / p)}
    assert said <= {place for _, pages in MADE.values() for place in pages}
    assert len(said) >= 4


def _is_made(path):
    return re.search(r"[Mm]ade by `(?:make|python)", path.read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("program", [list(MADE)[i] for i in (0, 2, 3, 4)])
def test_the_pages_are_what_make_pages_writes(program, tmp_path, monkeypatch):
    main, pages = MADE[program]
    (tmp_path / "docs").mkdir()
    shown = {place: (ROOT / place).read_text(encoding="utf-8") for place in pages}
    for place, text in shown.items():  # old verdicts, or another page altogether
        old = text.replace("| HOLDS |", "| VIOLATED |") if program.startswith("paper_checks") else "old"
        assert old != text
        (tmp_path / place).write_text(old, encoding="utf-8")
    monkeypatch.setattr(claims, "ROOT", tmp_path)
    for module in (drawing, contents, tables_command):
        monkeypatch.setattr(module, "PAGE", tmp_path / "docs" / module.PAGE.name)
    assert main(program.split()[1:]) == 0
    for place, text in shown.items():
        assert (tmp_path / place).read_text(encoding="utf-8") == text, "make pages"


def test_every_sentence_of_the_paper_is_on_the_page_of_verdicts():
    """Every claim that quotes the paper has a part of the page, with its reading, its conditions and its verdict."""
    shown = (DOCS / "verdicts.md").read_text(encoding="utf-8")
    printed = [module.CLAIM for module in paper_checks.claims() if module.CLAIM.printed]
    assert re.findall(r'<a id="(\w+)"></a>', shown) == [claim.id for claim in printed], "make pages"
    known = {module.CLAIM.id for module in paper_checks.claims()}
    for claim, part in zip(printed, shown.split('<a id="')[1:], strict=True):
        assert claim.quote
        assert {*claim.instead, *claim.elsewhere} <= known - {claim.id}
        quote, reading = map(markdown, (claim.quote, claim.reading))
        wanted = (f": {claim.expected}\n\n> {quote}\n", f"`{claim.id}`", f"**Read as:** {reading}\n")
        for text in (
            *wanted,
            "**Where it was tested:**",
            "**Measured:**",
            *map(_verdicts.linked, (*claim.instead, *claim.elsewhere)),
        ):
            assert text in part, (claim.id, text)


def test_the_page_tells_undecided_from_not_measured():
    claim = Claim("x", "a statement", "the paper", "upper", printed=True, quote="words")
    undecided = judge(claim, Evidence(1.0, [1.05], low=[0.9], high=[1.2]))
    shown = _verdicts.page([undecided])
    assert "**Measured:** 1.05 [0.9, 1.2], where at most 1 is claimed. undecided: the interval" in shown
    assert "**Where it was tested:** 1 case\n" in shown
    missing = _verdicts.page([judge(claim, Evidence(not_run="a GPU"))])
    assert "**Measured:** Nothing. What is missing: a GPU\n" in missing
    assert "**Where it was tested:** nowhere\n" in missing


def test_the_errata_are_the_printed_claims_that_fail():
    """Each with what was found, what holds instead, and where it is proved if the theory names it."""
    text = (DOCS / "errata.md").read_text(encoding="utf-8")
    failing = [m.CLAIM for m in paper_checks.claims() if m.CLAIM.printed and m.CLAIM.expected in _errata.FAILED]
    assert len(failing) >= 10
    parts = dict(zip(re.findall(r'<a id="erratum_(\w+)"></a>', text), text.split('<a id="erratum_')[1:], strict=True))
    assert sorted(parts) == sorted(claim.id for claim in failing), "make pages"
    known = {m.CLAIM.id: m.CLAIM for m in paper_checks.claims()}
    headings = re.findall(r"^## (.*)$", (DOCS / "theory.md").read_text(encoding="utf-8"), re.M)
    for claim in failing:
        part = parts[claim.id]
        assert f"> {markdown(claim.quote)}\n" in part
        assert f"**{_errata.FAILED[claim.expected]}:**" in part
        holding = [name for name in claim.instead if known[name].expected == Verdict.HOLDS]
        assert part.count("**What holds:**") == len(holding)
        assert all(f"({_verdicts.linked(name)})" in part for name in claim.instead)
        assert part.count("**Read otherwise (") == len(claim.instead) - len(holding)
        for name in claim.elsewhere:
            assert f"- **On another model ({known[name].expected}):**" in part
            assert f"({_verdicts.linked(name)})" in part
        for heading, anchor in re.findall(r"\[(.*?)\]\(theory\.md#([^)]*)\)", part):
            assert heading in headings
            assert anchor == _errata.anchor(heading)
    assert "](theory.md#2-theorem-44-printed-corrected-sharp)" in parts["printed_31_paper_index"]


def test_theory_and_tour_show_the_counter_examples_of_the_errata():
    """The search decides which they are, and the page of errata shows what it found."""
    errata, theory = ((DOCS / name).read_text(encoding="utf-8") for name in ("errata.md", "theory.md"))
    for number, name in ((31, "printed_31_paper_index"), (30, "printed_30_paper_index")):
        part = errata.split(f'<a id="erratum_{name}">')[1]
        d, c, true, printed = re.search(r"\$d=\((.*?)\)\$.*?\$c=(.*?)\$: true (\S+), printed (\S+)\n", part).groups()
        said = re.search(rf"^- \({number}\): differences (.*\n?.*?)\(`{name}`\)", theory, re.M).group(1)
        assert said.startswith(f"${d}$, $c = {c}$: the squared error is ${true}$, the bound ")
        assert said.rstrip().endswith(f"= {printed}$")
        if number == 31:
            cells = [cell["source"] for cell in json.loads(tour.PAGE.read_text(encoding="utf-8"))["cells"]]
            assert any(f"d, c = np.array([{d}.0]), {c}" in "".join(source) for source in cells)


def test_pictures_of_the_tour_say_what_they_show():
    pictures = 0
    for cell in json.loads(tour.PAGE.read_text(encoding="utf-8"))["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            pictures += 1
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 100
    assert pictures == 2


def test_figures_on_pages_say_what_there_is_to_see():
    pictures = re.compile(r"!\[(.*?)\]\(\.\./figures/(\w+)\.png\)")
    shown = [found for path in DOCS.glob("*.md") for found in pictures.findall(path.read_text(encoding="utf-8"))]
    assert len(shown) >= 3
    for alt, name in shown:
        assert alt == figures.load(name).ALT


def test_links_to_a_place_of_another_page_lead_there():
    pages = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    places = {
        name: {*re.findall(r'<a id="(\w+)"></a>', text), *map(_errata.anchor, re.findall(r"^#+ (.*)$", text, re.M))}
        for name, text in pages.items()
    }
    links = [(page, *link) for page, text in pages.items() for link in re.findall(r"\]\((\w+\.md)#([^)]+)\)", text)]
    assert len(links) > 80
    assert not [(page, target, place) for page, target, place in links if place not in places[target]]
    claims = {f"claim_{module.CLAIM.id}" for module in paper_checks.claims()}
    assert claims <= places["claims.md"]


@pytest.mark.slow
def test_the_page_of_verdicts_is_what_is_found_now(tmp_path, monkeypatch):
    """But for the last digits of numbers, which depend on the machine."""
    monkeypatch.setattr(claims, "ROOT", tmp_path)
    assert claims.main(["--verdicts"]) == 0

    def words(path):
        return re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", path.read_text(encoding="utf-8"))

    assert words(tmp_path / "docs" / "verdicts.md") == words(DOCS / "verdicts.md"), "make pages"


@pytest.mark.parametrize(("text", "count"), [("no table", 0), ("{0}\n{0}", 2)])
def test_a_page_without_its_table_of_verdicts_is_refused(text, count):
    with pytest.raises(ValueError, match=f"the page has {count} tables of verdicts"):
        claims.with_table(text.format(claims.markdown(printed=True) + "\n"), "| new |")


def test_theory_names_what_exists():
    text = (DOCS / "theory.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]\w+)`", text))
    missing = {f for f in bounds.__all__ if f.islower()} - named
    assert not missing, f"docs/theory.md says nothing of {', '.join(sorted(missing))}"
    known = {m.CLAIM.id for m in paper_checks.claims()} | set(figures.names())
    for path in (DOCS.parent / "modiff_sim").rglob("*.py"):
        known |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    assert not {name for name in named if "_" in name} - known
