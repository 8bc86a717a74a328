"""The commands that measure throughput, memory and the cost of a sweep print what docs/scale.md plans with."""

import pytest
import torch

from analysis.benchmarks import sweeps, throughput


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_row_per_arm_and_memory_format(monkeypatch, capsys):
    monkeypatch.setattr(throughput, "ARMS", (throughput.ARMS[0], throughput.Arm("closed_loop", 4, 8)))
    options = ["--batch", "64", "--steps", "2", "--repeats", "1", "--memory-format", "channels_last"]
    assert throughput.main(options) == 0
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[4:]]
    assert [row[:2] for row in rows] == [["full precision", "channels_last"], ["W8A4 closed loop", "channels_last"]]
    assert rows[0][3] == "1.00"
    assert all(float(row[2]) > 0 for row in rows)
    full, closed = ([float(x) for x in row[4:]] for row in rows)
    # 64 images hold 24 MiB of states, three times; libraries add some MiB of their own
    assert abs((closed[0] - full[0]) - (closed[1] - full[1])) < 20
    assert closed[1] - full[1] > 3 * 24


def test_what_a_point_costs():
    found = sweeps.measure(4, [2, 3], cluster=False)
    assert set(found) == {"computed", "stored", "found", "processes", "bytes"}
    assert 4 * 2 * 3 < found.pop("bytes") < 10_000
    assert found["found"] < found["stored"]
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize("command", [throughput, sweeps])
def test_bad_arguments(command, capsys):
    first = "--batch" if command is throughput else "--points"
    with pytest.raises(SystemExit):
        command.main([first, "0"])
    assert "at least 1" in capsys.readouterr().err
