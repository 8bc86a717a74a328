"""Recordings as files: an .npz with an array per layer, or an .npy with a single one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arguments import reals


def read_recording(path: str | Path, *, only: str | None = None) -> dict[str, np.ndarray]:
    """Recorded inputs by layer: an .npz has one array per layer, an .npy a single one, named like the file.

    Parameters
    ----------
    path : str or Path
        The file.
    only : str, optional
        The one array of an .npz that is wanted, whatever others there are.

    Returns
    -------
    dict of str to numpy.ndarray
        Layer name -> array. Shapes are not checked.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file holds something else.
    TypeError
        An array does not hold real numbers; the message names the file and the array.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from modiff_sim.simulation.recordings import read_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(pathlib.Path(folder) / "layers.npz", conv=np.ones((3, 1, 2)))
    ...     read_recording(pathlib.Path(folder) / "layers.npz")["conv"].shape
    (3, 1, 2)
    """
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".npy"):
        raise ValueError(f"{path}: recordings are .npz (one array per layer) or .npy (one layer)")
    if path.exists() and not path.is_file():  # opening a pipe could block for ever
        raise ValueError(f"{path} is not a file")
    try:
        loaded = np.load(path, allow_pickle=False)  # loading objects would run code of the file
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                names, arrays = loaded.files, {k: loaded[k] for k in loaded.files if only in (None, k)}
        else:
            names, arrays = [path.stem], {path.stem: loaded}
    except (OSError, MemoryError):
        raise
    except Exception:  # a damaged file leads to many kinds of errors in the readers that NumPy uses
        raise ValueError(f"{path} holds no plain numeric arrays: it is damaged, or was saved with objects") from None
    if twice := [name for name in arrays if names.count(name) > 1]:
        raise ValueError(f"{path} holds the array '{twice[0]}' more than once: save the one that is meant")
    if only is not None and not arrays:
        raise ValueError(f"{path} has no array '{only}'; it holds {', '.join(names) or 'nothing'}")
    if not arrays:
        raise ValueError(f"{path} holds no arrays: save one per layer, numpy.savez(path, **inputs)")
    return {name: reals(f"{path}, array '{name}',", array, dtype=None) for name, array in arrays.items()}
