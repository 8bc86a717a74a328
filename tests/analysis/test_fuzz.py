"""Command lines at random, of every program: what a wrong end is, and that a few of each program end well."""

import argparse
import os
import sys
import warnings
from collections import Counter

import numpy as np
import pytest

from analysis.faults import fuzz, fuzz_child, fuzz_lines, fuzz_programs
from analysis.faults.fuzz_programs import PROGRAMS, FuzzedProgram

ROOT = fuzz.ROOT


def test_every_program_with_arguments_is_fuzzed():
    """Whatever makes an argparse parser in this checkout."""
    found = set()
    for folder in ("analysis", "modiff_sim", "figures", "paper_checks"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "def main(" in text and "Parser(" in text and "faults" not in path.parts:
                found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    fuzzed = {program.module for program in PROGRAMS.values()}
    # they have (next to) no options: one executes a notebook of this checkout, one runs Sphinx on it
    assert found - fuzzed == {"analysis.tour", "analysis.site"}
    assert fuzzed <= found
    from modiff_sim.cli import main

    commands = fuzz_lines.subparsers(fuzz_child.parser_of(main))
    assert {f"modiff-sim {name}" for name in commands} <= PROGRAMS.keys()


def parser():
    made = argparse.ArgumentParser()
    made.add_argument("place", metavar="FILE")
    made.add_argument("--count", type=int)
    made.add_argument("--share", type=float)
    made.add_argument("--kind", choices=["a", "b"])
    made.add_argument("--name", help="one of left, right or up:down")
    made.add_argument("--many", nargs="+", type=int)
    made.add_argument("--flag", action="store_true")
    return made


def test_lines_are_made_of_what_the_parser_takes():
    rng = np.random.default_rng(0)
    lines = [fuzz_lines.line(parser(), rng) for _ in range(400)]
    flat = " ".join(" ".join(line) for line in lines)
    for option in ("--count", "--share", "--kind", "--name", "--many", "--flag"):
        assert option in flat
    good = 0
    for line in lines:
        try:
            with warnings.catch_warnings():
                good += parser().parse_args(line) is not None
        except SystemExit:
            pass
    assert 100 < good < 380
    actions = {action.dest: action for action in parser()._actions}
    assert fuzz_lines.good_values(actions["kind"]) == ["a", "b"]
    assert {"left", "right", "up:down"} <= set(fuzz_lines.good_values(actions["name"]))
    assert set(fuzz_lines.good_values(actions["count"])) == {"1", "2", "3"}
    assert "layers.npz" in fuzz_lines.good_values(actions["place"])
    again = [fuzz_lines.line(parser(), rng) for rng in [np.random.default_rng(0)] for _ in range(400)]
    assert again == lines


def test_the_files_that_lines_name_have_a_model_that_can_be_loaded(tmp_path):
    from diffusers import UNet2DModel

    fuzz_lines.given(tmp_path)
    model = UNet2DModel.from_pretrained(tmp_path / "model")
    assert sum(each.numel() for each in model.parameters()) < 5000
    assert [path.name for path in (tmp_path / "half").iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("ended", "right"),
    [
        ((0, "table", "", []), True),
        ((0, "", "digits: 1 of 2\nstep 1/2 loss 1\n", []), True),
        ((2, "", "usage: x [-h]\n         [--y Y]\nx: error: no\n", []), True),
        ((1, "two\nproblems\n", "", []), True),
        ((2, "", "x: error: no\nmore\n", []), False),
        ((2, "", "", []), False),
        ((130, "", "interrupted\n", []), False),
        ((0, "", "a.py:1: RuntimeWarning: divide\n", []), False),
        ((1, "", "Traceback (most recent call last):\n", []), False),
        ((0, "", "", ["/elsewhere"]), False),
        (("hung for 90 s", "", "", []), False),
    ],
)
def test_what_is_right(ended, right):
    assert fuzz_child.judged(*ended)[1] == right


BAD = """
import argparse, os, sys, time, warnings

def main(arguments):
    parser = argparse.ArgumentParser(prog="bad")
    parser.add_argument("how")
    how = parser.parse_args(arguments).how
    if how == "raise":
        raise KeyError("a\\nb")
    if how == "wait":
        time.sleep(60)
    if how == "compute":
        while True:
            pass
    if how == "write":
        open("../../../outside", "w").close()
    if how == "warn":
        warnings.warn("noise")
    if how == "die":
        os.kill(os.getpid(), 9)
    if how == "children":
        os.system("echo one >&2; echo two >&2")
        return 2
    return 0
"""


def test_every_wrong_end_is_found(tmp_path, monkeypatch):
    """In a fuzzing process that has one program, misbehaving in every way."""
    ways = ("raise", "wait", "compute", "write", "warn", "die", "children", "well")
    (tmp_path / "bad.py").write_text(BAD, encoding="utf-8")
    (tmp_path / "child.py").write_text(
        "import sys\n"
        "from analysis.faults import fuzz_child, fuzz_lines\n"
        "from analysis.faults.fuzz_programs import FuzzedProgram\n"
        "def model(folder):\n"  # no program asks for it, and diffusers takes long to import
        "    folder.mkdir()\n"
        "    (folder / 'config.json').touch()\n"
        "fuzz_lines._model = model\n"
        f"fuzz_child.PROGRAMS = {{how: FuzzedProgram('bad', cheap=(how,), begun=False) for how in {ways}}}\n"
        "fuzz_lines.line = lambda parser, rng: []\n"
        "fuzz_child.main(*sys.argv[1:])\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("MODIFF_FUZZ_SECONDS", "0.3 10")
    monkeypatch.setattr(fuzz, "CHILD", (sys.executable, str(tmp_path / "child.py")))
    monkeypatch.setattr(fuzz, "PROGRAMS", dict.fromkeys(ways))
    found = {a.what.rsplit(" ", 1)[1]: a for a in fuzz.attempts(1, 0, tmp_path / "out")}
    assert [found[how].right for how in ways] == [False] * 7 + [True]
    for how, said in {
        "raise": "traceback: KeyError: 'a\\nb' <- raise", "wait": "hung for", "compute": "computed for",
        "write": "wrote outside of its folder", "warn": "with noise", "die": "killed by signal 9 <- die",
        "children": "exit code 2, 2 lines", "well": "exit code 0",
    }.items():  # fmt: skip
        assert said in found[how].outcome, how


@pytest.mark.slow
def test_a_few_command_lines_of_every_program_end_well(tmp_path):
    found = list(fuzz.attempts(20, 3, tmp_path))
    counts = Counter(attempt.what for attempt in found)
    assert counts == {f"fuzzed command line of {name}": 20 for name in PROGRAMS}
    assert [attempt for attempt in found if not attempt.right] == []


def test_stubs_are_taken_out_again(tmp_path):
    program = FuzzedProgram(
        "os", stubs={"os.getcwd": lambda place: lambda: str(place), "os:path.sep": lambda place: "!"}
    )
    before = os.getcwd(), os.path.sep
    with program.made_cheap(tmp_path):
        assert (os.getcwd(), os.path.sep) == (str(tmp_path), "!")
    assert (os.getcwd(), os.path.sep) == before
    assert fuzz_programs.PROGRAMS["analysis.train"].begun
