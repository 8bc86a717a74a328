"""Errors that are no noise: layers that see the same in every image are run as they will be, and their effect measured.

The time embedding depends on the timestep alone. Its quantization error is the same for every image and known before
any image is sampled: one fixed sequence, of which there is no mean to take. So these layers are quantized, all others
are not, and what comes of it is taken as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .. import recursion as _recursion
from ..arguments import number, reals
from ..quantizers.base import Quantizer
from .call import Network, checked_output, checked_start, energy
from .run import advance, checked_steps


def same_for_all(inputs: Sequence[np.ndarray], *, rtol: float = 1e-6) -> tuple[bool, ...]:
    """Per layer, whether its input (T, n, ...) is the same for all samples at every call, up to rounding.

    rtol: of the largest entry; float32 matrix products of equal rows may differ by a few eps = 1.2e-7.
    Raises ValueError for fewer than 2 samples, which are always equal.
    """
    inputs = [reals("a layer's inputs", a, dtype=None, finite=True) for a in inputs]
    number("rtol", rtol)
    if not inputs or min(a.ndim for a in inputs) < 2 or min(a.shape[1] for a in inputs) < 2:
        raise ValueError("same_for_all compares samples: it needs layers with inputs (T, n, ...), n >= 2")
    return tuple(bool(np.abs(a - a[:, :1]).max() <= rtol * np.abs(a).max()) for a in inputs)


@dataclass(frozen=True)
class Driven:
    """What errors known in advance do, energies, float64: ``x`` (T+1, n) of x's error, ``moved`` (T, L, n) of the
    movement of every layer's input against full precision from one call to the next; ``layers``: their names."""

    layers: tuple[str, ...]
    x: np.ndarray
    moved: np.ndarray

    def of(self, layers: Sequence[str]) -> Driven:
        """The same for these layers alone, in this order."""
        rows = [self.layers.index(name) for name in layers]
        return Driven(tuple(layers), self.x, self.moved[:, rows])


def drive(
    network: Network,
    x: np.ndarray,
    steps: tuple[np.ndarray, np.ndarray],
    arms: Sequence[tuple[Quantizer, str]],
    layers: Collection[str],
) -> list[Driven]:
    """Run every arm (quantizer, recursion) in these layers and leave the others in full precision; one Driven per arm.

    x, steps: as of ``measure_transfer``. All arms and full precision are computed side by side, (1 + arms)·n rows.
    Raises ValueError for a name that is no layer or a quantizer that needs random bits.
    """
    (carry, add), x = checked_steps(steps), checked_start(x)
    if unknown := set(layers) - set(network.layers):
        raise ValueError(f"no layer {sorted(unknown)}; the network has {list(network.layers)}")
    if randomised := [Q for Q, _ in arms if Q.laws.randomised]:
        raise ValueError(f"drive needs deterministic quantizers, got {randomised[0]}")
    T, n, K, L = len(carry), len(x), len(arms), len(network.layers)
    states: dict[tuple[int, int], _recursion.State] = {}
    shift: list[np.ndarray | None] = [None] * L
    moved, off = np.zeros((K, T, L, n)), np.zeros((K, T + 1, n))
    rows = np.concatenate([x] * (1 + K))

    for call in range(T):

        def edit(layer: int, a: np.ndarray, call: int = call) -> np.ndarray:
            groups = a.reshape(1 + K, n, *a.shape[1:])
            now = groups[1:] - groups[:1]
            step = now if (last := shift[layer]) is None else now - last
            shift[layer] = now
            moved[:, call, layer] = energy(step.reshape(-1, *a.shape[1:])).reshape(K, n)
            if network.layers[layer] not in layers:
                return a
            used = groups.copy()
            for k, (Q, recursion) in enumerate(arms):
                # with the identity for A, ô is what the layer is in effect computed on
                state = _recursion.advance(
                    _recursion.get(recursion), states.get((layer, k)), groups[1 + k], Q, lambda hat: hat
                )
                states[layer, k], used[1 + k] = state, state.output
            return used.reshape(a.shape)

        rows = advance(rows, checked_output(network(rows, call, edit), rows.shape, call), carry[call], add[call])
        states_of_x = rows.reshape(1 + K, n, *x.shape[1:])
        off[:, call + 1] = energy((states_of_x[1:] - states_of_x[:1]).reshape(-1, *x.shape[1:])).reshape(K, n)
    return [Driven(tuple(network.layers), off[k], moved[k]) for k in range(K)]
