"""Noise schedules and the choice of timesteps: what a sampler needs to know, computed once in float64.

Everything is in *sampling order*: the first timestep is the noisiest (the paper's t = T), and the index is the model
call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import affordable, count, number, reals
from ..names import one_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: what a model can predict of x_t = √ᾱ·x₀ + √(1-ᾱ)·ε: ε, v = √ᾱ·ε - √(1-ᾱ)·x₀ (Salimans and Ho 2022), or x₀
PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True, eq=False)
class Schedule:
    """The signal level at every training timestep, the timesteps to visit, and what the model predicts there.

    Parameters
    ----------
    alpha_bar : array_like of float64, shape (T,)
        ᾱ_t for t = 0 .. T-1, in (0, 1], not increasing: the training input at t is √ᾱ_t·x₀ + √(1-ᾱ_t)·ε. The last
        one may be 0 (zero terminal SNR, Lin et al. 2023) unless the prediction is ε, which says nothing about x₀
        there. The array is copied and made read-only.
    timesteps : array_like of int64, shape (n,)
        Training timesteps to visit, in sampling order, so not increasing. A timestep may repeat ("quad" repeats
        some). A repetition costs a model call; the step between equal ᾱ moves nothing. The array is copied and made
        read-only.
    prediction : {"epsilon", "v_prediction", "sample"}
        What the denoiser returns.
    final : float, default 1.0
        ᾱ after the last timestep, in [ᾱ_0, 1]. 1 is the clean image.
    spacing : str, default "uniform"
        The name in ``SPACINGS`` that ``spaced`` uses by default.
    offset : int, default 0
        Added to the timesteps of the uniform spacings (diffusers' ``steps_offset``); at least 0.
    strided : bool, default False
        Whether DDIM's step from t ends at ᾱ of t - T//n (``final`` below 0) instead of at the next timestep, as in
        diffusers' DDIMScheduler. The two differ where the timesteps are not T//n apart.
    defaults : mapping, optional
        Options by name. ``SAMPLERS`` passes them to those samplers that have them, where the caller gives none.

    Raises
    ------
    ValueError
        An array is empty, not one-dimensional, out of range or out of order; a name is unknown; or a number is out
        of its range.

    References
    ----------
    Ho et al. 2020, equation (4).

    Examples
    --------
    >>> import modiff_sim as ms
    >>> schedule = ms.schedules.Schedule(alpha_bar=[0.9, 0.5, 0.1], timesteps=[2, 1, 0])
    >>> schedule.levels()
    [(2, 0.1, 0.5), (1, 0.5, 0.9), (0, 0.9, 1.0)]
    """

    alpha_bar: FloatArray
    timesteps: IntArray
    prediction: str = "epsilon"
    final: float = 1.0
    spacing: str = "uniform"
    offset: int = 0
    strided: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        alpha_bar = reals("alpha_bar", self.alpha_bar).copy()
        given = reals("timesteps", self.timesteps, dtype=None)
        timesteps = np.zeros_like(given, np.int64) if not np.isfinite(given).all() else given.astype(np.int64)
        if alpha_bar.ndim != 1 or alpha_bar.size == 0:
            raise ValueError(f"alpha_bar must have shape (T,) with T >= 1, got {alpha_bar.shape}")
        one_of("prediction", self.prediction, PREDICTIONS)
        positive = alpha_bar[:-1] if alpha_bar[-1] == 0 and alpha_bar.size > 1 else alpha_bar
        # written so that NaN fails it
        if not (np.all(positive > 0) and np.all(alpha_bar <= 1) and np.all(np.diff(alpha_bar) <= 0)):
            raise ValueError("alpha_bar must lie in (0, 1] and not increase with t; the last alone may be 0")
        if alpha_bar[-1] == 0 and self.prediction == "epsilon":
            raise ValueError(
                "alpha_bar is 0 at the last training timestep (zero terminal SNR), where a predicted noise says "
                "nothing about the clean image: such a model has to predict v_prediction or sample"
            )
        if not alpha_bar[0] <= number("final", self.final, least=-math.inf) <= 1:
            raise ValueError(f"final must lie in [alpha_bar[0], 1] = [{alpha_bar[0]}, 1], got {self.final}")
        one_of("spacing", self.spacing, SPACINGS)
        count("offset", self.offset, 0)
        if timesteps.ndim != 1 or timesteps.size == 0:
            raise ValueError(f"timesteps must have shape (n,) with n >= 1, got {timesteps.shape}")
        if not np.array_equal(timesteps, given):
            raise ValueError("timesteps must be integers")
        if timesteps.min() < 0 or timesteps.max() >= alpha_bar.size:
            raise ValueError(f"timesteps must lie in 0 .. {alpha_bar.size - 1}")
        if self.strided and timesteps.size > alpha_bar.size:
            raise ValueError(f"a strided schedule has at most {alpha_bar.size} timesteps, all, got {timesteps.size}")
        if np.any(np.diff(timesteps) > 0):
            raise ValueError("timesteps must be in sampling order: the noisiest (largest) first")
        for name, array in (("alpha_bar", alpha_bar), ("timesteps", timesteps)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "defaults", dict(self.defaults))

    def __len__(self) -> int:
        """The number of visited timesteps n."""
        return int(self.timesteps.size)

    @property
    def T(self) -> int:
        """The number of training timesteps."""
        return int(self.alpha_bar.size)

    @property
    def betas(self) -> FloatArray:
        """β_t = 1 - ᾱ_t/ᾱ_{t-1}, float64 (T,), with ᾱ_{-1} = 1 (Ho et al. 2020, eq. (2)): up to rounding."""
        return 1.0 - self.alpha_bar / np.concatenate([[1.0], self.alpha_bar[:-1]])

    def levels(self, *, strided: bool | None = None) -> list[tuple[int, float, float]]:
        """The levels of every step, (t, ᾱ_t, ᾱ after the step), as Python numbers in sampling order.

        A step ends at the next timestep, and the last one at ``final``. Where ᾱ ends is decided here and nowhere else.

        Parameters
        ----------
        strided : bool, optional
            True ends every step at t - T//n, and at ``final`` below 0. By default the schedule decides. Methods
            that use several levels at once pass False, because they need the levels of the visited timesteps.
        """
        here, final = self.alpha_bar[self.timesteps].tolist(), float(self.final)
        after = [*here[1:], final]
        if self.strided if strided is None else strided:
            ends = (self.timesteps - self.stride).tolist()
            after = [float(self.alpha_bar[t]) if t >= 0 else final for t in ends]
        return list(zip(self.timesteps.tolist(), here, after, strict=True))

    @property
    def stride(self) -> int:
        """The distance T//n of uniformly spaced timesteps."""
        return self.T // len(self)

    @property
    def from_pure_noise(self) -> int:
        """How many of the visited timesteps have ᾱ = 0. They are the first ones."""
        return int((self.alpha_bar[self.timesteps] == 0).sum())

    def spaced(self, steps: int, *, spacing: str | None = None) -> Schedule:
        """The same noise levels, visited in another number of steps.

        Parameters
        ----------
        steps : int
            Number of timesteps to visit, 1 <= steps <= T.
        spacing : str, optional
            A name in ``SPACINGS``; by default the schedule's own. The new schedule is strided only if this one is
            and the spacing is one of diffusers' DDIMScheduler.

        Returns
        -------
        Schedule
            This schedule with the new timesteps.

        Raises
        ------
        ValueError
            ``steps`` is outside 1 .. T, the spacing is unknown, or the offset moves timesteps beyond T-1.

        Examples
        --------
        >>> import modiff_sim as ms
        >>> ms.schedules.linear().spaced(4).timesteps
        array([750, 500, 250,   0])
        """
        spacing = self.spacing if spacing is None else spacing
        one_of("spacing", spacing, SPACINGS)
        if isinstance(steps, bool) or not isinstance(steps, Integral) or not 1 <= steps <= self.T:
            raise ValueError(f"steps must be an integer in 1 .. {self.T} (the training timesteps), got {steps!r}")
        timesteps = SPACINGS[spacing](self.T, int(steps))[::-1]
        if self.offset and spacing.startswith("uniform"):
            timesteps = timesteps + self.offset
            if timesteps[0] >= self.T:
                raise ValueError(
                    f"{steps} steps spaced {spacing!r} with an offset (steps_offset) of {self.offset} begin at t = "
                    f"{timesteps[0]}, beyond the last training timestep {self.T - 1}: take fewer steps"
                )
        return replace(self, timesteps=timesteps, strided=self.strided and spacing in STRIDED)


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """The schedule in which β rises linearly from ``beta_1`` to ``beta_T`` over T timesteps, visiting all of them.

    Parameters
    ----------
    T : int, default 1000
        Number of training timesteps.
    beta_1, beta_T : float
        The first and the last β, with 0 < beta_1 <= beta_T < 1.

    Returns
    -------
    Schedule
        The schedule of a model that predicts ε.

    Raises
    ------
    ValueError
        T < 1, or not 0 < beta_1 <= beta_T < 1.

    References
    ----------
    Ho et al. 2020, section 4.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> len(ms.schedules.linear())
    1000
    """
    affordable(f"T = {count('T', T):,} timesteps", 40 * T)
    if not 0 < number("beta_1", beta_1) <= number("beta_T", beta_T) < 1:
        raise ValueError(f"need 0 < beta_1 <= beta_T < 1, got {beta_1}, {beta_T}")
    alpha_bar = np.cumprod(1.0 - np.linspace(beta_1, beta_T, T), dtype=np.float64)
    return Schedule(alpha_bar=alpha_bar, timesteps=np.arange(T, dtype=np.int64)[::-1])


def _uniform(T: int, steps: int) -> IntArray:
    """The timesteps 0, r, 2r, ... with r = T // steps: "leading" in diffusers, "linear" in Song et al., app. D.2."""
    return np.arange(steps, dtype=np.int64) * (T // steps)


def _quad(T: int, steps: int) -> IntArray:
    """The timesteps int(linspace(0, √(0.8 T), steps)²), as in the code of Song et al. and of MoDiff.

    Repetitions are kept (t = 0 occurs four times at 100 of 1000), because a comparison with published numbers has
    to make the same model calls.
    """
    return (np.linspace(0, math.sqrt(T * 0.8), steps) ** 2).astype(np.int64)


def _trailing(T: int, steps: int) -> IntArray:
    """Evenly spaced timesteps up to T-1, the noisiest, which "uniform" leaves out (Lin et al. 2023, table 2)."""
    return np.round(T - np.arange(steps)[::-1] * (T / steps)).astype(np.int64) - 1


def _linspace(T: int, steps: int) -> IntArray:
    """Both ends and evenly spaced timesteps between, rounded: "linspace" in diffusers.

    Its DPM-Solvers leave out t = 0.
    """
    return np.linspace(0, T - 1, steps).round().astype(np.int64)


def _uniform_above_0(T: int, steps: int) -> IntArray:
    """The timesteps r, 2r, 3r, ... with r = T // (steps + 1): "leading" of DPM-Solvers, UniPC, DEIS in diffusers."""
    return np.arange(1, steps + 1, dtype=np.int64) * (T // (steps + 1))


def _linspace_above_0(T: int, steps: int) -> IntArray:
    """The last ``steps`` of steps + 1 evenly spaced, rounded timesteps: "linspace" of those schedulers."""
    return np.linspace(0, T - 1, steps + 1).round().astype(np.int64)[1:]


# (T, steps) -> timesteps, rising. Add a spacing here; `spaced`, the CLI and the tests read this table.
SPACINGS: dict[str, Callable[[int, int], IntArray]] = {
    "uniform": _uniform,
    "quad": _quad,
    "trailing": _trailing,
    "linspace": _linspace,
    "uniform_above_0": _uniform_above_0,
    "linspace_above_0": _linspace_above_0,
}
#: those of diffusers' DDIMScheduler
STRIDED = ("uniform", "trailing", "linspace")
