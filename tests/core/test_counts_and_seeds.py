"""Seeds are whole numbers >= 0 and counts whole numbers, by one rule; what no machine can hold is refused at once."""

import numpy as np
import pytest

import modiff_sim as ms
from modiff_sim import (
    arguments,
    atlas,
    bounds,
    contraction,
    growth,
    mixtures,
    processes,
    recursion,
    schedules,
    transfer,
)
from modiff_sim.bounds import products
from modiff_sim.diffusion import mixture_sampling, noise
from modiff_sim.diffusion.denoisers import MixtureDenoiser
from modiff_sim.transfer.mixture import MixtureNetwork

Q, RING = ms.AbsMax(4), mixtures.ring(4)
NETWORK = MixtureNetwork(MixtureDenoiser(RING, schedules.linear(9)))
START, STEPS = np.ones((3, 2)), (np.ones(2), np.ones(2))


def simulated(**options):
    return ms.simulate(processes.random_walk(6), Q, **({"steps": 3, "trials": 2} | options))


def sampled(**options):
    given = {"bits": [4], "recursions": ["direct"], "samplers": ["ddim"], "steps": [2], "images": 8} | options
    return mixture_sampling.quantized_sampling(RING, **given)


SEEDS = {
    "simulate": lambda v: simulated(seed=v),
    "contraction.search": lambda v: contraction.search(Q, 3, tries=1, rounds=0, seed=v),
    "contraction.summary": lambda v: contraction.summary(np.ones(3), seed=v),
    "contraction.measure": lambda v: contraction.measure(Q, np.ones((3, 2)), seed=v),
    "atlas": lambda v: atlas.atlas(["absmax"], [4], [2], ["normal"], search=False, seed=v),
    "atlas.parts": lambda v: list(atlas.parts("normal", 2, 3, v)),
    "FixedNoise": lambda v: noise.FixedNoise(v, 2, 3),
    "image_noise": lambda v: noise.image_noise(v, 0),
    "mixture entropy": lambda v: RING.entropy(100, v),
    "quantized_sampling": lambda v: sampled(seed=v),
    "measure_transfer": lambda v: transfer.measure_transfer(NETWORK, START, STEPS, seed=v),
}
COUNTS = {
    "simulate steps": lambda v: simulated(steps=v),
    "simulate trials": lambda v: simulated(trials=v),
    "simulate workers": lambda v: simulated(workers=v),
    "simulate warmup": lambda v: simulated(warmup=v),
    "simulate refresh": lambda v: simulated(refresh=v),
    "simulate refresh at": lambda v: simulated(refresh=[v]),
    "processes d": lambda v: processes.random_walk(v),
    "burst at": lambda v: processes.burst(3, at=[v]),
    "adversarial candidates": lambda v: processes.adversarial(Q, 4, candidates=v),
    "bits": lambda v: ms.AbsMax(v),
    "MSEClip candidates": lambda v: ms.MSEClip(4, candidates=v),
    "PerGroup": lambda v: ms.PerGroup(v),
    "PerChannel": lambda v: ms.PerChannel((0, v)),
    "Split at": lambda v: ms.Split(Q, at=(v,)),
    "c": lambda v: ms.AbsMax(4).c(v),
    "search d": lambda v: contraction.search(Q, v, tries=1, rounds=0),
    "search tries": lambda v: contraction.search(Q, 3, tries=v, rounds=0),
    "resamples": lambda v: contraction.summary(np.ones(3), resamples=v),
    "conv stride": lambda v: contraction.conv_norms(np.ones((1, 1, 1)), (5,), stride=v),
    "conv size": lambda v: contraction.conv_norms(np.ones((1, 1, 1)), (v,)),
    "atlas trials": lambda v: atlas.atlas(["absmax"], [4], [2], ["normal"], search=False, trials=v),
    "atlas dims": lambda v: atlas.atlas(["absmax"], [4], [v], ["normal"], search=False),
    "atlas bits": lambda v: atlas.atlas(["absmax"], [v], [2], ["normal"], search=False),
    "growth.calls": lambda v: growth.calls(1, 20, v),
    "mixture sample": lambda v: RING.sample(np.random.default_rng(0), v),
    "images": lambda v: sampled(images=v),
    "schedule T": lambda v: schedules.linear(v),
    "spaced": lambda v: schedules.linear(9).spaced(v),
    "denoiser t": lambda v: NETWORK.denoiser(START, v),
    "probe_every": lambda v: transfer.measure_transfer(NETWORK, START, STEPS, probe_every=v),
    "refresh_share": lambda v: bounds.refresh_share("never", v),
    "vanishing_tokens": lambda v: products.vanishing_tokens(v),
}


@pytest.mark.parametrize("entrance", SEEDS)
def test_seeds(entrance):
    for wrong in (1.5, -1, True, "0", np.float64(3.0), None, np.nan, [1], 1j, np.bool_(1)):
        with pytest.raises(ValueError, match=r"seed must be an int >= 0, got"):
            SEEDS[entrance](wrong)
    for right in (0, np.int64(3), np.uint8(3), 10**30):
        SEEDS[entrance](right)


@pytest.mark.parametrize("entrance", COUNTS)
def test_counts(entrance):
    for wrong in (2.5, -1, True, "2", np.float64(2.0), np.nan, 1j, np.bool_(1)):
        if (entrance, wrong) == ("PerChannel", -1):  # the last axis
            continue
        with pytest.raises((ValueError, TypeError)) as refused:
            COUNTS[entrance](wrong)
        assert "not supported between" not in str(refused.value)
        assert repr(wrong).strip("'") in str(refused.value)
    for right in (2, np.int64(2), np.uint8(2)):
        COUNTS[entrance](right)


def test_numbers_of_numpy_are_python_numbers_from_there_on():
    assert (type(ms.AbsMax(np.int64(4)).bits), ms.AbsMax(np.int64(4))) == (int, ms.AbsMax(4))
    assert str(ms.PerGroup(np.int64(4), axis=np.int64(1))) == "PerGroup(size=4, axis=1)"
    assert str(ms.PerChannel([0, np.int8(1)])) == "PerChannel(axis=(0, 1))"
    a, b = (simulated(seed=s, warmup=m, refresh=k) for s, m, k in ((3, 2, 2), (np.int64(3), np.int64(2), np.int8(2))))
    assert np.array_equal(a.error, b.error)


# -- what cannot be done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: simulated(steps=10**12), MemoryError, "1,000,000,000,000 steps × 2 trials.*116 TiB, and this machine"),
        (lambda: simulated(steps=10**30), MemoryError, "ask for less"),
        (lambda: simulated(trials=10**12, measure=["error"]), MemoryError, "would take"),
        (lambda: simulated(steps=10**12, keep="summary"), MemoryError, "would take"),
        (lambda: ms.simulate(processes.random_walk(10**13), Q, steps=1, trials=1), MemoryError, "10,000,000,000,000"),
        (lambda: simulated(warmup=10**21), ValueError, "warmup must be at most 1,000,000, as every feed is a call"),
        (lambda: contraction.search(Q, 10**13), MemoryError, "an input of 10,000,000,000,000 entries"),
        (lambda: contraction.summary(np.ones(9), resamples=10**13), MemoryError, "resamples of 9 values"),
        (lambda: atlas.atlas(["absmax"], [4], [10**13]), MemoryError, "samples of 10,000,000,000,000 entries"),
        (lambda: noise.FixedNoise(0, 10**12, 3), MemoryError, "noise for 1,000,000,000,000 images"),
        (lambda: sampled(images=10**7), MemoryError, "the distances of 10,000,000 images"),
        (lambda: RING.sample(np.random.default_rng(0), 10**13), MemoryError, "would take"),
        (lambda: schedules.linear(10**13), MemoryError, "T = 10,000,000,000,000 timesteps"),
        (lambda: growth.calls(1, 10**15, 10**13), MemoryError, "10,000,000,000,000 points"),
        (lambda: processes.adversarial(Q, 64, candidates=10**12), MemoryError, "candidates of 64 entries"),
        (lambda: ms.MSEClip(4, candidates=10**9), ValueError, "candidates must be at most 10,000, as each is tried"),
        (lambda: products.vanishing_tokens(10**9), ValueError, "bits must be at most 32"),
        (lambda: contraction.conv_matrix(np.ones((1, 1, 1)), (10**13,)), MemoryError, "as a matrix"),
    ],
)
def test_what_no_machine_can_do_is_refused_at_once(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_shares_of_a_long_run_are_counted_and_not_tried():
    for calls in (1, 2, 7, 12):
        for refresh in ("never", 1, 3, [0, 2, 5, 5, 40]):
            refreshed = recursion.refresh_calls(refresh)
            assert recursion.refreshes(refresh, calls) == sum(map(refreshed, range(1, calls)))
    assert bounds.refresh_share(10, 10**15) == pytest.approx(0.1)


def test_more_workers_than_threads_there_are_change_nothing():
    a, b = (ms.simulate(processes.random_walk(2**15), Q, steps=2, trials=6, workers=w) for w in (1, 10**30))
    assert np.array_equal(a.error, b.error)


def test_where_the_system_does_not_say_how_much_memory_there_is(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: -1 if name == "SC_PAGE_SIZE" else 1)
    assert arguments.memory() == np.inf
    arguments.affordable("anything", 1e30)
    monkeypatch.delattr("os.sysconf")
    assert arguments.memory() == np.inf


def test_bytes_as_people_say_them():
    assert [arguments.said_bytes(n) for n in (12, 1536, 2**30, 768e12)] == ["12 bytes", "1.5 KiB", "1 GiB", "698 TiB"]
    assert arguments.said_bytes(1e30).endswith(" EiB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (600, "10 min"), (5939, "99 min"), (5940, "1.6 h")],
)
def test_durations_are_said_in_the_unit_that_fits(seconds, text):
    assert arguments.said_seconds(seconds) == text
