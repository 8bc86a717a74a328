"""The transfer along a run: noise that entered at some call is followed through network and sampler to the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ..arguments import seed as whole_seed
from .call import Network, call_transfer, checked_output, checked_start, energy, noise_like, off, ratio
from .measured import CallTransfer, Transfer


def full_precision(network: Network, x: np.ndarray, steps: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """The inputs of every layer along a run in full precision.

    Parameters
    ----------
    network : Network
        The network.
    x : array_like of float, shape (n, ...)
        Where the run starts.
    steps : tuple of array_like, shape (T,)
        (carry, add), as from ``linear_steps``.

    Returns
    -------
    list of numpy.ndarray, shape (T, n, ...)
        One array per layer.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> steps = ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)
    >>> [a.shape for a in ms.transfer.full_precision(MixtureNetwork(exact), np.ones((3, 2)), steps)]
    [(5, 3, 2), (5, 3, 8)]
    """
    (carry, add), x = checked_steps(steps), checked_start(x)
    seen: list[list[np.ndarray]] = [[] for _ in network.layers]

    def edit(layer: int, a: np.ndarray) -> np.ndarray:
        seen[layer].append(a.copy())
        return a

    for call in range(len(carry)):
        x = advance(x, checked_output(network(x, call, edit), x.shape, call), carry[call], add[call])
    return [np.stack(arrays) for arrays in seen]


def checked_steps(steps: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(carry, add) as float64 (T,); ValueError where they are not two finite arrays of one length."""
    carry, add = (reals("steps", s) for s in steps)
    if carry.ndim != 1 or carry.shape != add.shape or not carry.size or not np.isfinite([carry, add]).all():
        raise ValueError(f"steps: two finite arrays (T,), T >= 1, as of linear_steps; got {carry.shape}, {add.shape}")
    return carry, add


def advance(x: np.ndarray, out: np.ndarray, carry: float, add: float) -> np.ndarray:
    """The sampler's step x ← carry·x + add·ε̂, in the dtype of x."""
    moved: np.ndarray = x.dtype.type(carry) * x + x.dtype.type(add) * out
    return moved


class _Followed:
    """Noise put into all layers at some calls and followed to the end, once only (impulse) or for good (lasting).

    The rows are n of the run itself, then n per impulse, then n per lasting noise, in the order of their calls. The
    sizes of the noise are those of what a loop quantizes: its standard deviation follows the difference, or the
    input at call 0.
    """

    def __init__(self, network: Network, x: np.ndarray, T: int, levels: float, rng: np.random.Generator) -> None:
        self.network, self.n, self.levels, self.rng = network, len(x), levels, rng
        L = len(network.layers)
        self.x, self.impulses, self.lasting = x, x[:0], x[:0]
        self.sources: list[int] = []
        self.lasts: list[int] = []
        self.before: list[Any] = [None] * L  # the run's own inputs at the last call
        self.shift: list[Any] = [None] * L  # where impulses had moved the inputs at the last call
        self.bank: list[Any] = [None] * L  # the lasting noises
        self.put: dict[int, np.ndarray] = {}
        self.a, self.d = np.zeros((T, L, self.n)), np.zeros((T, L, self.n))
        self.at_x = np.zeros((T, T + 1, self.n))
        self.lasting_at_x = np.zeros((T, T + 1, self.n))
        self.moved, self.shifted = np.zeros((T, L, T, self.n)), np.zeros((T, L, T, self.n))

    def call(self, call: int, carry: float, add: float, *, source: bool, lasting: bool) -> np.ndarray:
        """Make one call of the network and one step of the sampler; returns the run's own output."""
        if source:
            self.sources.append(call)
            self.put[call] = np.zeros((len(self.network.layers), self.n))
            self.impulses = np.concatenate([self.impulses, self.x])
            if lasting:
                self.lasts.append(call)
                self.lasting = np.concatenate([self.lasting, self.x])
        n, k = self.n, len(self.sources)

        def edit(layer: int, a: np.ndarray) -> np.ndarray:
            edited, own = a.copy(), a[:n].copy()
            first = self.before[layer] is None
            d = own if first else own - self.before[layer]
            self.a[call, layer] = energy(own)
            if not first:
                self.d[call, layer] = energy(d)
            if source:
                z = noise_like(d, self.levels, self.rng)
                self.put[call][layer] = energy(self.network.linear(layer, z))
                edited[n * k : n * (k + 1)] += z
                if lasting:
                    self.bank[layer] = z if self.bank[layer] is None else np.concatenate([self.bank[layer], z])
            if self.lasts:
                edited[n * (k + 1) :] += self.bank[layer]
            self._movement(call, layer, a[: n * (k + 1)], fresh=int(source))
            self.before[layer] = own
            return edited

        rows = np.concatenate([self.x, self.impulses, self.lasting])
        out = self.network(rows, call, edit)
        after = advance(rows, out, carry, add)
        self.x, self.impulses, self.lasting = np.split(after, [n, n * (k + 1)])
        moved = off(after, n)
        self.at_x[self.sources, call + 1] = moved[1 : k + 1]
        self.lasting_at_x[self.lasts, call + 1] = moved[k + 1 :]
        return out[:n]

    def _movement(self, call: int, layer: int, a: np.ndarray, *, fresh: int) -> None:
        """Note how far a layer's input has moved through x since the last call, without what fresh noise moves."""
        groups = a.reshape(-1, self.n, *a.shape[1:])
        shift = groups[1:] - groups[:1]
        shift[len(shift) - fresh :] = 0
        step = shift.copy()
        if self.shift[layer] is not None:
            step[: len(self.shift[layer])] -= self.shift[layer]
        self.shift[layer] = shift
        for kept, value in ((self.moved, step), (self.shifted, shift)):
            kept[self.sources, layer, call] = energy(value.reshape(-1, *a.shape[1:])).reshape(-1, self.n)


def measure_transfer(
    network: Network,
    x: np.ndarray,
    steps: tuple[np.ndarray, np.ndarray],
    *,
    probe_every: int = 1,
    source_every: int = 1,
    lasting_every: int = 4,
    levels: float = 100.0,
    seed: int = 0,
) -> Transfer:
    """Measure the transfer along the full-precision run that starts at x.

    Parameters
    ----------
    network : Network
        The network. ValueError where its output is not like x, or not finite.
    x : array_like of float, shape (n, ...)
        Where the run starts.
    steps : tuple of array_like, shape (T,)
        (carry, add), as from ``linear_steps``, one call each.
    probe_every : int, default 1
        Every how many calls single layers are probed, with (L+2)·n rows. Calls between are interpolated geometrically.
        Too few calls where gains change by orders of magnitude are the first thing that makes a prediction wrong.
    source_every : int, default 1
        Every how many calls noise is put into all layers and followed to the end, with n rows per source from there
        on. A call between takes the response of the source before it, scaled to its own ``add``.
    lasting_every : int, default 4
        Every how many sources the noise is also kept for good, for ``alignment``.
    levels : float, default 100.0
        The noise has the standard deviation max|.|/levels: small enough to be linear, large enough for the dtype.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    Transfer
        The transfer.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.transfer.mixture import MixtureNetwork
    >>> exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(5))
    >>> steps = ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)
    >>> found = ms.transfer.measure_transfer(MixtureNetwork(exact), np.ones((3, 2)), steps)
    >>> found.layers, found.moved.shape
    (('logits', 'mean'), (5, 2, 5, 3))
    """
    (carry, add), x = checked_steps(steps), checked_start(x)
    for name, every in (("probe_every", probe_every), ("source_every", source_every), ("lasting_every", lasting_every)):
        count(f"{name} is a count and", every)
    number("levels", levels, above=1)
    T, rng = len(carry), np.random.default_rng(whole_seed(seed))
    followed = _Followed(network, x, T, levels, rng)
    probes: dict[int, CallTransfer] = {}
    first, held, size = np.empty(0), x, [energy(x)]
    errors = [np.zeros(len(x))]
    for call in range(T):
        if call % probe_every == 0 or call == T - 1:
            probes[call] = call_transfer(network, followed.x, call, levels=levels, rng=rng)
        source = call % source_every == 0 or call == T - 1
        lasting = source and len(followed.sources) % lasting_every == 1 % lasting_every
        out = followed.call(call, carry[call], add[call], source=source, lasting=lasting)
        checked_output(out, x.shape, call)
        first = out if call == 0 else first
        held = advance(held, first, carry[call], add[call])
        size.append(energy(followed.x))
        errors.append(energy(held - followed.x))
    upstream, output = (
        _between([getattr(p, what) for p in probes.values()], list(probes), T) for what in ("upstream", "output")
    )
    impulse, moved = _spread(followed, output, add)
    energies = (followed.a, followed.d, np.stack(size), np.stack(errors), upstream, output, impulse, moved)
    named = dict(zip(Transfer.ARRAYS, energies, strict=True))
    return Transfer(layers=tuple(network.layers), alignment=_alignment(followed, output, impulse), **named)


def _between(rows: list[np.ndarray], calls: list[int], T: int) -> np.ndarray:
    """Energies at all calls from those at some calls, the first and the last among them.

    They are interpolated geometrically, because gains grow by orders of magnitude towards t = 0, and linearly where
    one of the two is 0.
    """
    known = np.stack(rows)
    at = np.interp(np.arange(T), calls, np.arange(len(calls)))
    low = np.floor(at).astype(int)
    below, above = known[low], known[np.minimum(low + 1, len(calls) - 1)]
    weight = (at - low).reshape(-1, *(1,) * (known.ndim - 1))
    both = (below > 0) & (above > 0)
    geometric = np.where(both, below, 1.0) ** (1 - weight) * np.where(both, above, 1.0) ** weight
    return np.asarray(np.where(both, geometric, (1 - weight) * below + weight * above))


def _spread(followed: _Followed, output: np.ndarray, add: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(impulse, moved) per unit of energy in ε̂; calls between two sources take the last source that moved x."""
    T = len(add)
    impulse, moved = np.zeros_like(followed.at_x), np.zeros_like(followed.moved)
    telling = [s for s in followed.sources if add[s] != 0]
    for s in range(T):
        earlier = [source for source in telling if source <= s]
        if add[s] == 0 or not earlier:
            continue  # this call's ε̂ does not reach x
        near = earlier[-1]
        if near == s:
            unit = (output[s] * followed.put[s]).sum(axis=0)
        else:
            unit = followed.at_x[near, s + 1] / add[s] ** 2
        impulse[s, s + 1 :] = ratio(followed.at_x[near, s + 1 :], unit)
        moved[s, :, s + 1 :] = ratio(followed.moved[near, :, s + 1 :], unit)
        moved[s, :, s + 1 : s + 2] = ratio(followed.shifted[near, :, s + 1 : s + 2], unit)  # it comes out of nothing
    return impulse, moved


def _alignment(followed: _Followed, output: np.ndarray, impulse: np.ndarray) -> float:
    """The alignment χ, as the median over sources, times and samples.

    The lasting noise of source s has the response Σ_u p_u, u >= s, and Σ ||p_u||² is known from the impulses:
    χ = (||Σ p_u||² - Σ ||p_u||²)/((Σ ||p_u||)² - Σ ||p_u||²).
    """
    T = len(output)
    found = []
    for s in followed.lasts:
        unit = (output[s:] * followed.put[s]).sum(axis=1)  # energy in ε̂ of this noise at every later call
        for t in range(s + 2, T + 1):
            size = np.sqrt(unit[: t - s] * impulse[s:t, t])
            alone, together = (size**2).sum(axis=0), size.sum(axis=0) ** 2
            room = together - alone
            good = room > 1e-6 * together
            found.append((followed.lasting_at_x[s, t] - alone)[good] / room[good])
    values = np.concatenate(found) if found else np.zeros(0)
    return float(np.clip(np.median(values), 0.0, 1.0)) if values.size else 0.0
