"""The benchmark of one step: every rival that is here runs and computes the same, and the page has its form."""

import re

import numpy as np
import pytest
import torch

from analysis.benchmarks import rivals, step, tiles, whole_runs
from analysis.benchmarks.sampling import make
from modiff_sim.metrics import relative_l2
from modiff_sim.nn import sample
from modiff_sim.nn.integer import machine_code, multiply, packing
from modiff_sim.nn.states import Step

HERE = [name for name in rivals.RIVALS if name not in rivals.FOREIGN]


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_rival_takes_turns_and_computes_the_same():
    found = step.step_turns(make("digits"), HERE, batch=2, turns=2)
    assert found.names == HERE
    assert found.missing == {}
    assert (found.processor > 0).all()
    assert found.processor.shape == found.wall.shape == (2, len(HERE))
    errors = dict(zip(found.names, found.errors, strict=True))
    assert errors["full precision, torch, channels last"] < 1e-5
    assert min(errors["reuse every 2"], errors["DeepCache every 2"]) > 0  # the last step is one that uses again
    assert 0 < errors["W8A8 closed loop, integer"] < errors["W8A2 closed loop, integer"] < 0.5
    assert min(found.ratios()) > 0
    best = [r for name, r in zip(found.names, found.ratios(), strict=True) if name in step.BEST]
    assert 1.0 in best


@pytest.mark.skipif(not machine_code.runnable(), reason="needs llvmlite and a processor with AVX2")
def test_the_integer_arms_are_the_simulated_one():
    names = ["W8A4 closed loop, simulated", "W8A4 closed loop, integer"]
    found = step.step_turns(make("digits"), names, batch=2, turns=1)
    assert found.errors[0] == pytest.approx(found.errors[1], rel=0.05)


def test_what_cannot_be_made_says_why(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = step.step_turns(make("digits"), ["full precision, torch", "full precision, ONNX Runtime"], 1, 1)
    assert found.missing == {"full precision, ONNX Runtime": "onnxruntime is not installed"}
    rows = step.step_rows(found)
    assert rows[-1] == ["full precision, ONNX Runtime", "–", "–", "–", "onnxruntime is not installed"]
    assert {len(row) for row in rows} == {len(step.HEAD)}


def test_an_error_of_our_own_is_not_hidden(monkeypatch):
    def fails(model, x, stack):
        raise RuntimeError("ours")

    monkeypatch.setattr(rivals, "RIVALS", {**rivals.RIVALS, "reuse every 2": fails})
    with pytest.raises(RuntimeError, match="ours"):
        step.step_turns(make("digits"), ["reuse every 2"], 1, 1)


def test_the_command_prints_a_table(capsys):
    rival = "W8A4 closed loop, integer"
    assert step.main(["--model", "digits", "--batch", "1", "--turns", "1", "--rivals", rival]) == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == step.HEAD
    assert [row[0] for row in rows[2:]] == [*step.BEST, rival]
    with pytest.raises(SystemExit):
        step.main(["--rivals", "nothing"])
    assert "unknown rival 'nothing'; known: full precision, torch;" in capsys.readouterr().err


def test_whole_runs_take_turns(monkeypatch):
    size = whole_runs.Size("digits", 2, 3)
    sampled = []

    def spied(model, **options):
        made = sample(model, **options)
        sampled.append(made)
        return made

    monkeypatch.setattr(whole_runs, "sample", spied)
    rows = whole_runs.rows([size], 2)
    assert [row[:2] for row in rows] == [["digits, 2, 3", arm] for arm in whole_runs.ARMS]
    assert min(float(row[2]) for row in rows) > 0
    assert "1.00" in [row[3] for row in rows[:2]]
    assert len(sampled) == 3 * len(whole_runs.ARMS)  # two turns, and one before them
    full = sampled[0]
    assert all(np.array_equal(a, b) for a, b in zip(sampled[:6], sampled[6:12], strict=True))  # every run begins anew
    apart = dict(zip(whole_runs.ARMS, (relative_l2(full, made).max() for made in sampled[:6]), strict=True))
    assert apart["full precision, channels last"] < 1e-4
    assert all(0 < apart[arm] < 0.5 for arm in list(whole_runs.ARMS)[2:])


@pytest.mark.skipif(not machine_code.runnable(), reason="needs llvmlite and a processor with AVX2")
def test_every_tile_is_measured_beside_the_rules(monkeypatch):
    monkeypatch.setattr(tiles, "SHAPES", ((4, 17, 4, 3),))
    before, seen = packing.best_tile, []
    monkeypatch.setattr(tiles.Engine, "step", lambda self, *args: seen.append(self._layers["layer"].packed.tile)
                        or Step(args[2], args[2], args[2], []))  # fmt: skip
    (row,) = tiles.rows(1)
    every = multiply.TILES[machine_code.runnable()[0].dot]
    assert seen == [*every] * 4  # one turn, and three before it
    assert len(row) == len(tiles.HEAD)
    assert float(row[3]) >= 1
    assert packing.best_tile is before


def test_the_command_prints_whole_runs(monkeypatch, capsys):
    monkeypatch.setattr(whole_runs, "SIZES", (whole_runs.Size("digits", 1, 2),))
    assert step.main(["--runs", "--turns", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(whole_runs.ARMS)


def test_the_committed_page_has_every_table():
    text = step.HERE.read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    steps = [f"cifar10, batch {b}, {n} thread{'s' * (n > 1)}" for b, n in step.PAGE]
    assert heads == [*steps, "One 3×3 convolution with its passes, batch 4, one thread",
                     "Tiles of the product, batch 4, one thread", "Whole runs, one thread"]  # fmt: skip
    for block, sizes in zip(text.split("## ")[1:-3], step.PAGE, strict=True):
        named = [line.split("|")[1].strip() for line in block.splitlines() if line.startswith("|")]
        assert {*HERE} < {*named} <= {"rival", "---", *(rivals.RIVALS if sizes == step.ALL else HERE)}
    runs = [line.split("|")[1:3] for line in text.split("## ")[-1].splitlines() if line.startswith("|")][2:]
    assert [[cell.strip() for cell in row] for row in runs] == [[str(s), arm] for s in whole_runs.SIZES
                                                                for arm in whole_runs.ARMS]  # fmt: skip
    assert not re.search(r"/(home|work|tmp|Users)/|@", text)  # no paths, no names
