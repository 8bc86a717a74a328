"""What objects show of themselves: short text, escaped tables, kinds of pictures, and what is said without an extra."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim.shown import LINES, ROWS, WIDTH, Plots, Said, Shown, frame, kinds, text

WORDS = st.text(max_size=200)


class Says(Shown):
    def __init__(self, *said):
        self.said = Said(*said)

    def _said(self):
        return self.said


class Cells(HTMLParser):
    """The tags of a page, and the texts of its cells."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.cells = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and data != "\n":
            self.cells[-1] += data


@given(WORDS, st.dictionaries(WORDS, WORDS | st.floats() | st.none() | st.lists(WORDS)))
def test_texts_are_short_and_tables_are_escaped(title, facts):
    said = Says(title, facts, ["name", "value"], [[k, v] for k, v in facts.items()])
    lines = repr(said).splitlines()
    assert len(lines) <= min(LINES, 12)
    assert max(map(len, lines), default=0) <= WIDTH
    page = Cells(said._repr_html_())
    assert page.tags <= {"table", "caption", "tr", "td", "th"}  # whatever the texts are


def test_a_table_shows_what_it_is_given():
    said = Says("<b>&", {"a": "<script>", "b": 0.123456789}, ["x", "y"], ([str(i), i] for i in range(ROWS + 3)))
    page = Cells(said._repr_html_())
    assert page.cells[:5] == ["<b>&", "a", "<script>", "b", "0.1235"]
    assert page.cells[5:7] == ["x", "y"]
    assert page.cells[7:-1] == [cell for i in range(ROWS) for cell in (str(i), str(i))]
    assert page.cells[-1] == "… and 3 more"
    assert repr(Says("t", {"long": "x" * 500})).splitlines()[1] == f"    long  {'x' * (WIDTH - 11)}…"


def test_numbers_are_short():
    assert [text(v) for v in (1 / 3, float("nan"), None, 12, True, ("a", 1))] == [
        "0.3333",
        "-",
        "-",
        "12",
        "True",
        "a, 1",
    ]


class Three(Plots):
    def first(self):
        return self._of

    def second(self, ax=None):
        return ax


def test_kinds_are_listed_and_the_nearest_is_named():
    plots = Three("what is drawn")
    assert dir(plots) == kinds(Three) == ["first", "second"]
    assert repr(plots) == "pictures of a str: first, second"
    assert plots.first() == "what is drawn"
    with pytest.raises(AttributeError, match="no picture 'secnd'; known: first, second; did you mean 'second'"):
        plots.secnd()


def test_without_the_extra_the_error_names_it(monkeypatch):
    r = ms.simulate("random_walk:4", "absmax:4", steps=3, trials=2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"frames need pandas: pip install 'modiff-sim\[plot\]'"):
        r.frame()
    with pytest.raises(ImportError, match="frames need pandas"):
        frame([])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("modiff_sim.plot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("modiff_sim.plot", raising=False)
    assert dir(r.plot) == ["errors", "ratios"]  # asking needs no library
    with pytest.raises(ImportError, match=r"pictures need matplotlib: pip install 'modiff-sim\[plot\]'"):
        r.plot.errors()


def test_objects_import_no_library_until_they_are_asked():
    code = (
        "import sys, modiff_sim as ms\n"
        "r = ms.simulate('random_walk:4', 'absmax:4', steps=3, trials=2)\n"
        "found = repr(r), r._repr_html_(), dir(r), dir(r.plot), repr(r.plot), repr(r.summary())\n"
        "assert not {'matplotlib', 'pandas', 'torch', 'modiff_sim.plot'} & set(sys.modules)\n"
        "r.plot.errors()\n"
        "assert 'matplotlib' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
