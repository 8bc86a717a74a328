"""Branches of a run: modules whose output is used again between refreshes. See ``reuse``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ... import recursion as _recursion
from ..attention.attention import ProductCounter, Session
from ..audit import LayerCount
from ..hooks.calls import Calls
from ..layers import occurrence_name
from ..plans.reuse import Reuse


@dataclass(frozen=True)
class Work:
    """What one computed call of a branch does: calls and MACs per layer and product, products met per module."""

    counts: dict[str, tuple[int, int]]
    products: dict[Any, int]


class Branches:
    """The branch modules of one run, their outputs, and the MACs that using those again saves.

    The layers inside are not called on a reused call: their states and call indices stand still, and the audit counts
    the MACs of their last computed call as skipped.
    """

    def __init__(
        self,
        model: nn.Module,
        reuse: Reuse | None,
        counts: dict[str, LayerCount],
        products: Session | ProductCounter,
        calls: Calls,
    ) -> None:
        self._layers, self._products, self._calls = counts, products, calls
        named = dict(model.named_modules())
        self.modules: dict[str, nn.Module] = {}
        if reuse is not None:
            if missing := [name for name in reuse.modules if name not in named]:
                raise ValueError(f"Reuse names modules that {type(model).__name__} does not have: {', '.join(missing)}")
            self.modules = {name: named[name] for name in reuse.modules}
            self._computed = _recursion.refresh_calls(reuse.every)
        # (module, occurrence) -> State: ô is the output (a tree of tensors), ref the shapes of the inputs
        self._states: dict[tuple[str, int], _recursion.State] = {}
        self._work: dict[tuple[str, int], Work] = {}  # what one computed call does

    def call(self, name: str, forward: Any, *inputs: Any, **named: Any) -> Any:
        """One call of a branch: computed, or its last output again."""
        occurrence = self._calls.take(f"{name} (branch)")  # a layer counts its own calls under its name
        key = name, occurrence
        state = self._states.get(key)
        shapes = [tuple(x.shape) for x in pytree.tree_leaves((inputs, named)) if isinstance(x, Tensor)]
        call = 0 if state is None else state.call
        if state is not None and state.ref != shapes:
            raise ValueError(
                f"branch '{occurrence_name(name, occurrence)}', call {call}: the inputs' shapes changed from "
                f"{state.ref} to {shapes}; the output kept is of another batch: call run.reset() before a new one"
            )
        if state is None or self._computed(call):
            before = {k: (c.calls, c.macs) for k, c in self._counts(name).items()}
            seen = self._products.seen()
            output = forward(*inputs, **named)
            self._check(name, output)
            done = {k: (c.calls, c.macs) for k, c in self._counts(name).items()}
            self._work[key] = Work(
                {k: (v[0] - before.get(k, (0, 0))[0], v[1] - before.get(k, (0, 0))[1]) for k, v in done.items()},
                {k: n - seen.get(k, 0) for k, n in self._products.seen().items()},
            )
            self._states[key] = _recursion.State(shapes, _copy(output), call + 1)
            return output
        self._products.pass_over(self._work[key].products)
        counts = self._counts(name)
        for layer, (calls, macs) in self._work[key].counts.items():
            if layer in self._layers:
                self._calls.skip(layer, calls)
            if calls:
                count = counts[layer]
                count.quantized(macs, 0, skipped=macs)
                count.calls += calls - 1
                count.quantized_calls += calls - 1
        self._states[key] = replace(state, call=call + 1)
        return _copy(state.o_hat)

    def _counts(self, name: str) -> dict[str, LayerCount]:
        """The counts of the layers and products in a branch, as they stand."""
        every = {**self._layers, **{count.name: count for count in self._products.counts()}}
        return {k: c for k, c in every.items() if k.startswith(name + ".") or k == name}

    @staticmethod
    def _check(name: str, output: Any) -> None:
        """Raise TypeError for an output that cannot be copied: what the model writes into it would be kept."""
        for leaf in pytree.tree_leaves(output):
            if not isinstance(leaf, Tensor | str | int | float | complex | type(None)):
                raise TypeError(
                    f"branch '{name}' returns a {type(leaf).__name__}, in which tensors are not found: name modules "
                    "that return tensors, or register it with torch.utils._pytree"
                )

    def snapshot(self) -> Any:
        return dict(self._states), dict(self._work)

    def restore(self, snapshot: Any) -> None:
        self._states, self._work = dict(snapshot[0]), dict(snapshot[1])

    def reset(self) -> None:
        self._states.clear()
        self._work.clear()

    def state_bytes(self) -> int:
        return self.bytes_of(self._states)

    @staticmethod
    def bytes_of(states: Mapping[tuple[str, int], _recursion.State]) -> int:
        """Bytes of these outputs."""
        leaves = (x for s in states.values() for x in pytree.tree_leaves(s.o_hat) if isinstance(x, Tensor))
        return sum(x.numel() * x.element_size() for x in leaves)


def _copy(output: Any) -> Any:
    """The model may write into what it is given."""
    return pytree.tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, output)
