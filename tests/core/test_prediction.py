"""The energy theory: exact where it can be exact, against plain loops, against random errors in a linear network."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import PAPER

import modiff_sim as ms
from modiff_sim import mixtures
from modiff_sim.diffusion.denoisers import MixtureDenoiser, modulated_denoiser
from modiff_sim.diffusion.noise import FixedNoise
from modiff_sim.diffusion.samplers import ddim, ddpm
from modiff_sim.diffusion.schedules import linear
from modiff_sim.transfer import (
    Driven,
    Transfer,
    call_transfer,
    drive,
    full_precision,
    linear_steps,
    measure_transfer,
    random_sign_gain,
    same_for_all,
)
from modiff_sim.transfer.mixture import MixtureNetwork
from modiff_sim.transfer.prediction import Noise, amplification, cliff, layer_noise, predict, quantization_noise


class Turning:
    """Linear layers in a chain, each a rotation of all coordinate pairs by one angle times one factor.

    As complex numbers a layer is z -> g·e^(iθ)·z: it multiplies *every* energy by g², so that energies are exact for
    any noise, and the whole run is arithmetic of complex numbers.
    """

    def __init__(self, factors, angles):
        self.multiplier = [g * np.exp(1j * angle) for g, angle in zip(factors, angles, strict=True)]
        self.layers = tuple(f"layer {i}" for i in range(len(factors)))

    def linear(self, layer, a):
        return (np.ascontiguousarray(a).view(complex) * self.multiplier[layer]).view(float)

    def __call__(self, x, call, edit):
        for layer in range(len(self.layers)):
            x = self.linear(layer, edit(layer, x))
        return x


STEPS = (np.array([0.9, 0.8, 1.0, 0.7, 0.9]), np.array([0.2, -0.3, 0.25, 0.1, -0.2]))


def start(n=3, d=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


# -- transfer ---------------------------------------------------------------------------------------------------------


def test_transfer_of_one_call_is_exact_for_rotations():
    net = Turning((2.0, 0.5, 3.0), (0.3, 1.0, -0.4))
    x = start()
    found = call_transfer(net, x, rng=np.random.default_rng(1))
    g2 = np.array([4.0, 0.25, 9.0])
    # energy at the output of layer l reaches the input of layer l+1 as it is, and is multiplied from there on
    expected = np.zeros((3, 3))
    expected[0, 1], expected[0, 2], expected[1, 2] = 1.0, g2[1], 1.0
    assert np.allclose(found.upstream, expected[..., None], rtol=1e-9, atol=0)
    assert np.allclose(found.output, np.array([g2[1] * g2[2], g2[2], 1.0])[:, None], rtol=1e-9)
    assert np.allclose(found.entered, np.array([1.0, g2[0], g2[0] * g2[1]])[:, None], rtol=1e-9)
    assert np.allclose(found.through, g2.prod(), rtol=1e-9)
    assert np.allclose(found.a, (x**2).sum(axis=1) * np.array([1.0, g2[0], g2[0] * g2[1]])[:, None])


@pytest.mark.parametrize("source_every", [1, 2, 3])
def test_transfer_along_a_run_is_exact_for_rotations(source_every):
    """A rotation has the same gain for what entered early and late, so calls between sources are exact as well."""
    net, x = Turning((0.8,), (0.7,)), start()
    carry, add = STEPS
    found = measure_transfer(net, x, STEPS, source_every=source_every, probe_every=2, lasting_every=1)
    step = carry + add * net.multiplier[0]  # of x, as a complex number
    T = len(carry)
    impulse, moved = np.zeros((T, T + 1)), np.zeros((T, T))
    for s in range(T):
        p = add[s]
        for t in range(s + 1, T + 1):
            impulse[s, t] = abs(p) ** 2
            if t < T:
                moved[s, t] = abs(p - (0 if t == s + 1 else last)) ** 2  # noqa: F821
                last, p = p, p * step[t]  # noqa: F841
    assert np.allclose(found.impulse, impulse[..., None], rtol=1e-9, atol=1e-15)
    if source_every == 1:
        assert np.allclose(found.moved[:, 0], moved[..., None], rtol=1e-9, atol=1e-15)
    assert np.allclose(found.output, 1.0)
    sizes = np.concatenate([[1.0], np.cumprod(np.abs(step) ** 2)])
    assert np.allclose(found.x, (x**2).sum(axis=1) * sizes[:, None])
    z = x.view(complex)
    states = [z]
    held = [z]
    for t in range(T):
        states.append(states[-1] * step[t])
        held.append(carry[t] * held[-1] + add[t] * net.multiplier[0] * z)
    errors = [(abs(h - s) ** 2).sum(axis=1) for h, s in zip(held, states, strict=True)]
    assert np.allclose(found.held, errors, atol=1e-12)
    d = [np.zeros(len(x)), *((abs(b - a) ** 2).sum(axis=1) for a, b in pairwise(states[:-1]))]
    assert np.allclose(found.d[:, 0], d)


def test_between_probed_calls_gains_are_interpolated_geometrically():
    class Growing(Turning):
        """The second layer's gain grows by a factor of 2 per call."""

        def __call__(self, x, call, edit):
            return 2.0**call * self.linear(1, edit(1, self.linear(0, edit(0, x))))

    steps = (np.full(7, 0.5), np.full(7, 1e-3))
    found = measure_transfer(Growing((1.0, 1.0), (0.1, 0.2)), start(), steps, probe_every=3)
    assert np.allclose(found.output, 4.0 ** np.arange(7)[:, None, None], rtol=1e-9)
    assert np.allclose(found.upstream[:, 0, 1], 1.0)
    assert not found.upstream[:, 1, 0].any()


def test_alignment_is_1_for_parallel_and_0_for_orthogonal_responses():
    """No turn at all: responses are parallel. A quarter turn per call, in a sampler that adds up: they cancel in pairs,
    the responses of neighbouring calls are orthogonal, and what is left of two is the sum of their energies."""
    x = start()
    parallel = measure_transfer(Turning((1.0,), (0.0,)), x, (np.ones(6), np.full(6, 0.1)), lasting_every=1)
    assert parallel.alignment == pytest.approx(1.0, abs=1e-6)
    turn = Turning((1.0,), (math.pi / 2,))
    two = measure_transfer(turn, x, (np.zeros(3), np.ones(3)), lasting_every=1)  # x forgets all but the last call
    assert two.alignment == 0.0


class Answering:
    """x is not read. What is put into the one layer comes out turned, by an angle for each call and sample.

    In a sampler that adds up, ``add[t]`` times that is all that a noise of call t does to x, then and later.
    """

    layers = ("only",)

    def __init__(self, angles):
        self.angles = np.asarray(angles)

    def linear(self, layer, a):
        return a

    def __call__(self, x, call, edit):
        a = edit(0, np.full_like(x, call + 1.0))
        turn = np.exp(1j * np.resize(self.angles[call], len(x)))[:, None]
        return (np.ascontiguousarray(a).view(complex) * turn).view(float)


def alignment_of(angles, add, *, every=1):
    """The alignment of responses of the sizes |add|, at angles (calls, samples)."""
    steps = (np.ones(len(add)), np.array(add, float))
    return measure_transfer(Answering(angles), start(len(angles[0])), steps, lasting_every=every).alignment


HALF, ACROSS, BACK, ALMOST = math.pi / 3, math.pi / 2, math.pi, math.acos(0.8)  # cosines 1/2, 0, -1 and 0.8


@pytest.mark.parametrize(
    ("angle", "sign", "expected"),
    [(0.0, 1, 1.0), (HALF, 1, 0.5), (ALMOST, 1, 0.8), (ACROSS, 1, 0.0), (BACK, -1, 1.0), (BACK, 1, 0.0)],
)
def test_alignment_of_two_responses_is_their_cosine_whatever_their_sizes(angle, sign, expected):
    """Opposite ones have 0. What a call subtracts points the other way."""
    for add in ((1.0, 1.0), (0.3, 2.0)):
        found = alignment_of([[0.0], [angle]], [add[0], sign * add[1]])
        assert found == pytest.approx(expected, abs=1e-6)


def test_alignment_of_three_responses_by_hand():
    """Sizes 1, 2, 2 at 0°, 60°, 60°, of a noise of call 1. Two have the dot product 2·cos 60° = 1 of at most 2: 1/2.
    Three have 1 + 1 + 4 = 6 of at most 2 + 2 + 4 = 8: 3/4. The median of the two times is 5/8.

    At 0°, 60°, 180° three have 1 - 2 + 4·cos 120° = -3 of 8, and the median is (1/2 - 3/8)/2 = 1/16.
    """
    for angles, expected in (((0, 0, HALF, HALF), 5 / 8), ((0, 0, HALF, BACK), 1 / 16)):
        found = alignment_of(np.array(angles)[:, None], [1, 1, 2, 2], every=4)
        assert found == pytest.approx(expected, abs=1e-6)


def test_alignment_is_the_median_over_samples_and_calls_that_add_nothing_do_not_count():
    assert alignment_of([[0, 0, 0], [0, ALMOST, ACROSS]], [1, 1]) == pytest.approx(0.8, abs=1e-6)
    # an opposite one has its sign in the median, which is that of 1 and -1, and then of 1 and 1/2
    assert alignment_of([[0, 0], [0, BACK]], [1, 1]) == pytest.approx(0.0, abs=1e-6)
    assert alignment_of([[0, 0], [0, HALF]], [1, 1]) == pytest.approx(0.75, abs=1e-6)
    # the call between adds nothing, so that the first and the last are the only two that can be compared
    assert alignment_of([[0], [ACROSS], [HALF]], [1, 0, 1]) == pytest.approx(0.5, abs=1e-6)
    assert alignment_of([[0], [HALF]], [1, 0]) == 0.0  # nothing to be aligned


def test_linear_steps_are_the_samplers_own():
    schedule = linear().spaced(7, spacing="quad")
    carry, add = linear_steps(ddim, schedule)
    for (_, here, after), c, a in zip(schedule.levels(), carry, add, strict=True):
        assert c == pytest.approx(math.sqrt(after / here), rel=1e-12)
        assert a == pytest.approx(math.sqrt(1 - after) - math.sqrt(after * (1 - here) / here), rel=1e-9, abs=1e-12)
    x, noise = start(2, 3), np.random.default_rng(0).standard_normal((2, 7, 2, 3))
    carry, add = linear_steps(ddpm, schedule)
    runs = [
        ddpm(lambda x, t: np.tanh(x), x + shift, schedule, noise=lambda call: noise[0, call]) for shift in (0, 1e-6)
    ]
    off, seen = 1e-6 * np.ones_like(x), x
    for t, (c, a) in enumerate(zip(carry, add, strict=True)):
        off = c * off + a * (1 - np.tanh(seen) ** 2) * off
        seen = c * seen + a * np.tanh(seen) + (_sigma(schedule, t) * noise[0, t])
    assert np.allclose(runs[1] - runs[0], off, rtol=1e-4)  # second order in 1e-6
    with pytest.raises(ValueError, match="sampler that clips is not linear"):
        linear_steps(ddim, schedule, clip=1.0)


def _sigma(schedule, call):
    """Of DDPM's noise with "fixed_small", from Ho et al. 2020, section 3.2."""
    _, here, after = schedule.levels()[call]
    return math.sqrt((1 - here / after) * (1 - after) / (1 - here)) if call < len(schedule) - 1 else 0.0


def test_repeated_timesteps_move_nothing_and_are_no_sources():
    schedule = linear().spaced(100, spacing="quad")  # visits t = 0 four times
    carry, add = linear_steps(ddim, schedule)
    assert np.allclose(add[-4:-1], 0.0, atol=1e-12)
    found = measure_transfer(Turning((0.5,), (0.2,)), start(), (carry[-6:], np.where(abs(add) < 1e-12, 0, add)[-6:]))
    assert np.all(found.impulse[2:5] == 0)
    assert np.isfinite(found.impulse).all()


def test_random_signs_find_the_loop_gain_of_a_chain():
    """layer 1's input moves by ±s·(row of the matrix): the largest is s times the largest absolute row sum."""

    class Signed(Turning):
        def linear(self, layer, a):
            return a @ np.array([[1.0, 0.0], [2.0, 0.5]]).T

    net = Signed((1, 1), (0, 0))
    found = random_sign_gain(net, start(2, 2), size=1e-3, probes=64, rng=np.random.default_rng(0))
    assert found.shape == (64, 2)
    assert found.max() == pytest.approx(2.5, rel=1e-9)  # the first layer's input is not moved by anything
    with pytest.raises(ValueError, match="size must be finite and > 0"):
        random_sign_gain(net, start(2, 2), size=0.0, rng=np.random.default_rng(0))


# -- noise of a quantizer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recursion", PAPER)
def test_layer_noise_against_plain_loops(recursion):
    rng = np.random.default_rng(3)
    inputs = np.cumsum(rng.standard_normal((6, 2, 5)), axis=0)
    A = rng.standard_normal((4, 5))
    Q = ms.AbsMax(3)
    c, g, phi = layer_noise(inputs, Q, recursion, lambda rows: rows @ A.T)
    for i in range(2):
        reference, total, before = inputs[0, i], np.zeros(5), None
        for t in range(6):
            if t == 0 and recursion != "direct":
                assert c[0, i] == g[0, i] == phi[0, i] == 0
                continue
            a = inputs[t, i]
            r = a if recursion == "direct" else a - reference
            e = Q(r[None])[0] - r
            reference = a if recursion == "open_loop" else reference + r + e
            last, total = total, total + e if recursion == "open_loop" else e
            behind, behind_last = A @ total, A @ last
            gained = behind @ behind - (behind_last @ behind_last if recursion == "open_loop" else 0.0)
            assert c[t, i] == pytest.approx(e @ e / (r @ r))
            assert g[t, i] == pytest.approx(gained / (e @ e))
            cosine = 0.0 if before is None else behind @ before / np.linalg.norm(behind) / np.linalg.norm(before)
            assert phi[t, i] == pytest.approx(max(cosine, 0.0), abs=1e-12)
            before = behind


def test_noise_of_full_precision_is_zero_and_of_no_bits_is_all():
    inputs = start(4, 6).reshape(4, 1, 6)
    assert not any(part.any() for part in layer_noise(inputs, ms.Identity(), "closed_loop"))
    c, g, _ = layer_noise(inputs, ms.Zero(), "closed_loop")
    assert np.allclose(c[1:], 1)
    assert np.allclose(g[1:], 1)


# -- the theory -------------------------------------------------------------------------------------------------------


def random_case(recursion, seed=0, T=5, L=3, n=2, scale=0.2):
    rng = np.random.default_rng(seed)
    upper = np.triu(np.ones((L, L)), 1)[None, :, :, None]
    later = np.triu(np.ones((T, T + 1)), 1)[..., None]
    transfer = Transfer(
        layers=tuple("abc")[:L],
        a=rng.random((T, L, n)) + 1,
        d=rng.random((T, L, n)),
        x=rng.random((T + 1, n)) + 1,
        held=np.full((T + 1, n), 1e9),
        upstream=scale * rng.random((T, L, L, n)) * upper,
        output=rng.random((T, L, n)),
        impulse=rng.random((T, T + 1, n)) * later,
        alignment=0.6,
        moved=scale * rng.random((T, L, T, n)) * later[:, None, :-1],
    )
    noise = Noise(recursion, *(rng.random((T, L, n)) for _ in range(3)))
    return transfer, noise


@pytest.mark.parametrize("recursion", PAPER)
@pytest.mark.parametrize("with_known", [False, True])
def test_prediction_against_plain_loops(recursion, with_known):
    tr, noise = random_case(recursion)
    T, L, n = tr.a.shape
    rng = np.random.default_rng(9)
    known = Driven(tr.layers, rng.random((T + 1, n)), rng.random((T, L, n))) if with_known else None
    found = predict(tr, noise, known=known)
    for i in range(n):
        N, e, E, phis, P, P0 = [], [], [], [], [0.0], [0.0]
        for t in range(T):
            now_N, now_e = [], []
            for m in range(L):
                R = tr.a[t, m, i] if recursion == "direct" else tr.d[t, m, i]
                if recursion != "direct":
                    boost = P[t] / P0[t] if P0[t] else 0.0
                    R += boost * sum(tr.moved[s, m, t, i] * E[s] for s in range(t))
                    R += known.moved[t, m, i] if with_known else 0.0
                    R += N[t - 1][m] if recursion == "closed_loop" and t else 0.0
                    for l in range(m):
                        old = e[t - 1][l] if t else 0.0
                        both = 2 * noise.correlation[t, l, i] * math.sqrt(now_e[l] * old)
                        R += tr.upstream[t, l, m, i] * (now_e[l] + old - both)
                now_N.append(noise.contraction[t, m, i] * R)
                now_e.append(noise.gain[t, m, i] * now_N[m] + (e[t - 1][m] if recursion == "open_loop" and t else 0.0))
            N.append(now_N)
            e.append(now_e)
            shares = [tr.output[t, m, i] * now_e[m] for m in range(L)]
            E.append(sum(shares))
            phis.append(sum(s * noise.correlation[t, m, i] for m, s in enumerate(shares)) / E[t])
            p = [math.sqrt(tr.impulse[u, t + 1, i] * E[u]) for u in range(t + 1)]
            pairs = sum(math.prod(phis[u + 1 : v + 1]) * p[u] * p[v] for v in range(t + 1) for u in range(v))
            P0.append(sum(q * q for q in p))
            P.append(P0[-1] + 2 * tr.alignment * pairs)
        assert np.allclose(found.layers[:, :, i], N)
        assert np.allclose(found.output[:, i], E)
        shown = np.array(P) + (known.x[:, i] if with_known else 0.0)
        assert np.allclose(found.x[:, i], shown)
    assert np.allclose(found.relative, np.sqrt(found.x / tr.x)[1:])
    assert found.final == pytest.approx(np.median(found.relative[-1]))


class Isotropic(ms.Identity):
    """Q(r) = r plus an error of energy c·||r||² in a random direction: exactly what the theory takes errors to be."""

    def __init__(self, c, seed):
        super().__init__()
        object.__setattr__(self, "share", c)
        object.__setattr__(self, "rng", np.random.default_rng(seed))

    def dequantize(self, codes, qparams):
        direction = self.rng.standard_normal(codes.shape)
        size = np.linalg.norm(codes, axis=1, keepdims=True) / np.linalg.norm(direction, axis=1, keepdims=True)
        return codes + math.sqrt(self.share) * size * direction


@pytest.mark.parametrize(
    ("recursion", "c"), [("closed_loop", 0.1), ("closed_loop", 0.4), ("open_loop", 0.2), ("direct", 0.03)]
)
def test_random_errors_in_a_linear_network_have_the_predicted_energy(recursion, c):
    """Mean energies over 4000 runs. One turn through network and sampler is a quarter turn, so that what comes back of
    an error through x is orthogonal to what is left of it in the loop, as the theory has it; 4 % is for statistics.
    Direct quantization at a small c: the theory leaves out that errors make the inputs which they disturb larger.
    """
    net, rows = Turning((0.9, 1.1), (0.4, math.pi / 2 - 0.4)), 4000
    x = np.repeat(start(1, 8), rows, axis=0)
    carry, add = np.full(8, 0.97), np.full(8, 0.12)
    measured = measure_transfer(net, x[:4], (carry, add), lasting_every=1)
    T, L, n = measured.a.shape
    first = np.arange(T)[:, None, None] >= (recursion != "direct")
    share, gain = np.full((T, L, n), c) * first, np.broadcast_to(np.array([0.81, 1.21])[:, None], (T, L, n))
    if recursion == "open_loop":  # total errors of successive calls: cos = √(N'/(N'+N))
        age = np.maximum(np.arange(T), 1)
        correlation = np.broadcast_to(np.sqrt((age - 1) / age)[:, None, None], (T, L, n))
    else:
        correlation = np.zeros((T, L, n))
    found = predict(measured, Noise(recursion, share, gain, correlation), limit=False)

    Q = Isotropic(c, 0)
    states = {}
    full, seen, errors, energies = x.copy(), x.copy(), [], np.zeros((T, L))

    def edit(layer, a):
        states[layer], info = ms.recursion.Scheme(recursion).advance(states.get(layer), a, Q)
        energies[call, layer] = ((info.output - a) ** 2).sum(axis=1).mean() if first[call] else 0.0
        return info.output

    for call in range(T):
        full = carry[call] * full + add[call] * net(full, call, lambda layer, a: a)
        seen = carry[call] * seen + add[call] * net(seen, call, edit)
        errors.append(((seen - full) ** 2).sum(axis=1).mean())
    ratio = np.sqrt(found.x.mean(axis=1)[2:] / errors[1:])
    assert np.all(abs(ratio - 1) < 0.04)
    if recursion != "open_loop":  # there N is of one call, and what the layer sees is the sum
        assert np.all(abs(np.sqrt(found.layers.mean(axis=2)[1:] / energies[1:]) - 1) < 0.04)
    if c == 0.4:  # negative control: without feedback the same case is off
        alone = predict(measured, Noise(recursion, share, gain, correlation), feedback=False)
        assert np.sqrt(alone.x.mean(axis=1)[-1] / errors[-1]) < 0.8


@settings(max_examples=25)  # 20 ms each
@given(st.floats(0.05, 0.95), st.floats(0.0, 0.5), st.integers(0, 100))
def test_amplification_decides_whether_energies_stay_bounded(c, coupling, seed):
    """With the same coefficients at every call: over 160 calls energies grow exactly if the factor is above 1."""
    T, L = 160, 3
    rng = np.random.default_rng(seed)
    up = np.broadcast_to(np.triu(coupling * rng.random((L, L)), 1)[None, :, :, None], (T, L, L, 1))
    ones = np.ones((T, L, 1))
    moved = np.zeros((T, L, T, 1))
    moved[np.arange(T - 1), :, np.arange(1, T)] = coupling * rng.random((L, 1))  # one call later, and then no more
    impulse = np.zeros((T, T + 1, 1))
    impulse[np.arange(T), np.arange(1, T + 1)] = 1.0
    tr = Transfer(("a", "b", "c"), ones, ones, np.ones((T + 1, 1)), np.ones((T + 1, 1)), up, ones, impulse, moved, 0.0)
    noise = Noise("closed_loop", c * ones, ones, 0 * ones)
    factor = amplification(tr, noise)[0]
    N = predict(tr, noise, limit=False).layers.sum(axis=(1, 2))
    if factor < 0.93:  # nearer to 1 than this, 160 calls do not show it
        assert N[-1] / N[80] == pytest.approx(1.0, rel=2e-2)
    elif factor > 1.07:
        assert N[-2] > 3 * N[80]


def test_a_loop_loses_no_more_than_standing_still():
    tr, noise = random_case("closed_loop", scale=5.0)
    low = replace(tr, held=np.full_like(tr.held, 0.01))
    assert np.all(predict(low, noise).x[1:] <= 0.01)
    assert np.all(predict(low, noise, limit=False).x[2:] > 0.01)
    known = Driven(tr.layers, np.full_like(tr.x, 7.0), np.zeros_like(tr.a))
    assert np.all(predict(low, noise, known=known).x[2:] == 0.01)  # what stands still passes nothing on
    quiet = Noise("closed_loop", 0 * noise.gain, noise.gain, noise.correlation)
    assert np.all(predict(low, quiet, known=known).x[1:] == 7.0)
    direct = replace(noise, recursion="direct")
    assert np.all(predict(low, direct).x[2:] > 0.01)  # direct quantization has no state to stand still with


def test_no_error_is_predicted_where_nothing_is_quantized():
    tr, noise = random_case("closed_loop")
    assert not predict(tr, replace(noise, contraction=0 * noise.gain)).x.any()


@pytest.mark.parametrize(
    ("errors", "tolerance", "bits"),
    [
        ({2: 0.9, 3: 0.1, 4: 0.01}, 0.15, 3),
        ({2: 0.1, 3: 0.2, 4: 0.01}, 0.15, 4),  # a lucky 2 does not count
        ({2: 0.9, 3: 0.2}, 0.15, None),
        ({3: 0.15}, 0.15, 3),
        ({2: math.nan, 3: 0.1}, 0.15, 3),
        ({2: 0.0, 8: math.inf}, 0.15, None),
    ],
)
def test_cliff(errors, tolerance, bits):
    assert cliff(errors, tolerance) == bits


# -- known errors and the mixture -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixture():
    schedule = linear().spaced(8, spacing="quad")
    network = MixtureNetwork(MixtureDenoiser(mixtures.ring(d=4), schedule))
    return network, FixedNoise(0, 6, 4).start, linear_steps(ddim, schedule), schedule


def trajectory(denoiser, x, schedule):
    seen = [x]
    ddim(denoiser, x, schedule, callback=lambda call, t, x, x0: seen.append(x))
    return np.stack(seen)


def test_driving_all_layers_is_the_quantized_run(mixture):
    network, x, steps, schedule = mixture
    arms = [(ms.AbsMax(4), "closed_loop"), (ms.AbsMax(3), "direct"), (ms.AbsMax(5), "open_loop")]
    full = trajectory(network.denoiser, x, schedule)
    for (Q, recursion), driven in zip(arms, drive(network, x, steps, arms, network.layers), strict=True):
        run = trajectory(modulated_denoiser(network.denoiser, Q, recursion), x, schedule)
        # a run from the same state: k·eps, amplified where a code flips, which none does here
        assert np.allclose(driven.x, ((run - full) ** 2).sum(axis=2), rtol=1e-6, atol=1e-20)
    (idle,) = drive(network, x, steps, arms[:1], [])
    assert not idle.x.any()
    assert idle.of(["mean"]).moved.shape == (8, 1, 6)
    with pytest.raises(ValueError, match="no layer"):
        drive(network, x, steps, arms, ["nonsense"])
    with pytest.raises(ValueError, match="deterministic"):
        drive(network, x, steps, [(ms.Stochastic(4), "direct")], ["mean"])


def test_layers_that_see_the_same_in_all_samples_are_found(mixture):
    network, x, steps, _ = mixture
    assert same_for_all(full_precision(network, x, steps)) == (False, False)
    same = np.repeat(start(3, 4)[:, None], 2, axis=1)
    assert same_for_all([same, same + np.array([0, 1e-3])[None, :, None], same.astype(np.float32)]) == (
        True,
        False,
        True,
    )
    with pytest.raises(ValueError, match="n >= 2"):
        same_for_all([same[:, :1]])


def test_stored_transfer_comes_back(mixture):
    network, x, steps, _ = mixture
    found = measure_transfer(network, x, steps)
    again = Transfer.from_arrays(found.arrays())
    assert again.layers == ("logits", "mean")
    assert again.alignment == found.alignment
    assert all(np.array_equal(getattr(again, name), getattr(found, name)) for name in Transfer.ARRAYS)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"x": np.zeros((0, 2))}, "non-empty floating"),
        ({"x": np.zeros((2, 2), int)}, "non-empty floating"),
        ({"x": np.zeros(4)}, "non-empty floating"),
        ({"steps": (np.ones(3), np.ones(2))}, "two finite arrays"),
        ({"steps": (np.ones(0), np.ones(0))}, "two finite arrays"),
        ({"steps": (np.ones(2), np.array([1, np.nan]))}, "two finite arrays"),
        ({"levels": 1.0}, "levels must be finite and > 1"),
        ({"probe_every": 0}, "is a count and must be an int >= 1"),
    ],
)
def test_bad_input_of_the_measurement(broken, message):
    arguments = {"x": start(2, 4), "steps": STEPS} | broken
    with pytest.raises(ValueError, match=message):
        measure_transfer(Turning((1.0,), (0.0,)), arguments.pop("x"), arguments.pop("steps"), **arguments)


def test_a_network_that_returns_nonsense_is_named():
    class Broken(Turning):
        def __call__(self, x, call, edit):
            return super().__call__(x, call, edit) * (np.nan if call == 2 else 1.0)

    with pytest.raises(ValueError, match="call 2: the output must be finite"):
        measure_transfer(Broken((1.0,), (0.0,)), start(), STEPS)


def test_bad_input_of_the_prediction():
    tr, noise = random_case("closed_loop")
    short = Noise("closed_loop", noise.contraction[:-1], noise.gain[:-1], noise.correlation[:-1])
    for function in (predict, amplification):
        with pytest.raises(ValueError, match="differ in"):
            function(tr, short)
    with pytest.raises(ValueError, match="of the closed loop"):
        amplification(tr, replace(noise, recursion="direct"))
    with pytest.raises(ValueError, match=r"known\.of"):
        predict(tr, noise, known=Driven(("other",), tr.x, tr.a))
    with pytest.raises(ValueError, match="one shape"):
        Noise("direct", noise.gain, noise.gain, noise.gain[0])
    with pytest.raises(ValueError, match="errors are predicted for"):
        replace(noise, recursion="sideways")
    with pytest.raises(ValueError, match="deterministic"):
        quantization_noise([start().reshape(3, 1, 8)], ms.Stochastic(4), "direct", lambda layer, a: a)
    with pytest.raises(ValueError, match="no layer"):
        quantization_noise([], ms.AbsMax(4), "direct", lambda layer, a: a)
    for errors, tolerance in (({}, 0.1), ({4: 0.1}, 0.0), ({4: 0.1}, math.nan)):
        with pytest.raises(ValueError, match=r"cliff needs|tolerance must be"):
            cliff(errors, tolerance)
