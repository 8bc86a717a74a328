"""A recursion around another one: what stored states and thresholds are made of."""

from __future__ import annotations

from .base import Recursion, runs
from .lookup import label


class Wrapper(Recursion):
    """Base of the recursions that wrap one and change one thing about it.

    Raises ValueError for a recursion whose ``exact``, ``init`` or ``step`` is its own: a wrapper enters between the
    residual and the sums, which such a method need not have.
    """

    def __init__(self, inner: Recursion, what: str) -> None:
        if not inner.has_state:
            raise ValueError(f"{what}= means nothing for {label(inner)}, which keeps no state: leave it out")
        if not isinstance(inner, Wrapper):
            for name in ("exact", "init", "step"):
                if not runs(inner, Recursion, (name,)):
                    raise ValueError(
                        f"{what}= changes what Recursion.{name} does, and {label(inner)}.{name} is another: leave "
                        f"{what}= out, or override next_ref alone"
                    )
        self.inner = inner

    @property
    def reconstructs(self) -> bool:
        """As of the recursion inside."""
        return self.inner.reconstructs
