"""What the claims on products of two activations share: sequences of operands, errors and norms of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modiff_sim import Quantizer, bilinear

from .._shared import EPS, Errors, Recursion


def _filled(values: np.ndarray) -> np.ndarray:
    """Return operands (n+1, 1, 3, 3) from 0, with all entries equal."""
    return np.append(0.0, values)[:, None, None, None] * np.ones((1, 1, 3, 3))


def turning(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return operands that change their sign at every call."""
    return _filled((-1.0) ** np.arange(n) * rng.lognormal(size=n))


def growing(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return positive operands that grow at every call."""
    return _filled(rng.lognormal(size=n).cumsum())


def run_products(
    recursion: Recursion, a: np.ndarray, b: np.ndarray, Q: Quantizer, rule: Callable[..., Any] = bilinear.run
) -> tuple[Errors, dict[str, np.ndarray]]:
    """Return errors after each difference (max norms), and the norms that the bounds take; a is (n+1, trials, m, K).

    For the slack, a call rounds two operands, two products of K terms and three sums, of up to K·max|a|·max|b|.
    """
    infos = [info for _, info in rule(recursion, zip(a, b, strict=True), Q)][1:]

    def norm(x: np.ndarray) -> np.ndarray:
        return np.abs(x).max(axis=(-2, -1))

    error = np.stack([norm(x @ y - s.output) for x, y, s in zip(a[1:], b[1:], infos, strict=True)])
    sizes = {
        "a": norm(a[1:]), "b": norm(b[1:]), "a_before": norm(a[:-1]), "d_a": norm(np.diff(a, axis=0)),
        "d_b": norm(np.diff(b, axis=0)),
    }  # fmt: skip
    calls, inner = np.arange(1, len(a))[:, None], a.shape[-1]
    size = [np.maximum.accumulate(norm(x), axis=0)[1:] for x in (a, b)]
    slack = 16 * inner * EPS * calls * inner * size[0] * size[1]
    return Errors(error, sizes["d_a"], slack, []), sizes
