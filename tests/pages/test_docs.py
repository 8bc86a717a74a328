"""The pages of docs/: the tour runs and prints what it shows, and theory.md names what exists."""

import re
from pathlib import Path

import pytest

import figures
import paper_checks
from analysis.tables.layouts import TABLES
from analysis.tables.rows import committed
from analysis.tables.write import document, page
from modiff_sim import bounds

DOCS = Path(__file__).parents[2] / "docs"


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
    from analysis import tour

    shown, again = printed(nbformat.read(tour.PAGE, as_version=4)), printed(tour.execute(tour.PAGE))
    assert again == shown, "python -m analysis.tour"
    assert sum(map(bool, shown)) >= 8


def test_the_examples_of_the_torch_page_run(capsys):
    """All blocks in one namespace, in order: later ones use what earlier ones made."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "torch.md").read_text(encoding="utf-8"), flags=re.S)
    namespace: dict = {}
    for code in blocks:
        exec(compile(code, "docs/torch.md", "exec"), namespace)
        assert capsys.readouterr().out.strip()
    assert len(blocks) >= 8


def test_the_page_of_tables_shows_the_committed_rows():
    pages = {name: page(name, table, committed(table.model), "frechet") for name, table in TABLES.items()}
    shown = (DOCS / "tables.md").read_text(encoding="utf-8")
    assert shown == document(pages), "python -m analysis.tables --format markdown > docs/tables.md"


def test_theory_names_what_exists():
    text = (DOCS / "theory.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]\w+)`", text))
    missing = {f for f in bounds.__all__ if f.islower()} - named
    assert not missing, f"docs/theory.md says nothing of {', '.join(sorted(missing))}"
    known = {m.CLAIM.id for m in paper_checks.claims()} | set(figures.names())
    for path in (DOCS.parent / "modiff_sim").rglob("*.py"):
        known |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    assert not {name for name in named if "_" in name} - known
