"""The site: every page is reached, links lead somewhere, and everything public is in the reference."""

import importlib
import re
from pathlib import Path

import pytest

import modiff_sim as ms
from analysis import site
from modiff_sim.faces import listed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.stage(folder / "source")
    return folder / "source"


def test_every_page_is_in_the_contents_once(staged):
    index = (staged / "index.md").read_text(encoding="utf-8")
    listed = [name for block in re.findall(r"```\{toctree\}(.*?)```", index, re.S)
              for name in block.split("\n\n", 1)[1].split()]  # fmt: skip
    pages = {str(p.relative_to(staged).with_suffix("")) for p in (*staged.glob("*.md"), *staged.glob("*.ipynb"))}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages - {"index"} | {"api/index"}
    reference = (staged / "api" / "index.md").read_text(encoding="utf-8")
    assert all(f"\n{name}\n" in reference for name in site.API)


def test_links_of_the_staged_pages_lead_somewhere(staged):
    for page in staged.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        code = re.sub(r"```.*?```", "", text, flags=re.S)
        for target in re.findall(r"(?<!`)\]\(([^)#\s]+)", code):
            assert target.startswith("https://") or (staged / target).exists(), (page.name, target)
        for target in re.findall(r"\{download\}`[^<]*<([^>]+)>`", code):
            assert (staged / target).is_file(), (page.name, target)
        targets = set(re.findall(r"^\((\w+)\)=$", text, re.M))
        for name in re.findall(r"\]\(#(\w+_\w+)\)", code):
            assert name in targets, (page.name, name)


def test_everything_public_is_in_the_reference():
    """The names of both faces: classes and functions by a page that shows them, modules by a page of their own."""
    shown = set()
    for name in site.API:
        site.reference(name, shown)
    for package in ("modiff_sim", "modiff_sim.nn"):
        module = importlib.import_module(package)
        for name in listed(str(Path(module.__file__).with_suffix(".pyi"))):
            thing = getattr(module, name)
            if callable(thing):
                assert id(thing) in shown, f"{package}.{name}"
    assert id(ms.simulate) in shown


def test_what_sphinx_would_take_for_its_own_is_kept():
    spec = importlib.util.spec_from_file_location("conf", ROOT / "docs" / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    lines = ["||x - y|| over ``|x|``, n * m", ">>> abs(x) | 3", "7", "", "again |x|"]
    conf._escape(None, "", "", None, None, lines)
    assert lines == [r"\|\|x - y\|\| over ``|x|``, n \* m", ">>> abs(x) | 3", "7", "", r"again \|x\|"]
