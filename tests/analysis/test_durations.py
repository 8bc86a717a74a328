"""How long runs take: estimated, and as committed."""

import json
import time

import pytest

import figures
import paper_checks
from analysis.running import durations
from analysis.running.efforts import EFFORTS


def test_the_estimate_is_that_of_the_measurement_until_this_machine_is_known(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    expected = {"a": 2.0, "b": 18.0, "c": 20.0}
    estimate = durations.Estimate(expected, ["a", "b", "c", "new"], workers=2)
    now[0] = 7.0
    assert estimate.left("a") == (18 + 20 + 40 / 3) / 2  # 2 of 53 s: too little to tell the speed
    now[0] = 40.0
    assert estimate.left("b") == pytest.approx((20 + 40 / 3) * 40 / 20)
    now[0] = 80.0
    estimate.left("c")
    assert estimate.left("new") == 0


def test_nothing_is_promised_where_nothing_was_measured(monkeypatch, tmp_path):
    assert durations.Estimate({}, ["a", "b"]).left("a") is None
    monkeypatch.setattr(durations, "FOLDER", tmp_path)
    durations.known.cache_clear()
    try:
        assert str(durations.known("quick")) == "unknown"
    finally:
        durations.known.cache_clear()


def test_this_machine_is_told_by_cores_and_system():
    assert durations.this_machine().split()[1] == "cores"


@pytest.mark.parametrize("effort", EFFORTS)
def test_committed_durations_name_claims_and_figures(effort):
    known = durations.known(effort)
    assert {*known.claims} <= {module.CLAIM.id for module in paper_checks.claims()}
    assert {*known.figures} <= {*figures.names()}
    assert known.machine in str(known)
    assert known.total > known.sampling > 0
    assert durations.Durations(**json.loads(known.text())) == known
