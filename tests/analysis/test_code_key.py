"""The key of a result: what cannot decide a number keeps it, and what can does not."""

import sys

import pytest

from analysis.running import code_key as source
from analysis.running.code_key import closure, source_of

FILES = {
    "face/__init__.py": (
        '"""Passes names on."""\nfrom .steps import step\n'
        'from .other import step as other_step\nfrom .unused import other\n__all__ = ["step", "other"]\n'
    ),
    "face/steps.py": (
        '"""A step."""\nfrom __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom . import inner\n'
        "if TYPE_CHECKING:\n    from .types import Name\n\n\n"
        'def step(x):\n    """One."""\n    from .late import shift\n    return inner.scale(x) + shift(x)  # why\n\n\n'
        "if __name__ == '__main__':\n    from .program import main\n    main()\n"
    ),
    "face/inner.py": '"""Inner."""\nFACTOR = 2.0\n\n\ndef scale(x):\n    return FACTOR * x\n',
    "face/other.py": "def scale(x):\n    return -x\n\n\ndef shift(x):\n    return x\n\n\ndef step(x):\n    return x\n",
    "face/late.py": "def shift(x):\n    return 1.0\n",
    "face/unused.py": "OTHER = 3\n",
    "face/types.py": "Name = str\n",
    "face/program.py": "def main():\n    print(1)\n",
    "lazy/__init__.py": (
        "from importlib import import_module\n\n\n"
        "def __getattr__(name):\n    return getattr(import_module('.one', __name__), name)\n"
    ),
    "lazy/__init__.pyi": (
        "from .one import first as first\nfrom .two import second as second\nfrom . import two as two\n"
    ),
    "lazy/one.py": "def first():\n    return 1\n",
    "lazy/two.py": "def second():\n    return 2\n",
    "kinds/__init__.py": (
        "from modiff_sim.registry import entries\nfrom .base import Kind\nfrom .known import KNOWN\n"
        'KINDS = entries(__name__, "KINDS")\n\n\ndef make(name):\n    return KINDS[name]\n'
    ),
    "kinds/base.py": "Kind = int\n",
    "kinds/known.py": "KNOWN = 1\nKINDS = {'known': KNOWN}\n",
    "kinds/dropped.py": "from .helper import value\n\nKINDS = {'dropped': value()}\n",
    "kinds/helper.py": "def value():\n    return 2\n",
    "work/chosen.py": "from kinds import make\n\n\ndef compute(point):\n    return make(point['kind'])\n",
    "work/fixed.py": "from kinds import make\n\n\ndef compute(point):\n    return make('dropped')\n",
    "work/apart.py": "def compute(point):\n    return 'dropped'\n",
    "work/__init__.py": "",
    "work/main.py": (
        "import lazy as lz\nfrom math import sin\nfrom face import step, other_step\n\n\n"
        "def compute(point):\n    return step(point) + lz.first() + sin(0) + other_step(1)\n"
    ),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two packages and a module; what was read of it is forgotten by ``again``."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source, "PROJECT", ("face", "lazy", "kinds", "work", "moved"))
    forget()
    yield tmp_path
    forget()
    for name in [n for n in sys.modules if n.partition(".")[0] in ("face", "lazy", "kinds", "work", "moved")]:
        del sys.modules[name]


def forget():
    for cached in (source.source_of, source.closure, source._content, source._file, source._module):
        cached.cache_clear()


def again(*modules):
    forget()
    return source_of(*(modules or ("work.main",)))


def changed(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_closure_is_what_the_computation_imports(project):
    """Inside functions too; not what is for type checkers, for programs, or passed on and not used."""
    assert closure("work.main") == {
        "work.main", "face.steps", "face.inner", "face.late", "face.other", "lazy.one"
    }  # fmt: skip


def test_a_module_handed_on_as_a_value_counts_whole(project):
    changed(project / "work" / "main.py", "lz.first()", "getattr(lz, 'first')()")
    forget()
    assert "lazy" in closure("work.main")
    changed(project / "work" / "main.py", "from face import step", "import face")
    changed(project / "work" / "main.py", "return step(", "return face.step(")
    forget()
    assert closure("work.main") >= {"face.steps", "face.inner", "face.late"}
    assert "face.unused" not in closure("work.main")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("face/steps.py", '"""One."""', '"""Another sentence."""'),
        ("face/steps.py", '"""A step."""\n', ""),
        ("face/steps.py", "# why", "# for another reason"),
        ("face/steps.py", "inner.scale(x) + shift(x)", "(inner.scale(x)\n        + shift(x))"),
        ("face/steps.py", "from . import inner\n", "from . import inner\nimport math\n"),
        ("face/steps.py", "    main()\n", "    main(); main()\n"),
        ("face/inner.py", "FACTOR = 2.0\n", 'FACTOR = 2.0\n"""What it is."""\n'),
        ("face/unused.py", "3", "4"),
        ("face/program.py", "print(1)", "print(2)"),
        ("lazy/two.py", "2", "3"),
        ("face/steps.py", "shift(x)", "shift_it(x)"),
        ("work/main.py", "lz.", "lazy."),
    ],
)
def test_what_cannot_decide_a_number_keeps_the_key(project, file, old, new):
    before = again()
    changed(project / file, old, new)
    if new == "shift_it(x)":
        changed(project / file, "import shift", "import shift as shift_it")
    if new == "lazy.":
        changed(project / file, "import lazy as lz", "import lazy")
    assert again() == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("work/main.py", "step(point) +", "step(point) -"),
        ("face/inner.py", "2.0", "2.5"),
        ("face/inner.py", "FACTOR * x", "x * FACTOR"),
        ("face/late.py", "1.0", "1"),
        ("lazy/one.py", "return 1", "return True"),
        ("face/inner.py", "def scale(x):", "def scale(x, y=0):"),
        ("face/__init__.py", "from .steps import step\n", "from .late import shift as step\n"),
        ("face/steps.py", "from .late import shift", "from .other import shift"),
        ("face/steps.py", "from . import inner\n", "from . import other as inner\n"),
        ("work/main.py", "from math import sin", "from cmath import sin"),
        ("work/main.py", "import lazy as lz", "import lazy as lz\nimport face.unused"),
    ],
)
def test_a_change_anywhere_in_the_closure_is_another_key(project, file, old, new):
    before = again()
    changed(project / file, old, new)
    assert again() != before


def test_a_renamed_file_and_a_moved_module_keep_the_key(project):
    before = again()
    (project / "face" / "late.py").rename(project / "face" / "later.py")
    changed(project / "face" / "steps.py", "from .late", "from .later")
    assert again() == before
    (project / "face" / "inner.py").rename(project / "face" / "scaling.py")
    changed(project / "face" / "steps.py", "from . import inner", "from . import scaling")
    changed(project / "face" / "steps.py", "inner.scale", "scaling.scale")
    assert again() == before
    (project / "moved" / "deep").mkdir(parents=True)
    (project / "moved" / "__init__.py").touch()
    (project / "moved" / "deep" / "__init__.py").touch()
    (project / "face" / "scaling.py").rename(project / "moved" / "deep" / "scaling.py")
    changed(project / "face" / "steps.py", "from . import scaling", "from moved.deep import scaling")
    assert again() == before
    (project / "work" / "main.py").rename(project / "moved" / "computing.py")
    assert again("moved.computing") == before


def test_of_a_registry_count_the_files_that_are_named(project):
    """By an import, by a text in the code, or by what is chosen at run time; and what those files lead to."""
    known = {"work.chosen", "kinds", "kinds.base", "kinds.known"}
    assert closure("work.chosen") == known
    assert closure("work.chosen", names=("dropped",)) == {*known, "kinds.dropped", "kinds.helper"}
    assert closure("work.chosen", names=("known", "unknown")) == known
    assert closure("work.fixed") == {"work.fixed", *known, "kinds.dropped", "kinds.helper"} - {"work.chosen"}
    assert closure("work.apart", names=("dropped",)) == {"work.apart"}  # it does not come to the registry


def test_a_new_file_of_a_registry_changes_no_key_but_of_what_names_it(project):
    before = {names: source_of("work.chosen", names=names) for names in ((), ("dropped",), ("new",))}
    (project / "kinds" / "new.py").write_text("KINDS = {'new': 3}\n", encoding="utf-8")
    forget()
    after = {names: source_of("work.chosen", names=names) for names in before}
    assert [before[names] == after[names] for names in before] == [True, True, False]
    changed(project / "kinds" / "new.py", "3", "4")
    forget()
    assert source_of("work.chosen", names=("new",)) != after["new",]
    changed(project / "kinds" / "helper.py", "2", "3")
    forget()
    assert source_of("work.chosen", names=("dropped",)) != after["dropped",]


def test_how_something_is_drawn_is_no_part_of_a_key():
    """A result, an audit and a recording name their pictures by text, and import them when they are asked for."""
    for module in ("modiff_sim.simulation.results", "modiff_sim.nn.audit", "modiff_sim.nn.measure.recording"):
        found = closure(module)
        assert len(found) > 10
        assert not [name for name in found if ".plot" in name or name.endswith(".pictures")]


def test_a_chosen_sampler_and_recursion_are_in_the_keys_of_images(monkeypatch):
    """What is asked for is passed on; samplers that are imported are in every key anyway."""
    from analysis.experiments import trained_runs
    from analysis.experiments.arms import Arm
    from analysis.experiments.sizes import effort_of
    from analysis.sampling import micro_batch
    from analysis.tables import sampling
    from analysis.tables.cells import Cell

    asked = []
    for module in (micro_batch, sampling, trained_runs):
        monkeypatch.setattr(module, "source_of", lambda *modules, names=(): asked.append(names) or "source")
    arm = Arm("open_loop", 4, 8)
    micro_batch.BatchPlan("digits", arm, "heun", images=1).points()
    sampling.points("digits", [sampling.Wanted(Cell(arm, sampler="heun"), 1, 0)])
    trained_runs.key(effort_of("quick"), arm, 0)
    assert asked == [("heun", "open_loop"), ("heun", "open_loop"), ("open_loop",)]


def test_modules_of_others_and_missing_ones(project):
    assert closure("lazy.one") == {"lazy.one"}
    with pytest.raises(ModuleNotFoundError, match=r"no module numpy whose source"):
        source_of("numpy")
