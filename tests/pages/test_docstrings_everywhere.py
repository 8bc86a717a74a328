"""Examples of what the other tests of docstrings do not list, such as methods and helpers: they give what they say."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import modiff_sim
from modiff_sim.bounds import certificates

#: examples of what needs files or pages of its own
NOT_RUN = {"modiff_sim.advice.recommendation"}
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(modiff_sim.__path__, "modiff_sim.")
    if found.name not in ("modiff_sim.explore.page", "modiff_sim.__main__")  # a notebook, and a program
)


@pytest.mark.parametrize("name", MODULES)
def test_every_example_of_a_module_gives_what_it_shows(name):
    if name.endswith("certificates") and not certificates.available():
        pytest.skip("needs PEPit")
    module = import_module(name)
    said = []
    for test in doctest.DocTestFinder().find(module, name):
        if test.examples and test.name not in NOT_RUN:
            doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
