"""Every public name of ``modiff_sim.nn`` has an example that runs, and a description of each of its parameters."""

import doctest
import inspect
import re
import sys
from types import ModuleType

import pytest

import modiff_sim.nn as package
from modiff_sim.faces import listed

#: ``image_noise`` is the core's, and documented there
NAMES = sorted(set(listed(package.__file__ + "i")) - {"image_noise"})
#: what functions hand out, so that nobody chooses these arguments
HANDED_OUT = ("Recorder", "Run")


def functions(name):
    """The object itself; of a module, the public functions and classes in its ``__all__``, or else all it defines."""
    found = getattr(package, name)
    if not isinstance(found, ModuleType):
        return {name: found}
    own = [k for k, v in vars(found).items() if k[0] != "_" and getattr(v, "__module__", "") == found.__name__]
    public = getattr(found, "__all__", own)
    return {f"{name}.{k}": getattr(found, k) for k in public if callable(getattr(found, k))}


def section(doc, title):
    """The text of one section of a numpydoc docstring; empty without it."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs(name):
    found = getattr(package, name)
    home = found if isinstance(found, ModuleType) else sys.modules[found.__module__]
    (test,) = doctest.DocTestFinder(recurse=False, exclude_empty=False).find(found, name, module=home, globs={})
    assert test.examples, f"{name} has no example"
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples of {name} fail: see above"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HANDED_OUT])
def test_every_parameter_is_described(name):
    for full, found in functions(name).items():
        if getattr(found, "_is_protocol", False):
            continue
        described = section(inspect.getdoc(found) or "", "Parameters")
        entries = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : \S.*)?$", described, re.MULTILINE)
        said = {word.lstrip("*") for entry in entries for word in entry.split(", ")}
        parameters = inspect.signature(found).parameters
        assert set(parameters) == said, (
            f"{full}: not described {set(parameters) - said}, unknown {said - set(parameters)}"
        )
