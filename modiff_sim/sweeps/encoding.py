"""Parameters, versions and arrays as text and bytes that are the same everywhere. They decide a result."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np

VERSIONED = ("modiff-sim", "numpy", "scipy", "torch", "diffusers", "scikit-learn", "matplotlib")


def versions() -> dict[str, str]:
    """Return the versions that decide the bytes of a result ("absent" for what is not installed)."""
    return dict(_versions())


@cache  # a look-up takes 15 ms, and the key of every point needs one
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def plain(value: Any) -> Any:
    """Return a JSON value for parameters: dataclasses carry their class name, arrays and tensors become lists.

    Raises TypeError for a value without a text that determines it, such as a set, a function or an object of
    another class, and ValueError for two names in a mapping that have the same text.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Mapping):
        found = {str(k): plain(v) for k, v in value.items()}
        if len(found) < len(value):
            raise ValueError(f"two names have the same text among {', '.join(map(repr, value))}")
        return found
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "__array__"):  # tensors and series, whose own text leaves entries out
        return plain(np.asarray(value))
    text = str(value)
    if isinstance(value, set | frozenset | Iterator) or callable(value) or text == object.__repr__(value):
        raise TypeError(f"a {type(value).__name__} cannot be a parameter: it has no text that determines it")
    return text


def canonical(value: Any) -> str:
    """Return the canonical JSON text of a value, with sorted keys. NaN and Inf raise ValueError."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an .npz whose bytes depend on the arrays alone (np.savez would write the time into the zip).

    Raises TypeError for masked arrays, and ValueError for names that are not plain file names.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            if isinstance(arrays[name], np.ma.MaskedArray):
                raise TypeError(f"{name!r} is masked, and its masked entries would be stored: fill it (filled())")
            if not is_plain_name(name) or name.endswith(".npy"):
                raise ValueError(f"arrays have plain names that do not end in .npy, got {name!r}")
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), buffer.getvalue())
    return out.getvalue()


def is_plain_name(name: str) -> bool:
    """Whether this is the name of a file in the folder itself."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and len(os.fsencode(name)) < 256
