"""Noise schedules and the choice of timesteps: what a sampler needs to know, computed once in float64.

Everything here is in *sampling order*: the first timestep is the noisiest (the paper's t = T), and the index
is the model call.
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

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: what a model can predict of x_t = √ᾱ·x₀ + √(1-ᾱ)·ε: ε, v = √ᾱ·ε - √(1-ᾱ)·x₀ (Salimans and Ho 2022), or x₀
PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True, eq=False)
class Schedule:
    """The signal level at every training timestep, the timesteps a sampler visits, and what the model predicts there.

    Args:
        alpha_bar: ᾱ_t for t = 0 .. T-1, float64 (T,), in (0, 1], not increasing. Ho et al. 2020, eq. (4): the
            training input at t is √ᾱ_t·x₀ + √(1-ᾱ_t)·ε. The last may be 0 (zero terminal SNR, Lin et al. 2023)
            where the prediction is not ε, which says nothing about x₀ there.
        timesteps: training timesteps, int64 (n,), in sampling order: not increasing. A timestep may repeat
            ("quad" does); repeating costs a model call and moves nothing when ᾱ does not change.
        prediction: a name in ``PREDICTIONS``: what the denoiser returns.
        final: ᾱ after the last timestep, in [ᾱ_0, 1]: 1 is the clean image.
        spacing: a name in ``SPACINGS``, which ``spaced`` takes where it is told none.
        offset: added to the timesteps of the uniform spacings (diffusers' ``steps_offset``), at least 0.
        strided: whether DDIM's step from t ends at ᾱ of t - T//n, ``final`` below 0, instead of at the next timestep,
            as diffusers' DDIMScheduler has it. The two differ where the timesteps are not T//n apart.
        defaults: options by name for those samplers that have them, used by ``SAMPLERS`` where the caller gives none.

    Both arrays are copied and made read-only.

    Raises:
        ValueError: an array is empty, not one-dimensional, out of range or out of order; an unknown name; a number
            out of its range.
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
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"unknown prediction {self.prediction!r}; known: {', '.join(PREDICTIONS)}")
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
        if self.spacing not in SPACINGS:
            raise ValueError(f"unknown spacing {self.spacing!r}; known: {', '.join(SPACINGS)}")
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
        """The number of model calls n."""
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
        """Per model call: (t, ᾱ_t, ᾱ after the step), Python numbers, in sampling order.

        A step ends at the next timestep. After the last one ᾱ = ``final``, which is 1: a sampler ends at the clean
        image, where nothing else was said. This is the one place that says so.

        strided: True ends every step at t - T//n, ``final`` below 0; None does what the schedule says. Methods that use
                 several levels at once pass False: theirs have to be those of the timesteps.
        """
        here, final = self.alpha_bar[self.timesteps].tolist(), float(self.final)
        after = [*here[1:], final]
        if self.strided if strided is None else strided:
            ends = (self.timesteps - self.stride).tolist()
            after = [float(self.alpha_bar[t]) if t >= 0 else final for t in ends]
        return list(zip(self.timesteps.tolist(), here, after, strict=True))

    @property
    def stride(self) -> int:
        """T//n, the distance of uniformly spaced timesteps."""
        return self.T // len(self)

    @property
    def from_pure_noise(self) -> int:
        """How many of the visited timesteps have ᾱ = 0; they are the first."""
        return int((self.alpha_bar[self.timesteps] == 0).sum())

    def spaced(self, steps: int, *, spacing: str | None = None) -> Schedule:
        """The same noise levels visited in ``steps`` model calls.

        Args:
            steps: number of model calls, 1 <= steps <= T.
            spacing: a name in ``SPACINGS``; None is the schedule's own. One that diffusers' DDIMScheduler does not have
                is not strided.

        Raises:
            ValueError: steps outside 1 .. T, an unknown spacing, or timesteps that the offset moves beyond T-1.
        """
        spacing = self.spacing if spacing is None else spacing
        if spacing not in SPACINGS:
            raise ValueError(f"unknown spacing {spacing!r}; known: {', '.join(SPACINGS)}")
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
    """β rising linearly from beta_1 to beta_T over T timesteps, visiting all (Ho et al. 2020, section 4).

    Raises:
        ValueError: T < 1, or not 0 < beta_1 <= beta_T < 1.
    """
    affordable(f"T = {count('T', T):,} timesteps", 40 * T)
    if not 0 < number("beta_1", beta_1) <= number("beta_T", beta_T) < 1:
        raise ValueError(f"need 0 < beta_1 <= beta_T < 1, got {beta_1}, {beta_T}")
    alpha_bar = np.cumprod(1.0 - np.linspace(beta_1, beta_T, T), dtype=np.float64)
    return Schedule(alpha_bar=alpha_bar, timesteps=np.arange(T, dtype=np.int64)[::-1])


def _uniform(T: int, steps: int) -> IntArray:
    """0, r, 2r, ... with r = T // steps: "leading" in diffusers (Song et al. 2021, app. D.2, "linear")."""
    return np.arange(steps, dtype=np.int64) * (T // steps)


def _quad(T: int, steps: int) -> IntArray:
    """int(linspace(0, √(0.8 T), steps)²), as in the code of Song et al. and of MoDiff.

    Kept with its repeats (four times t = 0 at 100 of 1000), because they are model calls that a comparison
    with published numbers has to make.
    """
    return (np.linspace(0, math.sqrt(T * 0.8), steps) ** 2).astype(np.int64)


def _trailing(T: int, steps: int) -> IntArray:
    """Ends at T-1, the noisiest timestep, which "uniform" leaves out (Lin et al. 2023, table 2)."""
    return np.round(T - np.arange(steps)[::-1] * (T / steps)).astype(np.int64) - 1


def _linspace(T: int, steps: int) -> IntArray:
    """Both ends and evenly between, rounded: "linspace" in diffusers; its DPM-Solvers leave out t = 0."""
    return np.linspace(0, T - 1, steps).round().astype(np.int64)


def _uniform_above_0(T: int, steps: int) -> IntArray:
    """r, 2r, 3r, ... with r = T // (steps + 1): "leading" of diffusers' DPM-Solvers and of its UniPC and DEIS."""
    return np.arange(1, steps + 1, dtype=np.int64) * (T // (steps + 1))


def _linspace_above_0(T: int, steps: int) -> IntArray:
    """The last ``steps`` of steps + 1 evenly spaced and rounded: "linspace" of those schedulers."""
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
