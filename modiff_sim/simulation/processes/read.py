"""Recorded sequences as processes."""

from __future__ import annotations

from pathlib import Path

from ...arguments import reals
from ..recordings import read_recording
from .base import Array, Process


def recorded(source: str | Path | Array) -> Process:
    """A recorded sequence, with as many steps and trials as were recorded; asking for more is an error.

    Parameters
    ----------
    source : array_like, str or Path
        An array (steps, trials, d), or a .npy or .npz file with one (key "inputs" in an .npz). Other shapes, NaN
        and Inf raise ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> process = ms.processes.recorded(np.arange(12.0).reshape(3, 2, 2))
    >>> ms.simulate(process, ms.AbsMax(8), steps=3, trials=2).d_inf[:, 0].tolist()
    [0.0, 4.0, 4.0]
    """
    if isinstance(source, (str, Path)):
        (loaded,), name = read_recording(source, only="inputs").values(), str(source)
    else:
        loaded, name = reals("recorded inputs", source, dtype=None), "array"
    if loaded.ndim != 3 or loaded.size == 0:
        raise ValueError(f"recorded inputs have shape (steps, trials, d), none of them 0; {name} has {loaded.shape}")
    params = {"d": loaded.shape[2], "source": name, "shape": list(loaded.shape)}
    return Process("recorded", loaded.shape[2], params, values=loaded)


PROCESSES = {"recorded": recorded}
