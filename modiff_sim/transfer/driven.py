"""Errors that are known in advance: layers that see the same in every image are run as they will be.

The time embedding depends on the timestep alone. Its quantization error is the same for every image and is known before
any image is sampled. It is a fixed sequence rather than noise, so a mean over samples would not describe it. Such
layers are therefore quantized, all others are left in full precision, and the effect is measured.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .. import recursion as _recursion
from ..arguments import listed, number, reals
from ..quantizers import get
from ..quantizers.base import Quantizer
from ..shown import Said, Shown
from .call import Network, checked_output, checked_start, energy
from .measured import said_names
from .run import advance, checked_steps


def same_for_all(inputs: Sequence[np.ndarray], *, rtol: float = 1e-6) -> tuple[bool, ...]:
    """Per layer, whether its input is the same for all samples at every call, up to rounding.

    Parameters
    ----------
    inputs : sequence of array_like, shape (T, n, ...)
        The inputs of every layer, n >= 2.
    rtol : float, default 1e-6
        Tolerance relative to the largest entry. Float32 matrix products of equal rows may differ by a few eps = 1.2e-7.

    Returns
    -------
    tuple of bool
        One value per layer.

    Raises
    ------
    ValueError
        There are fewer than 2 samples, which would always be equal.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> time, image = np.ones((4, 2, 3)), np.arange(24.0).reshape(4, 2, 3)
    >>> ms.transfer.same_for_all([time, image])
    (True, False)
    """
    inputs = [reals("a layer's inputs", a, dtype=None, finite=True) for a in inputs]
    number("rtol", rtol)
    if not inputs or min(a.ndim for a in inputs) < 2 or min(a.shape[1] for a in inputs) < 2:
        raise ValueError("same_for_all compares samples: it needs layers with inputs (T, n, ...), n >= 2")
    return tuple(bool(np.abs(a - a[:, :1]).max() <= rtol * np.abs(a).max()) for a in inputs)


@dataclass(frozen=True, repr=False)
class Driven(Shown):
    """The effect of errors that are known in advance, as energies. ``drive`` makes it.

    Parameters
    ----------
    layers : tuple of str
        The names of the layers.
    x : numpy.ndarray of float64, shape (T+1, n)
        Energy of the error of x.
    moved : numpy.ndarray of float64, shape (T, L, n)
        Energy of the movement of every layer's input against full precision from one call to the next.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> known = ms.transfer.Driven(("time", "conv"), x=np.zeros((5, 1)), moved=np.zeros((4, 2, 1)))
    >>> known.of(["conv"]).moved.shape
    (4, 1, 1)
    """

    layers: tuple[str, ...]
    x: np.ndarray
    moved: np.ndarray

    def _said(self) -> Said:
        T, L, n = self.moved.shape
        facts = {"of": f"{T} calls, {L} layers ({said_names(self.layers)}), {n} samples",
                 "error of x": f"{float(np.sqrt(self.x[-1].mean())):.4g}, RMS of its 2-norm in the result"}  # fmt: skip
        return Said("Driven: the effect of errors that are known in advance", facts)

    def of(self, layers: str | Sequence[str]) -> Driven:
        """The same for these layers alone, in this order."""
        layers = listed(layers)
        rows = [self.layers.index(name) for name in layers]
        return Driven(tuple(layers), self.x, self.moved[:, rows])


def drive(
    network: Network,
    x: np.ndarray,
    steps: tuple[np.ndarray, np.ndarray],
    arms: Sequence[tuple[Quantizer | str, str]],
    layers: str | Collection[str],
) -> list[Driven]:
    """Quantize these layers in every arm, leave the others in full precision, and measure the effect.

    All arms and full precision are computed side by side, in (1 + arms)·n rows.

    Parameters
    ----------
    network : Network
        The network.
    x : array_like of float, shape (n, ...)
        Where the run starts.
    steps : tuple of array_like, shape (T,)
        (carry, add), as from ``linear_steps``.
    arms : sequence of (Quantizer or str, str)
        Deterministic quantizers, or text such as "absmax:3", each with the name of a recursion.
    layers : str or collection of str
        Names of the layers to quantize.

    Returns
    -------
    list of Driven
        One per arm.

    Raises
    ------
    ValueError
        A name is not that of a layer, or a quantizer needs random bits.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> steps = ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)
    >>> arms = [(ms.AbsMax(3), "direct"), (ms.AbsMax(8), "direct")]
    >>> coarse, fine = ms.transfer.drive(MixtureNetwork(exact), np.ones((2, 2)), steps, arms, ["mean"])
    >>> bool(coarse.x[-1].sum() > fine.x[-1].sum())
    True
    """
    (carry, add), x = checked_steps(steps), checked_start(x)
    layers, chosen = listed(layers), [(get(Q, "a quantizer of drive"), name) for Q, name in arms]
    if unknown := set(layers) - set(network.layers):
        raise ValueError(f"no layer {sorted(unknown)}; the network has {list(network.layers)}")
    if randomised := [Q for Q, _ in chosen if Q.laws.randomised]:
        raise ValueError(f"drive needs deterministic quantizers, got {randomised[0]}")
    T, n, K, L = len(carry), len(x), len(chosen), len(network.layers)
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
            for k, (Q, recursion) in enumerate(chosen):
                # With the identity for A, ô is what the layer is in effect computed on.
                state, info = _recursion.Scheme(recursion).advance(states.get((layer, k)), groups[1 + k], Q)
                states[layer, k], used[1 + k] = state, info.output
            return used.reshape(a.shape)

        rows = advance(rows, checked_output(network(rows, call, edit), rows.shape, call), carry[call], add[call])
        states_of_x = rows.reshape(1 + K, n, *x.shape[1:])
        off[:, call + 1] = energy((states_of_x[1:] - states_of_x[:1]).reshape(-1, *x.shape[1:])).reshape(K, n)
    return [Driven(tuple(network.layers), off[k], moved[k]) for k in range(K)]
