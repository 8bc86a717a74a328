"""What a numpydoc docstring says: its examples, run, and the parameters that it describes."""

import doctest
import inspect
import re


def described(found, sections=("Parameters",)):
    """The names that these sections of a docstring describe."""
    said = set()
    doc = inspect.getdoc(found) or ""
    for text in re.findall(rf"^(?:{'|'.join(sections)})\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)", doc, re.S | re.M):
        for entry in re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: :.*)?$", text, re.M):
            said |= {name.lstrip("*") for name in entry.split(", ")}
    return said


def undescribed(found, sections=("Parameters",)):
    """The parameters of its signature that its docstring does not describe."""
    return set(inspect.signature(found).parameters) - described(found, sections)


def run_examples(found, name):
    """Run the examples of a docstring; AssertionError where there is none, or where one gives something else."""
    (test,) = doctest.DocTestFinder(recurse=False, exclude_empty=False).find(found, name, globs={})
    assert test.examples, f"{name} has no example"
    said = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
