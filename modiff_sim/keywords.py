"""Functions that say which keyword was meant where one is unknown, as Python itself does in tracebacks from 3.13 on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from .names import takes

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def suggested(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Let a function answer a keyword that it does not take with the nearest one that it does.

    Parameters
    ----------
    function : callable
        A function without ``**keywords`` of its own.

    Returns
    -------
    callable
        The function, with its signature. It raises TypeError as ``names.takes`` does.

    Examples
    --------
    >>> @suggested
    ... def run(*, steps=1, trials=1):
    ...     return steps * trials
    >>> run(steps=3)
    3
    >>> run(step=3)
    Traceback (most recent call last):
        ...
    TypeError: run takes no step=; did you mean 'steps'?
    """
    known = list(inspect.signature(function).parameters)

    @wraps(function)
    def called(*args: Arguments.args, **options: Arguments.kwargs) -> Returned:
        takes(function.__name__, options, known)
        return function(*args, **options)

    return called
