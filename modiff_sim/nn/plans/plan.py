"""Plans: which quantizer a layer uses at which call. A quantizer by itself is the plan that always says the same.

    ByLayer({"conv_in": AbsMax(8), "*.attentions.*": AbsMax(6)}, default=AbsMax(4))
    ByCall(lambda call: Zero() if call % 2 else AbsMax(4))           # every second call is reused

Names are qualified module names, further occurrences within one model call are "name#1"; calls are counted per layer
since the last reset, 0 is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

from ...quantizers.base import Quantizer


@runtime_checkable
class Plan(Protocol):
    """Anything that names a quantizer for every layer and call."""

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The quantizer of this layer at this call."""
        ...  # pragma: no cover - protocol


@dataclass(frozen=True)
class Constant:
    """The same quantizer everywhere."""

    always: Quantizer

    def quantizer(self, name: str, call: int) -> Quantizer:
        return self.always

    def __str__(self) -> str:
        return str(self.always)


@dataclass(frozen=True)
class ByLayer:
    """By name or pattern (``*``, ``?``, ``[...]``; the first match wins), else the default. Plans may be nested."""

    layers: Mapping[str, Quantizer | Plan]
    default: Quantizer | Plan
    _found: dict[str, Plan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """The patterns that fit none of these layers; nested plans included."""
        known = list(names)
        missing = [k for k in self.layers if not any(_fits(k, name) for name in known)]
        nested = (plan for plan in (*self.layers.values(), self.default) if isinstance(plan, ByLayer))
        return missing + [k for plan in nested for k in plan.unmatched(known)]

    def quantizer(self, name: str, call: int) -> Quantizer:
        if name not in self._found:
            plain = name.partition("#")[0]
            hits = (v for k, v in self.layers.items() if k in (name, plain) or fnmatchcase(plain, k))
            self._found[name] = as_plan(next(hits, self.default))
        return self._found[name].quantizer(name, call)


def _fits(pattern: str, name: str) -> bool:
    """Whether a pattern speaks about a layer; "name#1" about the second occurrence of "name"."""
    return pattern.partition("#")[0] == name or fnmatchcase(name, pattern)


@dataclass(frozen=True)
class ByCall:
    """By the layer's call index."""

    choose: Callable[[int], Quantizer]

    def quantizer(self, name: str, call: int) -> Quantizer:
        chosen = self.choose(call)
        if not isinstance(chosen, Quantizer):
            raise TypeError(f"ByCall: call {call} gave {chosen!r}, which is no quantizer")
        return chosen


def as_plan(what: Any, who: str = "activations") -> Plan:
    """The plan of a quantizer, a plan as it is; TypeError for anything else."""
    if isinstance(what, Quantizer):
        return Constant(what)
    if not isinstance(what, type) and isinstance(what, Plan):
        return what
    raise TypeError(
        f"{who} must be a quantizer such as AbsMax(bits=4), or a plan with quantizer(name, call); got {what!r}"
    )


def alike(what: Quantizer | Plan) -> bool:
    """Whether all calls of a layer are known to be quantized alike, whatever came before: no call counts, no bits."""
    if isinstance(what, Constant | Quantizer):
        return not (what.always if isinstance(what, Constant) else what).laws.randomised
    return type(what) is ByLayer and all(map(alike, (*what.layers.values(), what.default)))
