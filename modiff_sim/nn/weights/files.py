"""Integer weights on disk: one safetensors file, which is read without running anything that is in it.

    <layer>.codes        int8 or uint8, the weight's shape            <layer> is the qualified module name
    <layer>.scale        float32 (or the model's dtype): 0-d, (out,), or as many axes as the weight (see LayerCodes)
    <layer>.zero_point   optional, integers (of any dtype) of the scale's shape
    header               "modiff-sim weights": JSON {"version": 1, "layers": {layer: {"bits": 4, "scheme": "...",
                         "info": {...}}}}, in the model's order; one entry, because safetensors shuffles several

Files made by others need the first two keys per layer and, where the header does not give the bits, the argument
``bits=``. The weight is scale·(codes - zero_point), computed in the scale's dtype.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...sweeps.encoding import canonical
from ...sweeps.files import write_atomic
from .codes import LayerCodes

FORMAT, VERSION = "modiff-sim weights", 1
PARTS = ("codes", "scale", "zero_point")


def save(layers: Mapping[str, LayerCodes], path: str | Path) -> None:
    """Write the file atomically: a reader sees the old content or the new. Equal weights give equal bytes.

    Raises ValueError for no layers, and for a name that does not end in .safetensors.
    """
    import safetensors.torch

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are written as .safetensors, choose such a name")
    if not layers:
        raise ValueError("there are no layers to write")
    tensors: dict[str, Tensor] = {}
    about = {}
    for name, layer in layers.items():
        for part in PARTS:
            if (value := getattr(layer, part)) is not None:
                tensors[f"{name}.{part}"] = value.detach().cpu().contiguous().clone()  # shared storage is refused
        about[name] = {"bits": layer.bits, "scheme": layer.scheme, "info": layer.info}
    # content.canonical sorts its keys, so the order of the layers is kept outside it
    listed = ", ".join(f"{json.dumps(name)}: {canonical(value)}" for name, value in about.items())
    header = {FORMAT: f'{{"version": {VERSION}, "layers": {{{listed}}}}}'}
    write_atomic(path, safetensors.torch.save(tensors, metadata=header))


def load(path: str | Path, *, bits: int | Mapping[str, int] | None = None) -> dict[str, LayerCodes]:
    """Read the codes of every layer, by its name.

    Parameters
    ----------
    path : str or Path
        A safetensors file.
    bits : int or mapping of str to int, optional
        Bits of all layers, or by name, for files whose header does not state them.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        For a pickle, a damaged file, keys without partner, a dtype or shape that does not fit, codes beyond the bits, a
        scale that is NaN, Inf or not positive, and unknown bits; the message names the layer.
    """
    path = Path(path)
    tensors, header = _read(path)
    named = _listed(path, header[FORMAT]) if FORMAT in header else {}
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in named}
    for key, tensor in tensors.items():
        name, _, part = key.rpartition(".")
        if part not in PARTS or not name:
            raise ValueError(f"{path}: key '{key}' is none of <layer>.codes, <layer>.scale, <layer>.zero_point")
        parts.setdefault(name, {})[part] = tensor
    layers = {}
    for name, found in parts.items():
        if lacking := [part for part in PARTS[:2] if part not in found]:
            raise ValueError(f"{path}: layer '{name}' has no '{name}.{lacking[0]}'")
        stated = bits.get(name) if isinstance(bits, Mapping) else bits
        width, scheme, info = named.get(name, (None, "loaded", {}))
        if width is None and stated is None:
            raise ValueError(f"{path}: the bits of layer '{name}' are not in the file: pass bits=4, or by layer name")
        if None not in (width, stated) and width != stated:
            raise ValueError(f"{path}: layer '{name}' has {width!r} bits by its header, bits={stated} was given")
        try:
            zero = found.get("zero_point")
            layers[name] = LayerCodes(
                found["codes"], found["scale"], zero, width if stated is None else stated, scheme, info
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: layer '{name}': {error}") from None
    if not layers:
        raise ValueError(f"{path}: no layers in it")
    return layers


def _listed(path: Path, text: str) -> dict[str, tuple[Any, str, dict[str, Any]]]:
    """(bits, scheme, info) of each layer, from the header."""
    try:
        about = json.loads(text)
        if about["version"] == VERSION:
            return {name: (x["bits"], str(x["scheme"]), dict(x["info"])) for name, x in about["layers"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its header's list of layers cannot be read ({error!r})") from None
    raise ValueError(f"{path}: version {about['version']} of {FORMAT}; this is a reader of version {VERSION}")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb") as f:
        start = f.read(9)
    # a safetensors file begins with the header's length and "{"; torch.save writes a zip or a bare pickle
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise ValueError(
            f"{path} is a pickle (torch.save), which runs code when it is read: not opened. Convert it where you trust "
            "it: torch.load(..., weights_only=True), then safetensors.torch.save_file"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: truncated, damaged or not a safetensors file ({error})") from None
