"""Names that people type: whether one is known, and which was meant if it is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def one_of(what: str, name: Any, known: Iterable[str]) -> str:
    """Return ``name`` if it is one of the known names.

    Parameters
    ----------
    what : str
        What is named, for the message, such as "quantizer".
    name : object
        What was given.
    known : iterable of str
        The names that are known, in the order in which the message lists them.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        Where it is none of them. The message lists them, and says which one is nearest if one is near.

    Examples
    --------
    >>> one_of("sampler", "ddim", ("ddim", "ddpm"))
    'ddim'
    >>> one_of("sampler", "dddim", ("ddim", "ddpm"))
    Traceback (most recent call last):
        ...
    ValueError: unknown sampler 'dddim'; known: ddim, ddpm; did you mean 'ddim'?
    """
    names = list(known)
    if isinstance(name, str) and name in names:
        return name
    raise ValueError(f"unknown {what} {name!r}; known: {', '.join(names)}{meant(name, names)}")


def takes(who: str, given: Iterable[str], known: Iterable[str], **instead: str) -> None:
    """Raise TypeError for a keyword that is not taken, and name the nearest that is.

    Parameters
    ----------
    who : str
        Who takes keywords, for the message.
    given, known : iterable of str
        The keywords that were given, and those that are taken.
    **instead : str
        Keyword -> what it is called here, for those that are known to be called otherwise elsewhere.

    Raises
    ------
    TypeError
        For the first keyword that is not taken.

    Examples
    --------
    >>> takes("sample", ["step"], ["steps", "batch"])
    Traceback (most recent call last):
        ...
    TypeError: sample takes no step=; did you mean 'steps'?
    """
    names = list(known)
    for name in given:
        if name not in names:
            hint = f"; here it is {instead[name]}" if name in instead else meant(name, names)
            raise TypeError(f"{who} takes no {name}={hint or '; known: ' + ', '.join(names)}")


def meant(name: Any, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest of the known names, or nothing where none is near.

    Case, hyphens and underscores do not count.

    Examples
    --------
    >>> meant("AbsMax", ["absmax", "minmax"]), meant("something else", ["absmax", "minmax"])
    ("; did you mean 'absmax'?", '')
    """
    plain = {_plain(each): each for each in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def _plain(name: Any) -> str:
    return str(name).lower().replace("-", "_").replace(" ", "_")
