"""Mutants: which are drawn, which can matter, how one is tried, and what is counted."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.faults.waiting import wait_for
from analysis.mutation import __main__ as program
from analysis.mutation import mutants, trial
from analysis.mutation.areas import AREAS, ROOT, STATES, STORAGE, THRESHOLD, Area
from analysis.mutation.mutants import Mutant, changed, decisive
from analysis.mutation.table import counted, score, table
from modiff_sim.sweeps.rowlog import RowLog


def test_the_files_and_the_tests_of_every_area_exist():
    mutated = [file for area in AREAS for file in area.files()]
    assert len(mutated) == len({*mutated}), "a file belongs to two areas"
    assert {STORAGE, THRESHOLD, STATES, "modiff_sim/recursion/kinds/open_loop.py"} <= {*mutated}
    for area in AREAS:
        for pattern in area.sources:
            assert replace(area, sources=(pattern,)).files(), pattern
        for test in (*area.without, *area.tests, *area.wider):
            assert (ROOT / test).is_file(), test
        assert not {*area.tests} & {*area.wider}


def test_the_tests_that_say_most_of_a_file_come_first():
    (area,) = (area for area in AREAS if area.name == "state formats")
    assert area.ordered(STORAGE)[0] == "tests/core/test_storage.py"
    assert area.ordered(STATES)[0] == "tests/nn/test_states.py"
    assert sorted(area.ordered(STATES)) == sorted(area.tests)


CODE = '''"""Says."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import os
def f(a: int | None = 1, *, b=2) -> int | None:
    """Does."""
    if a < 1:
        raise ValueError(f"at least {1 + 0}, got {a}")
    c: int | float = a + 1
    return c
class C:
    def __repr__(self):
        return "C" * 2
    def g(self):
        warnings.warn("g" * 2)
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Says.", "Said."), ("TYPE_CHECKING:", "not TYPE_CHECKING:"), ("a: int | None", "a: int ^ None"),
        ("Does.", "Did."),
        ("-> int | None", "-> int + None"), ("{1 + 0}", "{1 - 0}"), ("c: int | float", "c: int & float"),
        ('"C" * 2', '"C" * 3'), ('"g" * 2', '"g" * 3'), ("a < 1", "(a   < 1)"), ("*, b", "/, b"),
    ],
)  # fmt: skip
def test_what_cannot_matter_is_not_drawn(old, new):
    assert CODE.count(old) == 1
    assert not mutants._matters(CODE, CODE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [("None = 1", "None = 2"), ("b=2", "b=3"), ("a < 1", "a <= 1"), ("ValueError", "KeyError"), ("a + 1", "a - 1")],
)
def test_what_can_matter_is(old, new):
    assert CODE.count(old) == 1
    assert mutants._matters(CODE, CODE.replace(old, new))


def test_what_is_no_code_is_not_drawn():
    assert not mutants._matters(CODE, CODE.replace("*, b", "+, b"))
    with pytest.raises(SyntaxError):
        decisive("f(")


def test_a_diff_holds_the_changed_lines_only():
    assert changed("a\n  b = 1\n\nc\n", "a\n  b  =  2\nc\n") == ("- b = 1", "+ b = 2")


def test_wilsons_interval_of_8_in_10():
    assert score({"killed": 5, "timeout": 3, "survived": 2, "equivalent": 7}) == pytest.approx(
        (0.8, 0.49016, 0.94332), abs=1e-5
    )
    with pytest.raises(ValueError, match="there is no score"):
        score({"equivalent": 1})


def test_the_table_has_a_line_for_each_area_and_one_for_all():
    rows = [{"area": "a", "outcome": outcome} for outcome in ("killed", "killed", "timeout", "survived", "equivalent")]
    lines = table(counted([*rows, {"area": "b", "outcome": "equivalent"}])).splitlines()[2:]
    assert lines == [
        "| a | 5 | 3 | 1 | 1 | 1 | 75.0 % | 30.1 to 95.4 % |",
        "| b | 1 | 0 | 0 | 0 | 1 | - | - |",
        "| all | 6 | 3 | 1 | 1 | 2 | 75.0 % | 30.1 to 95.4 % |",
    ]


def test_an_equivalent_mutant_is_one_of_the_code_as_it_is():
    entries = json.loads(mutants.EQUIVALENT.read_text(encoding="utf-8"))
    assert len(mutants.equivalent()) == len(entries)
    for entry in entries:
        lines = {" ".join(line.split()) for line in (ROOT / entry["file"]).read_text(encoding="utf-8").splitlines()}
        gone = [line[2:] for line in entry["diff"] if line.startswith("- ")]
        assert gone, entry
        assert set(gone) <= lines, entry
        assert len(entry["reason"]) > 20


# --- trying one, in a checkout of one module --------------------------------------------------------------------------

MATHS = "def double(x):\n    return 2 * x\n"
TESTS = {
    "test_own": "from maths import double\ndef test_other(): pass\ndef test_double(): assert double(3) == 6\n",
    "test_wide": "from maths import double\ndef test_text(): assert double('a') == 'aa'\n",
}


class Written(Mutant):
    """A mutant that is given as text."""

    @contextmanager
    def applied(self, path):
        before = path.read_text(encoding="utf-8")
        path.write_text("\n".join(self.diff), encoding="utf-8")
        yield
        path.write_text(before, encoding="utf-8")


def written(*lines):
    return Written("maths", "maths.py", 1, "double", "written", 0, lines)


MATHS_AREA = Area("maths", ("maths.py",), ("test_own.py",), ("test_wide.py",))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    (root / "analysis").mkdir()
    (root / "analysis" / "__init__.py").touch()
    place = shutil.copytree(ROOT / "analysis" / "mutation", root / "analysis" / "mutation")
    server = (place / "server.py").read_text(encoding="utf-8")
    only = 'importlib.import_module(name if name == "pytest" else "json")'
    for old, new in (("importlib.import_module(name)", only), ("\nWAIT = 10 ", "\nWAIT = 4 ")):
        assert server.count(old) == 1
        server = server.replace(old, new)
    (place / "server.py").write_text(server, encoding="utf-8")
    (root / ".gitignore").write_text("secret\n", encoding="utf-8")
    (root / "secret").touch()
    for name, text in {"maths": MATHS, **TESTS}.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def tester(checkout):
    patience = trial.PATIENCE
    trial.PATIENCE = (0.0, 2.0)
    with trial.copied(checkout) as folder, trial.Tester(folder) as made:
        yield made
    trial.PATIENCE = patience
    assert not folder.exists()


@pytest.mark.parametrize(
    ("lines", "outcome", "by"),
    [
        (("def double(x):", "    return x + x",), "survived", ""),
        (("def double(x):", "    return 3 * x",), "killed", "test_own.py::test_double"),
        (("def double(x):", "    return int(2 * x)",), "killed", "test_wide.py::test_text"),
        (("def double(x) return x",), "killed", "test_own.py"),
        (("import os", "def double(x):", "    os._exit(7)",), "killed", "the process died: exit code 7"),
        (("import os", "def double(x):", "    os.kill(os.getpid(), 9)",), "killed", "the process died: SIGKILL"),
        (("def double(x):", "    return 2 * x if bytearray(2**44) else 0",), "killed", "test_own.py::test_double"),
    ],
)  # fmt: skip
def test_a_mutant_is_tried_in_the_copy(lines, outcome, by, tester, checkout):
    found = tester.tried(written(*lines), MATHS_AREA)
    assert (found["outcome"], found["by"]) == (outcome, by)
    assert found["seconds"] > 0
    for folder in (checkout, tester.folder):
        assert (folder / "maths.py").read_text(encoding="utf-8") == MATHS


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(99)"])
def test_a_mutant_that_hangs_ends_with_all_that_it_started(hang, tester, tmp_path):
    wait = f"subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(99)']).pid"
    lines = ("import pathlib, subprocess, time", "def double(x):", f"    pid = {wait}")
    place = f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(pid))"
    found = tester.tried(written(*lines, place, f"    {hang}"), MATHS_AREA)
    assert (found["outcome"], found["by"]) == ("timeout", "")
    status = Path("/proc", (tmp_path / "pid").read_text(encoding="utf-8"), "status")

    def ended():
        try:
            return "State:\tZ" in status.read_text(encoding="utf-8")
        except OSError:  # it is gone
            return True

    wait_for(ended)  # a process that was killed may take a moment to end


def test_the_copy_holds_what_git_would_add(tester):
    assert (tester.folder / "test_wide.py").is_file()
    assert not (tester.folder / "secret").exists()


def test_tests_that_fail_without_a_mutant_are_refused(tester):
    (tester.folder / "test_bad.py").write_text("def test_bad(): assert False\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"without any mutant: failed test_bad.py::test_bad; mend that first"):
        tester.tried(written("a = 1"), replace(MATHS_AREA, tests=("test_bad.py",)))


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tried(monkeypatch, tmp_path):
    """The mutants that are tried: what is even survives."""
    seen = []

    class Fake:
        def __init__(self, folder):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def tried(self, mutant, area):
            seen.append(mutant.line)
            return {"outcome": "killed" if mutant.line % 2 else "survived", "by": "t", "seconds": 0.1}

    @contextmanager
    def copied():
        yield tmp_path

    for name, text in {"maths": MATHS, **TESTS}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    for name, value in {
        "Tester": Fake, "copied": copied, "AREAS": (MATHS_AREA,), "ROOT": tmp_path, "equivalent": lambda: {},
        "sample": lambda areas, seed, count: [replace(written("- a", "+ b"), line=n) for n in range(count)],
    }.items():  # fmt: skip
        monkeypatch.setattr(program, name, value)
    return seen


def test_a_run_goes_on_where_it_stopped(tried, tmp_path, monkeypatch, capsys):
    line = ["--log", str(tmp_path / "log.jsonl")]
    assert program.main([*line, "--count", "3"]) == 1
    assert tried == [0, 1, 2]
    said = capsys.readouterr().out
    assert "survived: maths.py:2 double\n- a\n+ b\n" in said
    assert "| maths | 3 | 1 | 0 | 2 | 0 | 33.3 % |" in said
    with pytest.raises(SystemExit):
        program.main(line)
    assert "log.jsonl exists; --resume goes on with it" in capsys.readouterr().err
    tried.clear()
    assert program.main([*line, "--count", "4", "--resume"]) == 1
    assert tried == [3]
    # other tests: those that survived are tried again, and those that were killed are not
    (tmp_path / "test_own.py").write_text("", encoding="utf-8")
    tried.clear()
    assert program.main([*line, "--count", "4", "--resume"]) == 1
    assert tried == [0, 2]
    assert len(RowLog(tmp_path / "log.jsonl").entries()) == 6
    # what is named equivalent is counted apart and not tried
    monkeypatch.setattr(program, "equivalent", lambda: {("maths.py", ("- a", "+ b")): "the reason"})
    tried.clear()
    capsys.readouterr()
    assert program.main([*line, "--count", "5", "--resume"]) == 0
    assert tried == []
    assert "| maths | 5 | 2 | 0 | 0 | 3 | 100.0 % |" in capsys.readouterr().out


# --- cosmic-ray -------------------------------------------------------------------------------------------------------

FILES = {
    "one.py": "def f(a: int | None, *, b=7):\n    return a * b if a < 3 else None\n",
    "two/three.py": "for i in range(4):\n    print(i + 1)\n",
}


@pytest.fixture
def root(tmp_path):
    pytest.importorskip("cosmic_ray", reason="needs the extra [mutation]")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_sample_is_seeded_and_takes_the_areas_in_turn(root):
    areas = [Area("a", ("one.py",), ()), Area("b", ("two/*.py",), ())]
    drawn = list(mutants.sample(areas, 5, 100, root))
    # one of each place: *, <, 7, 3, the condition (AddNot begins where it does); range's 4, the loop, +, 1
    assert [mutant.area for mutant in drawn[:4]] == ["a", "b", "a", "b"]
    places = [(mutant.file, mutant.line, mutant.operator) for mutant in drawn]
    assert len({*places}) == len(drawn) == 9
    assert list(mutants.sample(areas, 5, 4, root)) == drawn[:4]
    assert any(list(mutants.sample(areas, seed, 100, root)) != drawn for seed in range(3))


def test_a_mutant_is_what_its_diff_says_and_goes_away(root):
    for mutant in mutants.sample([Area("a", ("one.py", "two/*.py"), ())], 0, 100, root):
        path, text = root / mutant.file, FILES[mutant.file]
        with mutant.applied(path):
            after = path.read_text(encoding="utf-8")
            assert changed(text, after) == mutant.diff
            assert decisive(after) != decisive(text)
        assert path.read_text(encoding="utf-8") == text


def test_the_operators_that_are_left_out_are_some_of_cosmic_rays():
    pytest.importorskip("cosmic_ray", reason="needs the extra [mutation]")
    from cosmic_ray.plugins import operator_names

    out = {name for name in operator_names() if mutants.LEFT_OUT.fullmatch(name)}
    assert len(out) == 7 * 5 + 6 * 2
    assert "core/ReplaceBinaryOperator_Mul_Div" not in out
