"""Other people's models: load a diffusers folder or hub name, find its denoiser, run a whole pipeline as an arm.

    loaded = adapters.load("folder-or-hub/name")             # also an original DDPM checkpoint file
    with modulated(loaded.denoiser, activations=ms.AbsMax(4)) as run: ...
    with adapters.modulated_pipeline(loaded.pipeline, activations=ms.AbsMax(4)) as run:
        images = loaded.pipeline(num_inference_steps=50).images      # states are reset at every call of the pipeline
        print(run.audit())

Weights come from safetensors only, no code that came with a model is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import ddpm_checkpoint
from .pipelines import denoiser, modulated_pipeline, pipeline_resets

__all__ = ["Loaded", "denoiser", "load", "modulated_pipeline", "pipeline_resets", "to_safetensors"]

HUB_OPTIONS = ("cache_dir", "revision", "token", "local_files_only", "force_download")


@dataclass(frozen=True)
class Loaded:
    """What a name led to: the denoiser, in eval mode without gradients, and the pipeline around it, if there is one."""

    source: str
    denoiser: nn.Module = field(repr=False)
    pipeline: Any | None = field(default=None, repr=False)


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

    source:    a folder with ``model_index.json`` is a pipeline, one with ``config.json`` a model; a file is an original
               DDPM checkpoint (``nn.ddpm_checkpoint``). Anything else is a hub name.
    subfolder: only this model of a pipeline's folder, such as "unet".
    component: which of a pipeline's denoisers, where it has several (see ``denoiser``).
    dtype, device: None is diffusers' default (float32 on the CPU), and a file's own.
    options:   for diffusers' ``from_pretrained``, such as ``revision``, ``variant``, ``local_files_only=True``, or
               components of a pipeline, such as ``safety_checker=None``.

    Raises FileNotFoundError where there is nothing of that name (or no connection to find out), ValueError for weights
    that are only there as pickles, for what is no model of diffusers, and as ``denoiser``. Pipelines with text encoders
    need the package transformers: ImportError.
    """
    path = Path(source)
    if path.is_file() and path.name not in ("model_index.json", "config.json"):
        if subfolder or component or options:
            raise ValueError(f"{source} is a file: subfolder=, component= and diffusers' options mean nothing for it")
        model: Any = ddpm_checkpoint.load(path)
        return Loaded(str(source), model.to(device=device, dtype=dtype))
    config = _config(source, subfolder, {k: v for k, v in options.items() if k in HUB_OPTIONS})
    if path.is_dir():
        _refuse_pickles(path / (subfolder or ""))
    cls = _class(config, source)
    if dtype is not None:
        options["torch_dtype"] = dtype
    if subfolder:
        options["subfolder"] = subfolder
    if find_spec("accelerate") is None:  # diffusers falls back to this by itself, with a warning for every model
        options.setdefault("low_cpu_mem_usage", False)
    try:
        made = _made(cls, str(source), config, options)
    except OSError as error:
        raise OSError(
            f"{source}: diffusers could not load it: {error} (weights are read as safetensors only; pickles can be "
            "converted once, in a local folder, with adapters.to_safetensors)"
        ) from error
    found = denoiser(made, component).eval().requires_grad_(False)
    if dtype is not None and getattr(found, "_keep_in_fp32_modules", None) is None:
        made = made.to(dtype)  # without the package accelerate, some classes ignore what they were asked for
    if device is not None:
        made = made.to(device)
    return Loaded(str(source), found, None if isinstance(made, nn.Module) else made)


def _config(source: str | Path, subfolder: str | None, hub: dict[str, Any]) -> dict[str, Any]:
    """The content of model_index.json or config.json."""
    names = ["config.json"] if subfolder else ["model_index.json", "config.json"]
    folder = Path(source)
    if folder.is_dir():
        files = [folder / (subfolder or "") / name for name in names]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"no {' or '.join(names)} in {files[0].parent}: this is no diffusers folder")
    else:
        found = _from_hub(str(source), subfolder, names, hub)
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{found} is damaged, it is no JSON ({type(error).__name__})") from None
    lists = [x for x in content.values() if isinstance(x, list)] if isinstance(content, dict) else []
    if not isinstance(content, dict) or (found.name == "model_index.json" and any(len(x) < 2 for x in lists)):
        raise ValueError(f"{found} is no config of diffusers: expected names with values, or [library, class]")
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
            if isinstance(error, LocalEntryNotFoundError):  # no connection: what is left is the cache
                hub = {**hub, "local_files_only": True}
        except (HFValidationError, OSError) as error:
            reason = error
            break
    if isinstance(reason, HFValidationError):  # a path, by its form
        raise FileNotFoundError(f"{name} is no local folder or file, and no name that the hub could have") from reason
    raise FileNotFoundError(
        f"{name} is no local folder or file, and the hub does not give {' or '.join(files)} for that name: it does not "
        f"exist, is not public, or there is no connection and no copy in the cache ({type(reason).__name__})"
    ) from reason


def _class(config: dict[str, Any], source: str | Path) -> Any:
    """The class a config names: a model or a pipeline of diffusers itself."""
    import diffusers

    name = config.get("_class_name")
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and hasattr(cls, "from_pretrained")):
        raise ValueError(
            f"{source}: its config names the class {name!r}, which is no model or pipeline of diffusers "
            f"{diffusers.__version__}; code that comes with a model is not run: make the model yourself"
        )
    return cls


def _made(cls: Any, source: str, config: dict[str, Any], options: dict[str, Any]) -> Any:
    """The model or pipeline; ValueError for weights that the files do not have, which diffusers draws at random."""
    import diffusers

    if not issubclass(cls, diffusers.ModelMixin):
        parts = {k: v for k, v in options.items() if k in config}  # components that the caller brings
        others = {k: v for k, v in options.items() if k not in config}
        for name, spec in config.items():
            if name in parts or not (isinstance(spec, list) and spec[0] == "diffusers"):
                continue
            part = getattr(diffusers, str(spec[1]), None)
            if isinstance(part, type) and issubclass(part, diffusers.ModelMixin):
                parts[name] = _made(part, source, {}, {**others, "subfolder": name})
        return cls.from_pretrained(source, use_safetensors=True, **parts, **others)
    model, about = cls.from_pretrained(source, use_safetensors=True, output_loading_info=True, **options)
    if missing := about["missing_keys"]:
        raise ValueError(
            f"{source}: {len(missing)} weights of its {cls.__name__} are not in the files, such as {missing[0]}"
        )
    return model


def _pickles(folder: Path) -> list[Path]:
    """Weight files that have no safetensors beside them."""
    found = (x for pattern in ("*.bin", "*/*.bin") for x in sorted(folder.glob(pattern)))
    return [x for x in found if not any(x.parent.glob("*.safetensors"))]


def _refuse_pickles(folder: Path) -> None:
    if pickles := _pickles(folder):
        raise ValueError(
            f"{folder}: {', '.join(str(x.relative_to(folder)) for x in pickles)}: weights as pickles are not read. "
            f"Convert them once: adapters.to_safetensors({str(folder)!r}), which reads tensors and nothing else"
        )


def to_safetensors(folder: str | Path) -> list[Path]:
    """Write the safetensors of a local folder's ``.bin`` weights beside them; returns what was written.

    Reads with ``weights_only=True``. Raises ValueError for a file that holds more than tensors, for shards, and where
    there is nothing to convert.
    """
    import safetensors.torch

    pickles = _pickles(Path(folder))
    if not pickles:
        raise ValueError(f"{folder}: no .bin weights without safetensors here or one folder below")
    written = []
    for path in pickles:
        if "-of-" in path.name:
            raise ValueError(f"{path} is one of several shards: save the model in one piece first (save_pretrained)")
        tensors = {k: v.clone().contiguous() for k, v in ddpm_checkpoint.read(path).items()}
        # the names of transformers' files differ in more than the ending
        stem = path.stem if path.stem.startswith("diffusion_") else path.stem.replace("pytorch_model", "model")
        written.append(path.with_name(f"{stem}.safetensors"))
        safetensors.torch.save_file(tensors, written[-1], metadata={"format": "pt"})
    return written
