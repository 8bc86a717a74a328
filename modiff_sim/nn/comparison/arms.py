"""``compare``: arms on one model or pipeline, side by side, what each does to the images, and what it costs.

    table = nn.compare(pipeline, {
        "W8A8": dict(activations="absmax:8", weights="absmax:8", recursion="direct"),
        "W4A4, MoDiff": dict(activations="absmax:4", weights="absmax:4"),
    }, prompt=["a lighthouse", "a fox"], num_inference_steps=20)

All arms start from the same noise as full precision, with whose images they are compared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ...arguments import count
from ...arguments import seed as whole_seed
from ...cost import FULL_BITS
from ...metrics import psnr, relative_l2, ssim
from ...metrics.arrays import feature_sets
from ...metrics.images import checked
from ...metrics.kernel import Terms
from ...names import takes
from ...recursion import label
from ...sweeps.parallel import progress
from ..audit import Audit
from ..batching import fitting
from ..models.pipelines import denoiser, modulated_pipeline
from ..modulate import OPTIONS, modulated
from ..run.run import Run
from ..sampling import resolved
from ..sampling import sample as drawn
from .notes import uncovered
from .table import FULL, Comparison

__all__ = ["Comparison", "compare"]

#: (run or None) -> images of any range, (n, C, H, W)
Draw = Callable[[Run | None], Any]
#: images (n, C, H, W) in [-1, 1] -> how far they are from real ones
Distance = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class _Subject:
    """What is compared on: the network, how an arm is put on it, how images are drawn, and what range they have."""

    network: nn.Module
    arm: Callable[..., AbstractContextManager[Run]]
    draw: Draw
    value_range: tuple[float, float]


def compare(
    subject: Any,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    reference: Any = None,
    features: Callable[[np.ndarray], Any] | None = None,
    images: int = 16,
    sample: Callable[..., Any] | None = None,
    value_range: tuple[float, float] | None = None,
    component: str | None = None,
    seed: int = 0,
    **sampling: Any,
) -> Comparison:
    """Sample every arm from the same noise, and compare it with full precision.

    Parameters
    ----------
    subject : torch.nn.Module, adapters.Loaded or diffusers.DiffusionPipeline
        The model, or a whole pipeline.
    arms : mapping of str to mapping
        Name of the arm -> options of ``modulated``.
    reference : array_like of shape (m, C, H, W), optional
        Real images of the same range, to which a kernel distance (MMD²) is measured in the features.
    features : callable, optional
        Images, float32 (n, C, H, W) in [-1, 1] -> features (n, k), for the kernel distance.
    images : int, default 16
        How many images. A pipeline with prompts makes one per prompt instead; a callable decides itself. Of a model
        they are computed in one micro-batch, or in several of equal size where they are more than 128.
    sample : callable, optional
        Draws the images of a model that ``nn.sample`` cannot sample: it returns (n, C, H, W), from the same noise at
        every call. It may take one argument, the ``Run`` (None in full precision), on which it then calls ``reset()``
        between batches.
    value_range : tuple of float, optional
        Black and white of the images that are drawn; by default (0, 1) for pipelines and (-1, 1) otherwise. All are
        compared after they are mapped to (-1, 1).
    component : str, optional
        Which network of a pipeline, where it has several.
    seed : int, default 0
        Seed of the noise (not of a callable's, and not where a pipeline is given a ``generator``).
    **sampling
        Options of ``nn.sample`` for a model (steps, sampler, batch, ...), or of the pipeline's call (prompt,
        num_inference_steps, ...). A pipeline's ``generator``, or a list of them, begins every arm in the state in which
        it was given.

    Returns
    -------
    Comparison
        One row per arm, full precision first; its docstring lists the columns. Costs are those of all MACs of a model
        call, of whatever kind: what an arm leaves in full precision (layers that its ``where`` excludes, products of
        attention without ``attention``, layers that cannot be quantized) counts at 32 × 32 bits.

    Raises
    ------
    TypeError, ValueError
        Before anything is sampled: for options that an arm cannot have, with the name of the arm, and for options that
        ``nn.sample`` or the pipeline does not take, naming the nearest. And for images that are not floats in the range
        that they should have, or that differ in shape.

    Examples
    --------
    >>> from modiff_sim.nn import compare, zoo
    >>> arms = {"W8A8": {"activations": "absmax:8", "weights": "absmax:8", "recursion": "direct"},
    ...         "W8A4, MoDiff": {"activations": "absmax:4", "weights": "absmax:8"}}
    >>> table = compare(zoo.load("digits"), arms, images=2, steps=3, batch=2)
    >>> [(row["arm"], round(row["total_bits"], 1)) for row in table.rows]
    [('full precision', 32.0), ('W8A8', 8.1), ('W8A4, MoDiff', 13.4)]
    """
    if not isinstance(arms, Mapping) or not arms:
        raise ValueError(f"arms are a mapping from names to options of modulated, at least one; got {arms!r}")
    about = _subject(subject, sample, component, count("images", images), whole_seed(seed), sampling, value_range)
    for name, options in arms.items():
        _tried(about, name, options)
    say = progress("sampling the arms", len(arms) + 1)
    distance = _distance(about, reference, features)
    full = _images(about, about.draw(None), FULL)
    say(1)
    rows, made, audits, left = [], {FULL: full}, {}, {}
    for i, (name, options) in enumerate(arms.items()):
        with about.arm(**options) as run:
            made[name] = _images(about, about.draw(run), name)
            audits[name], left[name] = run.audit(), uncovered(run, options)
            cost = _cost(audits[name]) | {"state_mib": run.state_bytes() / 2**20 / max(run.samples, 1)}
        if made[name].shape != full.shape:
            raise ValueError(f"arm {name!r} made images {made[name].shape}, and full precision {full.shape}")
        named = {"arm": name, "recursion": label(run.recursion), "images": len(full)}
        rows.append(named | _quality(made[name], full, distance) | cost)
        say(i + 2)
    return Comparison(
        [_full(full, next(iter(audits.values())), distance), *rows], made, audits, left, about.value_range
    )


def _subject(
    subject: Any,
    draw: Callable[..., Any] | None,
    component: str | None,
    images: int,
    seed: int,
    sampling: dict[str, Any],
    value_range: tuple[float, float] | None,
) -> _Subject:
    """Find out what was given, and how it is sampled."""
    if isinstance(subject, nn.Module) or hasattr(subject, "denoiser"):
        network = resolved(subject)[0]
        if draw is None:
            draw = partial(_sampled, subject, images=images, seed=seed, **{"batch": fitting(images)} | sampling)
        elif sampling:
            raise ValueError(f"{next(iter(sampling))}= is for nn.sample: a callable has its own options")
        else:
            draw = _with_run(draw)
        return _Subject(network, partial(modulated, network), draw, value_range or (-1.0, 1.0))
    network = denoiser(subject, component)
    if draw is not None:
        draw = _with_run(draw)
    else:
        _known(subject, sampling)
        draw = partial(_called, subject, images=images, noise=_Noise(sampling.pop("generator", None), seed), **sampling)
    return _Subject(network, partial(modulated_pipeline, subject, component=component), draw, value_range or (0.0, 1.0))


#: option of ``nn.sample`` -> what pipelines call it
_THERE = {
    "steps": "num_inference_steps=", "n_steps": "num_inference_steps=", "sampler": "a scheduler of its own",
    "batch": "images=, or one image per prompt",
}  # fmt: skip


def _known(pipeline: Any, sampling: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that the call of a pipeline does not take, before anything is sampled."""
    known = inspect.signature(pipeline.__call__).parameters
    if own := [name for name in ("output_type", "return_dict") if name in sampling]:
        raise TypeError(f"{own[0]}= is set by compare, which needs images as arrays: leave it out")
    if not any(each.kind is each.VAR_KEYWORD for each in known.values()):
        takes(type(pipeline).__name__, sampling, dict.fromkeys([*known, "generator"]), **_THERE)


def _sampled(model: Any, run: Run | None, **options: Any) -> np.ndarray:
    return drawn(model, run=run, **options)


class _Noise:
    """The noise of a pipeline: the caller's generators as they were given, before every arm, or one from a seed."""

    def __init__(self, given: Any, seed: int) -> None:
        self.given = torch.Generator().manual_seed(seed) if given is None else given
        self._each = self.given if isinstance(self.given, list | tuple) else [self.given]
        if wrong := [g for g in self._each if not isinstance(g, torch.Generator)]:
            raise TypeError(f"generator is a torch.Generator, or a list with one per image; got {wrong[0]!r}")
        self._states = [g.get_state() for g in self._each]

    def again(self) -> Any:
        """Return the generators, all of them in the state in which they were given."""
        for generator, state in zip(self._each, self._states, strict=True):
            generator.set_state(state)
        return self.given


def _called(pipeline: Any, run: Run | None, *, images: int, noise: _Noise, **options: Any) -> np.ndarray:
    """Call a pipeline with the same noise as ever, and return its images, (n, C, H, W)."""
    if "batch_size" in inspect.signature(pipeline.__call__).parameters:
        options.setdefault("batch_size", images)
    made = pipeline(output_type="np", generator=noise.again(), **options)
    return np.moveaxis(np.asarray(made.images), -1, 1)


def _with_run(draw: Callable[..., Any]) -> Draw:
    """Call a callable with the run, if it takes one."""
    if not callable(draw):
        raise TypeError(f"sample is a function that returns images (n, C, H, W), got {draw!r}")
    try:
        takes = len(inspect.signature(draw).parameters)
    except ValueError:  # a built-in
        takes = 0
    return draw if takes else lambda run: draw()


def _tried(about: _Subject, name: str, options: Any) -> None:
    """Raise, with the name of the arm, where it cannot be put on the model."""
    if not isinstance(options, Mapping):
        raise TypeError(
            f"arm {name!r}: give options of modulated, such as dict(activations='absmax:4'); got {options!r}"
        )
    try:
        takes("modulated", options, OPTIONS)
        with about.arm(**options):
            pass
    except (TypeError, ValueError) as error:
        raise type(error)(f"arm {name!r}: {error}") from None


def _images(about: _Subject, made: Any, name: str) -> np.ndarray:
    """Return images as float32 (n, C, H, W) in [-1, 1]."""
    low, high = about.value_range
    values = made.detach().cpu().float().numpy() if isinstance(made, torch.Tensor) else np.asarray(made)
    if values.dtype.kind == "f" and (low, high) != (-1.0, 1.0):
        values = (2 * (values - low) / (high - low) - 1).astype(np.float32, copy=False)
    return checked(f"the images of {name}", values, axes=4, anything=(low, high) != (-1.0, 1.0))


def _distance(about: _Subject, reference: Any, features: Callable[[np.ndarray], Any] | None) -> Distance | None:
    """Return the kernel distance of images to the reference; None where it is not asked for."""
    if (reference is None) != (features is None):
        raise ValueError("a kernel distance needs both: reference, real images, and features, a function of images")
    if reference is None or features is None:
        return None
    real = features(_images(about, reference, "the reference"))

    def distance(made: np.ndarray) -> float:
        each, others = feature_sets(features(made), real, at_least=2)
        return Terms(each, others).mmd2(np.ones(len(each)))

    return distance


def _quality(made: np.ndarray, full: np.ndarray, distance: Distance | None) -> dict[str, Any]:
    """Return medians over the images, and the kernel distance where there is a reference.

    Of the two in the middle of an even number the worse one counts: PSNR is infinite for equal images, and the mean of
    a number and infinity is none.
    """
    found: dict[str, Any] = {
        "equal": int((made == full).all(axis=(1, 2, 3)).sum()),
        "psnr": float(np.quantile(psnr(made, full), 0.5, method="lower")),
        "ssim": float(np.quantile(ssim(made, full), 0.5, method="lower")),
        "relative_l2": float(np.quantile(relative_l2(made, full), 0.5, method="higher")),
    }
    return found if distance is None else found | {"kernel_distance": distance(made)}


def _cost(audit: Audit) -> dict[str, Any]:
    """Return what all MACs of a model call cost, those outside of the audit's rows at 32 bits."""
    return {
        "gbops": audit.bops_per_sample / 1e9, "relative_bops": audit.relative_bops, "total_bits": audit.total_bits,
        "total_share": audit.total_share,
    }  # fmt: skip


def _full(full: np.ndarray, audit: Audit, distance: Distance | None) -> dict[str, Any]:
    """Return the row of full precision: all MACs of a model call, as any arm's audit has them, at 32 bits."""
    row: dict[str, Any] = {"arm": FULL, "recursion": "full_precision", "images": len(full)}
    row |= {"equal": len(full), "psnr": np.inf, "ssim": 1.0, "relative_l2": 0.0}
    if distance is not None:
        row["kernel_distance"] = distance(full)
    return row | {
        "gbops": FULL_BITS**2 * audit.whole_macs / max(audit.samples, 1) / 1e9, "relative_bops": 1.0,
        "total_bits": float(FULL_BITS), "total_share": 0.0, "state_mib": 0.0,
    }  # fmt: skip
