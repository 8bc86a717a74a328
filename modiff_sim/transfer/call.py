"""One call of a network: where noise in one layer's input goes. What a network must offer to be measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..arguments import count, number, reals
from ..diffusion.schedules import Schedule

#: (index of a layer, its input) -> the input that it is to work on
Edit = Callable[[int, np.ndarray], np.ndarray]


class Network(Protocol):
    """What is measured: a network whose linear layers, in the order in which they are called, let their input be seen
    and edited. Axis 0 of x, of every layer's input and of the output is the sample."""

    @property
    def layers(self) -> Sequence[str]: ...

    def __call__(self, x: np.ndarray, call: int, edit: Edit) -> np.ndarray: ...

    def linear(self, layer: int, a: np.ndarray) -> np.ndarray:
        """A(a) of a layer, without its bias."""
        ...


def checked_start(x: Any) -> np.ndarray:
    """Where a run starts, (n, ...); TypeError or ValueError where it is no finite floating array."""
    x = reals("x", x, dtype=None, finite=True)
    if x.ndim < 2 or not x.size or not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x must be a non-empty floating array (samples, ...), got {x.dtype} {x.shape}")
    return x


def checked_output(out: np.ndarray, shape: tuple[int, ...], call: int) -> np.ndarray:
    """What a network returned; ValueError where it is not finite or not of this shape; (n,) is n rows of any shape."""
    found = np.shape(out)
    fits = found[:1] == shape if len(shape) == 1 else found == shape
    if not fits or not np.isfinite(reals(f"call {call}: the output", out, dtype=None)).all():
        wanted = f"have {shape[0]} rows" if len(shape) == 1 else f"be of shape {shape}"
        raise ValueError(f"call {call}: the output must be finite and {wanted}, got shape {found}")
    return out


def energy(z: np.ndarray) -> np.ndarray:
    """Squared 2-norm per sample (axis 0), float64."""
    z = reals("z", z, dtype=None)
    flat = z.reshape(len(z), math.prod(z.shape[1:]))
    return np.einsum("ij,ij->i", flat, flat).astype(np.float64)


def ratio(top: Any, bottom: Any) -> np.ndarray:
    """top/bottom, 0 where the bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def linear_steps(sampler: Callable[..., Any], schedule: Schedule, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """(carry, add), float64 (T,): the sampler's own step x ← carry·x + add·ε̂, taken from the sampler by running it.

    Noise that it adds is left out: two runs that are given the same noise differ by these coefficients alone.
    Raises ValueError for a sampler whose step is not of this form (one that clips).
    """

    def run(start: float, eps: Sequence[float]) -> np.ndarray:
        seen, calls = [start], iter(eps)
        sampler(
            lambda x, t: np.full_like(x, next(calls)), np.full((1, 1), start), schedule,
            noise=lambda call: np.zeros((1, 1)), callback=lambda call, t, x, x0: seen.append(float(x[0, 0])), **options,
        )  # fmt: skip
        return np.array(seen)

    T = len(schedule)
    alone, pushed = run(1.0, [0.0] * T), run(0.0, [1.0] * T)
    with np.errstate(all="ignore"):
        carry = alone[1:] / alone[:-1]
        add = pushed[1:] - carry * pushed[:-1]
    waves = 100 * np.cos(np.arange(T))
    expected = [100.0]
    for t in range(T):
        expected.append(carry[t] * expected[t] + add[t] * waves[t])
    if not np.allclose(run(100.0, waves.tolist()), expected, rtol=1e-9, atol=1e-9):
        raise ValueError(
            f"{getattr(sampler, '__name__', sampler)}: one call is not x ← carry·x + add·ε̂ "
            "(a sampler that clips is not linear): measure without clip"
        )
    return carry, add


@dataclass(frozen=True)
class CallTransfer:
    """Transfer within one call of L layers for n samples: upstream (L, L, n), output (L, n) as in the module's head;
    ``a`` (L, n) energies of the inputs; per unit of energy in x: ``entered`` (L, n) in the inputs, ``through`` (n,)
    in the output."""

    a: np.ndarray
    upstream: np.ndarray
    output: np.ndarray
    entered: np.ndarray
    through: np.ndarray


def noise_like(a: np.ndarray, levels: float, rng: np.random.Generator) -> np.ndarray:
    """White noise of standard deviation max|a|/levels per sample: a fine grid of one scale per sample makes such."""
    flat = np.abs(a.reshape(len(a), -1)).max(axis=1) / levels
    return rng.standard_normal(a.shape).astype(a.dtype) * flat.reshape(-1, *(1,) * (a.ndim - 1)).astype(a.dtype)


def call_transfer(
    network: Network, x: np.ndarray, call: int = 0, *, levels: float = 100.0, rng: np.random.Generator
) -> CallTransfer:
    """Measure one call: one pass over (L+2)·n rows, of which L·n have noise in one layer each and n have it in x."""
    x, L = checked_start(x), len(network.layers)
    n = len(x)
    number("levels", levels, above=1)
    in_x = noise_like(x, levels, rng)
    inputs, put = [np.empty(0)] * L, np.zeros((L, n))

    def edit(layer: int, a: np.ndarray) -> np.ndarray:
        inputs[layer] = a.copy()  # the network may reuse its memory
        z = noise_like(a[:n], levels, rng)
        put[layer] = energy(network.linear(layer, z))
        noisy = a.copy()
        noisy[n * (1 + layer) : n * (2 + layer)] += z
        return noisy

    rows = np.concatenate([x] * (1 + L) + [x + in_x])
    out = checked_output(network(rows, call, edit), (len(rows),), call)
    at_output = off(out, n)
    at_inputs = np.stack([off(a, n) for a in inputs])  # (layer reached, row group, n)
    size = energy(in_x)
    return CallTransfer(
        a=np.stack([energy(a[:n]) for a in inputs]),
        upstream=ratio(at_inputs[:, 1:-1].swapaxes(0, 1), put[:, None]),
        output=ratio(at_output[1:-1], put),
        entered=ratio(at_inputs[:, -1], size),
        through=ratio(at_output[-1], size),
    )


def random_sign_gain(
    network: Network, x: np.ndarray, call: int = 0, *, size: float, probes: int = 8, rng: np.random.Generator
) -> np.ndarray:
    """max over all entries of all layers' inputs of their movement, over ``size``; (probes, n).

    ±size, random signs, is added to every entry of every layer's input. It is the loop gain L of ``bounds.small_gain``
    in the max norm, all layers as one stacked vector, in one call and for these signs: a lower bound of L, which is
    the largest over all signs and calls.
    """
    number("size", size, above=0)
    count("probes", probes)
    x = checked_start(x)
    n = len(x)
    moved = np.zeros((probes, n))

    def edit(layer: int, a: np.ndarray) -> np.ndarray:
        groups = a.reshape(1 + probes, n, -1)
        np.maximum(moved, np.abs(groups[1:] - groups[:1]).max(axis=2), out=moved)
        signs = rng.integers(0, 2, a.shape, dtype=np.int8) * 2 - 1
        signs[:n] = 0
        return a + (size * signs).astype(a.dtype)

    network(np.concatenate([x] * (1 + probes)), call, edit)
    return moved / size


def off(rows: np.ndarray, n: int) -> np.ndarray:
    """Energies (groups, n) of how far each group of n rows is from the first."""
    groups = rows.reshape(-1, n, *rows.shape[1:])
    return energy((groups - groups[:1]).reshape(rows.shape)).reshape(-1, n)
