"""What ``modulated`` can be asked for, checked before a model is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from torch import nn

from ... import recursion as _recursion
from ...cost import Storages
from ...names import meant
from ...quantizers.base import Quantizer
from ...recursion.storage import Storage
from ...recursion.threshold import Threshold
from ..attention.quantized import OPERANDS, Attention, ProductCounter, Session
from ..layers import Chosen, Weights, check_weights, not_supported, several
from ..macs import FirstCall
from ..plans.plan import ByLayer, Plan, alike, as_plan, used
from ..plans.reuse import Reuse
from ..states import RunStates

Skip = Threshold | Mapping[str, Threshold] | None


@dataclass(frozen=True)
class LayerOptions:
    """How one layer's calls are done: the scheme, with the storage and the threshold that are wrapped into it."""

    scheme: _recursion.Scheme
    storage: Storage
    skip: Threshold | None


@dataclass(frozen=True)
class Options:
    """What ``modulated`` was asked for; see there."""

    activations: Quantizer | Plan
    weights: Weights = None
    recursion: str | _recursion.Recursion = "closed_loop"
    warmup: _recursion.Warmup = "exact"
    refresh: _recursion.Refresh = "never"
    where: Chosen = None
    skip: Skip = None
    storage: Storages | None = None
    attention: Attention | None = None
    reuse: Reuse | None = None
    seed: int = 0
    engine: str = "simulated"

    @cached_property
    def scheme(self) -> _recursion.Scheme:
        """What is done at which call, before a layer's own storage and threshold."""
        return _recursion.Scheme(self.recursion, self.warmup, self.refresh)

    @cached_property
    def product_scheme(self) -> _recursion.Scheme | None:
        """The same for the products of two activations; None where they are left alone."""
        if self.attention is None:
            return None
        return _recursion.Scheme(self.attention.recursion or self.recursion, self.warmup, self.refresh)

    @property
    def keeps_state(self) -> bool:
        """Whether anything is kept from one model call to the next, which two passes could mix."""
        schemes = [self.scheme] if self.product_scheme is None else [self.scheme, self.product_scheme]
        return any(scheme.recursion.has_state for scheme in schemes) or self.reuse is not None

    @property
    def goes_on(self) -> bool:
        """Whether a batch that goes on after another one, without a reset, gets other numbers: states, number of calls.

        Random bits go on as well; they are other ones, and as good.
        """
        return self.keeps_state or self.refresh != "never" or any(used(plan) is None for plan in self._plans)

    @property
    def is_sequence(self) -> bool:
        """Whether what a call gives may depend on the calls before it: on states, on their number, on random bits."""
        foreign = _recursion.standard(self.scheme.recursion) is None
        return foreign or self.goes_on or not all(map(alike, self._plans))

    @property
    def _plans(self) -> list[Quantizer | Plan]:
        """The plan of the layers' inputs, and the quantizers of the operands of products."""
        attention = self.attention
        of_products = [] if attention is None else [Q for r in OPERANDS for Q in attention.quantizers(r) or ()]
        return [self.activations, *of_products]

    def check(self) -> None:
        """Raise for what can be told without a model."""
        as_plan(self.activations)
        check_weights(self.weights)
        chosen = self.scheme.recursion
        if self.where is not None:
            several(self.where)
        for threshold in self.skip.values() if isinstance(self.skip, Mapping) else [self.skip]:
            if threshold is not None and not isinstance(threshold, Threshold):
                raise TypeError(f"skip must be a Threshold, or a mapping from layers to such, got {threshold!r}")
        if not (self.storage is None or isinstance(self.storage, Storage) or callable(self.storage)):
            raise TypeError(
                f"storage must be a Storage, or a function from a layer's name to one, got {self.storage!r}"
            )
        for what, value, known in (("attention", self.attention, Attention), ("reuse", self.reuse, Reuse)):
            if value is not None and not isinstance(value, known):
                raise TypeError(f"{what} must be of type {known.__name__}, got {value!r}")
        if not chosen.has_state:
            for what in ("skip", "storage"):
                if getattr(self, what) is not None:
                    raise ValueError(
                        f"{what}= means nothing for {_recursion.label(chosen)}, which keeps no state: leave it out"
                    )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or abs(self.seed) >= 2**43:
            raise ValueError(f"seed must be an int below 2^43 (streams are counted below it), got {self.seed!r}")
        if isinstance(self.storage, Storage):
            self.scheme.wrapped(self.storage)

    def products(self, model: nn.Module, states: RunStates, first_call: FirstCall) -> Session | ProductCounter:
        """The products of a run: modulated or, without ``attention``, only counted."""
        if self.attention is None or self.product_scheme is None:
            return ProductCounter(model)
        return Session(model, self.attention, self.product_scheme, states=states, first_call=first_call)

    def check_names(self, layers: Iterable[str], left_out: Iterable[str] = (), unsupported: Sequence[str] = ()) -> None:
        """Raise ValueError for patterns that would do nothing, silently.

        They fit none of these layers, which is a typing error, or of a layer that ``where`` leaves out or that cannot
        be quantized; or they fit none that an earlier pattern does not fit.
        """
        known, others = list(layers), list(left_out)
        skip = self.skip if isinstance(self.skip, Mapping) else {}
        plan = self.activations
        for what, patterns in (
            ("skip", [k for k in skip if not any(fnmatchcase(name, k) for name in known)]),
            ("activations", plan.unmatched(known) if isinstance(plan, ByLayer) else []),
        ):
            if patterns and any(fnmatchcase(name, patterns[0]) for name in others):
                raise ValueError(f"{what}: {patterns[0]!r} is of layers that where= leaves out, so it does nothing")
            if patterns:
                near = not_supported(patterns[0], unsupported)
                near = near or meant(patterns[0], known) or f", such as '{known[0]}'"
                raise ValueError(f"{what}: {patterns[0]!r} is none of the layers{near}")
        if hidden := plan.hidden(known) if isinstance(plan, ByLayer) else []:
            raise ValueError(
                f"activations: {hidden[0]!r} never counts, since patterns before it fit all of its layers: the first "
                "that fits decides, so put it before them"
            )

    def of_layer(self, name: str) -> LayerOptions:
        """How this layer's calls are done."""
        storage, skip = self._storage_of(name), self._skip_of(name)
        try:
            scheme = self.scheme.wrapped(storage, skip)
        except ValueError as error:
            raise ValueError(f"layer '{name}': {error}") from None
        return LayerOptions(scheme, storage, skip)

    def off_integers(self, layers: Iterable[str]) -> dict[str, str]:
        """The layers that these options keep from integers, and why."""
        if _recursion.standard(self.scheme.recursion) is None:
            return dict.fromkeys(layers, f"{_recursion.label(self.scheme.recursion)} is a recursion of its own")
        found = dict.fromkeys(layers, "storage= keeps its state in another form")
        found = {name: why for name, why in found.items() if not self._storage_of(name).as_computed}
        return found | {name: "skip= decides what is computed" for name in layers if self._skip_of(name) is not None}

    def _skip_of(self, name: str) -> Threshold | None:
        """The threshold of a layer; patterns of a mapping are tried in order."""
        if not isinstance(self.skip, Mapping):
            return self.skip
        return next((t for pattern, t in self.skip.items() if fnmatchcase(name, pattern)), None)

    def _storage_of(self, name: str) -> Storage:
        """How a layer's state is kept."""
        chosen = self.storage(name) if callable(self.storage) else self.storage or _recursion.AS_COMPUTED
        if not isinstance(chosen, Storage):
            raise TypeError(f"storage of layer '{name}': the function gave {chosen!r}, which is no Storage")
        return chosen
