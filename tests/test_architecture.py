"""Who may import whom, and what the core costs to import. See the arrows in README, "How the code is laid out"."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: layer -> the layers of this project it may import (besides itself)
ARROWS = {
    "modiff_sim": set(),
    "modiff_sim.nn": {"modiff_sim"},
    "analysis": {"modiff_sim", "modiff_sim.nn"},
    "figures": {"modiff_sim", "modiff_sim.nn", "analysis"},
    "paper_checks": {"modiff_sim", "modiff_sim.nn", "analysis"},
}
CORE_THIRD_PARTY = {"numpy", "scipy", "array_api_compat"}
#: imported where used, inside functions, by the core
CORE_EXTRAS = {"matplotlib", "seaborn", "pandas", "PEPit", "cvxpy", "numba", "joblib", "distributed", "tqdm"}


def layer(module: str) -> str | None:
    if module == "modiff_sim.nn" or module.startswith("modiff_sim.nn."):
        return "modiff_sim.nn"
    top = module.split(".")[0]
    return top if top in ARROWS else None


def sources():
    for top in ("modiff_sim", "analysis", "figures", "paper_checks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, module: str):
    """(imported module, whether at the top level) of every import statement, relative ones resolved."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    top_level = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top_level
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield (name if layer(name) != layer(base) else base), id(node) in top_level


def test_nothing_imports_against_the_arrows():
    seen = 0
    for path, module in sources():
        mine = layer(module)
        for imported, _ in imports(path, module):
            theirs = layer(imported)
            if theirs and theirs != mine:
                seen += 1
                assert theirs in ARROWS[mine], f"{path.relative_to(ROOT)} ({mine}) imports {imported} ({theirs})"
    assert seen > 3  # the walk did see imports between layers


def test_the_core_needs_only_its_three_libraries():
    for path, module in sources():
        if layer(module) != "modiff_sim" or module == "modiff_sim.testing":
            continue
        for imported, top_level in imports(path, module):
            third = imported.split(".")[0]
            if third in sys.stdlib_module_names or layer(imported):
                continue
            allowed = CORE_THIRD_PARTY if top_level else CORE_THIRD_PARTY | CORE_EXTRAS
            assert third in allowed, f"{path.relative_to(ROOT)} imports {imported}"


@pytest.mark.parametrize(
    "module", sorted(m for _, m in sources() if layer(m) == "modiff_sim" and m != "modiff_sim.testing")
)
def test_importing_the_core_leaves_torch_out(module):
    code = f"import sys, {module}; assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_wheel_holds_modiff_sim_only():
    from setuptools import find_packages

    found = find_packages(str(ROOT), include=["modiff_sim", "modiff_sim.*"])
    assert {p.split(".")[0] for p in found} == {"modiff_sim"}
    assert {"modiff_sim", "modiff_sim.nn", "modiff_sim.nn.zoo"} <= set(found)


def test_files_stay_short():
    long = {
        str(p.relative_to(ROOT)): n
        for p, _ in sources()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long, f"split by meaning: {long}"


def test_public_names_are_loaded_when_used():
    """Every public name resolves, no module is called like a public function, and --help loads no NumPy."""
    import modiff_sim as ms

    for name in ms.__all__:
        assert getattr(ms, name) is not None
    assert callable(ms.simulate)
    assert not {p.stem for p in (ROOT / "modiff_sim").glob("*.py")} & set(ms._HOME)
    with pytest.raises(AttributeError, match="no attribute 'simulated'"):
        _ = ms.simulated
    code = "import sys, modiff_sim.cli; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_text_is_read_and_written_as_utf_8():
    """Whatever the locale is. The linter sees this where it can tell that something is a path."""
    found = []
    for path in [*(path for path, _ in sources()), *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                asked = node.func.attr in ("read_text", "write_text")
                if asked and not any(keyword.arg == "encoding" for keyword in node.keywords):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
