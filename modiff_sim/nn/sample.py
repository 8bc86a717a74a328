"""Sampling with per-image noise, in fixed micro-batches, in full precision or inside ``modulated``.

Image i is always drawn from its own noise, ``SeedSequence(seed, spawn_key=(stream, i))``, and always computed at
position i % batch of micro-batch i // batch, which is computed in full even where only a part of it is wanted. So an
image depends on (seed, batch, threads, dtype, versions) and not on how many others were asked for or where a run was
interrupted.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..noise import image_noise
from ..samplers import SAMPLERS
from ..schedules import Schedule, linear
from .run import Run, active_run


def denoiser(model: nn.Module, conditions: Mapping[str, Any] | None = None) -> Callable[[Tensor, int], Tensor]:
    """(x, t) -> predicted noise, for models that return a tensor or, as diffusers' do, an object with ``.sample``.

    diffusers' transformers (first argument ``hidden_states``) are given the timestep by name, one per sample. Where the
    model predicts a variance as well (twice as many channels as x has), the first half is the noise. conditions: see
    ``sample``.
    """
    transformer = "hidden_states" in inspect.signature(type(model).forward).parameters

    def predict(x: Tensor, t: int) -> Tensor:
        named = {} if not conditions else _per_sample(dict(conditions), x)
        if transformer:
            out = model(x, timestep=torch.full((len(x),), t, device=x.device), **named)
        else:
            out = model(x, t, **named)
        out = getattr(out, "sample", out)
        return out[:, : x.shape[1]] if out.shape[1] == 2 * x.shape[1] else out

    return predict


def _per_sample(conditions: dict[str, Any], x: Tensor) -> dict[str, Any]:
    """Conditions with one row (axis 0 of size 1) repeated for every sample."""

    def repeat(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value.ndim == 0 or value.shape[0] not in (1, len(x)):
            raise ValueError(
                f"conditions: a tensor of shape {tuple(value.shape)} has neither 1 nor {len(x)} rows, one per sample"
            )
        return value.to(x.device).expand(len(x), *value.shape[1:])

    made: dict[str, Any] = pytree.tree_map(repeat, conditions)
    return made


def image_shape(model: nn.Module) -> tuple[int, int, int]:
    """(channels, height, width) from a diffusers config; ValueError for a model that has none."""
    config = getattr(model, "config", None)
    size, channels = getattr(config, "sample_size", None), getattr(config, "in_channels", None)
    if size is None or channels is None:
        raise ValueError(f"{type(model).__name__} has no config with sample_size and in_channels: pass shape=(C, H, W)")
    height, width = (size, size) if isinstance(size, int) else size
    return int(channels), int(height), int(width)


def micro_batches(wanted: Sequence[int], batch: int) -> list[int]:
    """Indices of the micro-batches that hold these images, ascending."""
    return sorted({i // batch for i in wanted})


def sample(
    model: nn.Module,
    *,
    images: int | Sequence[int],
    steps: int = 50,
    sampler: str = "ddim",
    spacing: str = "uniform",
    schedule: Schedule | None = None,
    seed: int = 0,
    batch: int = 128,
    shape: tuple[int, int, int] | None = None,
    run: Run | None = None,
    on_batch: Iterable[Callable[..., object]] = (),
    callback: Callable[[int, int, Tensor, Tensor], object] | None = None,
    progress: str | None = None,
    conditions: Mapping[str, Any] | None = None,
    **options: Any,
) -> np.ndarray:
    """Sample images; float32 array (n, C, H, W) in the model's own range.

    images:   how many (0..n-1), or which indices, ascending.
    run:      the run of ``modulated`` this happens in; found on the model if not given. It is reset before every
              micro-batch.
    on_batch: further resets, called with ``stream=index`` before micro-batch ``index`` (such as a recorder's).
    schedule: training noise levels; default linear beta 1e-4..0.02, 1000 steps. ``steps``, ``spacing`` choose from it.
    progress: label of a progress bar (a plain line per micro-batch where stderr is no terminal); None is silent.
    conditions: further arguments of the model by name, the same at every call (text embeddings, class labels); tensors,
              in dicts as well, have one row, or one per position in the micro-batch.
    options:  passed to the sampler (eta, clip, variance).

    Raises ValueError for unknown names (listing the known ones), no images, or images that come out non-finite.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    if run is not active_run(model):
        if run is not None:
            raise ValueError(f"{run!r} is not active on this model: sample inside its `with modulated(...)` block")
        run = active_run(model)
    if model.training:
        raise ValueError("the model is in training mode (dropout would be active): call model.eval() first")
    wanted = list(range(images)) if isinstance(images, int) else list(images) if isinstance(images, Iterable) else []
    if isinstance(images, bool) or not all(isinstance(i, Integral) for i in wanted):
        wanted = []
    if not wanted or min(wanted) < 0 or sorted(set(wanted)) != wanted:
        raise ValueError(f"images must be a count >= 1 or ascending indices >= 0, got {images!r}")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be an int >= 1, got {batch!r}")
    chosen = (schedule or linear()).spaced(steps, spacing=spacing)
    size = shape or image_shape(model)
    first = next(model.parameters(), torch.zeros(()))
    out = np.empty((len(wanted), *size), np.float32)
    place = {image: row for row, image in enumerate(wanted)}
    resets = [*([run.reset] if run is not None else []), *on_batch]

    for index in _watched(micro_batches(wanted, batch), progress):
        for reset in resets:
            reset(stream=index)
        members = range(index * batch, (index + 1) * batch)
        generators = [image_noise(seed, i) for i in members]

        def draw(call: int = -1, generators: list[np.random.Generator] = generators) -> Tensor:
            drawn = np.stack([g.standard_normal(size, dtype=np.float32) for g in generators])
            return torch.from_numpy(drawn).to(first.device, first.dtype)

        with torch.inference_mode():
            x = SAMPLERS[sampler](denoiser(model, conditions), draw(), chosen, noise=draw, callback=callback, **options)
        values = x.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise ValueError(f"micro-batch {index}: sampling gave NaN or Inf; a model in {first.dtype} may overflow")
        for row, image in enumerate(members):
            if image in place:
                out[place[image]] = values[row]
    return out


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
