"""Schedules and samplers: against diffusers, closed forms, a plain loop, and NumPy against torch bit for bit."""

import dataclasses
import math
from itertools import pairwise

import array_api_strict
import numpy as np
import pytest
import torch

from modiff_sim.diffusion.samplers import SAMPLERS, Sampler, ddim, ddpm, plms, pndm
from modiff_sim.diffusion.samplers.common import predictor
from modiff_sim.diffusion.schedules import SPACINGS, Schedule, linear

EPS = np.finfo(np.float64).eps
EPS32 = np.finfo(np.float32).eps
STEPS = (1, 2, 7, 50, 1000)
LINEAR = linear()


def units(n):
    """x and noise as unit vectors: the result then holds every coefficient of a linear sampler."""
    eye = np.eye(n + 1)
    return eye[0], lambda call: eye[call + 1]


def standard_normal(schedule):
    """The exact denoiser of data ~ N(0, 1): E[eps | x] = √(1-ᾱ)·x."""
    return lambda x, t: math.sqrt(1 - schedule.alpha_bar[t]) * x


def wavy(x, t):
    """Nonlinear, and near enough to a real denoiser to keep |x| below 5; float64 torch or NumPy."""
    xp = torch if isinstance(x, torch.Tensor) else np
    return math.sqrt(1 - LINEAR.alpha_bar[t]) * x + 0.1 * xp.sin(3 * x)


# schedules -----------------------------------------------------------------------------------------------------


def test_linear_is_the_product_of_one_minus_beta():
    schedule, product = linear(), 1.0
    assert schedule.T == len(schedule) == 1000
    for t in range(1000):
        product *= 1.0 - (1e-4 + (0.02 - 1e-4) * t / 999)
        # up to t+1 products and as many roundings of beta
        assert abs(schedule.alpha_bar[t] - product) <= 4 * (t + 1) * EPS * product
    np.testing.assert_allclose(schedule.betas, np.linspace(1e-4, 0.02, 1000), atol=4 * EPS, rtol=0)
    assert schedule.timesteps.tolist() == list(range(999, -1, -1))


def test_quad_is_the_official_formula_with_its_repeats():
    ours = linear().spaced(100, spacing="quad").timesteps
    official = [int(s) for s in list(np.linspace(0, np.sqrt(1000 * 0.8), 100) ** 2)]
    assert ours.tolist() == official[::-1]
    assert (ours == 0).sum() == 4
    assert ours[0] in (799, 800)  # √800² lands on either side of 800
    assert ours[0] == official[-1]


@pytest.mark.parametrize(("ours", "theirs"), [("uniform", "leading"), ("trailing", "trailing")])
@pytest.mark.parametrize("steps", STEPS)
def test_spacings_are_those_of_diffusers(ours, theirs, steps):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing=theirs, steps_offset=0)
    scheduler.set_timesteps(steps)
    assert linear().spaced(steps, spacing=ours).timesteps.tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("T", [1, 2, 3, 10, 1000])
def test_every_spacing_gives_the_asked_number_of_valid_timesteps(spacing, T):
    for steps in {1, 2, T // 2 + 1, max(1, T - 1), T} & set(range(1, T + 1)):
        schedule = linear(T).spaced(steps, spacing=spacing)  # the constructor checks order and range
        assert len(schedule) == steps
        assert [t for t, _, _ in schedule.levels()] == schedule.timesteps.tolist()
        assert schedule.levels()[-1][2] == 1.0


def test_schedule_is_immutable_and_copies():
    source = np.array([0.9, 0.5])
    schedule = Schedule(source, [1, 0])
    source[:] = 0.1
    assert schedule.alpha_bar.tolist() == [0.9, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        schedule.alpha_bar[0] = 1


def test_schedules_are_told_apart_as_objects():
    """Comparing their arrays entry by entry would give no yes or no."""
    one, other = Schedule([0.9, 0.5], [1, 0]), Schedule([0.9, 0.5], [1, 0])
    assert one != other
    assert {one: 1, other: 2}[one] == 1


@pytest.mark.parametrize(
    ("steps", "spacing", "match"),
    [
        (0, "uniform", r"1 \.\. 1000"),
        (-3, "quad", r"1 \.\. 1000"),
        (1001, "uniform", r"1 \.\. 1000"),
        (2.5, "uniform", "integer"),
        (True, "uniform", "integer"),
        (10, "cubic", "uniform, quad, trailing"),
    ],
)
def test_spaced_refuses(steps, spacing, match):
    with pytest.raises(ValueError, match=match):
        linear().spaced(steps, spacing=spacing)


@pytest.mark.parametrize(
    ("alpha_bar", "timesteps", "match"),
    [
        ([], [0], "alpha_bar"),
        ([[0.5]], [0], "alpha_bar"),
        ([0.9, np.nan], [0], "alpha_bar"),
        ([0.9, 0.0], [0], "zero terminal SNR.*v_prediction or sample"),
        ([0.0], [0], "alpha_bar"),
        ([0.9, 0.0, 0.0], [0], "the last alone may be 0"),
        ([0.9, 1.1], [0], "alpha_bar"),
        ([0.5, 0.9], [0], "alpha_bar"),
        ([0.9, 0.5], [], "timesteps"),
        ([0.9, 0.5], [2], "timesteps"),
        ([0.9, 0.5], [-1], "timesteps"),
        ([0.9, 0.5], [0, 1], "sampling order"),
        ([0.9, 0.5], [0.5], "integers"),
    ],
)
def test_schedule_refuses(alpha_bar, timesteps, match):
    with pytest.raises(ValueError, match=match):
        Schedule(np.array(alpha_bar), np.array(timesteps))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"prediction": "x"}, "unknown prediction 'x'; known: epsilon, v_prediction, sample"),
        ({"final": 0.8}, r"final must lie in \[alpha_bar\[0\], 1\]"),
        ({"final": math.nan}, "final must be finite"),
        ({"spacing": "odd"}, "unknown spacing 'odd'"),
        ({"offset": -1}, "offset must be an int >= 0"),
        ({"strided": True, "timesteps": [1, 1, 0]}, "strided schedule has at most 2 timesteps, all, got 3"),
    ],
)
def test_schedule_refuses_its_descriptions(options, match):
    with pytest.raises(ValueError, match=match):
        Schedule(np.array([0.9, 0.5]), **({"timesteps": [1, 0]} | options))


@pytest.mark.parametrize("args", [(0,), (10, 0.0), (10, 0.02, 0.01), (10, 0.1, 1.0), (10, math.nan)])
def test_linear_refuses(args):
    with pytest.raises(ValueError, match=r"T must|0 < beta|beta_1 must"):
        linear(*args)


# against diffusers ---------------------------------------------------------------------------------------------

# diffusers keeps ᾱ and computes every coefficient in float32: about 8 roundings per step of terms of size at most
# 5. In 50 steps they add up like a random walk, to 5·√400 = 100 eps32; twice that is allowed.
DIFFUSERS = 200 * EPS32


def by_diffusers(scheduler, denoiser, x, steps, **kwargs):
    scheduler.set_timesteps(steps)
    for call, t in enumerate(scheduler.timesteps.tolist()):
        more = {k: v(call) if callable(v) else v for k, v in kwargs.items()}
        x = scheduler.step(denoiser(x, t), t, x, **more).prev_sample
    return x.numpy()


def starts(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((16, 4)))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(("ours", "theirs"), [("uniform", "leading"), ("trailing", "trailing")])
def test_ddim_is_that_of_diffusers(eta, clip, ours, theirs):
    from diffusers import DDIMScheduler

    schedule = linear().spaced(50, spacing=ours)
    scheduler = DDIMScheduler(timestep_spacing=theirs, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
    z = [starts(call + 1) for call in range(50)]
    more = {"eta": eta, "use_clipped_model_output": clip is not None}
    if eta:
        more["variance_noise"] = lambda call: z[call]
    expected = by_diffusers(scheduler, wavy, starts(), 50, **more)
    found = ddim(wavy, starts(), schedule, eta=eta, clip=clip, noise=lambda call: z[call])
    assert np.abs(found.numpy() - expected).max() <= DIFFUSERS * max(1.0, np.abs(expected).max())


def test_the_comparison_with_diffusers_sees_a_wrong_last_level():
    """Negative control: ending at ᾱ_0 instead of 1 is far outside the tolerance."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False)
    wrong = by_diffusers(scheduler, wavy, starts(), 50)
    found = ddim(wavy, starts(), linear().spaced(50)).numpy()
    assert np.abs(found - wrong).max() > 10 * DIFFUSERS


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_ddpm_is_that_of_diffusers(variance, clip):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(variance_type=variance, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
    theirs, ours = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    expected = by_diffusers(scheduler, wavy, starts(), 50, generator=theirs)
    found = ddpm(
        wavy,
        starts(),
        linear().spaced(50),
        variance=variance,
        clip=clip,
        noise=lambda call: torch.randn((16, 4), generator=ours, dtype=torch.float64),
    )
    assert np.abs(found.numpy() - expected).max() <= DIFFUSERS * max(1.0, np.abs(expected).max())


# closed forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", STEPS)
def test_ddim_of_a_standard_normal_is_a_product_of_cosines(spacing, steps):
    """With angle φ = arccos √ᾱ, one step multiplies x by cos(φ - φ'): a plain loop in Python floats."""
    schedule = linear().spaced(steps, spacing=spacing)
    factor = 1.0
    angles = [math.acos(math.sqrt(schedule.alpha_bar[t])) for t in schedule.timesteps] + [0.0]
    for here, after in pairwise(angles):
        factor *= math.cos(here - after)
    x = np.array([-2.0, 0.0, 0.3, 1.0])
    found = ddim(standard_normal(schedule), x, schedule)
    # per step about 5 roundings of terms of size |x| <= 2, divided by √ᾱ >= √4e-5
    np.testing.assert_allclose(found, factor * x, rtol=0, atol=10 * steps * EPS / math.sqrt(4e-5))


def test_ddim_transports_a_gaussian():
    """1000 steps follow the probability-flow ODE, which maps N(0, 1) at T to N(m, s²) affinely: error O(1/steps)."""
    m, s = 0.7, 0.3
    schedule = linear()
    signal = np.sqrt(schedule.alpha_bar)
    total = schedule.alpha_bar * s**2 + 1 - schedule.alpha_bar

    def denoiser(x, t):
        return math.sqrt(1 - schedule.alpha_bar[t]) / total[t] * (x - signal[t] * m)

    x = np.array([-1.5, 0.0, 2.0])
    exact = m + s / math.sqrt(total[-1]) * (x - signal[-1] * m)
    errors = [np.abs(ddim(denoiser, x, schedule.spaced(n)) - exact).max() for n in (250, 500, 1000)]
    assert errors[2] < 0.01
    assert 1.6 < errors[0] / errors[1] < 2.4  # first order
    assert 1.6 < errors[1] / errors[2] < 2.4


@pytest.mark.parametrize("steps", [2, 50, 1000])
def test_ddpm_with_large_variance_keeps_a_standard_normal(steps):
    """For data ~ N(0, 1) fixed_large is exact (Ho et al. 2020, section 3.2): the variance stays 1 at every call."""
    schedule = linear().spaced(steps)
    x, noise = units(steps)
    seen = []
    ddpm(
        standard_normal(schedule),
        x,
        schedule,
        variance="fixed_large",
        noise=noise,
        callback=lambda call, t, x, x0: seen.append(float((x**2).sum())),
    )
    # each step: about 10 roundings, of which those of β = 1 - ᾱ/ᾱ' are divided by 1-ᾱ >= 1e-4
    assert max(abs(v - 1) for v in seen[:-1]) <= 10 * steps * EPS / 1e-4
    assert seen[-1] == pytest.approx(schedule.alpha_bar[0], rel=1e-9)  # no noise after the last step


@pytest.mark.parametrize(("sampler", "more"), [(ddpm, {"variance": "fixed_small"}), (ddim, {"eta": 1.0})])
def test_small_variance_is_exact_for_a_point(sampler, more):
    """All data at 0: eps_hat = x/√(1-ᾱ), and the variance must be 1-ᾱ at every level; x ends at 0."""
    schedule = linear().spaced(50)
    x, noise = units(50)
    x = x * math.sqrt(1 - schedule.alpha_bar[schedule.timesteps[0]])
    seen = []
    end = sampler(
        lambda x, t: x / math.sqrt(1 - schedule.alpha_bar[t]),
        x,
        schedule,
        noise=noise,
        callback=lambda call, t, x, x0: seen.append(float((x**2).sum())),
        **more,
    )
    expected = [1 - after for _, _, after in schedule.levels()]
    np.testing.assert_allclose(seen[:-1], expected[:-1], rtol=10 * 50 * EPS / 1e-4)
    assert np.abs(end).max() <= 100 * EPS


def test_ddim_with_eta_one_is_ddpm_with_small_variance():
    schedule = linear().spaced(40, spacing="quad")
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((5, 7)), rng.standard_normal((40, 5, 7))
    a = ddim(wavy, x, schedule, eta=1.0, clip=1.5, noise=lambda call: z[call])
    b = ddpm(wavy, x, schedule, variance="fixed_small", clip=1.5, noise=lambda call: z[call])
    # the two formulas agree exactly; roundings are divided by 1-ᾱ >= 1e-4
    np.testing.assert_allclose(a, b, atol=40 * 10 * EPS / 1e-4)


def test_a_repeated_timestep_moves_nothing():
    schedule = linear().spaced(100, spacing="quad")
    seen = []
    ddim(wavy, starts().numpy(), schedule, callback=lambda call, t, x, x0: seen.append((t, x)))
    zeros = [x for t, x in seen if t == 0]
    assert len(zeros) == 4
    assert np.abs(zeros[0] - zeros[2]).max() <= 2 * 10 * EPS * np.abs(zeros[0]).max()  # two steps of about 10 roundings
    assert np.abs(zeros[2] - zeros[3]).max() > 1e-4  # the last one goes to ᾱ = 1


def test_one_step_returns_the_predicted_clean_image():
    schedule = linear().spaced(1, spacing="trailing")
    x = starts().numpy()
    a = float(schedule.alpha_bar[999])
    expected = ((x - math.sqrt(1 - a) * wavy(x, 999)) / math.sqrt(a)).clip(-1, 1)
    for sampler in SAMPLERS.values():
        # about 4 roundings, of x/√ᾱ where a formula has x and ε̂ apart
        np.testing.assert_allclose(sampler(wavy, x, schedule, clip=1.0), expected, rtol=0, atol=4 * EPS * 5 / a**0.5)
        assert sampler.calls(schedule) == 1


# one definition for all backends -------------------------------------------------------------------------------


def plain(x, t):
    """Multiplications only: libraries may round sin differently."""
    return x * (0.3 + t / 2000)


ARMS = {
    "ddim": (ddim, {}),
    "ddim eta": (ddim, {"eta": 0.5}),
    "ddim clip": (ddim, {"clip": 0.5}),
    "ddpm small": (ddpm, {"variance": "fixed_small"}),
    "ddpm large": (ddpm, {"variance": "fixed_large", "clip": 0.5}),
    **{name: (s.function, {}) for name, s in SAMPLERS.items() if name not in ("ddim", "ddpm")},
    "heun clip": (SAMPLERS["heun"].function, {"clip": 0.5}),
    "plms clip": (plms, {"clip": 0.5}),
}


def test_every_sampler_is_among_the_arms():
    assert {sampler for sampler, _ in ARMS.values()} == {sampler.function for sampler in SAMPLERS.values()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arm", ARMS)
def test_numpy_torch_and_strict_agree_bit_for_bit(arm, dtype):
    sampler, more = ARMS[arm]
    schedule = linear().spaced(20, spacing="quad")
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((3, 4)).astype(dtype), rng.standard_normal((20, 3, 4)).astype(dtype)
    expected = sampler(plain, x, schedule, noise=lambda call: z[call], **more)
    assert expected.dtype == dtype
    by_torch = sampler(plain, torch.from_numpy(x), schedule, noise=lambda call: torch.from_numpy(z[call]), **more)
    assert np.array_equal(by_torch.numpy(), expected)
    strict = [array_api_strict.asarray(a) for a in z]
    by_strict = sampler(plain, array_api_strict.asarray(x), schedule, noise=lambda call: strict[call], **more)
    assert by_strict.dtype == getattr(array_api_strict, dtype)
    assert np.array_equal(np.asarray(by_strict), expected)


@pytest.mark.parametrize("arm", ARMS)
def test_arguments_are_left_alone_and_calls_are_counted(arm):
    sampler, more = ARMS[arm]
    schedule = linear().spaced(10, spacing="quad")
    x = np.ones((2, 2))
    x.flags.writeable = False
    noise = np.ones((2, 2))
    noise.flags.writeable = False
    asked, steps, calls = [], [], []

    def denoiser(x, t):
        assert type(t) is int
        calls.append(t)
        return plain(x, t)

    def draw(call):
        asked.append(call)
        return noise

    def callback(call, t, x, x0):
        steps.append((call, t))
        assert x.shape == x0.shape == (2, 2)

    sampler(denoiser, x, schedule, noise=draw, callback=callback, **more)
    assert steps == list(enumerate(calls))
    assert len(calls) == SAMPLERS[sampler.__name__].calls(schedule)
    assert calls == sorted(calls, reverse=True)  # what a quantized denoiser takes for one run
    if sampler is not pndm:  # which calls the model halfway as well
        assert set(calls) == set(schedule.timesteps.tolist())
    if len(calls) == len(schedule):
        assert calls == schedule.timesteps.tolist()
    if sampler is ddpm or more.get("eta"):  # nothing is drawn after the last call, nor where t repeats
        assert asked == [i for i in range(9) if calls[i] != calls[i + 1]]
    else:
        assert asked == []


@pytest.mark.parametrize(
    ("sampler", "more", "match"),
    [
        (ddim, {"eta": -0.1}, "eta"),
        (ddim, {"eta": 1.1}, "eta"),
        (ddim, {"eta": math.nan}, "eta"),
        (ddim, {"clip": 0.0}, "clip"),
        (ddpm, {"clip": -1.0}, "clip"),
        (ddpm, {"variance": "learned"}, "fixed_small, fixed_large"),
        (ddpm, {}, "pass noise="),
        (ddim, {"eta": 0.5}, "pass noise="),
        (ddpm, {"noise": lambda call: np.zeros(3)}, "shape"),
    ],
)
def test_samplers_refuse(sampler, more, match):
    with pytest.raises(ValueError, match=match):
        sampler(plain, np.ones(2), linear().spaced(5), **more)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_every_sampler_refuses(sampler: Sampler):
    schedule = linear().spaced(5)
    with pytest.raises(ValueError, match="denoiser returned shape"):
        sampler(lambda x, t: x[:1], np.ones(2), schedule)
    with pytest.raises(ValueError, match="clip must be finite and > 0"):
        sampler(plain, np.ones(2), schedule, clip=-1.0)
    with pytest.raises(ValueError, match=rf"{sampler.function.__name__} has no option gamma; known: .*clip"):
        sampler(plain, np.ones(2), schedule, gamma=1.0)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize(
    "schedule",
    [
        linear().spaced(100, spacing="quad"),  # repeats t = 0
        Schedule(np.array([1.0, 0.9, 0.5, 0.5, 0.5, 0.2]), [5, 4, 3, 2, 1, 0]),  # equal levels; ends without noise
        Schedule(np.array([1.0, 1.0, 0.5]), [2, 1, 1, 0, 0]),
        Schedule(np.array([1.0]), [0, 0]),  # nothing to do
        Schedule(np.array([0.3]), [0] * 9),  # nothing to do before the end
    ],
    ids=["quad", "levels", "clean", "none", "still"],
)
def test_levels_that_coincide_divide_by_nothing(sampler, schedule):
    """All data at 0, x = √(1-ᾱ)·z: every deterministic sampler is exact, however the timesteps lie; x ends at 0."""
    z = np.random.default_rng(0).standard_normal((3, 2))
    x = math.sqrt(1 - schedule.alpha_bar[schedule.timesteps[0]]) * z
    made = []

    def point(x, t):
        left = 1 - schedule.alpha_bar[t]
        return x / math.sqrt(left) if left else z

    end = sampler(point, x, schedule, noise=lambda call: z, callback=lambda call, t, x, x0: made.append(x))
    assert len(made) == sampler.calls(schedule)
    assert all(np.isfinite(each).all() for each in made)
    # the last step is about 10 roundings of x/√ᾱ; all others leave x = √(1-ᾱ)·z to the noise's rounding
    assert np.abs(end).max() <= 50 * EPS * np.abs(z).max() / math.sqrt(schedule.alpha_bar[schedule.timesteps[0]])


# what is predicted ---------------------------------------------------------------------------------------------


def told(denoiser, schedule, prediction):
    """The same knowledge as ε̂, as v̂ or as x̂₀, in NumPy."""

    def predict(x, t):
        a = schedule.alpha_bar[t]
        eps = denoiser(x, t)
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return {"epsilon": eps, "v_prediction": math.sqrt(a) * eps - math.sqrt(1 - a) * x0, "sample": x0}[prediction]

    return predict


@pytest.mark.parametrize("clip", [None, 0.8])
@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_predicted_does_not_change_what_is_sampled(name, prediction, clip):
    schedule = linear().spaced(20, spacing="trailing")
    other = dataclasses.replace(schedule, prediction=prediction)
    x, z = starts().numpy(), np.random.default_rng(1).standard_normal((20, 16, 4))
    more = {"clip": clip, "noise": lambda call: z[call]}
    expected = SAMPLERS[name](wavy, x, schedule, **more)
    found = SAMPLERS[name](told(wavy, schedule, prediction), x, other, **more)
    # roundings of x are divided by √ᾱ = √4e-5 at the first timestep
    np.testing.assert_allclose(found, expected, rtol=0, atol=100 * 20 * EPS / math.sqrt(4e-5))


def zero_snr(prediction, steps=9):
    root = np.sqrt(linear().alpha_bar)
    alpha_bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return Schedule(alpha_bar, np.arange(1000)[::-1], prediction=prediction).spaced(steps, spacing="trailing")


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_begin_at_pure_noise(name, prediction, steps):
    """Data ~ N(0.7, 0): x̂₀ is 0.7 at every level, and every sampler ends there; calls are as declared."""
    schedule, calls = zero_snr(prediction, steps), []
    assert schedule.from_pure_noise == 1
    x = starts().numpy()

    def known(x, t):
        a = schedule.alpha_bar[t]
        if prediction == "sample":
            return 0.7 + 0 * x
        return (math.sqrt(a) * x - 0.7) / math.sqrt(1 - a)

    end = SAMPLERS[name](
        known, x, schedule, noise=lambda call: 0 * x, callback=lambda call, t, x, x0: calls.append((call, t))
    )
    np.testing.assert_allclose(end, 0.7, rtol=0, atol=1e-9)
    assert [call for call, _ in calls] == list(range(SAMPLERS[name].calls(schedule)))
    assert calls[0] == (0, 999)


@pytest.mark.parametrize("name", SAMPLERS)
def test_pure_noise_is_the_limit_of_little_signal(name):
    """With ᾱ_T = 1e-20 in place of 0 DDIM and DDPM give the same; the others begin a step later."""
    schedule = zero_snr("v_prediction")
    near = dataclasses.replace(schedule, alpha_bar=np.maximum(schedule.alpha_bar, 1e-20))
    x = starts().numpy()
    a, b = (SAMPLERS[name](wavy, x, s, noise=lambda call: 0 * x) for s in (schedule, near))
    assert np.isfinite(a).all()
    if name in ("ddim", "ddpm"):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_repeated_level_of_pure_noise_moves_nothing(name):
    schedule = dataclasses.replace(zero_snr("v_prediction"), timesteps=[999, 999, 500, 100])
    x, z = starts().numpy(), 0 * starts().numpy()
    once = dataclasses.replace(schedule, timesteps=[999, 500, 100])
    a, b = (SAMPLERS[name](wavy, x, s, noise=lambda call: z) for s in (schedule, once))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_clean_start_of_a_predicted_image_divides_by_nothing():
    schedule = Schedule(np.array([1.0, 0.5]), [1, 0], prediction="sample")
    for sampler in SAMPLERS.values():
        assert np.isfinite(sampler(wavy, np.ones(2), schedule, noise=lambda call: np.zeros(2))).all()


def test_levels_end_where_the_schedule_says():
    schedule = dataclasses.replace(linear(), final=linear().alpha_bar[0])
    assert schedule.spaced(4).levels()[-1][2] == linear().alpha_bar[0]
    assert linear().spaced(4).levels()[-1][2] == 1.0


def test_an_offset_moves_the_uniform_spacings_alone():
    schedule = dataclasses.replace(linear(), offset=1, spacing="trailing")
    assert schedule.spaced(4).timesteps.tolist() == [999, 749, 499, 249]
    assert schedule.spaced(4, spacing="uniform").timesteps.tolist() == [751, 501, 251, 1]


def test_a_strided_schedule_steps_to_t_minus_T_over_n():
    schedule = dataclasses.replace(linear(), strided=True, final=linear().alpha_bar[0]).spaced(3, spacing="linspace")
    bars = schedule.alpha_bar
    assert schedule.stride == 333
    assert [t for t, _, _ in schedule.levels()] == [999, 500, 0]
    assert [after for _, _, after in schedule.levels()] == [bars[666], bars[167], bars[0]]
    assert [after for _, _, after in schedule.levels(strided=False)] == [bars[500], bars[0], bars[0]]
    again = dataclasses.replace(schedule, final=1.0, timesteps=[999, 400, 333])
    assert [after for _, _, after in again.levels()] == [bars[666], bars[67], bars[0]]  # t = 0 is a level, below is not
    assert schedule.levels() != linear().spaced(3, spacing="linspace").levels(strided=False)
    assert linear().spaced(4).levels(strided=True) == linear().spaced(4).levels()


@pytest.mark.parametrize(("kind", "seen"), [(np.asarray, {0, 1}), (torch.from_numpy, {0})], ids=["numpy", "torch"])
@pytest.mark.parametrize("call", [0, 1])
def test_values_of_other_arrays_than_numpys_are_looked_at_in_the_first_call_alone(kind, seen, call):
    calls = iter(range(2))
    predict = predictor(lambda x, t: x * (np.nan if next(calls) == call else 0.5), linear().spaced(5), None)
    x = kind(np.ones((2, 3)))
    for present in range(2):
        if present == call and call in seen:
            with pytest.raises(ValueError, match=r"the denoiser's output at t = 3"):
                predict(x, 3, 0.5)
            break
        _, eps = predict(x, 3, 0.5)
        assert np.isnan(np.asarray(eps)).all() == (present == call)
