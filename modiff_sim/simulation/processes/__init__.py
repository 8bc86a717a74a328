"""Exogenous input sequences a_0, a_1, ... in sampling order: what a layer is fed, independent of its quantization.

Each function returns a ``Process``. ``process.stream(rng, trials, steps)`` yields ``steps`` float64 arrays of shape
(trials, d), one per model call, so that only recorded sequences are held in memory. d_k = a_k - a_{k-1} is the
difference of call k.

drawn.py: walks, autoregressions and bursts. worst_cases.py: sequences that make a closed loop's error large. read.py:
recorded ones. A new process is a new file with a dictionary ``PROCESSES`` (see docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from ...names import one_of
from ...quantizers.absmax import AbsMax
from ...quantizers.base import Quantizer
from ...registry import entries
from .base import Array, Draw, Process
from .drawn import ar1, burst, geometric, random_walk
from .read import recorded
from .worst_cases import adversarial, alternating

__all__ = [
    "PROCESSES", "Array", "Draw", "Process", "adversarial", "alternating", "ar1", "burst", "geometric", "get",
    "is_file", "options", "parts", "random_walk", "recorded",
]  # fmt: skip

#: the order of tables; a process that is not named here follows by name
ORDER = ("random_walk", "ar1", "geometric", "burst", "alternating", "adversarial", "recorded")

#: name -> constructor, from the dictionaries of this name in the files. The choices of the command line and the tests
#: iterate over it.
PROCESSES: dict[str, Callable[..., Process]] = entries(__name__, "PROCESSES")


#: parameters of constructors that are no options: the entries of an input, and what comes from the quantizer of the run
_OF_THE_RUN = ("d", "quantizer", "bits")
_RECORDED = "process 'recorded': pass the file (.npy, .npz) or the array (steps, trials, d) itself"


def is_file(text: str) -> bool:
    """Return whether text names a file of recorded inputs, by its ending.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.processes.is_file("run.npz"), ms.processes.is_file("ar1:16")
    (True, False)
    """
    return text.endswith((".npy", ".npz"))


def parts(text: str) -> tuple[str, int | None]:
    """Return what text says of a process: its name, and the entries of an input.

    Parameters
    ----------
    text : str
        "NAME" or "NAME:D".

    Returns
    -------
    name : str
        A key of ``PROCESSES``.
    d : int or None
        The entries of an input, None where the text does not say how many.

    Raises
    ------
    ValueError
        For an unknown name, something that is no number after the colon, and "recorded:D", as inputs have been
        recorded with entries of their own.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.processes.parts("ar1:16"), ms.processes.parts("burst")
    (('ar1', 16), ('burst', None))
    """
    name, colon, d = text.partition(":")
    one_of("process", name, PROCESSES)
    if colon and name == "recorded":
        raise ValueError(_RECORDED)
    if colon and not (d.isascii() and d.isdecimal()):
        raise ValueError(f"process {text!r}: after the colon come the entries of an input, as in '{name}:256'")
    return name, int(d) if colon else None


def options(name: str) -> tuple[str, ...]:
    """Return the options of a process: the parameters of its constructor that ``get`` takes by keyword.

    Raises ValueError for a name that is not in ``PROCESSES``.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.processes.options("ar1"), ms.processes.options("alternating")
    (('phi', 'sigma'), ('size',))
    """
    made = signature(PROCESSES[one_of("process", name, PROCESSES)])
    return tuple(key for key in made.parameters if key not in _OF_THE_RUN)


def get(what: Process | str | Path | Any, Q: Quantizer, *, d: int | None = None, **given: Any) -> Process:
    """Return the process that is meant by text, or made of recorded inputs; a process is returned as it is.

    Parameters
    ----------
    what : Process, str, Path or array_like
        A name in ``PROCESSES``, with the entries of an input after a colon if they are not ``d``, such as "ar1" or
        "random_walk:256"; a file of recorded inputs (.npy, .npz), or an array (steps, trials, d).
    Q : Quantizer
        The quantizer of the run. "adversarial" looks for its weakness, and "alternating" takes its bits, or keeps its
        own default where Q has fewer than AbsMax can have.
    d : int, optional
        Entries of an input, for a name that does not say how many; by default those of the constructor.
    **given
        Options of a named process, such as phi=0.5 for "ar1" (``options``).

    Raises
    ------
    ValueError
        For an unknown name or option, something that is no number after the colon, options of what is not a name, and
        inputs that cannot be read.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.processes.get("ar1:16", ms.AbsMax(4)).d, ms.processes.get([[[1.0, 2.0]]], ms.AbsMax(4)).name
    (16, 'recorded')
    >>> dict(ms.processes.get("ar1", ms.AbsMax(4), d=8, phi=0.5).params)
    {'d': 8, 'phi': 0.5, 'sigma': 1.0}
    """
    if isinstance(what, Process) or not isinstance(what, str) or is_file(what):
        if given:
            raise ValueError(f"options ({', '.join(given)}) are for the name of a process, such as 'ar1'")
        return what if isinstance(what, Process) else recorded(what)
    name, own = parts(what)
    for key in given:
        one_of(f"option of {name}", key, options(name))
    if name == "recorded":
        if "source" not in given:
            raise ValueError(_RECORDED)
        return recorded(**given)
    takes = signature(PROCESSES[name]).parameters
    if (size := d if own is None else own) is not None:
        given["d"] = size
    if "quantizer" in takes:
        given["quantizer"] = Q
    if "bits" in takes and Q.bits >= AbsMax.min_bits:
        given["bits"] = Q.bits
    return PROCESSES[name](**given)
