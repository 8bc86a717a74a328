"""What is no array of real numbers is refused at every entrance, with its name, and never used as if it were one."""

import collections

import array_api_strict
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import modiff_sim as ms
from modiff_sim import (
    atlas,
    bilinear,
    bounds,
    certificates,
    contraction,
    denoisers,
    evidence,
    growth,
    mixtures,
    prediction,
    processes,
    recommendation,
    regimes,
    samplers,
    schedules,
    transfer,
)
from modiff_sim.arguments import namespace, reals
from modiff_sim.bounds import products
from modiff_sim.diffusion import mixture_sampling
from modiff_sim.transfer.mixture import MixtureNetwork

Q = ms.AbsMax(4)
RNG = np.random.default_rng(0)
RUN, ROWS, SIZES, CHAIN = RNG.normal(size=(4, 2, 6)), RNG.normal(size=(3, 6)), np.full(5, 0.5), np.full((4, 3), 0.5)
MIXTURE, SCHEDULE = mixtures.GaussianMixture(ROWS, 1.0), schedules.linear(50).spaced(5)
DENOISER = denoisers.MixtureDenoiser(MIXTURE, SCHEDULE)
NETWORK, STEPS = MixtureNetwork(DENOISER), (np.ones(5), np.full(5, 0.1))
CLAIM = evidence.Claim("c", "s", "s", "upper")


def run(recursion, inputs, quantizer=Q, A=ms.recursion.identity, **options):
    return list(ms.recursion.run(recursion, inputs, quantizer, A, **options))


def drawn(value):
    return processes.Process("mine", 6, {}, lambda rng, trials, steps: iter([value] * steps))


def sampled(name, denoiser, x):
    return samplers.SAMPLERS[name](denoiser, x, SCHEDULE, noise=lambda call: np.zeros((3, 6)))


#: entrance -> (what is called with one array, an array that it takes)
ENTRANCES = {
    "recorded": (lambda v: ms.simulate(processes.recorded(v), Q, steps=4, trials=2), RUN),
    "Process.values": (lambda v: processes.Process("mine", 6, {}, values=v), RUN),
    "Process.draw": (lambda v: ms.simulate(drawn(v), Q, steps=3, trials=2), RUN[0]),
    "simulate operator": (
        lambda v: ms.simulate(processes.random_walk(6), Q, steps=2, trials=2, operator=np.zeros(1) if v is None else v),
        ROWS,
    ),
    **{f"Q {name}": (ms.quantizers.make(name, 4), np.tile(ROWS, (1, 16))) for name in ms.QUANTIZERS
       if not ms.QUANTIZERS[name].laws.randomised},
    "Q Split": (ms.Split(Q, at=(2,)), ROWS),
    "Q random": (lambda v: ms.Stochastic(4)(ROWS, random=v), np.full((3, 6), 0.5)),
    **{f"law {name}": (lambda v, law=law: law(Q, v), ROWS) for name, law in ms.LAWS.items() if name != "unbiased"},
    "contraction.ratios": (lambda v: contraction.ratios(Q, v), ROWS),
    "contraction.measure": (lambda v: contraction.measure(Q, v), ROWS),
    "contraction.summary": (contraction.summary, SIZES),
    "contraction.linear_norms": (contraction.linear_norms, ROWS),
    "contraction.conv_norms": (lambda v: contraction.conv_norms(v, (5,)), np.ones((2, 2, 3))),
    **{f"bounds.{name}": (lambda v, f=f: f(v, 0.1), SIZES) for name, f in bounds.BOUNDS.items()},
    "bounds start": (lambda v: bounds.sharp_closed_loop(np.ones((3, 5)), 0.1, start=v), SIZES),
    "bounds beta": (lambda v: bounds.young_closed_loop(SIZES, 0.1, beta=v), SIZES),
    "bounds.best_constant_beta": (lambda v: bounds.best_constant_beta(v, 0.1), SIZES),
    "bounds.chain_closed_loop": (lambda v: bounds.chain_closed_loop(v, 0.1, [1.0, 1.0]), CHAIN),
    "bounds.chain q": (lambda v: bounds.chain_open_loop(CHAIN, v, [1.0, 1.0]), SIZES[:3]),
    "bounds.chain gains": (lambda v: bounds.chain_direct(CHAIN, 0.1, v), SIZES[:2]),
    "bounds.accumulate": (lambda v: bounds.accumulate(0.0, v, "float32"), SIZES),
    "bounds.accumulate first": (lambda v: bounds.accumulate(v, np.ones((2, 5)), "float32"), SIZES),
    "bounds.output_drift": (lambda v: bounds.output_drift(SIZES, SIZES, v, SIZES, "float32", gain=1.0), SIZES),
    "bounds.stored_reference": (lambda v: bounds.stored_reference(SIZES, 0.1, v), SIZES),
    "bounds.with_weight_error": (lambda v: bounds.with_weight_error(v, SIZES, gain=1.0, weight_error=0.1), SIZES),
    "bounds.small_gain_closed_loop": (lambda v: bounds.small_gain_closed_loop(v, 0.1, 0.1), SIZES),
    "bounds.skipped ref": (lambda v: bounds.skipped_closed_loop(SIZES, 0.1, 0.1, v), SIZES),
    "bounds.static_error": (lambda v: bounds.static_error(v, 0.1, 4), SIZES),
    "bounds.backlog": (lambda v: bounds.backlog(v, 0.1, 4), SIZES),
    "bounds.theorem_4_3": (lambda v: bounds.theorem_4_3(v, 4), SIZES),
    "bounds.effective_bits": (lambda v: bounds.effective_bits(v, 0.1), SIZES),
    "bounds.warm_up_error": (lambda v: bounds.warm_up_error(v, 0.1, 2), SIZES),
    "bounds band": (lambda v: bounds.stochastic_open_loop_band(v, 0.1, delta=0.1, size=3), SIZES),
    "regimes.error": (lambda v: regimes.error("closed_loop", v, 3, 0.1), SIZES),
    "regimes.winner": (lambda v: regimes.winner(0.1, 3, v), SIZES),
    "regimes.longest_run": (lambda v: regimes.longest_run("cache", 0.1, v, 0.1), SIZES),
    "regimes.cheapest": (lambda v: regimes.cheapest(v, 10, 0.1, {4: 0.1}), SIZES),
    "growth.slope": (lambda v: growth.slope(v, np.ones((5, 3))), np.arange(1.0, 6)),
    "growth.power_law": (growth.power_law, np.ones((20, 3))),
    "mixture means": (lambda v: mixtures.GaussianMixture(v, 1.0), ROWS),
    "mixture weights": (lambda v: mixtures.GaussianMixture(ROWS, 1.0, v if v is not None else "none"), SIZES[:3]),
    "mixture score": (MIXTURE.score, ROWS),
    "mixture posterior_mean": (lambda v: MIXTURE.posterior_mean(v, 0.5), ROWS),
    "denoiser": (lambda v: DENOISER(v, 3), ROWS),
    "modulated_denoiser": (lambda v: denoisers.modulated_denoiser(DENOISER, Q)(v, 3), ROWS),
    "denoisers.Linear": (lambda v: denoisers.Linear("mine", v), ROWS),
    "Schedule alpha_bar": (lambda v: schedules.Schedule(v, [1, 0]), np.array([0.9, 0.5, 0.1])),
    "Schedule timesteps": (lambda v: schedules.Schedule([0.9, 0.5, 0.1], v), np.array([2.0, 1.0])),
    **{f"sampler {n} x": (lambda v, n=n: sampled(n, lambda x, t: 0.1 * x, v), ROWS) for n in samplers.SAMPLERS},
    **{f"sampler {n} output": (lambda v, n=n: sampled(n, lambda x, t: v, ROWS), ROWS) for n in samplers.SAMPLERS},
    "measure_transfer": (lambda v: transfer.measure_transfer(NETWORK, v, STEPS), ROWS),
    "measure_transfer steps": (lambda v: transfer.measure_transfer(NETWORK, ROWS, (v, STEPS[1])), STEPS[0]),
    "full_precision": (lambda v: transfer.full_precision(NETWORK, v, STEPS), ROWS),
    "drive": (lambda v: transfer.drive(NETWORK, v, STEPS, [(Q, "closed_loop")], ["logits"]), ROWS),
    "same_for_all": (lambda v: transfer.same_for_all([v]), RUN),
    "layer_noise": (lambda v: prediction.layer_noise(v, Q, "closed_loop"), RUN),
    "bilinear bound": (lambda v: products.closed_loop_bound(SIZES, SIZES, v, SIZES, (0.1, 0.1)), SIZES),
    "bilinear.run": (lambda v: list(bilinear.run("closed_loop", [(v, ROWS.T)] * 2, Q)), ROWS),
    "recursion.run": (lambda v: run("closed_loop", [v, v]), ROWS),
    "recursion.run, later": (lambda v: run("closed_loop", [ROWS, v]), ROWS),
    "recursion.run random": (
        lambda v: run("closed_loop", [ROWS, ROWS], ms.Stochastic(4), random=lambda call: v if call else [v]),
        np.full((3, 6), 0.5),
    ),
    "atlas recorded": (
        lambda v: atlas.atlas(["absmax"], [4], [2], ["normal"], recorded="none" if v is None else v, search=False), ROWS
    ),
    "recommend": (lambda v: recommendation.recommend({"mine": v}), RUN),
    "evidence measured": (lambda v: evidence.judge(CLAIM, evidence.Evidence(1.0, v)), SIZES),
    "wasserstein2": (lambda v: mixture_sampling.wasserstein2(v, ROWS), ROWS),
    "mode_counts": (lambda v: mixture_sampling.mode_counts(MIXTURE, v), ROWS),
    "total_variation": (lambda v: mixture_sampling.total_variation(v, np.full(5, 0.2)), SIZES),
    "certificate d": (lambda v: certificates.closed_loop(3, 0.1, d=v), SIZES[:3]),
}  # fmt: skip


def masked(x):
    return np.ma.masked_array(x, mask=np.arange(x.size).reshape(x.shape) == 1)


#: kind -> how an array becomes one
KINDS = {
    "masked": masked,
    "masked within a list": lambda x: [masked(row) for row in x] if x.ndim > 1 else [x[0], np.ma.masked],
    "text": lambda x: x.astype(str),
    "bytes": lambda x: x.astype("S8"),
    "complex": lambda x: x * 1j,
    "dates": lambda x: x.astype(int).astype("M8[s]"),
    "time spans": lambda x: x.astype(int).astype("m8[s]"),
    "records": lambda x: np.zeros(x.shape, [("a", float)]),
    "objects": lambda x: x.astype(object),
    "truth values": lambda x: x > 0,
    "None": lambda x: None,
    "a word": lambda x: "ones",
    "a mapping": lambda x: {},
    "ragged": lambda x: [[1.0], [1.0, 2.0]],
    "sparse": lambda x: scipy.sparse.csr_array(x.reshape(len(x), -1)),
    "matrix": lambda x: np.matrix(x.reshape(len(x), -1)),
}
#: refused everywhere but where a bound or what is measured may be infinite
NOT_FINITE = {"NaN": np.nan, "Inf": np.inf}
MAY_BE_INFINITE = ("bounds start", "bilinear bound", "evidence measured")


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.filterwarnings("error::numpy.exceptions.ComplexWarning")
def test_what_is_no_array_of_real_numbers_is_refused(entrance):
    call, good = ENTRANCES[entrance]
    call(good.copy())
    values = {kind: spoil(good) for kind, spoil in KINDS.items()}
    for kind, value in NOT_FINITE.items():
        if kind == "NaN" or entrance not in MAY_BE_INFINITE:
            values[kind] = np.where(np.arange(good.size).reshape(good.shape) == 0, value, good)
    said = {kind: refusal(call, value) for kind, value in values.items()}
    assert [kind for kind, message in said.items() if message is None] == []
    assert [message for message in said.values() if "ufunc" in message or "has no attribute" in message] == []


def refusal(call, value):
    """The message with which a value is refused, None if it is taken."""
    try:
        call(value)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


#: what sums over arrays of the user's layout, in another order for another layout
UNEQUAL = ("layer_noise",)


@pytest.mark.parametrize("entrance", [name for name in ENTRANCES if name not in UNEQUAL and "output" not in name])
def test_arrays_of_other_layouts_give_the_same_numbers(entrance):
    """Read-only, in Fortran order, big-endian, not contiguous: the same real numbers."""
    call, good = ENTRANCES[entrance]
    read_only = good.copy()
    read_only.flags.writeable = False
    expected = plain(call(good.copy()))
    for layout in (read_only, np.asfortranarray(good), good.astype(">f8"), np.repeat(good, 2, axis=-1)[..., ::2]):
        np.testing.assert_equal(plain(call(layout)), expected)


def plain(found):
    """Numbers of what an entrance returns, where it returns any."""
    found = found.error if isinstance(found, ms.Result) else found
    return found if isinstance(found, np.ndarray | float | tuple) else None


def test_what_holds_real_numbers_is_taken():
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    tensor, strict = torch.tensor(expected), array_api_strict.asarray(expected)
    series = pd.Series([1, 2], dtype="Int64")
    for held in (expected.tolist(), tuple(map(tuple, expected)), pd.DataFrame(expected), tensor, expected.astype("f2"),
                 expected.astype(np.longdouble), expected.astype(int), expected.astype(">i2")):  # fmt: skip
        np.testing.assert_array_equal(reals("x", held), expected)
    np.testing.assert_array_equal(reals("x", series), [1.0, 2.0])
    assert reals("x", 10**30) == 1e30
    assert reals("x", expected.astype("f4"), dtype=None).dtype == np.float32
    assert reals("x", 1.5).shape == ()
    assert [namespace("x", a).__name__ for a in (expected, tensor, strict)] == [
        "array_api_compat.numpy", "array_api_compat.torch", "array_api_strict",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ma.masked_array([1.0]), TypeError, "d must not be masked"),
        (["1"], TypeError, r"d must be an array of real numbers, got text \(<U1\)"),
        ([1j], TypeError, r"got complex numbers \(complex128\)"),
        ([True, 2.0], TypeError, "got the truth value True"),
        (np.array(["2020"], "M8[D]"), TypeError, r"got dates \(datetime64\[D\]\)"),
        ([10**400], TypeError, "int too large to convert to float"),
        (torch.ones(2, requires_grad=True), TypeError, "requires grad"),
        (pd.Series([1.0, None], dtype="Float64"), ValueError, "finite"),
        ([[1.0], [1.0, 2.0]], ValueError, "inhomogeneous"),
        (scipy.sparse.csr_array(np.eye(2)), TypeError, "got a csr_array"),
        (None, TypeError, "got a NoneType"),
    ],
    ids=str,
)
def test_what_was_given_is_said(value, error, message):
    with pytest.raises(error, match=message):
        bounds.sharp_closed_loop(value, 0.1)


def test_long_doubles_beyond_the_floats_are_not_finite():
    with pytest.raises(ValueError, match="NaN or Inf, first at step 0"):
        processes.recorded(np.full((4, 2, 3), np.longdouble("1e4000")))


def test_a_recorded_array_cannot_be_written_through_a_process():
    inputs = RUN.copy()
    process = processes.recorded(inputs)
    with pytest.raises(ValueError, match="read-only"):
        next(process.stream(np.random.default_rng(0), 2, 4))[0, 0] = 1.0
    inputs[0] = 0.0  # the caller's own stays the caller's


@pytest.mark.parametrize(
    "value",
    [
        collections.deque([True, 2.0]), collections.UserList([True, 0.5]),
        [np.array([True, False]), np.array([0.5, 0.5])],
        collections.deque([np.ma.masked_array([1.0, 999.0], [0, 1])]),
        pd.DataFrame({"a": [True, False], "b": [0.1, 0.2]}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_truth_values_and_masks_inside_of_containers_are_refused(value):
    with pytest.raises(TypeError, match=r"truth value|masked|got a DataFrame"):
        reals("x", value)
