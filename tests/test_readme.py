"""The README says what the code does: its commands exist, its verdict table is the claims', its Python runs."""

import re
from pathlib import Path

import pytest

import paper_checks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_verdict_table_lists_every_claim_with_its_verdict():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([A-Z_]+) \|$", README, flags=re.M))
    assert rows == {m.CLAIM.id: str(m.CLAIM.expected) for m in paper_checks.claims()}


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
    for module in set(re.findall(r"python -m (\w+(?:\.\w+)*)", README)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_pictures_and_links_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.S))
def test_python_of_the_readme_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
