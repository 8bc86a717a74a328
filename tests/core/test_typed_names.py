"""What people type: names and text where objects are taken, and what is said of a name that is not known."""

import re

import numpy as np
import pytest

import modiff_sim as ms
from modiff_sim import contraction, quantizers
from modiff_sim.advice.recommendation import recommend
from modiff_sim.diffusion.mixture_sampling import quantized_sampling
from modiff_sim.names import meant, one_of
from modiff_sim.quantizers import QUANTIZERS, granularity
from modiff_sim.simulation import processes
from modiff_sim.testing import check_bound, check_quantizer, hunt
from modiff_sim.transfer.mixture import MixtureNetwork


def test_a_known_name_is_given_back_and_another_is_answered_with_the_nearest():
    assert one_of("sampler", "ddim", ("ddpm", "ddim")) == "ddim"
    with pytest.raises(ValueError, match=r"^unknown sampler 'dddim'; known: ddpm, ddim; did you mean 'ddim'\?$"):
        one_of("sampler", "dddim", ("ddpm", "ddim"))
    with pytest.raises(ValueError, match=r"^unknown sampler 'euler'; known: ddpm, ddim$"):
        one_of("sampler", "euler", ("ddpm", "ddim"))
    for foreign in (None, 3, ["ddim"], ("ddim",)):
        with pytest.raises(ValueError, match="unknown sampler"):
            one_of("sampler", foreign, ("ddpm", "ddim"))


@pytest.mark.parametrize(
    ("typed", "near"),
    [("AbsMax", "absmax"), ("abs-max", "absmax"), ("closed-loop", "closed_loop"), ("Closed Loop", "closed_loop"),
     ("randomwalk", "random_walk"), ("xyz", None)],
)  # fmt: skip
def test_case_and_hyphens_do_not_count(typed, near):
    said = meant(typed, ("absmax", "minmax", "closed_loop", "random_walk"))
    assert said == ("" if near is None else f"; did you mean {near!r}?")


X = np.random.default_rng(0).standard_normal((8, 4))
LAYERS = {"conv": X[:, None] * np.ones((1, 2, 1))}


def quantized(**several):
    return quantized_sampling(ms.mixtures.ring(), images=4, **several)


def driven(arm, layers):
    exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(3))
    steps = ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)
    (found,) = ms.transfer.drive(MixtureNetwork(exact), np.ones((2, 2)), steps, [(arm, "direct")], layers)
    return [found.x, found.moved, found.of(layers).moved]


Q = ms.AbsMax(3)


@pytest.mark.parametrize(
    ("one", "other"),
    [(lambda: contraction.measure("absmax:3", X).values, lambda: contraction.measure(Q, X).values),
     (lambda: contraction.search("absmax:3", 4).x, lambda: contraction.search(Q, 4).x),
     (lambda: hunt("absmax:3", 3, examples=9).x, lambda: hunt(Q, 3, examples=9).x),
     (lambda: check_quantizer("absmax:3", examples=2), lambda: check_quantizer(Q, examples=2)),
     (lambda: check_bound("closed_loop", "absmax:3", examples=2), lambda: None),
     (lambda: next(processes.adversarial("absmax:3", 4).stream(np.random.default_rng(0), 2, 2)),
      lambda: next(processes.adversarial(Q, 4).stream(np.random.default_rng(0), 2, 2))),
     (lambda: processes.burst(4, at=2).params, lambda: processes.burst(4, at=[2]).params),
     (lambda: recommend(LAYERS, candidates="absmax:3"), lambda: recommend(LAYERS, candidates=[Q])),
     (lambda: recommend(LAYERS, candidates=Q), lambda: recommend(LAYERS, candidates=[Q])),
     (lambda: recommend(LAYERS, candidates=["absmax:3"]), lambda: recommend(LAYERS, candidates=(Q,))),
     (lambda: quantized(bits=3, recursions="direct", samplers="ddim", steps=3),
      lambda: quantized(bits=[3], recursions=["direct"], samplers=["ddim"], steps=[3])),
     (lambda: driven("absmax:3", "mean"), lambda: driven(Q, ["mean"])),
     (lambda: str(ms.testing.quantizers(names="absmax")), lambda: str(ms.testing.quantizers(names=["absmax"])))],
)  # fmt: skip
def test_text_and_single_values_are_taken_where_objects_and_several_are(one, other):
    np.testing.assert_equal(one(), other())


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_can_be_said_as_text(name):
    kind = QUANTIZERS[name]
    text = name if kind.fixed_bits is not None else f"{name}:4"
    assert quantizers.parse(text) == quantizers.make(name, 4)
    assert quantizers.parse(f"{text}@channel") == quantizers.make(name, 4, granularity=ms.PerChannel())
    assert quantizers.get(text) == quantizers.get(quantizers.parse(text))
    for shared in ("", "@channel", "@group:16", "@batch"):
        Q = quantizers.parse(text + shared)
        assert quantizers.parse(quantizers.name(Q)) == Q
    assert quantizers.name(quantizers.make(name, 4)) == text


def test_a_quantizer_that_no_text_names_is_called_by_its_own():
    for Q in (ms.Percentile(4, percentile=90.0), ms.Split(ms.AbsMax(3), at=(2,)), ms.Static(4, scale=0.1),
              ms.Custom(abs, kappa=1.0)):  # fmt: skip
        assert quantizers.name(Q) == str(Q)
    assert repr(ms.simulate("random_walk:32", "absmax:3@group:16", steps=3, trials=2)).startswith(
        "Result: closed loop, absmax:3@group:16, random_walk of d = 32"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("absmax", "say how many bits, as in 'absmax:4'"), ("absmax:", "after the colon comes a number of bits"),
     ("absmax:four", "after the colon comes a number of bits"), ("absmax:-4", "after the colon"),
     ("absmx:4", r"unknown quantizer 'absmx'; .*did you mean 'absmax'\?"), ("absmax:1", "2 <= bits"),
     ("absmax:4@", "unknown granularity ''"), ("absmax:4@chanel", r"did you mean 'channel'\?"),
     ("", "unknown quantizer"), ("fp8_e4m3:4", "8 bits")],
)  # fmt: skip
def test_text_that_is_no_quantizer_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        quantizers.parse(text)


def test_what_is_no_quantizer_at_all_is_refused():
    with pytest.raises(TypeError, match=r"must be one such as AbsMax\(bits=4\), or text such as 'absmax:4'; got 4"):
        quantizers.get(4)
    with pytest.raises(TypeError, match=r"pass an instance, such as AbsMax\(bits=4\)"):
        quantizers.get(ms.AbsMax)


@pytest.mark.parametrize("name", granularity.GRANULARITIES)
def test_every_granularity_can_be_said_by_name(name):
    assert ms.AbsMax(4, granularity=name) == ms.AbsMax(4, granularity=granularity.parse(name))
    assert ms.AbsMax(4, granularity="group:8").granularity == ms.PerGroup(8)


def test_simulate_takes_names_and_gives_the_same_bytes():
    options = {"steps": 5, "trials": 3, "seed": 1}
    text = ms.simulate("random_walk:16", "absmax:3", "open_loop", **options)
    same = ms.simulate(processes.random_walk(16), ms.AbsMax(3), "open_loop", **options)
    assert np.array_equal(text.error, same.error)
    assert text.params["quantizer"] == ms.AbsMax(3)
    assert text.params["process_params"] == same.params["process_params"]


@pytest.mark.parametrize("name", processes.PROCESSES)
def test_every_process_can_be_said_by_name(name, tmp_path):
    Q = ms.AbsMax(3)
    if name == "recorded":
        values = np.random.default_rng(0).standard_normal((5, 3, 2))
        np.save(tmp_path / "inputs.npy", values)
        for what in (values, values.tolist(), tmp_path / "inputs.npy", str(tmp_path / "inputs.npy")):
            assert np.array_equal(processes.get(what, Q).values, values)
        with pytest.raises(ValueError, match="pass the file"):
            processes.get(name, Q)
        return
    assert processes.get(f"{name}:6", Q).d == 6
    assert processes.get(name, Q).name == name
    if name == "alternating":
        assert processes.get(name, Q).params["bits"] == 3
    with pytest.raises(ValueError, match=f"as in '{name}:256'"):
        processes.get(f"{name}:many", Q)


@pytest.mark.parametrize("name", sorted(set(processes.PROCESSES) - {"recorded"}))
def test_options_of_a_process_are_those_of_its_constructor(name):
    """And the text alone makes what it has always made: the keys of stored results depend on the parameters."""
    Q, make = ms.AbsMax(3), processes.PROCESSES[name]
    of_the_run = {"alternating": {"bits": 3}, "adversarial": {"quantizer": Q}}.get(name, {})
    assert processes.get(name, Q) == make(**of_the_run)
    assert processes.get(f"{name}:6", Q, d=9) == processes.get(name, Q, d=6) == make(d=6, **of_the_run)
    given = {key: {"at": (2, 3), "candidates": 5}.get(key, 0.5) for key in processes.options(name)}
    assert given
    assert processes.get(f"{name}:6", Q, **given) == make(d=6, **given, **of_the_run)
    with pytest.raises(ValueError, match=f"unknown option of {name} 'bits'; known: {', '.join(given)}"):
        processes.get(name, Q, bits=4)


def test_what_is_recorded_takes_no_options(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2, 4)))
    Q = ms.AbsMax(3)
    assert processes.get("recorded", Q, source=tmp_path / "x.npy").d == 4
    assert processes.get(tmp_path / "x.npy", Q, d=9).d == 4
    for what in (str(tmp_path / "x.npy"), np.ones((3, 2, 4)), processes.ar1(4)):
        with pytest.raises(ValueError, match=r"options \(phi\) are for the name of a process"):
            processes.get(what, Q, phi=0.5)


def test_a_process_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"unknown process 'random-walk'; .*did you mean 'random_walk'\?"):
        ms.simulate("random-walk", "absmax:3")
    with pytest.raises(ValueError, match=r"shape \(steps, trials, d\)"):
        ms.simulate([1.0, 2.0], "absmax:3")


# a quantizer of one's own, as a function --------------------------------------------------------------------------


def halves(x):
    """To multiples of half of the largest size, which loses at most a quarter of it."""
    largest = np.abs(x).max(axis=1, keepdims=True)
    unit = np.where(largest > 0, largest, 1)
    return (np.round(2 * x / unit) / 2 * unit).astype(x.dtype)


def test_a_function_is_a_quantizer_with_what_is_declared_for_it():
    Q = ms.Custom(halves, kappa=1 / 4, bits=3)
    x = np.array([[4.0, 1.2, -0.4]])
    assert np.array_equal(Q(x), halves(x))
    assert (Q.bits, Q.kappa(64), Q.c(64), str(Q)) == (3, 0.25, 4.0, "Custom(halves)")
    assert ms.Custom(halves, c=lambda d: d / 16).kappa(4) == 1.0  # √(c·d)
    assert check_quantizer(Q, examples=20) == ["c", "kappa"]
    check_bound("closed_loop", Q, examples=10)


def test_its_symmetries_are_tested_where_they_are_declared():
    symmetric = ms.Laws(sign_equivariant=True, scale_equivariant=True, zero_to_zero=True)
    tried = check_quantizer(ms.Custom(halves, kappa=1 / 4, laws=symmetric), examples=20)
    assert {"sign_equivariant", "scale_equivariant", "zero_to_zero"} <= set(tried)


@pytest.mark.parametrize("declared", [{"kappa": 0.2}, {"c": 0.01}, {"kappa": lambda d: 0.2}])
def test_too_small_a_constant_is_refuted(declared):
    with pytest.raises(ms.LawBroken, match=r"Custom\(halves\) breaks its law"):
        check_quantizer(ms.Custom(halves, **declared), examples=50)


def test_fast_paths_decline_it_and_the_recursions_run_it():
    Q, walk = ms.Custom(halves, kappa=1 / 4), processes.random_walk(8)
    r = ms.simulate(walk, Q, steps=6, trials=4)
    assert r.params["engine"] == "numpy"
    with pytest.raises(ValueError, match="cannot run this"):
        ms.simulate(walk, Q, steps=6, trials=4, engine="numba")

    # it is the grid with two steps to max|x|, written again
    class Two(ms.AbsMax):
        qmax = 2

    same = ms.simulate(walk, Two(3), steps=6, trials=4)
    assert np.allclose(r.error, same.error, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [(lambda: ms.Custom(halves), ValueError, "declare kappa or c"),
     (lambda: ms.Custom(3, kappa=1), TypeError, "function"),
     (lambda: ms.Custom(halves, kappa=-1), ValueError, "kappa"), (lambda: ms.Custom(halves, c="x"), TypeError, "c"),
     (lambda: ms.Custom(ms.AbsMax, kappa=1), TypeError, "function"),
     (lambda: ms.Custom(lambda x: x[:, :1], kappa=1)(np.ones((2, 3))), ValueError, "must have shape"),
     (lambda: ms.Custom(lambda x: x * np.nan, kappa=1)(np.ones((2, 3))), ValueError, "NaN or Inf"),
     (lambda: ms.Custom(halves, kappa=1).choose_qparams(np.ones((2, 3))), TypeError, "without scales and codes"),
     (lambda: ms.Storage(ref=ms.Custom(halves, kappa=1)), ValueError, "no fixed integer codes")],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ms.simulate("random_walk:8", "absmax:4", step=3), "simulate takes no step=; did you mean 'steps'?"),
        (lambda: ms.atlas.atlas("absmax", bit=4), "atlas takes no bit=; did you mean 'bits'?"),
        (lambda: recommend({}, tolerence=0.1), "recommend takes no tolerence=; did you mean 'tolerance'?"),
        (lambda: contraction.search("absmax:3", 8, nrom="c"), "search takes no nrom=; did you mean 'norm'?"),
        (lambda: ms.simulate("random_walk:8", "absmax:4", xyz=3), "simulate takes no xyz=; known: process, Q, "),
    ],
)
def test_an_unknown_keyword_is_answered_with_the_nearest(call, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        call()


def test_a_function_that_suggests_keywords_is_otherwise_itself():
    import inspect
    import pickle

    assert pickle.loads(pickle.dumps(ms.simulate)) is ms.simulate
    assert list(inspect.signature(ms.simulate).parameters)[:4] == ["process", "Q", "recursion", "steps"]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'Q'"):
        ms.simulate("random_walk:8")
