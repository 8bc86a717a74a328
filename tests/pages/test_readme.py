"""The README says what the code does: its commands and links exist, its numbers are right, its Python runs."""

import re
from pathlib import Path

import pytest

import paper_checks
from paper_checks import __main__ as command

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_verdicts_is_the_claims():
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert page.endswith(f"\n\n{command.markdown()}\n"), "make pages"


def test_the_readme_is_short_and_counts_right():
    assert len(README.split()) < 900
    (claims,) = re.findall(r"\*\*(\d+) claims\*\*", README)
    assert int(claims) == len(paper_checks.claims())


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
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
