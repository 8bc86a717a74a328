"""Other people's models: load a diffusers folder or hub name, find its denoiser, run a whole pipeline as an arm.

    loaded = adapters.load("folder-or-hub/name")             # also an original DDPM checkpoint file
    with modulated(loaded.denoiser, activations=ms.AbsMax(4)) as run: ...
    with adapters.modulated_pipeline(loaded.pipeline, activations=ms.AbsMax(4)) as run:
        images = loaded.pipeline(num_inference_steps=50).images      # states are reset at every call of the pipeline
        print(run.audit())

Weights are read from safetensors only, and no code that comes with a model is run. A model keeps note of the scheduler
that it came with: ``sample(loaded)`` and ``sample(loaded.denoiser)`` sample as that scheduler says, or say why they
cannot.

Examples
--------
>>> import tempfile
>>> from modiff_sim.nn import adapters, zoo
>>> with tempfile.TemporaryDirectory() as folder:
...     zoo.load("digits").save_pretrained(folder)
...     loaded = adapters.load(folder)
>>> type(loaded.denoiser).__name__, loaded.pipeline, loaded.schedule
('UNet2DModel', None, None)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...diffusion.schedules import Schedule
from . import ddpm_checkpoint
from .folders import HUB_OPTIONS, SCHEDULER, json_of, made, notes, refuse_damaged, refuse_pickles, to_safetensors
from .pipelines import denoiser, modulated_pipeline, pipeline_resets
from .schedulers import attach, schedule_of

__all__ = ["Loaded", "denoiser", "load", "modulated_pipeline", "pipeline_resets", "to_safetensors"]

LOG = logging.getLogger(__name__)


@contextmanager
def _errors_once() -> Iterator[None]:
    """Say the errors that diffusers prints and then raises only once, by what is raised. Warnings are kept."""

    def no_error(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    handlers = logging.getLogger("diffusers").handlers
    for handler in handlers:
        handler.addFilter(no_error)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(no_error)


@dataclass(frozen=True)
class Loaded:
    """What a name led to: the denoiser, in eval mode without gradients, and the pipeline around it, if there is one.

    Parameters
    ----------
    source : str
        The name.
    denoiser : torch.nn.Module
        The network that is called at every step.
    pipeline : diffusers.DiffusionPipeline, optional
        The pipeline that it belongs to.
    scheduler : dict, optional
        The config of the scheduler that came with it, with ``_class_name``.
    notes : tuple of str
        Sentences on which of several weights were taken, such as a moving average; they are also in the log.
    """

    source: str
    denoiser: nn.Module = field(repr=False)
    pipeline: Any | None = field(default=None, repr=False)
    scheduler: dict[str, Any] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that the scheduler describes; None where no scheduler came with the model.

        Raises ValueError for a scheduler that cannot be followed.
        """
        return None if self.scheduler is None else schedule_of(self.scheduler)


def load(
    source: str | Path,
    *,
    subfolder: str | None = None,
    component: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    **options: Any,
) -> Loaded:
    """A model or pipeline by local folder, name on the Hugging Face hub, or checkpoint file.

    The scheduler is looked for in the pipeline or, for a single model, in its folder and the one above.

    Parameters
    ----------
    source : str or Path
        A folder with ``model_index.json`` is a pipeline, one with ``config.json`` a model; a file is an original DDPM
        checkpoint (``nn.models.ddpm_checkpoint``). Anything else is a hub name.
    subfolder : str, optional
        Only this model of a pipeline's folder, such as "unet".
    component : str, optional
        Which of a pipeline's denoisers, where it has several (see ``denoiser``).
    dtype : torch.dtype, optional
        None is diffusers' default (float32), and a file's own dtype.
    device : torch.device or str, optional
        None is the CPU.
    **options
        For diffusers' ``from_pretrained``, such as ``revision``, ``variant``, ``local_files_only=True``, or components
        of a pipeline, such as ``safety_checker=None``.

    Returns
    -------
    Loaded
        The denoiser and, if there is one, the pipeline around it.

    Raises
    ------
    FileNotFoundError
        Where there is nothing of that name, or no connection to find out.
    ValueError
        For weights that exist only as pickles, that are damaged or do not all fit the config; for what is not a model
        of diffusers; and as ``denoiser``.
    OSError
        Where diffusers could not read the files.
    ImportError
        For pipelines with text encoders, without the package transformers.
    """
    path = Path(source)
    if path.is_file() and path.name not in ("model_index.json", "config.json"):
        if subfolder or component or options:
            raise ValueError(f"{source} is a file: subfolder=, component= and diffusers' options do not apply to it")
        model, said_of = ddpm_checkpoint.loaded(path)
        moved: Any = model
        return Loaded(str(source), moved.to(device=device, dtype=dtype), notes=(said_of,) if said_of else ())
    config = _config(source, subfolder, {k: v for k, v in options.items() if k in HUB_OPTIONS})
    if path.is_dir():
        refuse_pickles(path / (subfolder or ""))
    cls = _class(config, source)
    if dtype is not None:
        options["torch_dtype"] = dtype
    if subfolder:
        options["subfolder"] = subfolder
    if find_spec("accelerate") is None:  # diffusers falls back to this anyway, with a warning for every model
        options.setdefault("low_cpu_mem_usage", False)
    try:
        with _errors_once():
            whole = made(cls, str(source), config, options)
    except OSError as error:
        refuse_damaged(path / (subfolder or ""))
        raise OSError(
            f"{source}: diffusers could not load it: {error} (weights are read as safetensors only; pickles can be "
            "converted once, in a local folder, with adapters.to_safetensors)"
        ) from error
    found = denoiser(whole, component).eval().requires_grad_(False)
    if dtype is not None and getattr(found, "_keep_in_fp32_modules", None) is None:
        whole = whole.to(dtype)  # without the package accelerate, some classes ignore what they were asked for
    if device is not None:
        whole = whole.to(device)
    pipeline = None if isinstance(whole, nn.Module) else whole
    if pipeline is None:
        scheduler = _scheduler_beside(source, subfolder, {k: v for k, v in options.items() if k in HUB_OPTIONS})
    else:
        scheduler = _scheduler_of(pipeline, found)
    attach(found, scheduler)
    said = tuple(notes(path, subfolder, options.get("variant")))
    for note in said:
        LOG.warning("%s: %s", source, note)
    return Loaded(str(source), found, pipeline, scheduler, said)


def _scheduler_of(pipeline: Any, model: nn.Module) -> dict[str, Any] | None:
    """The config of a pipeline's scheduler; of several, the one that is named like the model."""
    parts = {k: v for k, v in getattr(pipeline, "components", {}).items() if v is not None}
    found = {k: v for k, v in parts.items() if k.endswith("scheduler") and hasattr(v, "config")}
    if not found:
        return None
    component = next((k for k, v in parts.items() if v is model), "")
    fits = [k for k in found if component.startswith(k.removesuffix("scheduler").rstrip("_"))] or list(found)
    chosen = found[max(fits, key=len)]
    if len(found) > 1 and not any(component.startswith(k.removesuffix("scheduler").rstrip("_")) for k in found):
        return {"_class_name": f"one of several schedulers ({', '.join(found)})"}
    return {**chosen.config, "_class_name": type(chosen).__name__}


def _scheduler_beside(source: str | Path, subfolder: str | None, hub: dict[str, Any]) -> dict[str, Any] | None:
    """The config of the scheduler that lies beside a single model."""
    folder = Path(source)
    if folder.is_dir():
        own = folder / (subfolder or "")
        places = [own / SCHEDULER, own / "scheduler" / SCHEDULER, own.resolve().parent / "scheduler" / SCHEDULER]
        if (own.resolve().parent / "model_index.json").is_file():
            places.append(own.resolve().parent / SCHEDULER)
        return next((json_of(place) for place in places if place.is_file()), None)
    for place in ("scheduler", None):
        try:
            return json_of(_from_hub(str(source), place, [SCHEDULER], hub))
        except FileNotFoundError:
            continue
    return None


def _config(source: str | Path, subfolder: str | None, hub: dict[str, Any]) -> dict[str, Any]:
    """The content of model_index.json or config.json."""
    names = ["config.json"] if subfolder else ["model_index.json", "config.json"]
    folder = Path(source)
    if folder.is_dir():
        files = [folder / (subfolder or "") / name for name in names]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"no {' or '.join(names)} in {files[0].parent}: this is not a diffusers folder")
    else:
        found = _from_hub(str(source), subfolder, names, hub)
    content = json_of(found)
    lists = [x for x in content.values() if isinstance(x, list)]
    if found.name == "model_index.json" and any(len(x) < 2 for x in lists):
        raise ValueError(f"{found} is not a config of diffusers: expected names with values, or [library, class]")
    return content


def _from_hub(name: str, subfolder: str | None, files: list[str], hub: dict[str, Any]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

    reason: Exception | None = None
    for file in files:
        try:
            return Path(hf_hub_download(name, file, subfolder=subfolder, **hub))
        except EntryNotFoundError as error:
            reason = error
            if isinstance(error, LocalEntryNotFoundError):  # without a connection, only the cache is left
                hub = {**hub, "local_files_only": True}
        except (HFValidationError, OSError) as error:
            reason = error
            break
    if isinstance(reason, HFValidationError):  # by its form it is a path
        raise FileNotFoundError(f"{name} is not a local folder or file, and not a possible name on the hub") from reason
    raise FileNotFoundError(
        f"{name} is not a local folder or file, and the hub does not give {' or '.join(files)} for that name: it does "
        f"not exist, is not public, or there is no connection and no copy in the cache ({type(reason).__name__})"
    ) from reason


def _class(config: dict[str, Any], source: str | Path) -> Any:
    """The class that a config names: a model or a pipeline of diffusers itself."""
    import diffusers

    name = config.get("_class_name")
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and hasattr(cls, "from_pretrained")):
        raise ValueError(
            f"{source}: its config names the class {name!r}, which is not a model or pipeline of diffusers "
            f"{diffusers.__version__}; code that comes with a model is not run: make the model yourself"
        )
    return cls
