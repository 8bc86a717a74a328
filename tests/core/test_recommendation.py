"""Recommendations: the cheapest setting that keeps its promise, for layers made so that the answer is known."""

import json
import sys
import warnings
import zipfile
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
import paper_checks
from modiff_sim import Verdict, quantizers, recursion, regimes
from modiff_sim.advice.recommendation import Recommendation, default_candidates, read_recording, recommend
from modiff_sim.evidence import judge
from modiff_sim.testing import sequences


def drifting(rho, steps=60, trials=2, d=64, seed=0):
    """A stationary AR(1) sequence with ||d|| = ρ||a|| in the mean."""
    process = ms.processes.ar1(d, phi=1 - rho**2 / 2)
    return np.stack(list(process.stream(np.random.default_rng(seed), trials, steps)))


def run(r: Recommendation, inputs):
    """Errors (steps, ...) of a recommendation carried out, through ``recursion`` alone."""
    if r.scheme == "full_precision":
        return np.zeros_like(inputs)
    Q = quantizers.make(r.quantizer, r.bits, **({} if r.scheme == "cache" else {"granularity": r.granularity}))
    calls = recursion.run("direct" if r.scheme == "direct" else "closed_loop", inputs, Q, refresh=r.refresh)
    return np.stack([a - info.output for a, (_, info) in zip(inputs, calls, strict=True)])


def relative(error, inputs, criterion="bound", judged="sample"):
    """The error as the criterion counts it, at the worst call."""
    rest = tuple(range(3 if judged == "channel" else 2, inputs.ndim))
    if criterion == "bound":
        error, size = np.abs(error).max(axis=rest), np.abs(inputs).max(axis=rest)
    else:
        error, size = (np.sqrt((x**2).sum(axis=(1, *rest))) for x in (error, inputs))
    return float(np.max(np.divide(error, size, out=np.where(error > 0, np.inf, 0.0), where=size > 0)))


# -- the promise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["bound", "typical"])
@given(inputs=sequences(min_steps=3, max_steps=12), tolerance=st.sampled_from([0.004, 0.03, 0.1, 0.3, 0.6]))
def test_what_is_recommended_meets_the_tolerance(criterion, inputs, tolerance):
    (r,) = recommend({"layer": inputs}, tolerance=tolerance, criterion=criterion)
    measured = relative(run(r, inputs), inputs, criterion)
    assert measured <= tolerance * (1 + 1e-12)  # k·eps: some ten roundings per call
    assert measured == pytest.approx(r.measured, rel=1e-9, abs=1e-12)
    if criterion == "bound":
        assert measured <= r.bound * (1 + 1e-12)
    calls = regimes.effective_bits(r.bits, len(inputs), 0 if r.refresh == "never" else r.refresh)
    assert r.effective_bits == pytest.approx(r.bits if r.scheme in ("direct", "full_precision") else calls)


def by_hand(scheme, kappa, inputs, refresh):
    """The max-norm bound over ||a||_∞ at the worst call, one scale per sample, in plain loops."""
    worst = 0.0
    for trial in range(inputs.shape[1]):
        bound = 0.0
        for call, a in enumerate(inputs[:, trial]):
            size = max(abs(v) for v in a)
            if scheme == "direct":
                bound = kappa * size
            elif call == 0 or (refresh != "never" and call % refresh == 0):
                bound = 0.0
            else:
                bound = kappa * (max(abs(v) for v in a - inputs[call - 1, trial]) + bound)
            worst = max(worst, bound / size if size else (np.inf if bound else 0.0))
    return worst


@given(inputs=sequences(min_steps=3, max_steps=9), tolerance=st.sampled_from([0.02, 0.1, 0.3]))
def test_nothing_cheaper_meets_the_bound(inputs, tolerance):
    """Every scheme, bits and refresh is tried by hand; one bit less is among what is not enough."""
    (r,) = recommend({"layer": inputs}, tolerance=tolerance)
    if r.scheme != "full_precision":
        kappa = 1.0 if r.bits == 0 else ms.AbsMax(r.bits).kappa(4)
        assert r.bound == pytest.approx(by_hand(r.scheme, kappa, inputs, r.refresh), rel=1e-12)
        assert r.bound <= tolerance
    for bits in (0, *range(2, 9)):
        kappa = ms.AbsMax(bits).kappa(4) if bits else 1.0
        if bits and bits < r.effective_bits:
            assert by_hand("direct", kappa, inputs, "never") > tolerance
        for refresh in ("never", *range(2, len(inputs))):
            if (
                regimes.effective_bits(bits, len(inputs), 0 if refresh == "never" else refresh)
                < r.effective_bits - 1e-9
            ):
                assert by_hand("loop", kappa, inputs, refresh) > tolerance


def test_one_bit_less_breaks_the_promise():
    inputs = drifting(0.2)
    (r,) = recommend({"layer": inputs}, tolerance=0.05)
    assert (r.scheme, r.refresh) == ("closed_loop", "never")
    kappa = ms.AbsMax(r.bits - 1).kappa(64)
    assert by_hand("closed_loop", kappa, inputs, "never") > 0.05
    assert relative(run(replace(r, bits=r.bits - 1), inputs), inputs) > 0.05


# -- layers whose answer is known -----------------------------------------------------------------------------------


def test_a_constant_layer_is_cached():
    for criterion in ("bound", "typical"):
        (r,) = recommend({"still": np.full((40, 2, 8), 1.7)}, criterion=criterion)
        assert (r.scheme, r.bits, r.refresh, r.measured) == ("cache", 0, "never", 0)
        assert r.bound < 1e-6  # typical: a distance from a Gram matrix, √eps of the norm
        assert r.effective_bits == 32 / 40
    zeros = recommend({"dead": np.zeros((40, 2, 8))})[0]
    assert (zeros.scheme, zeros.bound, zeros.rho) == ("cache", 0, 0)


def test_a_wild_layer_is_quantized_directly():
    inputs = np.random.default_rng(0).standard_normal((60, 3, 32))
    (r,) = recommend({"wild": inputs})
    assert (r.scheme, r.bits) == ("direct", 5)  # κ = 1/30 is the first below 0.05
    assert r.rho > 1
    assert "a closed loop would need 6 bits" in r.why


def test_a_slowly_drifting_layer_takes_the_closed_loop():
    (r,) = recommend({"slow": drifting(0.03)})
    assert (r.scheme, r.bits, r.refresh) == ("closed_loop", 2, "never")
    assert "direct would need 5 bits" in r.why
    assert "a cache" in r.why


def test_a_nearly_constant_layer_is_cached_and_refreshed():
    moving = np.ones((60, 1, 2))
    moving[:, 0, 1] = 0.004 * np.arange(60)  # 12 differences of 0.004 fit into 0.05
    (r,) = recommend({"creeping": moving}, candidates=[ms.AbsMax(4), ms.AbsMax(8)])
    assert (r.scheme, r.refresh) == ("cache", 12)  # five full-precision calls, as with 13
    assert r.effective_bits == pytest.approx(5 * 32 / 60)
    assert r.measured == pytest.approx(0.044)


def test_few_calls_do_not_pay_for_their_warm_up():
    """A loop's first call counts 32 bits: over 20 calls it costs more than it saves."""
    assert recommend({"slow": drifting(0.2, steps=120)})[0].scheme == "closed_loop"
    assert recommend({"slow": drifting(0.2, steps=8)})[0].scheme == "direct"
    assert recommend({"slow": drifting(0.2, steps=8)}, full_bits=8)[0].scheme == "closed_loop"


def outliers(steps=60, trials=2, channels=8, seed=0):
    """(steps, trials, C, 4, 4): a slow layer, one of whose channels is 30 times as large as the others."""
    a = drifting(0.1, steps, trials, channels * 16, seed).reshape(steps, trials, channels, 4, 4)
    return a * np.where(np.arange(channels) == 3, 30.0, 1.0)[:, None, None]


@pytest.mark.parametrize("criterion", ["bound", "typical"])
def test_an_outlier_channel_asks_for_a_scale_per_channel(criterion):
    inputs = outliers()
    (r,) = recommend({"layer": inputs}, judged="channel", criterion=criterion)
    assert r.granularity == "channel:axis=0,1"
    assert r.scheme == "closed_loop"
    assert relative(run(r, inputs), inputs, criterion, "channel") <= 0.05
    coarse = recommend({"layer": inputs}, judged="channel", criterion=criterion, candidates=default_candidates(2))[0]
    assert coarse.effective_bits > r.effective_bits + 2
    assert relative(run(coarse, inputs), inputs, criterion, "channel") <= 0.05
    even = inputs / np.where(np.arange(8) == 3, 30.0, 1.0)[:, None, None]
    assert recommend({"layer": even}, criterion=criterion)[0].granularity == "sample"  # of equal costs


def test_seen_from_the_whole_sample_the_outlier_is_what_counts():
    """In the max norm over the whole input, small channels cannot be far off: one scale per sample is enough."""
    (r,) = recommend({"layer": outliers()}, judged="sample")
    assert r.granularity == "sample"


def test_scales_shared_over_the_batch_are_understood():
    inputs = drifting(0.1, trials=3).reshape(60, 3, 8, 8)
    inputs[:, 1] *= 20  # the batch-mate
    shared = [ms.AbsMax(b, granularity=ms.PerBatch()) for b in range(2, 9)]
    (batch,) = recommend({"layer": inputs}, candidates=shared)
    (sample,) = recommend({"layer": inputs}, candidates=[replace(Q, granularity=ms.PerSample()) for Q in shared])
    (token,) = recommend({"layer": inputs}, candidates=[replace(Q, granularity=ms.PerToken()) for Q in shared])
    assert batch.effective_bits > sample.effective_bits + 2
    assert token.effective_bits <= sample.effective_bits
    for r in (batch, sample, token):
        assert relative(run(r, inputs), inputs) <= r.bound <= 0.05


def test_typical_is_refused_where_the_run_contradicts_it():
    """One entry swings and sets the scale; the others drift by less than half a step, and are lost at every call."""
    a = np.empty((60, 1, 64))
    a[...] = np.arange(60.0)[:, None, None]
    a[..., 0] = 61.0 * (-1.0) ** np.arange(60)[:, None]
    a[..., 1] = 4000.0
    (r,) = recommend({"layer": a}, criterion="typical", tolerance=0.02, candidates=[ms.AbsMax(2), ms.AbsMax(6)])
    assert "was foreseen to suffice, but measured" in r.why
    assert r.measured <= 0.02
    assert relative(run(r, a), a, "typical") == pytest.approx(r.measured)


def test_an_honest_fall_back():
    (r,) = recommend({"wild": np.random.default_rng(0).standard_normal((20, 2, 16))}, tolerance=1e-4)
    assert (r.scheme, r.bits, r.effective_bits, r.measured) == ("full_precision", 32, 32, 0)
    assert r.why.startswith("no candidate up to 8 bits stays within 0.0001: the nearest is ")
    assert "0.0039" in r.why  # κ of 8 bits, 1/254


# -- what comes out -------------------------------------------------------------------------------------------------


def test_recommendations_are_rows_and_json():
    found = recommend({"slow": drifting(0.05), "still": np.ones((20, 1, 4))})
    assert [r.layer for r in found] == ["slow", "still"]
    rows = [r.as_row() for r in found]
    assert rows[0].keys() == rows[1].keys()
    assert all(isinstance(v, str) for row in rows for v in row.values())
    back = [Recommendation(**row) for row in json.loads(json.dumps([asdict(r) for r in found], allow_nan=False))]
    assert back == found
    assert all(r.why.count("\n") == 0 and len(r.why) < 250 for r in found)


@pytest.mark.parametrize("kind", [ms.MinMaxRaw, ms.MinMax, ms.Floor])
def test_any_quantizer_may_be_a_candidate_and_is_named_as_registered(kind):
    inputs = drifting(0.1, 20, 2, 16)
    (r,) = recommend({"layer": inputs}, candidates=[kind(b) for b in range(1, 9)])
    assert type(quantizers.make(r.quantizer, r.bits)) is kind
    assert relative(run(r, inputs), inputs) <= r.bound <= 0.05


def test_recordings_are_read_back(tmp_path):
    inputs = {"conv_in": drifting(0.1).astype(np.float32), "mid.attn": np.ones((5, 1, 3))}
    np.savez(tmp_path / "a.npz", **inputs)
    np.save(tmp_path / "conv_in.npy", inputs["conv_in"])
    both, one = read_recording(tmp_path / "a.npz"), read_recording(str(tmp_path / "conv_in.npy"))
    assert list(both) == list(inputs)
    assert list(one) == ["conv_in"]
    assert np.array_equal(both["conv_in"], one["conv_in"])
    assert recommend(both)[0] == recommend(inputs)[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"1,2", r"recordings are \.npz"),
        ("a.npz", b"not a zip", "no plain numeric arrays"),
        ("a.npz", b"", "no plain numeric arrays"),
        ("a.npy", b"", "no plain numeric arrays"),
        ("a.npy", np.array([{}], dtype=object), "no plain numeric arrays"),
        ("a.npz", {}, "holds no arrays"),
    ],
)
def test_files_that_hold_no_recording(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=message):
        read_recording(path)
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("name", ["a", "a.npy"])
def test_a_layer_that_is_there_twice_is_refused(tmp_path, name):
    np.savez(tmp_path / "a.npz", a=np.ones((5, 2, 4)), b=np.ones((5, 2, 4)))
    np.save(tmp_path / "other.npy", np.zeros((5, 2, 4)))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name
        file.write(tmp_path / "other.npy", name)
    with pytest.raises(ValueError, match="holds the array 'a' more than once: save the one that is meant"):
        read_recording(tmp_path / "a.npz")
    assert list(read_recording(tmp_path / "a.npz", only="b")) == ["b"]


GOOD = np.ones((5, 2, 4))
BAD = GOOD.copy()
BAD[3, 1, 2] = np.nan


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        ({}, {}, ValueError, "no layers"),
        (GOOD, {}, TypeError, "inputs is a mapping.*got ndarray"),
        ({"x": GOOD * 1e160}, {}, ValueError, "layer 'x': entries up to 1e\\+160.*squares"),
        ({"x": GOOD}, {"tolerance": "5%"}, TypeError, "tolerance .* must be one real number, got '5%'"),
        ({"x": GOOD}, {"full_bits": -1}, ValueError, "full_bits must be finite and > 0"),
        ({"x": GOOD[:, 0]}, {}, ValueError, r"layer 'x'.*\(steps, trials, d\).*got \(5, 2|got \(5, 4\)"),
        ({"x": GOOD[:, :0]}, {}, ValueError, r"layer 'x'.*none of them 0; got \(5, 0, 4\)"),
        ({"x": GOOD[:1]}, {}, ValueError, "layer 'x': 1 recorded steps show no accumulation: record at least 3"),
        ({"x": GOOD[:2]}, {}, ValueError, "layer 'x': 2 recorded steps"),
        ({"x": BAD}, {}, ValueError, "layer 'x': NaN or Inf at step 3"),
        ({"x": GOOD, "y": BAD * np.inf}, {}, ValueError, "layer 'y': NaN or Inf at step 0"),
        ({"x": GOOD.astype(int)}, {}, TypeError, "layer 'x'.*int64"),
        ({"x": GOOD.astype(complex)}, {}, TypeError, "layer 'x'.*complex128"),
        ({"x": GOOD}, {"tolerance": 0}, ValueError, "tolerance"),
        ({"x": GOOD}, {"tolerance": np.nan}, ValueError, "tolerance"),
        ({"x": GOOD}, {"criterion": "guess"}, ValueError, "unknown criterion 'guess'; known: bound, typical"),
        ({"x": GOOD}, {"judged": "pixel"}, ValueError, "unknown judged 'pixel'; known: sample, channel"),
        ({"x": GOOD}, {"judged": "channel"}, ValueError, r"\(steps, trials, C, ...\)"),
        ({"x": GOOD}, {"candidates": []}, ValueError, "no candidates"),
        ({"x": GOOD}, {"candidates": [ms.Stochastic(4)]}, TypeError, "deterministic"),
        ({"x": GOOD}, {"candidates": [ms.Identity()]}, ValueError, "less than the 32 of full precision"),
        ({"x": GOOD}, {"candidates": [ms.Zero()]}, ValueError, "1 bit or more"),
        ({"x": GOOD}, {"candidates": [ms.AbsMax(8)], "full_bits": 8}, ValueError, "less than the 8 of"),
        ({"x": GOOD}, {"candidates": ["absmax"]}, ValueError, "say how many bits, as in 'absmax:4'"),
        (
            {"x": GOOD}, {"candidates": [ms.AbsMax(4, granularity=ms.PerGroup(3))]}, ValueError,
            "layer 'x', candidate AbsMax.*not a multiple",
        ),
    ],
)  # fmt: skip
def test_nonsense_is_refused(inputs, options, error, message):
    with pytest.raises(error, match=message):
        recommend(inputs, **options)


# -- the claim on the trained model ---------------------------------------------------------------------------------


def test_the_practice_claim_notices_a_bit_too_few(monkeypatch):
    def layer_inputs(effort, seed=0):
        return {"slow": drifting(0.1, 30, 2, 16), "wild": np.random.default_rng(seed).standard_normal((30, 2, 16))}

    stand_in = SimpleNamespace(layer_inputs=layer_inputs)
    monkeypatch.setitem(
        sys.modules, "analysis.experiments.recordings", stand_in
    )  # torch takes longer to load than all of this
    (module,) = paper_checks.select(only=["recommendation_meets_tolerance"])
    assert judge(module.CLAIM, module.check("quick")).verdict == Verdict.HOLDS
    assert judge(module.CLAIM, module.check("quick", fewer_bits=1)).verdict == Verdict.VIOLATED
