"""Plans: which quantizer a layer uses at which call. A single quantizer is the plan that always gives that quantizer.

    ByLayer({"conv_in": AbsMax(8), "*.attentions.*": AbsMax(6)}, default=AbsMax(4))
    ByCall(lambda call: Zero() if call % 2 else AbsMax(4))           # every second call is reused

Names are qualified module names; further occurrences of a module within one model call are "name#1", "name#2", ...
Calls are counted per layer since the last reset, and call 0 is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

from ... import quantizers
from ...quantizers.base import Quantizer
from ...quantizers.fixed import Identity
from ...quantizers.granularity import PerChannel, PerGroup, PerToken

SHOWN = 3  # keys of a mapping in short


@runtime_checkable
class Plan(Protocol):
    """Protocol of anything that names a quantizer for every layer and call.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import Plan
    >>> class FirstCallsFiner:
    ...     def quantizer(self, name, call):
    ...         return ms.AbsMax(8 if call < 2 else 4)
    >>> isinstance(FirstCallsFiner(), Plan)
    True
    """

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The quantizer of this layer at this call."""
        ...  # pragma: no cover - protocol


@dataclass(frozen=True)
class Constant:
    """The plan that uses one quantizer everywhere."""

    always: Quantizer

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The one quantizer."""
        return self.always

    def __str__(self) -> str:
        return str(self.always)


@dataclass(frozen=True)
class ByLayer:
    """A plan by name or pattern: the first key that matches a layer decides, else the default.

    Parameters
    ----------
    layers : mapping of str to Quantizer, Plan, str or mapping
        Qualified names or patterns (``*``, ``?``, ``[...]``), and what is meant for them (``chosen``). Plans may be
        nested.
    default : Quantizer, Plan, str or mapping, default Identity()
        For the layers that no key matches. They stay in full precision if nothing is said.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import ByLayer
    >>> plan = ByLayer({"conv_in": ms.AbsMax(8), "*.attentions.*": ms.AbsMax(6)}, default=ms.AbsMax(4))
    >>> [plan.quantizer(name, call=0).bits for name in ("conv_in", "mid.attentions.0", "conv_out")]
    [8, 6, 4]
    """

    layers: Mapping[str, Quantizer | Plan]
    default: Quantizer | Plan = field(default_factory=Identity)
    _found: dict[str, Plan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if others := [key for key in self.layers if not isinstance(key, str)]:
            raise TypeError(
                f"the keys of ByLayer are names and patterns of layers, got {others[0]!r}: predicates such as "
                "first_layer(model) are for modulated(model, activations={...}) and with_layers(model, ...)"
            )
        object.__setattr__(self, "layers", {name: chosen(what) for name, what in self.layers.items()})
        object.__setattr__(self, "default", chosen(self.default))

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """The patterns that match none of these layers, those of nested plans included."""
        known = list(names)
        missing = [k for k in self.layers if not any(_fits(k, name) for name in known)]
        nested = (plan for plan in (*self.layers.values(), self.default) if isinstance(plan, ByLayer))
        return missing + [k for plan in nested for k in plan.unmatched(known)]

    def hidden(self, names: Iterable[str]) -> list[str]:
        """The patterns that match some of these layers, all of which earlier ones match too: they never count."""
        known, before, found = list(names), set[str](), []
        for key in self.layers:
            fits = {name for name in known if _fits(key, name)}
            if fits and fits <= before and "#" not in key:
                found.append(key)
            before |= fits if "#" not in key else set()
        nested = (plan for plan in (*self.layers.values(), self.default) if isinstance(plan, ByLayer))
        return found + [k for plan in nested for k in plan.hidden(known)]

    def uncovered(self, names: Iterable[str]) -> list[str]:
        """The layers, of these, that no pattern fits and that the default leaves in full precision.

        Examples
        --------
        >>> from modiff_sim.nn import ByLayer
        >>> ByLayer({"mid.*": "absmax:4", "conv_in": "identity"}).uncovered(["conv_in", "mid.0", "conv_out"])
        ['conv_out']
        """
        found = []
        for name in names:
            fitting = (plan for key, plan in self.layers.items() if _fits(key, name))
            plan = next(fitting, None)
            if isinstance(of := self.default if plan is None else plan, ByLayer):
                found += of.uncovered([name])
            elif plan is None and isinstance(of, Quantizer) and not of.has_codes:
                found.append(name)
        return found

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The quantizer of the first key that matches the name.

        An occurrence "name#1" is matched by that name and by the name of its module.
        """
        if name not in self._found:
            plain = name.partition("#")[0]
            hits = (v for k, v in self.layers.items() if k in (name, plain) or fnmatchcase(plain, k))
            self._found[name] = as_plan(next(hits, self.default))
        return self._found[name].quantizer(name, call)


def _fits(pattern: str, name: str) -> bool:
    """Whether a pattern is about a layer; "name#1" is about the second occurrence of "name"."""
    return pattern.partition("#")[0] == name or fnmatchcase(name, pattern)


@dataclass(frozen=True)
class ByCall:
    """A plan by the layer's call index.

    Parameters
    ----------
    choose : callable
        Call index (int, 0 is the first call since the last reset) -> Quantizer.

    Raises
    ------
    TypeError
        From ``quantizer``, where ``choose`` returns something else than a quantizer.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import ByCall
    >>> plan = ByCall(lambda call: ms.AbsMax(8 if call < 2 else 4))
    >>> [plan.quantizer("conv_in", call).bits for call in range(4)]
    [8, 8, 4, 4]
    """

    choose: Callable[[int], Quantizer]

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The quantizer that ``choose`` gives for this call."""
        chosen = self.choose(call)
        if not isinstance(chosen, Quantizer):
            raise TypeError(f"ByCall: call {call} gave {chosen!r}, which is not a quantizer")
        return chosen


def chosen(what: Any, *, weights: bool = False) -> Any:
    """What is meant by text ("absmax:4") or by a mapping from patterns of layers to any of these; others as they are.

    Text for weights means the axes of a weight (out, in, ...): "@channel" is one scale per output channel, and "@group"
    runs along the input channels. Raises ValueError for "@token" there.

    Examples
    --------
    >>> from modiff_sim.nn.plans.plan import chosen
    >>> plan = chosen({"conv_in": "absmax:8", "mid_block.*": "absmax:4"})
    >>> [plan.quantizer(name, call=0).bits for name in ("conv_in", "mid_block.0", "conv_out")]
    [8, 4, 32]
    >>> str(chosen("absmax:8@channel", weights=True).granularity)
    'PerChannel(axis=0)'
    """
    if isinstance(what, str):
        return _of_weights(what, quantizers.parse(what)) if weights else quantizers.parse(what)
    return ByLayer({k: chosen(v, weights=weights) for k, v in what.items()}) if isinstance(what, Mapping) else what


def _of_weights(text: str, quantizer: Quantizer) -> Quantizer:
    """Return the quantizer of a text with its scales along the axes of a weight."""
    shared = quantizer.granularity
    if isinstance(shared, PerToken):
        raise ValueError(f"weights {text!r}: a weight (out, in, ...) has no tokens; @channel is one scale per output")
    if shared == PerChannel():
        return replace(quantizer, granularity=PerChannel(0))
    return replace(quantizer, granularity=PerGroup(shared.size, axis=1)) if isinstance(shared, PerGroup) else quantizer


def as_plan(what: Any, who: str = "activations") -> Plan:
    """The plan of a quantizer, of text or of a mapping (``chosen``), or a plan as it is.

    Raises TypeError for anything else, and ValueError for text that is no quantizer.
    """
    what = chosen(what)
    if isinstance(what, Quantizer):
        return Constant(what)
    if not isinstance(what, type) and isinstance(what, Plan):
        return what
    raise TypeError(
        f"{who} must be a quantizer such as AbsMax(bits=4), or a plan with quantizer(name, call), or text such as "
        f"'absmax:4', or a mapping from patterns of layers to these; got {what!r}"
    )


def short(what: Any) -> str:
    """What is meant for activations or weights, in a few words: quantizers as text, and of mappings the first keys.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import ByLayer
    >>> from modiff_sim.nn.plans.plan import short
    >>> short(ms.AbsMax(4)), short(ByLayer({"conv_in": "absmax:8", "mid.*": "absmax:6"}, "absmax:4")), short(None)
    ('absmax:4', '{conv_in: absmax:8, mid.*: absmax:6, others: absmax:4}', 'None')
    """
    if isinstance(what, ByLayer):
        entries = [f"{name}: {short(of)}" for name, of in list(what.layers.items())[:SHOWN]]
        entries += ["..."] * (len(what.layers) > SHOWN)
        entries += [] if what.default == Identity() else [f"others: {short(what.default)}"]
        return f"{{{', '.join(entries)}}}"
    if isinstance(what, Constant):
        return short(what.always)
    return quantizers.name(what) if isinstance(what, Quantizer) else "None" if what is None else type(what).__name__


def used(what: Quantizer | Plan) -> list[Quantizer] | None:
    """The quantizers that a plan uses; None where it is not known that a layer has the same one at every call."""
    if isinstance(what, Constant | Quantizer):
        return [what.always if isinstance(what, Constant) else what]
    parts = [used(part) for part in (*what.layers.values(), what.default)] if type(what) is ByLayer else [None]
    return None if None in parts else [Q for part in parts for Q in part or ()]


def alike(what: Quantizer | Plan) -> bool:
    """Whether all calls of a layer are known to be quantized alike, whatever the call index and the random bits."""
    found = used(what)
    return found is not None and not any(Q.laws.randomised for Q in found)
