"""Sampling with per-image noise, in fixed micro-batches, in full precision or inside ``modulated``.

Image i is always drawn from its own noise, ``SeedSequence(seed, spawn_key=(stream, i))``, and always computed at
position i % batch of micro-batch i // batch, which is computed in full even where only a part of it is wanted. So an
image depends on (seed, batch, threads, dtype, versions), and neither on how many other images were requested nor on
where a run was interrupted. (With fewer rows the model's sums are rounded otherwise, by about 5e-7, and one scale for
a whole batch would be another.) What watches the model, such as ``record`` and the counts of an audit, sees all images
of a micro-batch.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..diffusion.noise import image_noise as image_noise
from ..diffusion.samplers import SAMPLERS
from ..diffusion.schedules import Schedule, linear
from ..names import one_of, takes
from .batching import Noise, chosen_size, indices
from .batching import micro_batches as micro_batches
from .hooks.calling import caller, prediction, unwrapped
from .hooks.modes import inference
from .hooks.modules import check_module
from .models.inputs import device_and_dtype, image_shape
from .models.schedulers import attached, schedule_of
from .run.run import Run, active_run

#: what the calls of pipelines and other libraries name -> its name in ``sample``
CALLED = {
    "num_inference_steps": "steps=", "num_steps": "steps=", "n_steps": "steps=", "batch_size": "batch=",
    "num_images": "images=", "n": "images=", "generator": "seed=", "scheduler": "schedule=",
    "prompt": "conditions=, the arguments of the model by name",
}  # fmt: skip


def denoiser(model: nn.Module, conditions: Mapping[str, Any] | None = None) -> Callable[[Tensor, int], Tensor]:
    """The function (x, t) -> prediction of a model, however the model is called and answers (see ``nn.hooks.calling``).

    Parameters
    ----------
    model : torch.nn.Module
        It is given the timestep as an int64 tensor of shape (n,). Where it predicts a variance as well, in twice as
        many channels as x has, the first half is the prediction.
    conditions : mapping of str to Any, optional
        Further arguments of the model; see ``sample``.

    Returns
    -------
    callable
        (x, t) -> Tensor. It raises ValueError for an answer without a prediction, and for NaN or Inf, naming the call
        and the timestep.

    Raises
    ------
    ValueError
        For a model that takes no timestep.
    """
    return _denoiser(model, conditions)


def _denoiser(
    model: nn.Module, conditions: Mapping[str, Any] | None, where: str = "", images: int = 0
) -> Callable[[Tensor, int], Tensor]:
    """``denoiser`` with error messages that begin with ``where``. Conditions may have ``images`` rows as well."""
    call, name = caller(model, conditions or ()), type(unwrapped(model)).__name__
    made = 0

    def predict(x: Tensor, t: int) -> Tensor:
        nonlocal made
        named = {} if not conditions else _per_sample(dict(conditions), x, images)
        out = prediction(call(x, t, **named), x, name)
        if not bool(torch.isfinite(out).all()):
            raise ValueError(f"{where}sampling gave NaN or Inf: {_not_finite(model, name, x, t, made)}")
        made += 1
        return out

    return predict


def _not_finite(model: nn.Module, name: str, x: Tensor, t: int, call: int) -> str:
    """Which output was not finite, and what to do about it."""
    said = f"the output of {name} at call {call}, t = {t}"
    if not bool(torch.isfinite(x).all()):
        return f"{said}; its input has them already: look at the calls before it, or at the model's clipping"
    config = getattr(unwrapped(model), "config", None)
    fourier = getattr(config, "time_embedding_type", None) == "fourier"
    if t == 0 and (fourier or x.dtype.itemsize >= 4):
        why = "its Fourier embedding is" if fourier else "an embedding may be"
        return (
            f"{said}, from a finite input; {why} one of log(t), which 0 does not have: leave t = 0 out, with "
            "spacing='trailing' and fewer steps than training timesteps, or a schedule of your own timesteps"
        )
    more = "a model in this dtype may overflow, take float32" if x.dtype.itemsize < 4 else "look at its weights"
    return f"{said}, from a finite input in {x.dtype}: {more}"


def _per_sample(conditions: dict[str, Any], x: Tensor, images: int = 0) -> dict[str, Any]:
    """Conditions with one row per sample of x.

    A single row is repeated for all samples; rows for all ``images`` are repeated in turn.
    """
    allowed = {1: "one for all", len(x): "one per sample of the micro-batch"}
    if 1 < images < len(x):
        allowed[images] = "one per image"

    def repeat(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value.ndim == 0 or value.shape[0] not in allowed:
            raise ValueError(
                f"conditions: a tensor of shape {tuple(value.shape)} has {value.shape[0] if value.ndim else 'no'} rows;"
                f" allowed are {', '.join(f'{n} ({why})' for n, why in sorted(allowed.items()))}"
            )
        value = value.to(x.device)
        if value.shape[0] in (1, len(x)):
            return value.expand(len(x), *value.shape[1:])
        return value[torch.arange(len(x), device=x.device) % len(value)]

    made: dict[str, Any] = pytree.tree_map(repeat, conditions)
    return made


def resolved(model: Any, schedule: Any = None) -> tuple[nn.Module, Schedule]:
    """The network to sample, and its schedule.

    The schedule is the one given, else that of the scheduler which the model came with, else ``linear()``.

    Parameters
    ----------
    model : torch.nn.Module or adapters.Loaded
        A torch module, or what ``adapters.load`` returns.
    schedule : Schedule or Any, optional
        A ``Schedule``, or what ``schedule_of`` takes.

    Raises
    ------
    TypeError
        For a model that is neither.
    """
    network = getattr(model, "denoiser", model) if not isinstance(model, nn.Module) else model
    check_module(network)
    if schedule is None:
        schedule = attached(network)
    return network, linear() if schedule is None else schedule_of(schedule)


def sample(
    model: nn.Module | Any,
    *,
    images: int | Sequence[int],
    steps: int = 50,
    sampler: str = "ddim",
    spacing: str | None = None,
    schedule: Schedule | Any | None = None,
    seed: int = 0,
    batch: int | None = None,
    shape: tuple[int, int, int] | None = None,
    run: Run | None = None,
    on_batch: Iterable[Callable[..., object]] = (),
    callback: Callable[[int, int, Tensor, Tensor], object] | None = None,
    progress: str | None = None,
    conditions: Mapping[str, Any] | None = None,
    **options: Any,
) -> np.ndarray:
    """Sample images from a diffusion model.

    Parameters
    ----------
    model : torch.nn.Module or adapters.Loaded
        A module that predicts noise, or what ``schedule.prediction`` says, at x and a timestep, called in one of the
        ways of ``nn.hooks.calling``; or what ``adapters.load`` returns. It must be in eval mode.
    images : int or sequence of int
        How many images (0 to n-1), or which indices, ascending.
    steps : int, default 50
        How many timesteps of the schedule are visited.
    sampler : str, default "ddim"
        A name in ``modiff_sim.diffusion.samplers.SAMPLERS``.
    spacing : str, optional
        How the timesteps are chosen; by default the schedule's own spacing ("uniform", if it has none).
    schedule : Schedule or Any, optional
        Training noise levels, and what is predicted: a ``Schedule``, or a scheduler of diffusers or its config
        (``schedulers.schedule_of``). Default: the scheduler that the model came with, where ``adapters.load`` found
        one; else linear beta 1e-4 to 0.02, 1000 steps, predicting noise.
    seed : int, default 0
        Seed of the images' noise.
    batch : int, optional
        Size of a micro-batch, which is computed in full, whichever of its images are wanted: ``batch=4`` for four
        images. By default 128.
    shape : tuple of int, optional
        (channels, height, width) of an image; by default from the model's config.
    run : Run, optional
        The run of ``modulated`` that this happens in, found on the model if not given. It is reset before every
        micro-batch.
    on_batch : iterable of callable
        Further resets, such as a recorder's, called with ``stream=index`` before micro-batch ``index``.
    callback : callable, optional
        Called by the sampler at every step; see ``modiff_sim.diffusion.samplers``.
    progress : str, optional
        Label of a progress bar (a plain line per micro-batch where stderr is not a terminal). None is silent.
    conditions : mapping of str to Any, optional
        Further arguments of the model by name, the same at every call (text embeddings, class labels). Tensors, also
        those in dicts, have one row, or ``batch`` rows, one per position in the micro-batch. Where ``images`` is a
        count below ``batch``, they may have that many rows; the positions after them, whose images are not wanted,
        repeat these rows.
    **options
        Options of the sampler (eta, clip, variance); the schedule may bring some (``Schedule.defaults``).

    Returns
    -------
    numpy.ndarray
        float32 (n, C, H, W), in the model's own range.

    Warns
    -----
    UserWarning
        Where ``batch`` is not given and images are computed that are not wanted.

    Raises
    ------
    TypeError
        For an option that no sampler has, which names the nearest known one.
    ValueError
        For unknown names (listing the known ones), an option that the sampler has not, no images, a scheduler that
        cannot be followed, a model on the meta device or in training mode, a model that takes no timestep or returns no
        prediction, a ``run`` that is not active on this model, and NaN or Inf in an output, naming the call and its
        timestep.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import sample
    >>> class Zero(torch.nn.Module):  # a model that predicts no noise
    ...     def forward(self, x, t):
    ...         return torch.zeros_like(x)
    >>> images = sample(Zero().eval(), images=3, steps=2, batch=2, shape=(1, 4, 4), spacing="uniform")
    >>> images.shape, images.dtype.name
    ((3, 1, 4, 4), 'float32')
    """
    model, known = resolved(model, schedule)
    one_of("sampler", sampler, SAMPLERS)
    own = [name for name in inspect.signature(sample).parameters if name != "options"]
    others = [name for each in SAMPLERS.values() for name in each.options]
    takes("sample", options, [*own, *dict.fromkeys(others)], **CALLED)
    run = _run_of(model, run)
    if model.training:
        raise ValueError("the model is in training mode (dropout would be active): call model.eval() first")
    wanted = indices(images)
    chosen, shape = known.spaced(steps, spacing=spacing), shape or image_shape(model)
    batch = chosen_size(batch, wanted)
    noise = Noise(seed, batch, shape, *device_and_dtype(model))
    out = np.empty((len(wanted), *noise.shape), np.float32)
    place = {image: row for row, image in enumerate(wanted)}
    counted = len(wanted) if wanted == list(range(len(wanted))) else 0
    resets = [*([run.reset] if run is not None else []), *on_batch]

    for index in _watched(micro_batches(wanted, batch), progress):
        for reset in resets:
            reset(stream=index)
        draw = noise.of(index)
        with inference():
            predict = _denoiser(model, conditions, f"micro-batch {index}: ", counted)
            x = SAMPLERS[sampler](predict, draw(), chosen, noise=draw, callback=callback, **options)
        values = x.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise ValueError(f"micro-batch {index}: sampling gave NaN or Inf; a model in {noise.dtype} may overflow")
        for row, image in enumerate(noise.members(index)):
            if image in place:
                out[place[image]] = values[row]
    return out


def _run_of(model: nn.Module, run: Run | None) -> Run | None:
    """The run that is active on the model. Raises ValueError where it is not the one that was given."""
    active = active_run(model)
    if run is not None and run is not active:
        raise ValueError(f"{run!r} is not active on this model: sample inside its `with modulated(...)` block")
    return active


def _watched(items: list[int], label: str | None) -> Iterable[int]:
    if label is None:
        return items
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(items, desc=label, unit="batch", leave=False)
    return _logged(items, label)


def _logged(items: list[int], label: str) -> Iterable[int]:
    for i, item in enumerate(items):
        print(f"{label}: micro-batch {i + 1} of {len(items)}", file=sys.stderr, flush=True)
        yield item
