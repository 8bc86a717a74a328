"""What a layer should use, and all layers together, with what they show of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from ..shown import Said, Shown, frame, pictures

if TYPE_CHECKING:
    from .pictures import RecommendationPlots


@dataclass(frozen=True, repr=False)
class Recommendation(Shown):
    """What one layer should use, as plain values for tables and JSON.

    Parameters
    ----------
    layer : str
        The layer's name.
    scheme : {"direct", "cache", "closed_loop", "full_precision"}
        The scheme.
    quantizer : str
        The quantizer's name in ``QUANTIZERS``.
    bits : int
        Bits of the quantized calls, 0 for a cache.
    granularity : str
        Which entries share a scale, as ``granularity.parse`` reads it; "-" where nothing is quantized.
    refresh : int or "never"
        Every how many calls the layer is computed in full precision.
    effective_bits : float
        Mean bits per call, the full-precision calls included.
    bound, measured : float
        The foreseen error at the worst call, and the error of a run there, both over the norm of the input. Neither is
        above ``tolerance``.
    rho : float
        ||d||/||a||, the median over calls, in the criterion's norm.
    calls : int
        Number of recorded calls.
    tolerance, criterion
        The arguments of ``recommend``.
    why : str
        One sentence on what the input does and what the other schemes would need.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> still = np.ones((4, 1, 8))
    >>> (r,) = ms.recommendation.recommend({"still": still})
    >>> r.scheme, r.bits, r.as_row()["effective"]
    ('direct', 5, '5.00')
    """

    layer: str
    scheme: str
    quantizer: str
    bits: int
    granularity: str
    refresh: int | str
    effective_bits: float
    bound: float
    measured: float
    rho: float
    calls: int
    tolerance: float
    criterion: str
    why: str

    def as_row(self) -> dict[str, str]:
        """The columns of a table, as text."""
        return {
            "layer": self.layer, "scheme": self.scheme, "bits": str(self.bits), "granularity": self.granularity,
            "refresh": str(self.refresh), "effective": f"{self.effective_bits:.2f}", "ρ": f"{self.rho:.3g}",
            "bound": f"{self.bound:.3g}", "measured": f"{self.measured:.3g}",
        }  # fmt: skip

    def _said(self) -> Said:
        bits = "" if self.scheme in ("cache", "full_precision") else f", {self.bits} bits, {self.granularity}"
        facts = {
            "setting": f"{self.scheme}{bits}, refresh {self.refresh}", "effective bits": self.effective_bits,
            "error": f"{self.bound:.3g} foreseen, {self.measured:.3g} measured, tolerance {self.tolerance:g}",
            "criterion": self.criterion, "why": self.why,
        }  # fmt: skip
        return Said(f"Recommendation: {self.layer}", facts)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]) of one row, with the columns of ``Recommendations.frame``."""
        return Recommendations([self]).frame()

    @property
    def plot(self) -> RecommendationPlots:
        """Pictures (extra [plot]) of this layer: see ``Recommendations.plot``."""
        return Recommendations([self]).plot


class Recommendations(Shown, list[Recommendation]):
    """What every layer should use: a list of ``Recommendation``, which it remains in every respect.

    Parameters
    ----------
    found : iterable of Recommendation, optional
        The recommendations.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> found = ms.recommendation.recommend({"still": np.ones((4, 1, 8)), "zero": np.zeros((4, 1, 8))})
    >>> found.frame()[["layer", "scheme"]].values.tolist()
    [['still', 'direct'], ['zero', 'direct']]
    """

    def __init__(self, found: Iterable[Recommendation] = ()) -> None:
        list.__init__(self, found)

    @overload
    def __getitem__(self, at: SupportsIndex) -> Recommendation: ...
    @overload
    def __getitem__(self, at: slice) -> Recommendations: ...
    def __getitem__(self, at: SupportsIndex | slice) -> Recommendation | Recommendations:
        return Recommendations(list.__getitem__(self, at)) if isinstance(at, slice) else list.__getitem__(self, at)

    def _said(self) -> Said:
        schemes = {name: sum(r.scheme == name for r in self) for name in dict.fromkeys(r.scheme for r in self)}
        facts: dict[str, Any] = {"schemes": [f"{name}: {count}" for name, count in schemes.items()] or "-"}
        if self:
            facts["effective bits"] = f"{sum(r.effective_bits for r in self) / len(self):.2f} in the mean over layers"
            facts["errors"] = f"{max(r.measured for r in self):.3g} measured at most, tolerance {self[0].tolerance:g}"
            facts["criterion"] = self[0].criterion
        rows = [list(r.as_row().values()) for r in self]
        return Said(f"Recommendations for {len(self)} layers", facts, list(self[0].as_row()) if self else (), rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer.

        The columns are the fields of ``Recommendation``. "bits" and "effective_bits" are bits per value; "bound",
        "measured" and "tolerance" are errors over the norm of the input, and "rho" the norm of differences over it;
        "refresh" is a number of calls, or "never".
        """
        names = [each.name for each in fields(Recommendation)]
        return frame({name: [getattr(r, name) for r in self] for name in names})

    @property
    def plot(self) -> RecommendationPlots:
        """Pictures (extra [plot]): ``bits`` and ``errors`` per layer."""
        found: RecommendationPlots = pictures(self, f"{__package__}.pictures", "RecommendationPlots")
        return found
