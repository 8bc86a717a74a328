"""What pyproject.toml asks for: pinned versions are allowed, and `make reproduce` gets what it imports, no more."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: module -> the package that holds it, where their names differ
PACKAGE = {"sklearn": "scikit-learn"}
#: offered by [plot] to figures that are added; nothing imports it today
OFFERED = {"seaborn"}
#: module -> the package that brings it
BROUGHT = {
    "PIL": "matplotlib",
    "cvxpy": "PEPit",
    "huggingface_hub": "diffusers",
    "markupsafe": "jinja2",
    "llvmlite": "numba",
}
#: extra -> what the checkout imports from it, but `make reproduce` does not
APART = {
    "scale": {"distributed"},
    "docs": {"nbformat", "nbclient"},
    "completion": {"shtab"},
    "explore": {"marimo"},
    "fid": {"torch-fidelity"},
    "mutation": {"cosmic-ray", "pytest"},
    "rivals": {"onnxscript", "onnxruntime", "openvino"},
}


def required(*extras):
    """The requirements of the package and of some extras, those of extras in extras included."""
    found, lines = [], [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    for requirement in map(Requirement, lines):
        inner = requirement.extras if requirement.name == PROJECT["name"] else ()
        found += required(*inner) if inner else [requirement]
    return found


def names(*extras):
    return {canonicalize_name(requirement.name) for requirement in required(*extras)}


@pytest.fixture(scope="module")
def pinned():
    """Package -> the version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in found.items()}


@pytest.mark.parametrize("requirement", sorted({*map(str, required(*EXTRAS))}))
def test_the_pinned_version_is_one_that_is_allowed(requirement, pinned):
    wanted = Requirement(requirement)
    assert wanted.specifier, "it has no lower bound"
    name = canonicalize_name(wanted.name)
    if name in names("dev", "mutation"):
        assert pinned[name] in wanted.specifier


def test_a_package_has_the_same_bound_in_every_extra():
    bounds = {*map(str, required(*EXTRAS))}
    assert len(bounds) == len(names(*EXTRAS)), sorted(bounds)


def imported(*tops):
    """The packages that are imported anywhere below, at the top of a module or inside a function."""
    found = set()
    for path in (path for top in tops for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module)
    modules = {module.split(".")[0] for module in found} - {*tops} - {*sys.stdlib_module_names}
    return {canonicalize_name(PACKAGE.get(module, BROUGHT.get(module, module))) for module in modules}


def test_make_reproduce_installs_what_the_checkout_imports_and_no_more():
    apart = set().union(*APART.values())
    found = imported("modiff_sim", "analysis", "figures", "paper_checks")
    assert names("reproduce") - OFFERED == found - apart
    assert not OFFERED & found
    for extra, packages in APART.items():
        assert packages <= names(extra)
        assert not packages & names("reproduce")


def test_make_test_adds_to_what_make_reproduce_installs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([^\s:#]+): ?(.*)$", makefile, flags=re.MULTILINE))
    assert rules["reproduce"] == "$(INSTALLED)-reproduce"
    assert rules["test"] == "$(INSTALLED)-dev"
    assert rules["$(INSTALLED)-dev"] == "$(INSTALLED)-reproduce"
    assert names("reproduce") < names("dev")
