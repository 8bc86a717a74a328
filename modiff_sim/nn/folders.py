"""Folders of diffusers: their weights, which have to fit the config, and what lies beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import checkpoints

__all__ = ["made", "notes", "refuse_damaged", "refuse_pickles", "to_safetensors"]


def made(cls: Any, source: str, config: dict[str, Any], options: dict[str, Any]) -> Any:
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
                parts[name] = made(part, source, {}, {**others, "subfolder": name})
        return cls.from_pretrained(source, use_safetensors=True, **parts, **others)
    try:
        model, about = cls.from_pretrained(source, use_safetensors=True, output_loading_info=True, **options)
    except (RuntimeError, ValueError) as error:
        sizes = re.findall(r"size mismatch for ([\w.]+)|because ([\w.]+) expected shape", str(error))
        if not sizes:
            raise
        raise ValueError(
            f"{source}: {len(sizes)} weights in the files have other shapes than its {cls.__name__} by its config, "
            f"such as {checkpoints.shown((a or b for a, b in sizes), 4)}: {_tail(error)}"
        ) from None
    problems = [
        f"{len(keys)} weights {what}, such as {checkpoints.shown(sorted(str(k) for k in keys), 4)}"
        for keys, what in (
            (about["missing_keys"], f"of its {cls.__name__} are not in the files"),
            (about["unexpected_keys"], f"in the files are none of its {cls.__name__} by its config"),
            ([k[0] for k in about["mismatched_keys"]], f"in the files have other shapes than its {cls.__name__}"),
        )
        if keys
    ]
    if problems:
        raise ValueError(f"{source}: {'; '.join(problems)}: the config and the weights are not of one model")
    return model


def _tail(error: Exception) -> str:
    """The first line of diffusers' message that names shapes."""
    lines = [x.strip() for x in str(error).splitlines() if "shape" in x]
    return lines[0][:300] if lines else str(error)[:300]


def refuse_damaged(folder: Path) -> None:
    """Raises ValueError for a local weight file that is no safetensors, naming it."""
    from safetensors import SafetensorError, safe_open

    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]) if folder.is_dir() else ():
        try:
            with safe_open(file, "pt"):
                pass
        except SafetensorError as error:
            raise ValueError(
                f"{file} is damaged, it is no safetensors file ({error}): copy or convert it anew"
            ) from None


def _pickles(folder: Path) -> list[Path]:
    """Weight files that have no safetensors beside them."""
    found = (x for pattern in ("*.bin", "*/*.bin") for x in sorted(folder.glob(pattern)))
    return [x for x in found if not any(x.parent.glob("*.safetensors"))]


def refuse_pickles(folder: Path) -> None:
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
        tensors = {k: v.clone().contiguous() for k, v in checkpoints.read(path).items()}
        # the names of transformers' files differ in more than the ending
        stem = path.stem if path.stem.startswith("diffusion_") else path.stem.replace("pytorch_model", "model")
        written.append(path.with_name(f"{stem}.safetensors"))
        safetensors.torch.save_file(tensors, written[-1], metadata={"format": "pt"})
    return written


def notes(folder: Path, subfolder: str | None, variant: str | None) -> Iterator[str]:
    """What lies beside the weights that were taken and was not."""
    if not folder.is_dir():
        return
    own = folder / (subfolder or "")
    root, taken = (own, "") if (own / "model_index.json").is_file() else (own.resolve().parent, own.resolve().name)
    known = taken in ("", "unet", "transformer") or taken.removesuffix("_ema") != taken
    for other in sorted(x.name for x in root.iterdir() if (x / "config.json").is_file()) if known else ():
        if other != taken and checkpoints.is_average(other):
            yield (
                f"{taken or 'the pipeline with its own weights'} was taken; {other} beside it is a moving average of "
                f"weights, load(..., subfolder={other!r}) takes that"
            )
    for part in [own] if taken else sorted(x for x in own.iterdir() if x.is_dir()):
        if any(part.glob("*.non_ema*.safetensors")) and variant != "non_ema":
            yield f"{part.name}: the moving average was taken; the weights beside it are variant='non_ema'"
        if variant == "non_ema" and any(part.glob("*.non_ema*.safetensors")):
            yield f"{part.name}: the weights were taken, not their moving average, as variant='non_ema' asks"
