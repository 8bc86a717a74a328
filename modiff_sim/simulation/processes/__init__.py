"""Exogenous input sequences a_0, a_1, ... in sampling order: what a layer is fed, independent of its quantization.

Each function returns a ``Process``. ``process.stream(rng, trials, steps)`` yields ``steps`` float64 arrays of shape
(trials, d), one per model call, so that only recorded sequences are held in memory. d_k = a_k - a_{k-1} is the
difference of call k.

drawn.py: walks, autoregressions and bursts. worst_cases.py: sequences that make a closed loop's error large. read.py:
recorded ones. A new process is a new file with a dictionary ``PROCESSES`` (see docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...names import one_of
from ...quantizers.base import Quantizer
from ...registry import entries
from .base import Array, Draw, Process
from .drawn import ar1, burst, geometric, random_walk
from .read import recorded
from .worst_cases import adversarial, alternating

__all__ = [
    "PROCESSES", "Array", "Draw", "Process", "adversarial", "alternating", "ar1", "burst", "geometric", "get",
    "random_walk", "recorded",
]  # fmt: skip

#: the order of tables; a process that is not named here follows by name
ORDER = ("random_walk", "ar1", "geometric", "burst", "alternating", "adversarial", "recorded")

#: name -> constructor, from the dictionaries of this name in the files. The choices of the command line and the tests
#: iterate over it.
PROCESSES: dict[str, Callable[..., Process]] = entries(__name__, "PROCESSES")


def get(what: Process | str | Path | Any, Q: Quantizer) -> Process:
    """Return the process that is meant by text, or made of recorded inputs; a process is returned as it is.

    Parameters
    ----------
    what : Process, str, Path or array_like
        A name in ``PROCESSES``, with the entries of an input after a colon if they are not the constructor's default,
        such as "ar1" or "random_walk:256"; a file of recorded inputs (.npy, .npz), or an array (steps, trials, d).
    Q : Quantizer
        The quantizer of the run, which "adversarial" looks for the weakness of, and whose bits "alternating" takes.

    Raises
    ------
    ValueError
        For an unknown name, something that is no number after the colon, and inputs that cannot be read.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.processes.get("ar1:16", ms.AbsMax(4)).d, ms.processes.get([[[1.0, 2.0]]], ms.AbsMax(4)).name
    (16, 'recorded')
    """
    if isinstance(what, Process):
        return what
    if not isinstance(what, str) or what.endswith((".npy", ".npz")):
        return recorded(what)
    name, colon, d = what.partition(":")
    made = PROCESSES[one_of("process", name, PROCESSES)]
    if name == "recorded":
        raise ValueError("process 'recorded': pass the file (.npy, .npz) or the array (steps, trials, d) itself")
    if colon and not (d.isascii() and d.isdecimal()):
        raise ValueError(f"process {what!r}: after the colon come the entries of an input, as in '{name}:256'")
    given: tuple[Any, ...] = (int(d),) if colon else ()
    if name == "adversarial":
        given = (Q, *given)
    return made(*given, **({"bits": Q.bits} if name == "alternating" else {}))
