"""Files that pages and scripts name are there: a moved module would leave the reader, and a script, with nothing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(
    r"(?<![\w/.-])(?:modiff_sim|analysis|figures|paper_checks|tests|docs)/[\w/.]*\w\.(?:pyi?|md|sh|ipynb|json)\b"
)
WHERE = [
    path
    for pattern in ("*.md", "Makefile", ".ci/run", "analysis/*.sh", "docs/*.md", ".github/workflows/*")
    for path in sorted(ROOT.glob(pattern))
    if path.name not in ("CHANGELOG.md", "faults.md")  # the past, and files that are made up to be damaged
]


def named(text):
    """What a text names; the recipes of docs/extending.md begin with the path of a file that is yet to be written."""
    return set(NAMED.findall(re.sub(r"^```python\n# [^\n]*\n", "", text, flags=re.MULTILINE)))


@pytest.mark.parametrize("path", WHERE, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_named_is_there(path):
    text = path.read_text(encoding="utf-8")
    missing = {name for name in named(text) if "NAME" not in name and not (ROOT / name).exists()}
    assert not missing


def test_names_are_found():
    assert named("see `tests/core/test_x.py`, analysis/on_gpu.sh and out/a.py") == {
        "tests/core/test_x.py",
        "analysis/on_gpu.sh",
    }
    assert any(named(path.read_text(encoding="utf-8")) for path in WHERE)
