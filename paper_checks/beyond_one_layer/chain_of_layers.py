"""Layers in a chain: the error of one enters the input of the next."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds

from .._beyond import Overshoot, alternating, run_chain
from .._broken import Flipped, scaled
from .._shared import EPS, Errors, Shrink, Worst, families

ORDER = 10
CLAIM = Claim(
    id="chain_of_layers",
    statement="In a chain of layers with gains g_l (Lipschitz constant times ||A_l||) the total error of layer l obeys "
    "F_t = (1+q)H_t + q(||d_t||+F_{t-1}), H^{l+1} = g_l F^l; attained at every call in every layer (largest error "
    "over bound).",
    source="this project, on the network that Theorem 4.4 leaves out",
    relation="tight",
)
GAINS = (1.5, 0.5, 2.0)


def relu(x: np.ndarray) -> np.ndarray:
    """Return the positive part."""
    return np.maximum(x, 0)


def check(effort: str = "quick", *, recursion="closed_loop", bound=bounds.chain_closed_loop) -> Evidence:
    """Q(x) = (1+q)x with differences that alternate in sign attains the bound.

    Random linear and ReLU chains must stay below it, with AbsMax in the max norm and Q(x) = (1-q)x in the 2-norm.
    """
    n, draws = (12, 2) if effort == "quick" else (32, 10)
    rng = np.random.default_rng(490)
    layers = len(GAINS) + 1
    ratio, atol, cases, typical = [], [], [], []
    for bits in (2, 3, 4, 8):
        kappa = AbsMax(bits).kappa(2)
        lines = np.concatenate([alternating(rng.lognormal(size=n)) for _ in range(4)], axis=1)
        own = (lines, [np.full((1, 1), g) for g in GAINS], Overshoot(contraction=kappa**2), np.inf, lambda x: x)
        others = []
        for _ in range(draws):
            W = [rng.standard_normal((4, 4)) for _ in GAINS]
            a = np.concatenate([np.zeros((1, n + 28, 4)), families(n, 4, rng)]).cumsum(axis=0)
            for order, Q in ((np.inf, AbsMax(bits)), (2, Shrink(contraction=kappa**2))):
                others += [(a, W, Q, order, f) for f in (relu, lambda x: x)]
        worst = [Worst.none(n) for _ in range(layers)]
        for i, (a, W, Q, order, f) in enumerate([own, *others]):
            _, d, error = run_chain(recursion, a, W, Q, f).norms(order)
            F = bound(d, kappa, [np.linalg.norm(w, order) for w in W])
            size = np.maximum.accumulate(np.abs(a).max(axis=-1))[1:]
            for layer in range(layers):
                # per call and layer products of d terms and a few sums, of numbers that the chain has amplified
                size = size if layer == 0 else size * max(1.0, float(np.abs(W[layer - 1]).sum(axis=1).max()))
                slack = 16 * (layer + 1) * a.shape[-1] * EPS * np.arange(1, n + 1)[:, None] * size
                worst[layer].add(Errors(error[:, layer], d[:, layer], slack, []), F[:, layer], f"chain {i}")
            if i:
                typical.append(np.median(error[-1] / np.where(F[-1] > 0, F[-1], np.inf), axis=-1))
        for layer in range(layers):
            ratio.append(worst[layer].ratio)
            atol.append(worst[layer].atol)
            cases += [f"b = {bits}, layer {layer + 1}, call {j + 1}: {c}" for j, c in enumerate(worst[layer].case)]
    share = ", ".join(f"{v:.2g}" for v in np.median(typical, axis=0))
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=490,
        atol=np.concatenate(atol),
        note=f"random chains reach {share} of the bound in layers 1 to {layers}",
        everywhere=True,
    )


def passed_on(d, q, gains):
    """Return the bound of a chain that adds what enters without quantizing it again: H instead of (1+q)H."""
    F, last = np.zeros_like(d), np.zeros_like(d[0])
    for t in range(len(d)):
        for layer in range(d.shape[1]):
            H = gains[layer - 1] * F[t, layer - 1] if layer else 0.0
            F[t, layer] = H + q * (d[t, layer] + last[layer])
        last = F[t]
    return F


CONTROLS = [
    ({"bound": passed_on}, Verdict.VIOLATED),
    ({"bound": scaled(bounds.chain_closed_loop, 1.01)}, Verdict.VIOLATED),
    ({"bound": bounds.chain_open_loop}, Verdict.VIOLATED),  # true here, and not attained
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
]
