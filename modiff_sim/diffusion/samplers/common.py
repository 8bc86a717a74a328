"""What all samplers share: their declaration, the predicted clean image, noise as an argument, one step, checks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, is_numpy_array

from ...arguments import namespace, number
from ...quantizers.base import not_finite, require_floating
from ...typing import Array
from ..schedules import Schedule

#: (x, training timestep) -> what the model predicts, like x
Denoiser = Callable[[Array, int], Array]
#: index of the model call -> standard normal values like x
Noise = Callable[[int], Array]
#: (call, t, new x, predicted clean image) -> anything
Callback = Callable[[int, int, Array, Array], object]
#: (x, t, ᾱ) -> (x̂₀, ε̂)
Predict = Callable[[Array, int, float], tuple[Array, Array]]


@dataclass(frozen=True)
class Sampler:
    """A sampler with what it declares about itself. Calling it calls its function.

    Parameters
    ----------
    function : callable
        The sampler, such as ``ddim``.
    order : int or None
        Order of convergence of x in the step size of λ, up to the last timestep. None for samplers that add noise.
        Tests measure it.
    calls : callable
        ``calls(schedule)`` is the number of model calls on a schedule; by default one per timestep.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> heun = ms.samplers.SAMPLERS["heun"]
    >>> heun.order, heun.options
    (2, ('clip',))
    >>> heun.calls(ms.schedules.linear().spaced(50))
    99
    """

    function: Callable[..., Array]
    order: int | None
    calls: Callable[[Schedule], int] = len

    def __call__(self, denoiser: Denoiser, x: Array, schedule: Schedule, **options: Any) -> Array:
        """Call the function with the given options and, where they are not given, the schedule's ``defaults``.

        Raises
        ------
        ValueError
            The function has no such option; the message names those it has.
        """
        if unknown := sorted(set(options) - {*self.options, "noise", "callback"}):
            name = self.function.__name__
            raise ValueError(f"{name} has no option {', '.join(unknown)}; known: {', '.join(self.options)}")
        brought = {name: value for name, value in schedule.defaults.items() if name in self.options}
        return self.function(denoiser, x, schedule, **(brought | options))

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options besides noise and callback."""
        named = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name not in ("noise", "callback"))


def steps_after_noise(schedule: Schedule) -> tuple[int, int]:
    """The number of model calls at ᾱ = 0, and the number of timesteps after them."""
    first = schedule.from_pure_noise
    return first, len(schedule) - first


def predictor(denoiser: Denoiser, schedule: Schedule, clip: float | None, *, clip_noise: bool = True) -> Predict:
    """The function (x, t, ᾱ) -> (x̂₀, ε̂) of a model that predicts what the schedule says.

    From ε̂: x̂₀ = (x - √(1-ᾱ)·ε̂)/√ᾱ. From v̂: x̂₀ = √ᾱ·x - √(1-ᾱ)·v̂ and ε̂ = √ᾱ·v̂ + √(1-ᾱ)·x. From x̂₀:
    ε̂ = (x - √ᾱ·x̂₀)/√(1-ᾱ), and 0 without noise. With ``clip``, x̂₀ is clamped; with ``clip_noise``, ε̂ is then
    recomputed from it.

    Raises TypeError where x is not an array of real floats, and ValueError for clip <= 0. The function itself
    raises where the denoiser returns another shape or dtype, NaN or Inf. The values of arrays other than NumPy's
    are checked in the first call only, so that no later call waits for the device.
    """
    check_clip(clip)
    first = True

    def predict(x: Array, t: int, alpha_bar: float) -> tuple[Array, Array]:
        nonlocal first
        if first:
            require_floating(namespace("a sampler", x), x, "a sampler")
        out = denoiser(x, t)
        xp = namespace("the denoiser's output", out)
        if tuple(out.shape) != tuple(x.shape):
            raise ValueError(f"the denoiser returned shape {tuple(out.shape)} for an input of shape {tuple(x.shape)}")
        if first or is_numpy_array(out):
            require_floating(xp, out, "the denoiser's output")
            if not bool(xp.all(xp.isfinite(out))):
                raise ValueError(not_finite(xp, out, f"the denoiser's output at t = {t}"))
        first = False
        signal, noise_level = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)

        def noise_beside(x0: Array) -> Array:
            return (x - signal * x0) * (1.0 / noise_level)

        if schedule.prediction == "epsilon":
            eps = out
            # torch divides by a scalar through its reciprocal on some devices: so all devices do the same
            x0 = (x - noise_level * eps) * (1.0 / signal)
        elif schedule.prediction == "v_prediction":
            x0, eps = signal * x - noise_level * out, signal * out + noise_level * x
        else:
            x0 = out
            eps = noise_beside(x0) if noise_level > 0.0 else 0.0 * x
        if clip is not None:
            x0 = array_namespace(x).clip(x0, -clip, clip)
            if clip_noise and noise_level > 0.0:
                eps = noise_beside(x0)
        return x0, eps

    return predict


def leave_pure_noise(
    predict: Predict, x: Array, levels: list[tuple[int, float, float]], callback: Callback | None
) -> tuple[Array, list[tuple[int, float, float]]]:
    """Make the steps from ᾱ = 0; returns x after them, and the levels that are left.

    At ᾱ = 0, λ is -∞ and σ/α is infinite, so that formulas of higher order have no meaning. Each of these steps is
    DDIM's and takes one model call. Only schedules of zero terminal SNR have such a level; for all others nothing
    changes.
    """
    left = next((i for i, (_, here, _) in enumerate(levels) if here > 0.0), len(levels))
    for call, (t, _, after) in enumerate(levels[:left]):
        x0, eps = predict(x, t, 0.0)
        x = math.sqrt(after) * x0 + math.sqrt(1.0 - after) * eps
        if callback is not None:
            callback(call, t, x, x0)
    return x, levels[left:]


def draw(noise: Noise | None, call: int, x: Array) -> Array:
    """The noise of a call; ValueError where there is none, or where it does not have the shape of x."""
    if noise is None:
        raise ValueError("this sampler adds noise: pass noise=, a function from the call index to standard normals")
    z = noise(call)
    require_floating(namespace(f"noise({call})", z), z, f"noise({call})")
    if tuple(z.shape) != tuple(x.shape):
        raise ValueError(f"noise({call}) has shape {tuple(z.shape)}, x has {tuple(x.shape)}")
    return z


def check_clip(clip: float | None) -> None:
    """Raise an error unless ``clip`` is None or a finite number above 0."""
    if clip is not None:
        number("clip", clip, above=0)


def transfer(x: Array, eps: Array, here: float, after: float) -> Array:
    """Move x from ᾱ = here along ε̂ to ᾱ = after: √after·x̂₀ + √(1-after)·ε̂ (DDIM's step; PNDM's (11) is the same)."""
    x0 = (x - math.sqrt(1.0 - here) * eps) * (1.0 / math.sqrt(here))
    return math.sqrt(after) * x0 + math.sqrt(1.0 - after) * eps


def signal_and_noise(alpha_bar: float) -> tuple[float, float, float]:
    """(α, σ, λ) of a noise level.

    α = √ᾱ, σ = √(1-ᾱ), and λ = log(α/σ) is half the log signal-to-noise ratio: ∞ without noise, -∞ without signal.
    """
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    if alpha == 0.0:
        return alpha, sigma, -math.inf
    return alpha, sigma, math.log(alpha / sigma) if sigma > 0.0 else math.inf
