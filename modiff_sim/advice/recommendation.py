"""The scheme, bits, granularity and refresh that each recorded layer needs, and why.

    >>> inputs = read_recording("layers.npz")                # one array (steps, trials, ...) per layer
    >>> for r in recommend(inputs, tolerance=0.05): print(r.as_row(), r.why)

For every layer the cheapest setting is sought whose error stays within ``tolerance`` of the input at *every* call.
Costs are effective bits, in which full-precision calls are counted. The schemes are those of ``regimes``: direct,
cache and closed loop; the open loop costs what the closed loop does, and its error is not smaller. The criterion
says how the error is foreseen:

``bound``    max norm, for every trial: direct κ||a||, closed loop E ← κ(||d|| + E), cache E ← E + ||d||, with the norms
             of the recording, block by block of the granularity. A guarantee for all inputs that have these norms.
``typical``  2-norm, root mean square over the trials: direct and cache as they are, closed loop E² ← c_k(||d||² + E²)
             with c_k measured on the recorded differences, so uncorrelated errors are presumed (see ``regimes``).

E = 0 at call 0 and at every refresh. Whatever is recommended was also run on the recording. If its error there exceeds
the tolerance, the next cheapest setting takes its place (under "bound" this cannot happen where the declared κ holds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arguments import listed, number
from ..keywords import suggested
from ..names import one_of
from ..quantizers import QUANTIZERS, AbsMax, Zero, get
from ..quantizers.base import Quantizer
from ..quantizers.granularity import Granularity, PerChannel, PerSample
from ..quantizers.granularity import name as granularity_name
from ..simulation.recordings import read_recording
from ..typing import ArrayLike
from .recommended import Recommendation, Recommendations
from .recorded_layer import CRITERIA, JUDGED, RecordedLayer
from .regimes import FULL_BITS, effective_bits

MAX_BITS = 8
__all__ = ["Recommendation", "Recommendations", "default_candidates", "read_recording", "recommend"]

_SLACK = 1e-12  # relative: a run rounds about ten times per call, at 2e-16, and may attain the bound
_NAMES = {"direct": "direct", "cache": "a cache", "closed_loop": "a closed loop", "full_precision": "full precision"}


@dataclass(frozen=True)
class _Setting:
    scheme: str
    quantizer: Quantizer
    refresh: int | str
    cost: float
    foreseen: float

    @property
    def recursion(self) -> str:
        """The name in ``RECURSIONS`` under which the setting is run; a cache is the closed loop at 0 bits."""
        return "direct" if self.scheme == "direct" else "closed_loop"

    @property
    def needs(self) -> str:
        """What the setting takes, in words."""
        often = "no refresh" if self.refresh == "never" else f"a refresh every {self.refresh} calls"
        if self.scheme == "direct":
            return f"{self.quantizer.bits} bits"
        if self.scheme == "cache":
            return f"{often} ({self.cost:.2g} bits on average)"
        more = "" if self.refresh == "never" else f" and {often}"
        return f"{self.quantizer.bits} bits{more} ({self.cost:.2g} on average)"


@suggested
def recommend(
    inputs: Mapping[str, ArrayLike],
    *,
    tolerance: float = 0.05,
    criterion: str = "bound",
    candidates: Quantizer | str | Sequence[Quantizer | str] | None = None,
    judged: str = "sample",
    full_bits: float = FULL_BITS,
) -> Recommendations:
    """The cheapest setting per layer whose error stays within ``tolerance``·||a|| at every call.

    Parameters
    ----------
    inputs : mapping of str to array_like
        Layer name -> recorded inputs (steps, trials, d) or (steps, trials, C, ...), real floats, rows in sampling
        order, at least 3 steps. The trial axis is the batch axis of what the quantizer sees.
    tolerance : float, default 0.05
        The largest error, as a share of the input's norm; above 0.
    criterion : {"bound", "typical"}
        How the error is foreseen: in the max norm for every trial, or in root mean square; see the module's docstring.
    candidates : Quantizer, str, or sequence of these, optional
        Deterministic quantizers, each with its bits and granularity, or text such as "absmax:4@channel"; of equal
        costs the first wins. By default AbsMax from 2 to 8 bits with one scale per sample and, where there are
        channels, also with one per sample and channel. A cache is always tried as well.
    judged : {"sample", "channel"}
        "sample": the error over the norm of the whole input. "channel": the error of every channel over that channel's
        norm, so that a small channel beside an outlier counts; needs (steps, trials, C, ...).
    full_bits : float, default 32
        The bits that a full-precision call counts.

    Returns
    -------
    Recommendations
        A list of ``Recommendation``, one per layer, with ``frame`` and ``plot``. A layer that no setting suits keeps
        "full_precision", which is not an error.

    Raises
    ------
    TypeError, ValueError
        Recorded inputs have the wrong shape or type, too few steps, NaN or Inf, or a granularity does not fit them (the
        message names the layer); or an option is unknown or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> rng = np.random.default_rng(0)
    >>> slow = rng.standard_normal((1, 2, 16)) + 0.01 * rng.standard_normal((20, 2, 16)).cumsum(axis=0)
    >>> (r,) = ms.recommendation.recommend({"conv": slow}, tolerance=0.05)
    >>> r.scheme, r.measured <= r.bound <= 0.05
    ('closed_loop', True)
    """
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs is a mapping, layer name -> recorded inputs, got {type(inputs).__name__}")
    if not inputs:
        raise ValueError("no layers: give a mapping of layer names to recorded inputs (steps, trials, d)")
    number("tolerance", tolerance, above=0, what="a share of the input's norm")
    number("full_bits", full_bits, above=0)
    for value, known, name in ((criterion, CRITERIA, "criterion"), (judged, JUDGED, "judged")):
        one_of(name, value, known)
    tried = None if candidates is None else listed(candidates)
    if tried == []:
        raise ValueError("no candidates: give at least one quantizer, or None for the default ones")
    chosen = None if tried is None else [get(Q, "a candidate") for Q in tried]
    for Q in chosen or ():
        if Q.laws.randomised:
            raise TypeError(f"candidates are deterministic quantizers such as AbsMax(4), got {Q!r}")
        if not 0 < Q.bits < full_bits:
            raise ValueError(f"{Q}: a candidate has 1 bit or more, and less than the {full_bits:g} of full precision")
    layers = [
        RecordedLayer(name, a, criterion, judged) for name, a in inputs.items()
    ]  # all are checked before any work
    return Recommendations(_recommend(layer, float(tolerance), chosen, full_bits) for layer in layers)


def _recommend(
    layer: RecordedLayer, tolerance: float, candidates: Sequence[Quantizer] | None, full_bits: float
) -> Recommendation:
    chosen = default_candidates(layer.a.ndim - 1) if candidates is None else candidates
    for Q in chosen:
        layer.fits(Q)
    settings = _settings(layer, chosen, full_bits)
    fitting = [s for s in settings if s.foreseen <= tolerance and s.cost < full_bits]
    fitting.sort(key=lambda s: s.cost)  # stable: of equal costs the first listed
    refused = ""
    for s in fitting:
        measured = layer.measured(s.recursion, s.quantizer, s.refresh)
        if measured <= tolerance * (1 + _SLACK):
            break
        refused = refused or f"; {_NAMES[s.scheme]} with {s.needs} was foreseen to suffice, but measured {measured:.2g}"
    else:
        nearest = min(settings, key=lambda s: s.foreseen)
        why = (
            f"no candidate up to {max(Q.bits for Q in chosen)} bits stays within {tolerance:g}: the nearest is "
            f"{_NAMES[nearest.scheme]} with {nearest.needs}, {nearest.foreseen:.2g}{refused}"
        )
        return Recommendation(
            layer.name,
            "full_precision",
            "identity",
            FULL_BITS,
            "-",
            "never",
            full_bits,
            0.0,
            0.0,
            layer.rho,
            layer.calls,
            tolerance,
            layer.criterion,
            why,
        )
    kinds = {kind: name for name, kind in QUANTIZERS.items()}
    name = kinds.get(type(s.quantizer), type(s.quantizer).__name__)
    granularity = "-" if s.scheme == "cache" else granularity_name(s.quantizer.granularity)
    return Recommendation(
        layer.name,
        s.scheme,
        name,
        s.quantizer.bits,
        granularity,
        s.refresh,
        s.cost,
        s.foreseen,
        measured,
        layer.rho,
        layer.calls,
        tolerance,
        layer.criterion,
        _why(layer, s, fitting[fitting.index(s) :], settings) + refused,
    )


def default_candidates(ndim: int) -> list[Quantizer]:
    """AbsMax at 2 to 8 bits with one scale per sample, then with one per sample and channel (from 3 axes on).

    Parameters
    ----------
    ndim : int
        Number of axes of an input, the batch included.

    Returns
    -------
    list of Quantizer
        The quantizers, fewest bits first for each granularity.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> len(ms.recommendation.default_candidates(2)), len(ms.recommendation.default_candidates(4))
    (7, 14)
    """
    scales: list[Granularity] = [PerSample()] + [PerChannel((0, 1))] * (ndim >= 3)
    return [AbsMax(bits, granularity=g) for g in scales for bits in range(2, MAX_BITS + 1)]


def _settings(layer: RecordedLayer, candidates: Sequence[Quantizer], full_bits: float) -> list[_Setting]:
    """Every setting with its cost and foreseen error; direct before cache before closed loop, rare refreshes first."""
    calls = np.arange(layer.calls)
    # by the number of refreshes: the shortest period that has it spreads them best; 0 is never
    periods = np.array([0, *sorted(range(2, layer.calls), key=lambda k: (-(-layer.calls // k), k))])
    since = calls % np.where(periods == 0, layer.calls, periods)[:, None]  # (period, call)
    found = [_Setting("direct", Q, "never", float(Q.bits), layer.foresee_direct(Q)) for Q in candidates]
    for scheme, Q in [("cache", Zero()), *(("closed_loop", Q) for Q in candidates)]:
        foreseen = layer.foresee(Q)[calls, since].max(axis=1)
        costs = effective_bits(Q.bits, layer.calls, periods, full_bits=full_bits)
        for k, cost, error in zip(periods.tolist(), costs.tolist(), foreseen.tolist(), strict=True):
            found.append(_Setting(scheme, Q, k or "never", cost, error))
    return found


def _why(layer: RecordedLayer, chosen: _Setting, fitting: Sequence[_Setting], settings: Sequence[_Setting]) -> str:
    """One sentence: what the input does, what the choice promises, and what the other schemes would need."""
    parts = [f"{_NAMES[chosen.scheme]} with {chosen.needs} stays within {chosen.foreseen:.2g}"]
    for scheme in ("direct", "cache", "closed_loop"):
        if scheme == chosen.scheme:
            continue
        if same := [s for s in fitting if s.scheme == scheme]:
            parts.append(f"{_NAMES[scheme]} would need {same[0].needs}")
        else:
            least = min(s.foreseen for s in settings if s.scheme == scheme)
            parts.append(f"{_NAMES[scheme]} comes no nearer than {least:.2g}")
    size = f"{layer.rho:.2g} times the input ({layer.rho_max:.2g} at most)" if layer.rho_max else "all 0"
    return f"differences are {size}: " + ", ".join(parts)
