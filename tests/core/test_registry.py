"""Registries are what the files of their rooms say, read and imported alike."""

import importlib
import sys
from pathlib import Path

import pytest

import modiff_sim as ms
from modiff_sim import registry
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.metrics import METRICS

ROOT = Path(__file__).parents[2]
#: package -> (the dictionaries in its files, what they make together)
REGISTRIES = {
    "modiff_sim.quantizers": ("QUANTIZERS", ms.QUANTIZERS),
    "modiff_sim.quantizers.granularity": ("GRANULARITIES", ms.GRANULARITIES),
    "modiff_sim.recursion.kinds": ("RECURSIONS", ms.RECURSIONS),
    "modiff_sim.simulation.processes": ("PROCESSES", ms.processes.PROCESSES),
    "modiff_sim.diffusion.samplers": ("SAMPLERS", SAMPLERS),
    "modiff_sim.metrics": ("METRICS", METRICS),
}


@pytest.mark.parametrize("package", REGISTRIES)
def test_what_is_read_is_what_is_imported(package):
    kind, known = REGISTRIES[package]
    named = registry.named(ROOT.joinpath(*package.split(".")), kind)
    assert list(named) == list(known)
    assert len(known) >= 3
    for name, file in named.items():
        assert getattr(importlib.import_module(f"{package}.{file}"), kind)[name] is known[name]


@pytest.mark.parametrize("package", REGISTRIES)
def test_the_order_names_what_there_is(package):
    known = REGISTRIES[package][1]
    order = importlib.import_module(package).ORDER
    assert set(order) <= set(known)
    assert list(known) == [*order, *sorted(set(known) - set(order))]


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package whose registry is filled by file, and a function that imports it anew."""
    folder = tmp_path / "annex"
    folder.mkdir()
    text = 'from modiff_sim.registry import entries\n\nORDER = ("c", "b")\nTHINGS = entries(__name__, "THINGS")\n'
    (folder / "__init__.py").write_text(text, encoding="utf-8")
    (folder / "one.py").write_text('THINGS = {"a": 1, "b": 2}\n', encoding="utf-8")
    (folder / "two.py").write_text('THINGS: dict[str, int] = {"c": 3}\n', encoding="utf-8")
    (folder / "none.py").write_text("X = 1\n", encoding="utf-8")
    (folder / "_helper.py").write_text('THINGS = {"hidden": 4}\n', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def imported():
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.partition(".")[0] == "annex"]:
            del sys.modules[name]
        return importlib.import_module("annex").THINGS

    yield folder, imported
    for name in [name for name in sys.modules if name.partition(".")[0] == "annex"]:
        del sys.modules[name]


def test_a_new_file_is_enough(room):
    folder, imported = room
    assert list(imported().items()) == [("c", 3), ("b", 2), ("a", 1)]
    (folder / "aaa.py").write_text('THINGS = {"z": 26, "aa": 0}\n', encoding="utf-8")
    assert list(imported().items()) == [("c", 3), ("b", 2), ("a", 1), ("aa", 0), ("z", 26)]
    assert registry.named(folder, "THINGS") == {"c": "two", "b": "one", "a": "one", "aa": "aaa", "z": "aaa"}


def test_a_name_in_two_files_is_refused(room):
    folder, imported = room
    (folder / "three.py").write_text('THINGS = {"a": 9}\n', encoding="utf-8")
    with pytest.raises(TypeError, match=r"annex: THINGS has 'a' in one\.py and in three\.py: rename one of the two"):
        imported()
    with pytest.raises(TypeError, match=r"THINGS has 'a' in one\.py and in three\.py"):
        registry.named(folder, "THINGS")


@pytest.mark.parametrize("text", ["dict(a=1)", "{name: 1 for name in 'xy'}", '{"x": 1, **{}}', "{1: 1}"])
def test_a_dictionary_that_cannot_be_read_is_refused(room, text):
    folder, _ = room
    (folder / "three.py").write_text(f"THINGS = {text}\n", encoding="utf-8")
    with pytest.raises(TypeError, match=r"three\.py: THINGS must be a dictionary that is written out"):
        registry.named(folder, "THINGS")


def test_recursions_and_samplers_are_called_as_they_are_registered():
    assert {name: recursion.name for name, recursion in ms.RECURSIONS.items()} == {name: name for name in ms.RECURSIONS}
    assert {name: sampler.function.__name__ for name, sampler in SAMPLERS.items()} == {name: name for name in SAMPLERS}
