"""Who shares work has the same versions and source: a worker that has others is refused, and says what differs."""

import sys
from functools import partial

import pytest

from analysis.faults import driver
from modiff_sim import environment as module
from modiff_sim import sweep
from modiff_sim.environment import Environment, environment
from modiff_sim.store import Store, versions


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A package and a module of their own, and their sources read anew in every test."""
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    for file in ("mine/__init__.py", "mine/one.py", "mine/inner/__init__.py", "alone.py"):
        (tmp_path / file).write_text("def f(point): return point\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("mine", "alone")]:
        monkeypatch.delitem(sys.modules, name)
    module._source.cache_clear()
    yield tmp_path
    module._source.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] in ("mine", "alone")]:
        del sys.modules[name]


def test_of_this_package_and_of_that_of_the_function(packages):
    import alone
    import mine.inner
    import mine.one

    assert environment().versions == versions()
    assert set(environment().sources) == {"modiff_sim"}
    assert set(environment(print).sources) == {"modiff_sim"}  # of no file
    assert set(environment(partial(partial(alone.f))).sources) == {"modiff_sim", "alone"}
    assert environment(mine.one.f) == environment(mine.inner.f)
    before = environment(mine.one.f).sources["mine"]
    (packages / "mine" / "inner" / "__init__.py").write_text("def f(point): return None\n", encoding="utf-8")
    assert environment(mine.one.f).sources["mine"] == before  # what was imported does not change with its file
    module._source.cache_clear()
    assert environment(mine.one.f).sources["mine"] != before


def test_a_moved_file_is_another_source(packages):
    import mine.one

    before = environment(mine.one.f)
    (packages / "mine" / "one.py").rename(packages / "mine" / "two.py")
    module._source.cache_clear()
    assert environment(mine.one.f).against(before, "there") == "other source of mine"


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
    calls = iter([changed(real)])  # of the driver; the worker's own follow
    monkeypatch.setattr(sweep, "environment", lambda compute: next(calls, real))
    with pytest.raises(sweep.SweepError, match=rf"the worker on \S+ has {said}; its bytes.*: 2 of 8 points are kept"):
        sweep.run(points, driver.compute, store, name="small", workers=1)
    assert len(sweep.run(points, driver.compute, store, name="small", workers=1)) == 8
