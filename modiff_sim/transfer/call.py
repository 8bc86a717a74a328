"""One call of a network: where noise in one layer's input goes, and what a network must offer to be measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..arguments import count, number, reals
from ..diffusion.schedules import Schedule
from ..typing import Array
from .measured import CallTransfer

#: (index of a layer, its input) -> the input that it is to work on
Edit = Callable[[int, np.ndarray], np.ndarray]


class Network(Protocol):
    """A network whose linear layers let their inputs be seen and edited: what is measured.

    The layers are in the order in which they are called. Axis 0 of x, of every layer's input and of the output is the
    sample.

    Examples
    --------
    A network of one layer, which halves its input:

    >>> import modiff_sim as ms
    >>> class Half:
    ...     layers = ("half",)
    ...
    ...     def __call__(self, x, call, edit):
    ...         return self.linear(0, edit(0, x))
    ...
    ...     def linear(self, layer, a):
    ...         return 0.5 * a
    >>> network: ms.transfer.Network = Half()
    """

    @property
    def layers(self) -> Sequence[str]:
        """The names of the layers."""
        ...

    def __call__(self, x: np.ndarray, call: int, edit: Edit) -> np.ndarray:
        """Compute the output of a call; ``edit(layer, a)`` sees each layer's input and returns what to use instead."""
        ...

    def linear(self, layer: int, a: np.ndarray) -> np.ndarray:
        """Apply a layer's linear map A, without its bias."""
        ...


def checked_start(x: Array) -> np.ndarray:
    """The state x (n, ...) where a run starts, as an array.

    Raises TypeError or ValueError where it is not a finite, non-empty floating-point array.
    """
    x = reals("x", x, dtype=None, finite=True)
    if x.ndim < 2 or not x.size or not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x must be a non-empty floating array (samples, ...), got {x.dtype} {x.shape}")
    return x


def checked_output(out: np.ndarray, shape: tuple[int, ...], call: int) -> np.ndarray:
    """The output of a network, once it is found to be finite and of this shape.

    A shape (n,) stands for n rows of any shape. Raises ValueError otherwise.
    """
    found = np.shape(out)
    fits = found[:1] == shape if len(shape) == 1 else found == shape
    if not fits or not np.isfinite(reals(f"call {call}: the output", out, dtype=None)).all():
        wanted = f"have {shape[0]} rows" if len(shape) == 1 else f"be of shape {shape}"
        raise ValueError(f"call {call}: the output must be finite and {wanted}, got shape {found}")
    return out


def energy(z: np.ndarray) -> np.ndarray:
    """The squared 2-norm per sample (axis 0), float64 (n,).

    Parameters
    ----------
    z : array_like, shape (n, ...)
        Real numbers.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.transfer.energy([[3.0, 4.0], [0.0, 1.0]])
    array([25.,  1.])
    """
    z = reals("z", z, dtype=None)
    flat = z.reshape(len(z), math.prod(z.shape[1:]))
    return np.einsum("ij,ij->i", flat, flat).astype(np.float64)


def ratio(top: Array, bottom: Any) -> np.ndarray:
    """The quotient top/bottom, and 0 where the bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def linear_steps(sampler: Callable[..., Any], schedule: Schedule, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of a sampler's own step x ← carry·x + add·ε̂, found by running the sampler.

    Noise that the sampler adds is left out: two runs with the same noise differ by these coefficients alone.

    Parameters
    ----------
    sampler : callable
        A sampler, such as ``ms.samplers.ddim``.
    schedule : Schedule
        Noise levels and timesteps.
    **options
        Passed to the sampler.

    Returns
    -------
    carry, add : numpy.ndarray of float64, shape (T,)
        The coefficients of every call.

    Raises
    ------
    ValueError
        A step of the sampler is not of this form, for example because it clips.

    Examples
    --------
    The last step ends at the clean image x̂₀ = (x - √(1-ᾱ)·ε̂)/√ᾱ:

    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.linear().spaced(4)
    >>> carry, add = ms.transfer.linear_steps(ms.samplers.ddim, schedule)
    >>> float(carry[-1] * schedule.alpha_bar[0] ** 0.5)
    1.0
    """

    def run(start: float, eps: Sequence[float]) -> np.ndarray:
        seen, calls = [start], iter(eps)
        sampler(
            lambda x, t: np.full_like(x, next(calls)),
            np.full((1, 1), start),
            schedule,
            noise=lambda call: np.zeros((1, 1)),
            callback=lambda call, t, x, x0: seen.append(float(x[0, 0])),
            **options,
        )
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


def noise_like(a: np.ndarray, levels: float, rng: np.random.Generator) -> np.ndarray:
    """White noise of standard deviation max|a|/levels per sample, like the error of a fine grid per sample."""
    flat = np.abs(a.reshape(len(a), -1)).max(axis=1) / levels
    return rng.standard_normal(a.shape).astype(a.dtype) * flat.reshape(-1, *(1,) * (a.ndim - 1)).astype(a.dtype)


def call_transfer(
    network: Network, x: np.ndarray, call: int = 0, *, levels: float = 100.0, rng: np.random.Generator
) -> CallTransfer:
    """Measure the transfer of one call.

    It takes one pass over (L+2)·n rows: L·n have noise in one layer each, and n have it in x.

    Parameters
    ----------
    network : Network
        The network.
    x : array_like of float, shape (n, ...)
        The sampler's state before the call.
    call : int, default 0
        Index of the call.
    levels : float, default 100.0
        The noise has the standard deviation max|.|/levels, per sample; above 1.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    CallTransfer
        The transfer.

    Raises
    ------
    TypeError, ValueError
        x or the output has another type or shape, or is not finite.

    Examples
    --------
    A layer passes on to ε̂ what is added to its output:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> found = ms.transfer.call_transfer(MixtureNetwork(exact), np.ones((3, 2)), rng=np.random.default_rng(0))
    >>> found.upstream.shape, found.output.shape
    ((2, 2, 3), (2, 3))
    """
    x, L = checked_start(x), len(network.layers)
    n = len(x)
    number("levels", levels, above=1)
    in_x = noise_like(x, levels, rng)
    inputs, put = [np.empty(0)] * L, np.zeros((L, n))

    def edit(layer: int, a: np.ndarray) -> np.ndarray:
        inputs[layer] = a.copy()  # because the network may reuse its memory
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
        layers=tuple(network.layers),
    )


def random_sign_gain(
    network: Network, x: np.ndarray, call: int = 0, *, size: float, probes: int = 8, rng: np.random.Generator
) -> np.ndarray:
    """The largest movement of any entry of any layer's input, over ``size``, when ±size is added to all of them.

    The signs are random. This is a lower bound of the loop gain L of ``bounds.small_gain`` in the max norm, with
    all layers as one stacked vector: L is the largest value over all signs and calls, and here it is that of some
    signs in one call.

    Parameters
    ----------
    network : Network
        The network.
    x : array_like of float, shape (n, ...)
        The sampler's state before the call.
    call : int, default 0
        Index of the call.
    size : float
        What is added to every entry of every layer's input, up to the sign; above 0.
    probes : int, default 8
        How many sets of signs are tried.
    rng : numpy.random.Generator
        Source of the signs.

    Returns
    -------
    numpy.ndarray of float64, shape (probes, n)
        The gains.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> rng = np.random.default_rng(0)
    >>> ms.transfer.random_sign_gain(MixtureNetwork(exact), np.ones((3, 2)), size=0.01, probes=2, rng=rng).shape
    (2, 3)
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
    """Energies (groups, n) of the distance of each group of n rows from the first group."""
    groups = rows.reshape(-1, n, *rows.shape[1:])
    return energy((groups - groups[:1]).reshape(rows.shape)).reshape(-1, n)
