"""The benchmark of one step: every rival that is here runs and computes the same, and the page has its form."""

import re

import pytest
import torch

from analysis.benchmarks import rivals, step
from analysis.benchmarks.sampling import make
from modiff_sim.nn.integer import machine_code

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


def test_the_committed_page_has_every_table():
    text = step.HERE.read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    steps = [f"cifar10, batch {b}, {n} thread{'s' * (n > 1)}" for b, n in step.PAGE]
    assert heads == [*steps, "One 3×3 convolution with its passes, batch 4, one thread"]
    for block, sizes in zip(text.split("## ")[1:-1], step.PAGE, strict=True):
        named = [line.split("|")[1].strip() for line in block.splitlines() if line.startswith("|")]
        assert {*HERE} < {*named} <= {"rival", "---", *(rivals.RIVALS if sizes == step.ALL else HERE)}
    assert not re.search(r"/(home|work|tmp|Users)/|@", text)  # no paths, no names
