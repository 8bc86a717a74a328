"""Recordings as files: an .npz with an array per layer, or an .npy with a single one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arguments import reals


def read_recording(path: str | Path, *, only: str | None = None) -> dict[str, np.ndarray]:
    """Recorded inputs by layer: an .npz has one array per layer, an .npy a single one, named like the file.

    only: the one array of an .npz that is wanted, whatever others there are. Shapes are for the caller to check.
    Raises FileNotFoundError, ValueError for a file that holds something else, TypeError, naming the file and the array,
    where an array holds no real numbers.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".npy"):
        raise ValueError(f"{path}: recordings are .npz (one array per layer) or .npy (one layer)")
    if path.exists() and not path.is_file():  # to open a pipe may take for ever
        raise ValueError(f"{path} is not a file")
    try:
        loaded = np.load(path, allow_pickle=False)  # objects would run code of the file
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                names, arrays = loaded.files, {k: loaded[k] for k in loaded.files if only in (None, k)}
        else:
            names, arrays = [path.stem], {path.stem: loaded}
    except (OSError, MemoryError):
        raise
    except Exception:  # a damaged file leads to errors of a dozen kinds in the readers below NumPy's
        raise ValueError(f"{path} holds no plain numeric arrays: it is damaged, or was saved with objects") from None
    if twice := [name for name in arrays if names.count(name) > 1]:
        raise ValueError(f"{path} holds the array '{twice[0]}' more than once: save the one that is meant")
    if only is not None and not arrays:
        raise ValueError(f"{path} has no array '{only}'; it holds {', '.join(names) or 'nothing'}")
    if not arrays:
        raise ValueError(f"{path} holds no arrays: save one per layer, numpy.savez(path, **inputs)")
    return {name: reals(f"{path}, array '{name}',", array, dtype=None) for name, array in arrays.items()}
