"""Predicted cliffs of the witnesses: the linear loop is the sampler's own, rows are whole, and they are shown."""

import numpy as np
import pytest

from analysis.witness import __main__ as program
from analysis.witness import csdi, predicted, prediction, pulfer, witnesses
from modiff_sim.nn import sample
from modiff_sim.sweeps.store import StoreError, verify_one
from modiff_sim.sweeps.sweep import SweepError
from modiff_sim.transfer.run import advance

NAMES = list(witnesses.WITNESSES)


def along(name, folder, samples, **changed):
    """The result of the linear loop, and that of the sampler itself with changed options."""
    network, indices = witnesses.WITNESSES[name].network, range(samples)
    with prediction.linearized(name, folder, samples) as (net, x, (carry, add)):
        for call in range(len(carry)):
            x = advance(x, net(x, call, lambda layer, a: a), carry[call], add[call])
    own = sample(
        witnesses.load(name, folder), images=indices, batch=samples, shape=network.SHAPE, schedule=network.schedule(),
        conditions=witnesses.conditions(name, folder, indices), **network.SAMPLERS[prediction.SAMPLER] | changed,
    )  # fmt: skip
    return x, own * prediction.judged(network, indices)


@pytest.fixture
def five_steps(monkeypatch):
    """Five steps of both samplers of every witness."""
    for known in witnesses.WITNESSES.values():
        steps = {sampler: options | {"steps": 5} for sampler, options in known.network.SAMPLERS.items()}
        monkeypatch.setattr(known.network, "SAMPLERS", steps)


@pytest.mark.parametrize("name", NAMES)
def test_the_linear_loop_is_the_samplers_own(small, five_steps, name):
    found, own = along(name, small, 2)
    np.testing.assert_allclose(found, own, atol=1e-4 * np.abs(own).max())


def test_the_clipping_of_the_sampler_is_in_the_network(small):
    found, own = along("pulfer", small, 2)
    without = along("pulfer", small, 2, clip=None)[1]
    assert np.abs(own).max() <= 1.0 < np.abs(without).max()  # random weights: x0 would be far outside
    assert np.abs(found - own).max() < 1e-4 < np.abs(found - without).max()


def test_only_what_is_imputed_is_a_part_of_x(small):
    with prediction.linearized("csdi", small, 2) as (net, x, _):
        shown = csdi.shown(range(2))
        assert not x[shown].any()
        assert x[~shown].all()
        out = net(np.concatenate([x, x + shown.astype(np.float32)]), 0, lambda layer, a: a)
    assert not out[:2][shown].any()
    np.testing.assert_allclose(out[2:], out[:2], atol=1e-6)  # what is known is not looked at in x
    assert prediction.judged(pulfer, range(2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_measurement_goes_on_and_is_near_the_prediction(small, monkeypatch, name):
    compute, seen = prediction.compute, []

    def fails_once(folder, point):
        seen.append(point)
        if len(seen) == 3:
            raise RuntimeError("made to fail")
        return compute(folder, point)

    monkeypatch.setattr(prediction, "compute", fails_once)
    with pytest.raises(SweepError, match="1 of 15 points failed"):
        prediction.measure(name, small, workers=1)
    found = prediction.measure(name, small, workers=1)
    assert len(seen) == 16  # the one that failed, again
    by = {(row["recursion"], row["bits"], row["what"]): row["samples"] for row in found}
    whats = [*prediction.THEORIES, prediction.MEASURED]
    assert set(by) == {(recursion, bits, what) for recursion, bits in prediction.ARMS for what in whats}
    for recursion, bits in prediction.ARMS:
        errors = by[recursion, bits, prediction.MEASURED]
        assert errors.shape == (4,)
        assert 1 / 3 < np.median(by[recursion, bits, "predicted"]) / np.median(errors) < 3, (recursion, bits)
        assert np.median(by[recursion, 4, prediction.MEASURED]) > 4 * np.median(by[recursion, 8, prediction.MEASURED])


def test_theories_that_lack_a_part_say_something_else(small, five_steps):
    found = prediction.theory("pulfer", small, prediction.Plan(2, 4, 2, probe_every=1, source_every=1))
    whole, *others = found.values()
    assert len(others) == 3
    assert all(not np.allclose(whole, each, rtol=1e-3) for each in others)


def test_rows_are_read_back_and_shown(small, tmp_path):
    found = prediction.measure("pulfer", small, workers=1)
    predicted.save(tmp_path / "rows" / "pulfer", found, predicted.manifest("pulfer"))
    read = predicted.committed("pulfer", tmp_path / "rows")
    for row in found:
        kept = read.values[row["recursion"], row["bits"], row["what"]]
        np.testing.assert_allclose(kept, row["samples"], rtol=1e-4)
    assert read.manifest["model_sha256"] == witnesses.WITNESSES["pulfer"].sha256
    assert set(read.by_bits("direct", "measured")) == {4, 8}
    with pytest.raises(StoreError, match="rows of 'pulfer' hold no 'guessed' of direct: measure them with --models"):
        read.by_bits("direct", "guessed")
    errors = predicted.Errors("pulfer", {
        (recursion, bits, what): np.full(3, 0.3 if bits == 4 or (recursion, what) == ("direct", "measured") else 0.01)
        for recursion in prediction.RECURSIONS for bits in (4, 8) for what in ("predicted", "measured")
    }, read.manifest)  # fmt: skip
    shown = predicted.text(errors).splitlines()
    assert "predicted along 2 samples and measured on 4" in shown[0]
    assert shown[3].split()[:4] == ["direct", "8", ">", "8"]
    assert shown[5].split()[:4] == ["closed", "loop", "8", "8"]


def test_the_committed_rows_are_whole_and_printed(capsys):
    assert program.main([]) == 0
    out = capsys.readouterr().out
    for name in NAMES:
        assert f"{name}: fewest bits that keep" in out
        assert verify_one(predicted.COMMITTED / name / predicted.FOLDER) == []
        found, plan = predicted.committed(name), prediction.PLANS[name]
        whats = dict.fromkeys(prediction.THEORIES, plan.samples) | {prediction.MEASURED: plan.images}
        assert {key: len(errors) for key, errors in found.values.items()} == {
            (*arm, what): count for arm in prediction.ARMS for what, count in whats.items()
        }
