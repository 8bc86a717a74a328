"""Every public name of ``modiff_sim.nn`` has an example that runs, and a description of each of its parameters."""

import inspect
from types import ModuleType

import pytest
from docstrings import described, run_examples

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


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs(name):
    run_examples(getattr(package, name), name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HANDED_OUT])
def test_every_parameter_is_described(name):
    for full, found in functions(name).items():
        if getattr(found, "_is_protocol", False):
            continue
        said = described(found)
        parameters = inspect.signature(found).parameters
        assert set(parameters) == said, (
            f"{full}: not described {set(parameters) - said}, unknown {said - set(parameters)}"
        )
