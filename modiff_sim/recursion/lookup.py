"""The recursions by name, and whether a given one computes what a known one does."""

from __future__ import annotations

from ..names import one_of
from .base import Recursion, runs
from .kinds import RECURSIONS, ClosedLoop, Direct, OpenLoop


def get(recursion: str | Recursion) -> Recursion:
    """Return the recursion of this name; one of your own is returned as it is.

    Raises ValueError for an unknown name, listing the known ones, and TypeError for anything else.
    """
    if isinstance(recursion, Recursion):
        return recursion
    if not isinstance(recursion, str):
        made = f": pass an instance, {recursion.__name__}()" if isinstance(recursion, type) else ""
        raise TypeError(f"recursion must be one of {', '.join(RECURSIONS)} or a Recursion, got {recursion!r}{made}")
    one_of("recursion", recursion, RECURSIONS)
    return RECURSIONS[recursion]


def standard(recursion: Recursion) -> str | None:
    """Return "direct", "open_loop" or "closed_loop" if this recursion computes exactly what that one does, else None.

    Paths that do not run the recursion's own methods (fused kernels, closed forms, products of two activations) ask
    this, and decline what they do not implement.
    """
    return next((known.name for known in (Direct, OpenLoop, ClosedLoop) if runs(recursion, known)), None)


def label(recursion: Recursion) -> str:
    """What a recursion is called in results: its registered name, or its class for one that is not registered."""
    name = getattr(recursion, "name", None)
    return str(name) if RECURSIONS.get(str(name)) is recursion else type(recursion).__qualname__
