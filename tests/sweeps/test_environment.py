"""Who shares work has the same versions and source: a worker that has others is refused, and says what differs."""

import importlib
import os
import subprocess
import sys
import time
import zipfile
from functools import partial, wraps
from pathlib import Path

import pytest

from analysis.faults import driver
from modiff_sim.sweeps import environment as module
from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.environment import Environment, OtherCode, environment
from modiff_sim.sweeps.store import Store, versions

ROOT = Path(__file__).parents[2]
TOPS = ("mine", "alone", "packed")
SOURCE = """
from modiff_sim.sweeps.sweep import Output

def f(point):
    return Output({"value": point["seed"]})

class Base:
    def f(self, point):
        return f(point)
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A package and a module of their own, which nothing has looked at."""
    for file in ("mine/__init__.py", "mine/one.py", "mine/inner/__init__.py", "mine/late.py", "alone.py"):
        write(tmp_path / file, SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # its times have seconds, and tests are faster
    for name in [n for n in sys.modules if n.partition(".")[0] in TOPS]:
        monkeypatch.delitem(sys.modules, name)
    forget(monkeypatch)
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] in TOPS]:
        del sys.modules[name]


def forget(monkeypatch):
    """As a process that has looked at nothing yet."""
    monkeypatch.setattr(module, "_read", {})
    monkeypatch.setattr(module, "_sources", {})


def names(function):
    return set(environment(function).sources) - {"modiff_sim"}


def test_of_this_package_and_of_that_of_the_function(packages):
    import alone
    import mine.inner
    import mine.one

    assert environment().versions == versions()
    assert set(environment().sources) == {"modiff_sim"}
    assert names(print) == set()  # of no file
    assert names(partial(partial(alone.f))) == {"alone"}
    assert environment(mine.one.f) == environment(mine.inner.f)
    assert environment(mine.one.f).here() == environment(mine.one.f)


def test_the_code_of_arguments_objects_and_bases_counts(packages):
    import alone
    import mine.one

    class Own(mine.one.Base):
        pass

    class Holder:
        def __init__(self, held):
            self.held = held

        def f(self, point):
            return self.held(point)

    def generic(function, point):
        return function(point)

    def closed(function):
        return lambda point: function(point)

    @wraps(alone.f)
    def wrapped(point):
        return None

    here = __name__.partition(".")[0]
    assert names(partial(generic, alone.f)) == {here, "alone"}
    assert names(partial(generic, function=[{"a": alone.f}])) == {here, "alone"}
    assert names(Own().f) == names(Own) == {here, "mine"}
    assert names(Holder(partial(alone.f)).f) == {here, "alone"}
    assert names(closed(mine.one.f)) == {here, "mine"}
    assert names(wrapped) == {"alone"}
    script = {"__name__": "of_no_file", "pk": mine, "g": alone.f}
    exec("def compute(point): return [(lambda: pk.one.f)(), g]", script)
    assert names(script["compute"]) == {"mine", "alone"}  # its own code travels with it


def test_what_was_imported_does_not_change_with_its_file(packages):
    import mine.inner
    import mine.one

    before = environment(mine.one.f)
    write(packages / "mine" / "inner" / "__init__.py", SOURCE + "X = 1\n")
    os.utime(packages / "mine" / "inner" / "__init__.py", (2**32, 2**32))  # unpacked from an archive of wrong times
    assert environment(mine.one.f) == before
    importlib.reload(mine.inner)
    assert environment(mine.one.f).against(before, "there") == "other source of mine"


def test_a_module_that_is_imported_later_counts_as_it_is_then(packages):
    import mine.one

    before = environment(mine.one.f)
    write(packages / "mine" / "late.py", SOURCE + "X = 1\n")
    assert environment(mine.one.f) == before
    import mine.late

    assert environment(mine.late.f).against(before, "there") == "other source of mine"


def test_a_file_that_was_changed_before_anybody_looked_is_refused(packages):
    import alone
    import mine.one

    time.sleep(0.05)  # the clock of files has ticks
    (packages / "moved.py").write_text(SOURCE + "X = 1\n", encoding="utf-8")
    os.utime(packages / "moved.py", (1e9, 1e9))
    (packages / "moved.py").replace(packages / "alone.py")  # as rsync does it
    with pytest.raises(OtherCode, match=r"alone\.py was changed after this process had imported it.* or reload"):
        environment(alone.f)
    with pytest.raises(sweep.SweepError, match=r"alone\.py was changed .*: nothing was begun"):
        sweep.run([{"seed": 1}], alone.f, Store(packages / "s"), name="small", workers=1)
    importlib.reload(alone)
    assert names(alone.f) == {"alone"}
    write(packages / "mine" / "late.py", SOURCE + "X = 1\n")  # not imported: nothing is mixed
    assert names(mine.one.f) == {"mine"}


def test_a_moved_file_is_another_source(packages, monkeypatch):
    import mine.one

    before = environment(mine.one.f)
    (packages / "mine" / "one.py").rename(packages / "mine" / "two.py")
    forget(monkeypatch)
    assert environment(mine.one.f).against(before, "there") == "other source of mine"


def test_files_of_editors_do_not_count(packages, monkeypatch):
    import mine.one

    before = environment(mine.one.f)
    for name in (".#one.py", ".ipynb_checkpoints/one-checkpoint.py", "__pycache__/one.cpython-311.pyc", "notes.txt"):
        write(packages / "mine" / name, "no code")
    forget(monkeypatch)
    assert environment(mine.one.f) == before


def test_a_package_in_an_archive(packages, monkeypatch):
    def packed(text):
        with zipfile.ZipFile(packages / "p.zip", "w") as archive:
            archive.writestr("packed/__init__.py", "")
            archive.writestr("packed/one.py", text)

    packed(SOURCE)
    monkeypatch.syspath_prepend(packages / "p.zip")
    from packed.one import f

    before = environment(f)
    assert before.sources["packed"]
    time.sleep(0.05)
    packed(SOURCE + "X = 1\n")
    assert environment(f) == before
    forget(monkeypatch)
    with pytest.raises(OtherCode, match=r"p\.zip was changed"):
        environment(f)


def test_the_package_of_a_module_that_is_run(packages):
    """Its functions travel to the workers; what they call in their package does not."""
    ending = """
if __name__ == "__main__":
    from modiff_sim.sweeps.environment import environment
    from modiff_sim.sweeps.store import Store
    from modiff_sim.sweeps.sweep import run
    print(sorted(environment(f).sources))
    print(run([{"seed": i} for i in range(2)], f, Store("s"), name="small", workers=2))
"""
    write(packages / "mine" / "main.py", SOURCE + ending)
    about = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}
    command = [sys.executable, "-m", "mine.main"]
    said = subprocess.run(command, cwd=packages, env=about, capture_output=True, text=True, check=False)
    assert said.stdout.splitlines() == ["['mine', 'modiff_sim']", "[{'value': 0}, {'value': 1}]"], said.stderr


def test_a_module_that_is_edited_and_reloaded_runs_with_workers(packages, monkeypatch):
    """As in a notebook: the workers of before have the old module, and end with what they refuse."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{packages}")
    import alone

    store = Store(packages / "s")

    def run(seeds):
        return sweep.run([{"seed": s} for s in seeds], alone.f, store, name="small", workers=2)

    assert len(run(range(2))) == 2
    write(packages / "alone.py", SOURCE.replace('point["seed"]', '2 * point["seed"]'))
    importlib.reload(alone)
    with pytest.raises(sweep.SweepError, match="has other source of alone"):
        run(range(2, 4))
    assert run(range(2, 4)) == [{"value": 4}, {"value": 6}]


def test_a_module_that_a_point_imports_counts(packages):
    """Its file was changed since the sweep began, so that the points before had another source."""
    import mine.one

    def late(f, point):
        write(packages / "mine" / "late.py", SOURCE + "X = 1\n")
        import mine.late

        return mine.late.f(point)

    store = Store(packages / "s")
    with pytest.raises(sweep.SweepError, match=r"has other source of mine; .*: 0 of 1 points are kept"):
        sweep.run([{"seed": 1}], partial(late, mine.one.f), store, name="small", workers=1)


def test_what_differs_is_said_in_words():
    mine = Environment({"numpy": "2.1.0", "torch": "2.0"}, {"analysis": "a", "modiff_sim": "b"})
    other = Environment({"numpy": "2.2.1", "torch": "2.0"}, {"modiff_sim": "b"})
    assert mine.against(mine, "there") == ""
    assert mine.against(other, "rank 0") == "numpy 2.1.0 (rank 0: 2.2.1), other source of analysis"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            lambda e: Environment({**e.versions, "numpy": "0.1"}, e.sources),
            r"numpy \S+ \(the process that began: 0\.1\)",
        ),
        (lambda e: Environment(e.versions, {**e.sources, "modiff_sim": "0"}), "other source of modiff_sim"),
    ],
)
def test_a_worker_with_other_code_ends_the_sweep(tmp_path, monkeypatch, changed, said):
    """Here the driver pretends to have other code than it has; what is finished is kept."""
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    points, store = driver.points(), Store(tmp_path / "s")
    sweep.run(points[:2], driver.compute, store, name="small", workers=1)
    real = environment(driver.compute)
    answers = iter([changed(real)])
    monkeypatch.setattr(sweep, "environment", lambda compute: next(answers, real))
    with pytest.raises(sweep.SweepError, match=rf"the worker on \S+ has {said}; its bytes.*: 2 of 8 points are kept"):
        sweep.run(points, driver.compute, store, name="small", workers=1)
    assert len(sweep.run(points, driver.compute, store, name="small", workers=1)) == 8
