"""The command that times simulated arms runs, divides by full precision, and refuses what it does not know."""

import re

import pytest
import torch

from analysis.benchmarks import memory, sampling


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_row_per_arm_full_precision_first(capsys):
    arms = ["W8A4 closed loop", "W8A4 closed, int8 â, fp16 ô"]
    assert sampling.main(["--model", "digits", "--batch", "2", "--calls", "2", "--threads", "1", "--arms", *arms]) == 0
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[4:]]
    assert [row[0] for row in rows] == ["full precision", *arms]
    assert rows[0][2:] == ["1.00", "–"]
    assert all(float(row[1]) > 0 for row in rows)
    assert 0 < float(rows[2][3]) < float(rows[1][3])  # MiB of state per image


def test_every_arm_is_timed():
    seconds, held = sampling.turns("digits", list(sampling.ARMS), batch=1, calls=1)
    assert seconds.shape == (1, len(sampling.ARMS))
    assert (seconds > 0).all()
    assert set(held) == set(sampling.ARMS) - {"full precision"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--arms", "nothing"], "unknown arm 'nothing'; known: full"), (["--calls", "0"], "at least 1")],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit):
        sampling.main(arguments)
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
def test_memory_is_measured_beside_its_prediction(monkeypatch):
    """States are held to the byte of the prediction; the peak of a process is at least them."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**18))
    rows = memory.measure("digits", memory.STATES[::2], 512)
    assert [row["arm"] for row in rows] == list(memory.STATES[::2])
    for row in rows:
        assert row["states"] == row["predicted"] > 0
        assert row["peak"] > row["states"]
    assert rows[0]["buffers"] > 0 == rows[1]["buffers"]
    assert rows[0]["peak"] > rows[1]["peak"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        sampling.main(["--model", "digits", "--device", "cuda"])
    assert "torch sees no GPU here" in capsys.readouterr().err
