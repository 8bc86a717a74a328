"""Records are values: nobody can change what a state, a claim, a quantizer or a result says."""

import ast
import dataclasses
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: what is changed while it is in use, and is no record -> why
CHANGED = {
    "PassStates": "the dictionaries of one pass, which the run fills",
}
PLACES = (
    "modiff_sim/recursion", "modiff_sim/quantizers", "modiff_sim/bounds", "modiff_sim/diffusion",
    "modiff_sim/nn/states.py", "modiff_sim/evidence.py", "modiff_sim/cost.py", "modiff_sim/metrics",
)  # fmt: skip
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for place in PLACES
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    if "dataclass" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_a_record_cannot_be_changed(name):
    module = import_module(name)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for kind in (getattr(module, node.name) for node in tree.body if isinstance(node, ast.ClassDef)):
        names = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
        if kind.__name__ not in CHANGED:
            for field in names:
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(object.__new__(kind), field, None)
