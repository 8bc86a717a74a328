"""What the prediction of errors is made from, and what it says: arrays with what they show of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import reals
from ..shown import LEVELS, Said, Shown, frame, pictures
from .call import ratio

if TYPE_CHECKING:
    from .pictures import PredictionPlots

#: the recursions that the prediction is derived for
PREDICTED = ("direct", "open_loop", "closed_loop")


@dataclass(frozen=True, repr=False)
class Noise(Shown):
    """What a quantizer makes of layers' own inputs, in one recursion, from an exact start.

    The docstring of ``prediction`` defines the symbols. The arrays are float64, 0 where nothing is quantized. In the
    open loop g is what A(η) gains in energy per energy of this call's error. Coherent errors (sinusoids of a time
    embedding that are always rounded to zero) make it large, and it can be negative.

    Parameters
    ----------
    recursion : {"direct", "open_loop", "closed_loop"}
        The recursion.
    contraction, gain, correlation : array_like of float64, shape (T, L, n)
        c, g and φ. NaN or unequal shapes raise ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ones = np.ones((4, 1, 1))
    >>> ms.prediction.Noise("closed_loop", contraction=0.01 * ones, gain=ones, correlation=0 * ones).recursion
    'closed_loop'
    """

    recursion: str
    contraction: np.ndarray
    gain: np.ndarray
    correlation: np.ndarray

    def __post_init__(self) -> None:
        if self.recursion not in PREDICTED:
            raise ValueError(f"errors are predicted for {', '.join(PREDICTED)}, got {self.recursion!r}")
        for name in ("contraction", "gain", "correlation"):
            object.__setattr__(self, name, reals(name, getattr(self, name)))
        if any(np.isnan(v).any() for v in (self.contraction, self.gain, self.correlation)):
            raise ValueError("contraction, gain and correlation hold NaN")
        shapes = {v.shape for v in (self.contraction, self.gain, self.correlation)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 3:
            raise ValueError(f"contraction, gain and correlation have one shape (T, L, n), got {sorted(shapes)}")

    def _said(self) -> Said:
        T, L, n = self.contraction.shape
        facts = {
            "arrays": f"{T} calls, {L} layers, {n} samples", "contraction": float(self.contraction.mean()),
            "gain": float(self.gain.mean()), "correlation": float(self.correlation.mean()),
        }  # fmt: skip
        return Said(f"Noise: what a quantizer leaves of layers' inputs, {self.recursion} (means)", facts)


@dataclass(frozen=True, repr=False)
class Prediction(Shown):
    """Predicted energies of errors, float64.

    Parameters
    ----------
    layers, output : numpy.ndarray, shapes (T, L, n) and (T, n)
        N, of every layer's input error; and E, of the error of ε̂.
    x, norm : numpy.ndarray, shape (T+1, n)
        P, of the error of the sampler's state, with what is known (0 at the start); and ||x||² itself.
    recursion : str, optional
        The recursion that it is of.

    Examples
    --------
    >>> import numpy as np
    >>> none = np.zeros((1, 1))
    >>> from modiff_sim import prediction
    >>> prediction.Prediction(none[None], none, x=np.array([[0.0], [0.04]]), norm=np.ones((2, 1))).final
    0.2
    """

    layers: np.ndarray
    output: np.ndarray
    x: np.ndarray
    norm: np.ndarray
    recursion: str = ""

    @property
    def relative(self) -> np.ndarray:
        """Relative l2 error of x after every call, (T, n)."""
        return np.sqrt(ratio(self.x, self.norm)[1:])

    @property
    def final(self) -> float:
        """Median over samples of the relative l2 error of the result."""
        return float(np.median(self.relative[-1]))

    def _said(self) -> Said:
        (T, L, n), relative = self.layers.shape, self.relative
        facts = {
            "of": f"{T} calls, {L} layers, {n} samples", "final": f"{self.final:.4g}, relative l2 error of the result",
            "largest": f"{np.median(relative, axis=1).max():.4g}, relative l2 error of x after a call",
        }  # fmt: skip
        calls = sorted({0, T // 2, T - 1})
        rows = ([call, *map(float, np.quantile(relative[call], LEVELS))] for call in calls)
        head = ["relative error after call", "5 %", "median", "95 % of the samples"]
        return Said(f"Prediction{self.recursion and f': {self.recursion}'}", facts, head, rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per step and sample.

        The columns are "step", the model call in sampling order; "sample"; "relative", the relative l2 error of the
        sampler's state x after the call; "x" and "output", energies (squared 2-norms) of the error of x and of that of
        ε̂.
        """
        T, n = self.output.shape
        columns: dict[str, Any] = {"step": np.repeat(np.arange(T), n), "sample": np.tile(np.arange(n), T)}
        return frame(
            columns | {"relative": self.relative.ravel(), "x": self.x[1:].ravel(), "output": self.output.ravel()}
        )

    @property
    def plot(self) -> PredictionPlots:
        """Pictures (extra [plot]): ``errors`` per call."""
        found: PredictionPlots = pictures(self, f"{__package__}.pictures", "PredictionPlots")
        return found
