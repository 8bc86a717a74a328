"""Who may import whom: the table of docs/architecture.md, the storeys, no circle; and what the core costs to import."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import module_from_spec, resolve_name
from operator import attrgetter
from pathlib import Path

import pytest
from setuptools import find_packages

from modiff_sim.faces import listed

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
CORE_EXTRAS = {"matplotlib", "seaborn", "pandas", "PEPit", "cvxpy", "numba", "joblib", "distributed", "tqdm", "shtab"}
#: the room of the core that is imported where something is drawn, inside functions
DRAWING = "plot"


def layer(module: str) -> str | None:
    if module == "modiff_sim.nn" or module.startswith("modiff_sim.nn."):
        return "modiff_sim.nn"
    top = module.split(".")[0]
    return top if top in ARROWS else None


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(parsed(path))]


@cache
def sources():
    return [*_sources()]


def _sources():
    for top in ("modiff_sim", "analysis", "figures", "paper_checks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, module: str):
    """(module, name or "", whether at the top level) of every import statement, relative ones resolved."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    top_level = set(map(id, parsed(path).body))
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", id(node) in top_level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((base, alias.name, id(node) in top_level) for alias in node.names)


def imports(path: Path, module: str):
    """(imported module, whether at the top level), as far as it matters for layers."""
    for base, name, top_level in imported(path, module):
        full = f"{base}.{name}" if name else base
        yield (full if layer(full) != layer(base) else base), top_level


def test_nothing_imports_against_the_arrows():
    seen = 0
    for path, module in sources():
        mine = layer(module)
        for target, _ in imports(path, module):
            theirs = layer(target)
            if theirs and theirs != mine:
                seen += 1
                assert theirs in ARROWS[mine], f"{path.relative_to(ROOT)} ({mine}) imports {target} ({theirs})"
    assert seen > 3  # the walk did see imports between layers


def modules_imported(path, module, known):
    """Modules of this project that one imports, also those for type checkers only."""
    for base, name, _ in imported(path, module):
        found = f"{base}.{name}" if f"{base}.{name}" in known else base
        if found in known:
            yield found


@pytest.fixture(scope="module")
def graph():
    """module of modiff_sim -> those of it that it imports."""
    found = {module: path for path, module in sources() if module.split(".")[0] == "modiff_sim"}
    return {module: {*modules_imported(path, module, found)} - {module} for module, path in found.items()}


def room(module):
    """Of a module of modiff_sim: as the table calls it."""
    _, *parts = module.split(".")
    return "modiff_sim" if not parts else ".".join(parts[: 2 if parts[0] == "nn" else 1])


def table():
    """room -> the rooms that it may import, from docs/architecture.md, in its order."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `([\w.]+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    return {name: re.findall(r"`([\w.]+)`", imports) for name, imports in lines}


def test_the_table_of_rooms_is_what_the_code_does(graph):
    found = {}
    for module, imported in graph.items():
        found.setdefault(room(module), set()).update(map(room, imported))
    assert {name: sorted(rooms - {name}) for name, rooms in found.items()} == {
        name: sorted(rooms) for name, rooms in table().items()
    }


def test_rooms_import_those_above_them():
    above = []
    for name, imports in table().items():
        assert set(imports) <= set(above), f"{name} imports a room below it"
        above.append(name)
    assert len(above) > 30


def test_there_is_no_import_circle(graph):
    """A circle would raise CycleError. Packages import their modules, which may import from the package's others."""
    packages = {module for module in graph if any(other.startswith(f"{module}.") for other in graph)}
    order = {
        module: {other for other in imported if not (other in packages and module.startswith(f"{other}."))}
        for module, imported in graph.items()
    }
    assert len([*TopologicalSorter(order).static_order()]) == len(graph)


def test_no_module_has_the_name_of_a_function_that_its_package_exports(graph):
    for module in graph:
        package, _, name = module.rpartition(".")
        path = ROOT.joinpath(*package.split(".")) / "__init__.py"
        exported = {
            alias.asname or alias.name: node.module
            for file in (path, path.with_suffix(".pyi"))
            if package and file.is_file()
            for node in parsed(file).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert name not in exported or exported[name] in (None, ""), f"{module}: {package} exports a function {name}"


#: a page of cells, which nothing imports: each cell takes what it uses as parameters
NOTEBOOK = "modiff_sim.explore.page"


def test_the_core_needs_only_its_three_libraries():
    for path, module in sources():
        if layer(module) != "modiff_sim" or room(module) == "testing":
            continue
        for imported, top_level in imports(path, module):
            third = imported.split(".")[0]
            if third in sys.stdlib_module_names or layer(imported):
                continue
            allowed = CORE_THIRD_PARTY if top_level else CORE_THIRD_PARTY | CORE_EXTRAS
            drawn = {"matplotlib"} if room(module) == DRAWING else {"marimo"} if module == NOTEBOOK else set()
            assert third in allowed | drawn, f"{path.relative_to(ROOT)} imports {imported}"


#: imports the modules one after the other, and prints the first that brought torch, pandas or matplotlib
BRINGS = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    if {"torch", "pandas", "matplotlib"} & {*sys.modules}:
        sys.exit(module)
"""


def test_importing_the_core_leaves_torch_and_matplotlib_out(tmp_path):
    apart = ("testing", DRAWING)
    core = sorted(m for _, m in sources() if layer(m) == "modiff_sim" and room(m) not in apart and m != NOTEBOOK)
    assert len(core) > 100
    (tmp_path / "torch.py").touch()  # the negative control needs one that is quick to import
    (tmp_path / "brings.py").write_text("import torch", encoding="utf-8")
    for place, modules, found in ((ROOT, core, ""), (tmp_path, ["json", "brings", "ast"], "brings\n")):
        command = [sys.executable, "-c", BRINGS, *modules]
        assert subprocess.run(command, cwd=place, capture_output=True, text=True).stderr == found


def test_the_wheel_holds_modiff_sim_only_and_what_type_checkers_read():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = find_packages(str(ROOT), include=config["packages"]["find"]["include"])
    data = [
        f"{package}/{file.name}"
        for package, patterns in config["package-data"].items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")).glob(pattern)
    ]
    rooms = {path.parent.relative_to(ROOT) for path in (ROOT / "modiff_sim").rglob("*.py")}
    assert set(packages) == {".".join(place.parts) for place in rooms}
    held = {"modiff_sim/py.typed", "modiff_sim/__init__.pyi", "modiff_sim.nn/__init__.pyi"}
    assert held | {"modiff_sim.nn.zoo/digits.safetensors"} <= set(data)


def test_files_stay_short():
    long = {
        str(p.relative_to(ROOT)): n
        for p, _ in sources()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long, f"split by meaning: {long}"


#: public functions whose options are given by keyword, and few at a time -> why they are not an object
MANY_OPTIONS = {
    ("modiff_sim", "simulate"): "what is fed, quantized and run: the one call that users write by hand",
    ("modiff_sim", "atlas.atlas"): "the axes of one table, and how it is measured",
    ("modiff_sim.diffusion.mixture_sampling", "sample_mixture"): "what `simulate` takes, and which noise",
    ("modiff_sim.diffusion.mixture_sampling", "quantized_sampling"): "the axes of one table",
    ("modiff_sim.recursion", "run"): "a scheme and what wraps it, written out; they become a `Scheme` at once",
    ("modiff_sim.nn", "modulated"): "what makes an arm of the paper; they become an `Options` at once",
    ("modiff_sim.nn", "sample"): "what is sampled, from which noise, and who is told about it",
    ("modiff_sim.nn", "compare"): "what is compared, with what, and how it is sampled; they become a `_Subject`",
    ("modiff_sim.nn", "calibrate"): "how ranges are chosen, and `modulated`'s options; they become a `Request` at once",
    ("modiff_sim.nn", "adaround"): "what is rounded and what is held out; how is in its `settings`",
}  # fmt: skip
#: a compiled loop is one function over flat arrays, and what numba is taught for it stands in one
COMPILED = ("modiff_sim.simulation.numba_kernel", "modiff_sim.simulation.lanes")


def functions():
    """(name, lines of code, parameters by position or keyword, parameters by keyword only) of every function."""
    for path, module in sources():
        source = path.read_text(encoding="utf-8")
        blank = {i for i, text in enumerate(source.splitlines(), 1) if not text.strip() or text.strip()[0] == "#"}
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                code = node.body[ast.get_docstring(node, clean=False) is not None :]
                head = range(node.lineno, node.body[0].lineno)
                lines = {*head, *range(code[0].lineno, node.end_lineno + 1)} if code else {*head}
                given = node.args.posonlyargs + node.args.args
                bound = bool(given) and given[0].arg in ("self", "cls")
                more = [node.args.vararg, node.args.kwarg]
                yield (
                    f"{module}.{node.name}", len(lines - blank),
                    len(given) - bound, len(node.args.kwonlyargs) + len([x for x in more if x]),
                )  # fmt: skip


def test_functions_stay_short():
    """A table is data of its module rather than the body of a function."""
    public = [attrgetter(name)(import_module(face)) for face, name in MANY_OPTIONS]
    excepted = {f"{function.__module__}.{function.__name__}" for function in public}
    long, many = {}, {}
    for name, lines, positional, keywords in functions():
        if lines > 60:
            long[name] = lines
        if positional + keywords > 8:
            many[name] = positional
    compiled = {name for name in {*long, *many} if name.rpartition(".")[0] in COMPILED}
    assert not set(long) - compiled, f"split into parts with names: {long}"
    assert excepted <= set(many), "take what has few options from MANY_OPTIONS"
    assert not set(many) - excepted - compiled - {f"{NOTEBOOK}._"}, (
        f"more than 8 parameters; carry what belongs together: {many}"
    )
    assert max(many[name] for name in excepted) <= 6  # all further ones are given by keyword


@pytest.mark.parametrize("package", ["modiff_sim", "modiff_sim.nn"])
def test_public_names_are_loaded_when_used(package, monkeypatch):
    """Every public name resolves, and is what the stub says: type checkers see what is there."""
    face = import_module(package)
    names = listed(str(ROOT.joinpath(*package.split(".")) / "__init__.pyi"))
    assert sorted(names) == face.__all__ == sorted({*face.__all__})
    for name, (module, original) in names.items():
        home = import_module(".".join(filter(None, [package, module])))
        assert getattr(face, name) is getattr(home, original)
    with pytest.raises(AttributeError, match="no attribute 'simulated'"):
        _ = face.simulated
    star: dict = {}
    exec(f"from {package} import *", star)
    assert set(names) == set(star) - {"__builtins__"}
    monkeypatch.setitem(sys.modules, package, module_from_spec(face.__spec__))
    face.__spec__.loader.exec_module(sys.modules[package])
    assert set(names) <= set(dir(sys.modules[package]))  # before one is loaded
    assert not set(names) & set(vars(sys.modules[package]))


def test_help_loads_no_numpy():
    code = "import sys, modiff_sim.cli; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_text_is_read_and_written_as_utf_8():
    """Whatever the locale is. The linter sees this where it can tell that something is a path."""
    found = []
    for path in [*(path for path, _ in sources()), *sorted((ROOT / "tests").rglob("*.py"))]:
        named = any(name in path.read_text(encoding="utf-8") for name in ("read_text", "write_text"))
        for node in nodes(path) if named else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                asked = node.func.attr in ("read_text", "write_text")
                if asked and not any(keyword.arg == "encoding" for keyword in node.keywords):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
