"""Folders of diffusers: weights, which have to fit the config, and the files beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import checkpoints
from .schedulers import schedule_of

__all__ = ["json_of", "made", "notes", "refuse_damaged", "refuse_pickles", "to_safetensors"]

SCHEDULER = "scheduler_config.json"
HUB_OPTIONS = ("cache_dir", "revision", "token", "local_files_only", "force_download")
#: the name of weights beside a config, with their variant
WEIGHTS = re.compile(r"(?:diffusion_pytorch_)?model(?:\.(\w+))?(?:-\d+-of-\d+)?\.safetensors")


def json_of(file: Path) -> dict[str, Any]:
    """The content of a config. Raises ValueError for a file that is not one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{file} is damaged, it is not JSON ({type(error).__name__}): copy it anew from where the model comes from"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{file} is not a config of diffusers: expected names with values, got a {type(content).__name__}"
        )
    return content


def _scheduler(cls: Any, source: str, name: str, options: Mapping[str, Any]) -> Any:
    """A pipeline's scheduler.

    Raises ValueError for one that diffusers cannot make, naming its file and the option.
    """
    file = Path(source) / name / SCHEDULER
    local = Path(source).is_dir()
    if local and not file.is_file():
        raise ValueError(
            f"{source}: the pipeline names a {cls.__name__}, and there is no {file}: copy it from where the model "
            f"comes from, pass {name}=, or load the model alone, such as with subfolder='unet'"
        )
    config = json_of(file) if local else {}
    try:
        return cls.from_pretrained(source, subfolder=name, **{k: v for k, v in options.items() if k in HUB_OPTIONS})
    except OSError:  # from the hub
        raise
    except Exception as error:  # arithmetic with options of the wrong type can raise anything
        why = f"diffusers makes no {cls.__name__} of it ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
        try:
            schedule_of({**config, "_class_name": cls.__name__})
        except ValueError as known:
            why = str(known)
        raise ValueError(f"{file}: {why}. Correct the file, or pass {name}=") from error


def made(cls: Any, source: str, config: dict[str, Any], options: dict[str, Any]) -> Any:
    """The model or pipeline.

    Raises ValueError for weights that are not in the files, which diffusers would draw at random.
    """
    import diffusers

    if not issubclass(cls, diffusers.ModelMixin):
        parts = {k: v for k, v in options.items() if k in config}  # components that the caller passes
        others = {k: v for k, v in options.items() if k not in config}
        for name, spec in config.items():
            if name in parts or not (isinstance(spec, list) and spec[0] == "diffusers"):
                continue
            part = getattr(diffusers, str(spec[1]), None)
            if isinstance(part, type) and issubclass(part, diffusers.SchedulerMixin):
                parts[name] = _scheduler(part, source, name, others)
            elif isinstance(part, type) and issubclass(part, diffusers.ModelMixin):
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
            (about["unexpected_keys"], f"in the files do not belong to its {cls.__name__} by its config"),
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
    """Raise ValueError for a local weight file that is not a safetensors file, naming it."""
    from safetensors import SafetensorError, safe_open

    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]) if folder.is_dir() else ():
        try:
            with safe_open(file, "pt"):
                pass
        except SafetensorError as error:
            raise ValueError(
                f"{file} is damaged, it is not a safetensors file ({error}): copy or convert it anew"
            ) from None


def _pickles(folder: Path) -> list[Path]:
    """Weight files that have no safetensors file beside them."""
    found = (x for pattern in ("*.bin", "*/*.bin") for x in sorted(folder.glob(pattern)))
    return [x for x in found if not any(x.parent.glob("*.safetensors"))]


def refuse_pickles(folder: Path) -> None:
    """Raise ValueError for a folder whose weights exist only as pickles, with the way to convert them."""
    if pickles := _pickles(folder):
        raise ValueError(
            f"{folder}: {', '.join(str(x.relative_to(folder)) for x in pickles)}: weights as pickles are not read. "
            f"Convert them once: adapters.to_safetensors({str(folder)!r}), which reads tensors and nothing else"
        )


def to_safetensors(folder: str | Path) -> list[Path]:
    """Write the safetensors of a local folder's ``.bin`` weights beside them.

    Files are read with ``weights_only=True``.

    Parameters
    ----------
    folder : str or Path
        The folder; those one level below are looked at as well.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ValueError
        For a file that holds more than tensors, for shards, and where there is nothing to convert.
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
        # the file names of transformers differ in more than the ending
        stem = path.stem if path.stem.startswith("diffusion_") else path.stem.replace("pytorch_model", "model")
        written.append(path.with_name(f"{stem}.safetensors"))
        safetensors.torch.save_file(tensors, written[-1], metadata={"format": "pt"})
    return written


def notes(folder: Path, subfolder: str | None, variant: str | None) -> Iterator[str]:
    """Yield sentences on weights that lie beside those that were taken."""
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
    for part in [own] if taken else [own, *sorted(x for x in own.iterdir() if x.is_dir())]:
        yield from _averages(part, variant)
        if any(part.glob("*.non_ema*.safetensors")) and variant != "non_ema":
            yield f"{part.name}: the moving average was taken; the weights beside it are variant='non_ema'"
        if variant == "non_ema" and any(part.glob("*.non_ema*.safetensors")):
            yield f"{part.name}: the weights were taken, not their moving average, as variant='non_ema' asks"


def _averages(folder: Path, variant: str | None) -> Iterator[str]:
    """Yield which weight files beside the taken ones are moving averages by their names, and how to take them."""
    endings = {".safetensors", ".pt", ".pth", ".ckpt", ".bin"}
    said = set()
    for file in sorted(x for x in folder.iterdir() if x.suffix in endings and "non_ema" not in x.name):
        name = WEIGHTS.fullmatch(file.name)
        if not checkpoints.is_average(file.stem):
            continue
        if name and name[1]:
            if name[1] != variant and name[1] not in said:
                yield (
                    f"{file} beside the weights that were taken is a moving average by its name, "
                    f"load(..., variant={name[1]!r}) takes that"
                )
            said.add(name[1])
        else:
            yield (
                f"{file} beside the weights that were taken is a moving average by its name; to take it: "
                f"loaded.denoiser.load_state_dict(checkpoints.read({str(file)!r}))"
            )
