"""Static calibration: ranges against the values themselves, the loop against the recursion, files, and in a model."""

import importlib
import json
from dataclasses import astuple, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import shallow, small, unet, walk
from torch import nn

import modiff_sim as ms
from analysis.experiments import scale_plans
from modiff_sim import PerBatch, PerSample, Static, StaticAffine
from modiff_sim import recursion as rec
from modiff_sim.evidence import judge
from modiff_sim.nn import Calibration, LayerCount, calibrate, modulated, sample, skip_splits
from modiff_sim.nn.calibration.ranges import CANDIDATES, EMPTY, METHODS, choose, grid
from modiff_sim.nn.calibration.static_scales import CalibrationError
from modiff_sim.nn.measure.histogram import Streaming
from paper_checks.calibration import _static

BATCHES, STEPS = 2, 6


def drive(model, batches=BATCHES, steps=STEPS, **options):
    """run_sampling: batches of slowly changing inputs, larger steps in the second."""

    def run(resets):
        for index in range(batches):
            for reset in resets:
                reset(stream=index)
            for x in walk(steps, seed=index, step=0.1 * (index + 1), **options):
                model(x)

    return run


def streamed(*parts):
    stream = Streaming()
    for part in parts:
        stream.add(torch.as_tensor(part))
    return stream


def one_layer():
    """A single linear layer: its inputs are the model's, whatever the loop does."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(5, 3, dtype=torch.float64).eval()


FLAT = {"shape": (5,), "dtype": torch.float64}


def flat(index):
    return list(walk(STEPS, seed=index, step=0.1 * (index + 1), **FLAT))


# -- statistics and ranges ---------------------------------------------------------------------------------------------

PARTS = st.lists(
    st.lists(st.integers(-(2**12), 2**12).map(lambda i: i / 64), min_size=1, max_size=30), min_size=1, max_size=4
)


@given(PARTS)
def test_merged_streams_equal_one_that_saw_everything(parts):
    merged, whole = Streaming(), streamed(*parts)
    for part in parts:
        merged.merge(streamed(part))
    merged.merge(Streaming())
    assert (merged.count, merged.low, merged.high, merged.exponent) == (
        whole.count,
        whole.low,
        whole.high,
        whole.exponent,
    )
    assert np.array_equal(merged.counts, whole.counts)
    size = max(whole.absmax, 1)
    for name, power in (("mean", 1), ("m2", 2), ("m3", 3), ("m4", 4)):
        # the same formulas on the same numbers, in another order: k = 64 operations per part at most
        slack = 64 * len(parts) * np.finfo(float).eps * whole.count * size**power
        assert getattr(merged, name) == pytest.approx(getattr(whole, name), abs=slack)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", sorted(METHODS))
@given(parts=PARTS, bits=st.integers(3, 8))
def test_every_range_holds_zero_and_makes_a_quantizer(method, symmetric, parts, bits):
    if method == "official_minmax" and not symmetric:
        return
    seen = streamed(*parts)
    low, high = choose(method, seen, bits=bits, symmetric=symmetric)
    assert low <= 0 <= high
    assert low < high
    assert not symmetric or low == -high
    Q = grid((low, high), bits, symmetric)
    x = np.concatenate([np.array(p) for p in parts])
    if method == "minmax" and seen.absmax:
        assert np.max(np.abs(x - Q(x))) <= Q.step * (0.5 + 1e-12) + (0 if symmetric else 0.5 * Q.step)
        assert (low, high) == ((-seen.absmax, seen.absmax) if symmetric else (min(x.min(), 0), max(x.max(), 0)))
    if method != "official_minmax" and seen.absmax:
        assert low >= -seen.absmax
        assert high <= seen.absmax


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_least_squared_error_is_that_of_the_quantizers_themselves(symmetric, bits):
    """One after the other: the histogram's values through ``grid`` at k/64 of the range, ties to the wider."""
    x = np.random.default_rng(bits).standard_t(3, 4000) + 0.3
    seen = streamed(x.astype(np.float32))
    held = np.flatnonzero(seen.counts)
    middle = np.clip((held[:, None] + (np.arange(4) + 0.5) / 4 - 512) * seen.bin_width, seen.low, seen.high).ravel()
    share = np.repeat(seen.counts[held] / (4 * seen.count), 4)
    low, high = choose("minmax", seen, bits=bits, symmetric=symmetric)
    tried = [(low * k / 64, high * k / 64) for k in range(64, 0, -1)]
    errors = [share @ (middle - grid(ends, bits, symmetric)(middle)) ** 2 for ends in tried]
    assert choose("mse", seen, bits=bits, symmetric=symmetric) == tried[int(np.argmin(errors))]
    assert bits == 8 or np.argmin(errors) > 0  # clipping pays where levels are few


@pytest.mark.parametrize("granularity", [PerBatch(), PerSample()])
@pytest.mark.parametrize("Q", [Static(3, scale=0.5), StaticAffine(3, low=-1.0, high=2.5)], ids=repr)
@given(size=st.sampled_from([0.1, 1.0, 1.75, 2.0, 2.75, 3.0, 30.0]), seed=st.integers(0, 3))
def test_what_is_clipped_is_counted_one_by_one(Q, granularity, size, seed):
    """By hand, also where an extreme lies on a limit; one scale, where extremes are looked at first, and several."""
    Q = replace(Q, granularity=granularity)
    low, high = (end * Q.step for end in Q.limits)
    x = size * (2 * torch.rand(4, 6, generator=torch.Generator().manual_seed(seed)) - 1)
    x[0, 0], x[1, 1] = size, -size
    count = LayerCount("layer", "Linear")
    count.grid(Q, x, Q.choose_qparams(x))
    assert count.saturated == int(((x < low) | (x > high)).sum())
    assert count.values == 24


def test_percentile_is_within_a_bin_of_the_sorted_values():
    x = np.random.default_rng(0).standard_t(3, 40_000)
    seen = streamed(*np.split(x, 8))
    low, high = choose("percentile", seen, bits=4, symmetric=True, percentile=99)
    assert high == pytest.approx(np.quantile(np.abs(x), 0.99), abs=seen.bin_width)
    low, high = choose("percentile", seen, bits=4, symmetric=False, percentile=99)
    assert [low, high] == pytest.approx(np.quantile(x, [0.005, 0.995]).tolist(), abs=seen.bin_width)
    positive = streamed(np.abs(x) + 5)
    assert choose("percentile", positive, bits=4, symmetric=False, percentile=99)[0] == 0.0
    rare = streamed(np.array([0.0] * 1000 + [3.0]))  # the percentile is in the bin of 0: a grid of nearly nothing
    assert 0 < choose("percentile", rare, bits=4, symmetric=True, percentile=99)[1] <= rare.bin_width


@pytest.mark.parametrize("bits", [3, 4, 6, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_is_the_best_of_its_candidates_on_the_values(bits, symmetric):
    """Judged on the values themselves, the range chosen on the histogram is within 2 % of the best candidate."""
    x = np.random.default_rng(1).laplace(size=30_000)
    x = x if symmetric else x / (1 + np.exp(-x))  # SiLU: what most convolutions of a U-Net read
    seen = streamed(x)
    low, high = choose("minmax", seen, bits=bits, symmetric=symmetric)

    def error(bounds):
        return np.mean((x - grid(bounds, bits, symmetric)(x)) ** 2)

    errors = [error((low * k / CANDIDATES, high * k / CANDIDATES)) for k in range(1, CANDIDATES + 1)]
    chosen = error(choose("mse", seen, bits=bits, symmetric=symmetric))
    assert chosen <= 1.02 * min(errors)
    assert chosen < 0.9 * errors[-1] or bits == 8  # better than min-max


@given(st.integers(3, 10), st.floats(0.01, 1e3))
def test_the_official_initialisation_is_min_max_with_one_bit_less(bits, top):
    """For extremes ±top: 2·top/(qmax-1) = top/qmax', qmax' that of one bit less, as qmax - 1 = 2·qmax'."""
    seen = streamed(np.array([-top, 0.3 * top, top]))
    official = grid(choose("official_minmax", seen, bits=bits, symmetric=True), bits, True)
    fewer = grid(choose("minmax", seen, bits=bits - 1, symmetric=True), bits - 1, True)
    assert official.scale == pytest.approx(fewer.scale, rel=1e-14)
    plain = grid(choose("minmax", seen, bits=bits, symmetric=True), bits, True)
    assert official.scale / plain.scale == pytest.approx(2 * plain.qmax / (plain.qmax - 1))


def test_values_that_are_all_zero_have_the_smallest_range_that_fits_every_dtype():
    for method in METHODS:
        low, high = choose(method, streamed(np.zeros(7)), bits=4, symmetric=True)
        assert (low, high) == (-EMPTY, EMPTY)
    assert choose("mse", streamed(np.zeros(7)), bits=4, symmetric=False) == (0.0, EMPTY)
    assert np.finfo(np.float16).smallest_normal == EMPTY


# -- the targets -------------------------------------------------------------------------------------------------------


def extremes(values):
    return float(min(v.detach().min() for v in values)), float(max(v.detach().max() for v in values))


def test_input_ranges_are_those_of_the_full_precision_model():
    model, seen, plain = small(), {}, []
    for module, name in ((model.first, "first"), (model.second, "second")):
        module.register_forward_pre_hook(lambda m, i, name=name: seen.setdefault(name, []).append(i[0].clone()))
    drive(model)([lambda stream: None])
    with torch.no_grad():
        plain = model(next(walk(1)))
    model.first._forward_pre_hooks.clear()
    model.second._forward_pre_hooks.clear()
    found = calibrate(model, drive(model), bits=4)
    assert set(found.ranges) == {"first", "second", "head", "head#1"}
    assert (found.samples, found.calls, found.symmetric, found.model) == (6, STEPS, False, "Small")
    for name, values in seen.items():
        low, high = extremes(values)
        assert found.ranges[name] == (((min(low, 0.0), max(high, 0.0)),),)
        assert found.quantizer(name, 3) == ms.StaticAffine(
            4, low=min(low, 0.0), high=max(high, 0.0), granularity=ms.PerBatch()
        )
    assert calibrate(model, drive(model), bits=4, symmetric=True).ranges["first"][0][0][1] == max(
        map(abs, extremes(seen["first"]))
    )
    with torch.no_grad():
        assert torch.equal(model(next(walk(1))), plain)  # the model is as it was


@pytest.mark.parametrize("groups", [1, 2, (3,), (2, 4)])
def test_difference_ranges_per_step_group(groups):
    model = one_layer()
    found = calibrate(model, drive(model, **FLAT), bits=4, target="difference", groups=groups)
    starts = {1: (0,), 2: (0, 3)}.get(groups) if isinstance(groups, int) else (0, *groups)
    assert found.boundaries == starts
    for start, end in zip(starts, (*starts[1:], STEPS), strict=True):
        differences = [a[k] - a[k - 1] for a in map(flat, range(BATCHES)) for k in range(max(start, 1), end)]
        top = max(map(abs, extremes(differences)))
        assert found.ranges["(root)"][starts.index(start)] == ((-top, top),)
        for call in (start, end - 1, *([100] if end == STEPS else [])):  # later calls: the last group's
            assert found.quantizer("(root)", call) == ms.Static(4, scale=top / 7, granularity=ms.PerBatch())


def loop_residuals(Q):
    """Of the closed loop with this quantizer on the same inputs, by the recursion itself."""
    runs = [list(rec.run("closed_loop", flat(index), Q)) for index in range(BATCHES)]
    return [info.residual for calls in runs for _, info in calls[1:]]


def test_closed_loop_ranges_are_of_the_loop_that_runs_with_the_ranges_before():
    """Round by round, against the recursion run by hand with each round's scale."""
    model, how = one_layer(), {"bits": 3, "percentile": 85.0}
    Q, tops = ms.AbsMax(3), []
    for _ in range(4):
        tops.append(choose("percentile", streamed(*loop_residuals(Q)), symmetric=True, **how)[1])
        Q = ms.Static(3, scale=tops[-1] / 3)
    assert all(a != b for a, b in pairwise(tops))  # each round moves it
    how |= {"target": "closed_loop", "quantizer": "percentile"}
    for rounds in (1, 2, 3):
        found = calibrate(model, drive(model, **FLAT), rounds=rounds, tolerance=1e-9, **how)
        assert found.ranges["(root)"] == (((-tops[rounds], tops[rounds]),),)
        assert found.changes == pytest.approx([abs(b / a - 1) for a, b in pairwise(tops[: rounds + 1])])
        assert not found.converged(1e-9)
    lax = calibrate(model, drive(model, **FLAT), rounds=3, tolerance=10.0, **how)
    assert len(lax.changes) == 1  # stops at once
    assert lax.converged(10.0)
    differences = [b - a for index in range(BATCHES) for a, b in pairwise(flat(index))]
    assert tops[0] != choose("percentile", streamed(*differences), bits=3, percentile=85.0, symmetric=True)[1]


def test_clipping_rounds_report_what_was_clipped():
    model = one_layer()
    options = {"bits": 3, "target": "closed_loop", "quantizer": "percentile", "percentile": 80.0}
    found = calibrate(model, drive(model, **FLAT), rounds=1, **options)
    first = choose("percentile", streamed(*loop_residuals(ms.AbsMax(3))), bits=3, symmetric=True, percentile=80.0)
    Q = grid(first, 3, True)
    residuals = loop_residuals(Q)
    codes = torch.cat(residuals) / Q.scale
    expected = ((codes > Q.limits[1]) | (codes < Q.limits[0])).double().mean()
    assert found.saturated == (pytest.approx(float(expected)),)
    assert expected > 0.02


def test_weights_and_where_are_those_of_the_final_run():
    model = small()
    quantized = calibrate(model, drive(model), bits=4, weights=ms.AbsMax(2, granularity=ms.PerChannel(0)))
    plain = calibrate(model, drive(model), bits=4)
    assert quantized.ranges["first"] == plain.ranges["first"]
    assert quantized.ranges["second"] != plain.ranges["second"]
    assert set(calibrate(model, drive(model), bits=4, where=lambda n, m: n == "second").ranges) == {"second"}


def test_parts_of_split_inputs_have_ranges_of_their_own():
    model = one_layer()
    found = calibrate(model, drive(model, **FLAT), bits=4, splits={"(root)": 2})
    values = torch.cat([a for i in range(BATCHES) for a in flat(i)])
    parts = tuple((min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for v in (values[:, :2], values[:, 2:]))
    assert found.ranges["(root)"] == (parts,)
    assert found.quantizer("(root)", 0) == ms.Split(
        tuple(ms.StaticAffine(4, low=low, high=high, granularity=ms.PerBatch()) for low, high in parts), at=(2,)
    )
    loop = calibrate(model, drive(model, **FLAT), bits=4, target="closed_loop", rounds=1, splits={"(root)": 2})
    assert len(loop.ranges["(root)"][0]) == 2


def test_a_layer_whose_input_does_not_change_is_reproduced():
    class Conditioned(nn.Module):
        def __init__(self):
            super().__init__()
            self.time, self.body = nn.Linear(2, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.body(x + self.time(torch.ones(1, 2)))

    model = Conditioned().eval()
    options = {"shape": (5,), "dtype": torch.float32}
    found = calibrate(model, drive(model, **options), bits=4, target="difference")
    assert found.ranges["time"] == (((-EMPTY, EMPTY),),)
    with modulated(model, activations=found) as run:
        drive(model, batches=1, **options)([run.reset])
        assert run.audit().layers[0].saturated == 0


def test_on_a_diffusers_model_and_what_saturates_is_counted():
    """Static scales in a running U-Net; the same with a third of the range must clip."""
    model = shallow()

    def run_sampling(resets):
        sample(model, images=4, steps=5, batch=2, on_batch=resets)

    found = calibrate(model, run_sampling, bits=6, target="closed_loop", groups=2, rounds=2, splits=skip_splits(model))
    assert (found.samples, found.calls, len(found.changes)) == (4, 5, 2)
    assert found.boundaries == (0, 3)
    shares = []
    for factor in (1.0, 1 / 3):
        ranges = {
            k: tuple(tuple((low * factor, high * factor) for low, high in g) for g in v)
            for k, v in found.ranges.items()
        }
        tried = Calibration(**{**vars_of(found), "ranges": ranges})
        with modulated(model, activations=tried) as run:
            out = sample(model, images=2, steps=5, batch=2)
        assert np.isfinite(out).all()
        shares.append(run.audit().summary()["saturated_share"])
        assert run.audit().call_share == pytest.approx(0.8)  # the first of five calls is exact
    assert shares[0] < 0.001 < 0.01 < shares[1]


# -- the plan and its file ---------------------------------------------------------------------------------------------


def vars_of(found):
    return {k: v for k, v in vars(found).items() if not k.startswith("_")}


@pytest.fixture(scope="module")
def found():
    model = small()
    return calibrate(model, drive(model), bits=4, target="difference", groups=2, splits={"second": 1})


def test_saved_and_loaded_it_is_the_same_plan(found, tmp_path):
    path = tmp_path / "new" / "small.json"
    found.save(path)
    again = Calibration.load(path, model=small())
    assert again == found
    assert all(again.quantizer(n, c) == found.quantizer(n, c) for n in found.ranges for c in range(STEPS))
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert (manifest["bits"], manifest["samples"], manifest["model"]) == (4, 6, "Small")
    assert "torch" in manifest["versions"]
    before = path.read_bytes()
    found.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["small.json"]
    assert str(found) == "Calibration(4 bits, minmax of difference, 4 layers, 2 step groups)"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: "{", "not a readable calibration"),
        (lambda d: "[1]", "not a calibration of this version"),
        (lambda d: json.dumps(d | {"format": "modiff-sim calibration 99"}), "calibration 99"),
        (lambda d: json.dumps({k: v for k, v in d.items() if k != "bits"}), "bits missing"),
        (lambda d: json.dumps(d | {"extra": 1}), "extra missing or too many"),
        (lambda d: json.dumps(d | {"bits": 1}), "layer 'first': Static needs 2 <= bits"),
        (lambda d: json.dumps(d | {"bits": 5000}), "bits are 1 to 32"),
        (lambda d: json.dumps(d | {"bits": 4.0}), "bits are an int"),
        (lambda d: json.dumps(d | {"symmetric": "no"}), "symmetric is a bool"),
        (lambda d: "[" * 100_000, "not a readable calibration"),
        (lambda d: json.dumps(d | {"boundaries": [0]}), "1 groups of 1 ranges are needed"),
        (lambda d: json.dumps(d | {"boundaries": [1, 3]}), "groups begin at call 0"),
        (lambda d: json.dumps(d | {"target": "output"}), "known: input, difference, closed_loop"),
        (lambda d: json.dumps(d | {"ranges": {}}), "has ranges"),
        (lambda d: json.dumps(d | {"ranges": {"first": [[[0.0, float("inf")]]] * 2}}), "two finite numbers"),
        (lambda d: json.dumps(d | {"ranges": {"first": [[1.0]]}}), "calibration"),
    ],
)
def test_damaged_files_are_refused(found, tmp_path, damage, message):
    path = tmp_path / "c.json"
    found.save(path)
    path.write_text(damage(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(CalibrationError, match=message) as error:
        Calibration.load(path)
    assert str(path) in str(error.value) or "calibration" in message


def test_unknown_layers_and_other_models(found, tmp_path):
    with pytest.raises(ValueError, match=r"'tail' was not calibrated .4 layers were, such as 'first'"):
        found.quantizer("tail", 0)
    with pytest.raises(CalibrationError, match=r"4 of 4 calibrated layers .of a Small., such as 'first'"):
        found.check(unet())
    with pytest.raises(CalibrationError, match="not a readable"):
        Calibration.load(tmp_path / "missing.json")
    model = unet()
    with modulated(model, activations=found), pytest.raises(ValueError, match="was not calibrated"):
        model(torch.zeros(1, 1, 8, 8), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "output"}, "unknown target 'output'; known: input, difference, closed_loop"),
        ({"quantizer": "median"}, "unknown quantizer 'median'; known: minmax"),
        ({"quantizer": "percentile", "percentile": 0.0}, "percentile must be"),
        ({"quantizer": "percentile", "percentile": 101.0}, "at most 100"),
        ({"quantizer": "official_minmax"}, "symmetric=True"),
        ({"quantizer": "official_minmax", "target": "difference", "bits": 2}, "2 bits.*divides by zero"),
        ({"groups": 0}, "groups must be an int >= 1|must be an int >= 1"),
        ({"groups": (3, 3)}, "ascending calls"),
        ({"groups": (0, 3)}, "ascending calls"),
        ({"groups": (4, 40)}, "no values in calls 40 to 40 .6 calls were seen"),
        ({"groups": (1,), "target": "difference"}, "no values in calls 0 to 0 .*residuals begin at call 1"),
        ({"groups": 6, "target": "difference"}, "values of 5 calls only"),
        ({"rounds": 0}, "rounds must be an int >= 1"),
        ({"bits": 0}, "bits must be an int >= 1"),
        ({"refresh": 3}, "refresh do not apply there"),
        ({"where": lambda n, m: False}, "keeps none"),
    ],
)
def test_bad_arguments(options, message):
    model = small()
    with pytest.raises(ValueError, match=message):
        calibrate(model, drive(model), **{"bits": 4, **options})


def test_a_run_sampling_that_does_not_do_its_part():
    model = small()
    with pytest.raises(ValueError, match="did not call any layer"):
        calibrate(model, lambda resets: [reset() for reset in resets], bits=4)
    with pytest.raises(ValueError, match="must be called before every batch"):
        calibrate(model, lambda resets: drive(model)([]), bits=4)
    with pytest.raises(ValueError, match="layer 'first', call 0: "):
        calibrate(model, lambda resets: model(torch.full((1, 2, 8, 8), torch.nan, dtype=torch.float64)), bits=4)
    assert not model.first.__dict__.get("forward")


# -- the claims --------------------------------------------------------------------------------------------------------


KNOWN = [
    ("static_scales_from_the_loop", "HOLDS", {"targets": ("closed_loop", "difference")}, "VIOLATED"),
    ("static_minmax_from_the_loop", "VIOLATED", {"method": "mse"}, "HOLDS"),
    ("static_official_initialisation", "HOLDS", {"method": "minmax"}, "VIOLATED"),
]


def verdicts_of(name, broken):
    """Of the claim as it is and of a broken variant, at 4 bits."""
    module = importlib.import_module(f"paper_checks.calibration.{name}")
    options = {"bits": (4,)} | ({"aside": ()} if "aside" in module.check.__kwdefaults__ else {})
    return [judge(module.CLAIM, module.check(**options, **more)).verdict for more in ({}, broken)]


@pytest.mark.parametrize(
    ("name", "found", "broken", "then", "sizes"),
    [
        *(pytest.param(*case, (12, 12, 24), marks=pytest.mark.slow) for case in KNOWN),
        ("static_scale_costs_a_bit", "HOLDS", {"fewer": -2}, "VIOLATED", (6, 8, 24)),
        ("split_skip_inputs", "HOLDS", {"order": ("split", "dynamic")}, "VIOLATED", (8, 8, 24)),
    ],
)
def test_claims_on_the_trained_model_follow_the_errors(monkeypatch, tmp_path, name, found, broken, then, sizes):
    """At a small size; there a static scale does cost less than a bit, which at 8 bits it does not."""
    monkeypatch.setitem(_static.SIZES, "quick", sizes)
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    assert verdicts_of(name, broken) == [found, then]


@pytest.mark.parametrize(("name", "found", "broken", "then"), KNOWN)
def test_claims_follow_errors_that_are_known(monkeypatch, name, found, broken, then):
    """Of errors as at more steps, where calibrating on the loop helps least squares and harms min-max."""
    rng = np.random.default_rng(0)
    known = {("mse", "difference"): 1.3, ("mse", "closed_loop"): 1.0, ("minmax", "difference"): 1.3,
             ("minmax", "closed_loop"): 1.9, ("official_minmax", "difference"): 2.5}  # fmt: skip
    images = {plan: value * rng.lognormal(sigma=0.1, size=24) for plan, value in known.items()}

    def errors(plans, sizes):
        assert astuple(sizes) == _static.SIZES["quick"]
        return [images[plan.scales, plan.target] * 2.0 ** (4 - plan.bits) for plan in plans]

    monkeypatch.setattr(scale_plans, "errors", errors)
    assert verdicts_of(name, broken) == [found, then]


@pytest.mark.slow
def test_the_claim_on_the_first_layer_is_about_the_first_layer():
    from paper_checks.calibration import static_first_layer_clips

    for kept, found in (("first", "HOLDS"), ("last", "VIOLATED")):
        assert judge(static_first_layer_clips.CLAIM, static_first_layer_clips.check(kept=kept)).verdict == found
