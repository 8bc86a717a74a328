"""The benchmarks run and the committed table has the form its readers rely on. No times are tested here."""

import itertools
import re

import numpy as np
import pytest

import modiff_sim as ms
from analysis.benchmarks import contest, simulate

pytest.importorskip("numba", reason="numba is not installed (extra [fast])")


def tables(text):
    """The Markdown tables of a page: lists of rows, head first, without the line of dashes."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    parsed = [[[cell.strip() for cell in line.strip("|").split("|")] for line in b.splitlines()] for b in blocks]
    return [[head, *rows] for head, _, *rows in parsed]


def assert_form(text, shapes):
    fused, rates, targets, scaling, workers, memory = tables(text)
    for found, head in (
        (fused, simulate.FUSED), (rates, simulate.RATES), (targets, simulate.TARGET), (scaling, simulate.SCALING),
        (workers, simulate.WORKERS), (memory, simulate.MEMORY),
    ):  # fmt: skip
        assert found[0] == head
        assert len(found) > 1
        assert {len(row) for row in found} == {len(head)}
    names = {(row[0], row[1], row[2]) for row in fused[1:]}
    assert len(names) == len(fused) - 1
    for (trials, d), inputs in itertools.product(shapes, ("streamed", "generated")):
        mine = [row for row in fused[1:] if (row[0], row[1]) == (f"{trials} × {d}", inputs)]
        assert mine[0][2:5:2] == ["hand-fused kernel", "1.00"]
        assert {f"simulate, {e}, {m}" for e in ("numba", "numpy") for m in contest.DRAWN} <= {row[2] for row in mine}
    assert [row[0] for row in rates[1:]] == [
        "bytes", "operations", "divisions", "normals", "normals, SFC64", "passes",
    ]  # fmt: skip
    assert all(float(row[1]) > 0 for row in rates[1:])
    assert {row[-1] for row in workers[1:]} == {"yes"}  # the results of one worker and of two were equal
    assert not re.search(r"/(home|work|tmp|Users)/|@", text)  # no paths, no names


@pytest.mark.slow
def test_a_page_made_now_has_the_form():
    effort = simulate.BenchmarkEffort(((8, 16), (2, 64)), 3, 1, 1, 1, (10,))
    assert_form(simulate.page(effort), effort.shapes)


def test_the_committed_page_has_the_form_and_the_sizes_asked_for():
    text = simulate.HERE.read_text(encoding="utf-8")
    assert_form(text, contest.SHAPES)
    *_, scaling, _, memory = tables(text)
    for row in scaling[1:]:
        sizes = [int(n.replace(" ", "")) for n in row[1].replace(",", "").split()]
        assert sizes[-1] == 1000 * sizes[0]  # three decades
        assert 0.8 <= float(row[3]) <= 1.1
    peaks = {int(row[0].replace(",", "")): int(row[3]) for row in memory[1:]}
    assert peaks[10**6] < 1024  # MiB


def test_the_yardstick_does_the_arithmetic_of_the_closed_loop():
    from analysis.benchmarks.hand_fused import closed_loop

    inputs = np.random.default_rng(0).standard_normal((7, 5, 12)).cumsum(axis=0)
    a_hat = inputs[0].copy()
    closed_loop(inputs[1:], a_hat, float(contest.Q.qmax))
    *_, (_, last) = ms.recursion.run("closed_loop", inputs, contest.Q)
    assert np.array_equal(a_hat, last.output)


def test_the_loop_over_trials_does_too():
    inputs = np.random.default_rng(0).standard_normal((7, 5, 12)).cumsum(axis=0)
    r = ms.simulate(ms.processes.recorded(inputs), contest.Q, steps=7, trials=5)
    assert np.array_equal(contest.loop_over_trials(inputs), r.error_inf[-1])
