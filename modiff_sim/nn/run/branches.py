"""Branches of a run: modules whose output is used again between refreshes. See ``reuse``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ... import recursion as _recursion
from ..attention.quantized import ProductCounter, Session
from ..audit import LayerCount
from ..hooks.calls import Calls
from ..layers import occurrence_name
from ..plans.reuse import Reuse
from ..states import KeptOutput, RunStates


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
        states: RunStates,
    ) -> None:
        self._layers, self._products, self._calls, self._states = counts, products, calls, states
        self._calls_made, self._calls_reused = Counter[str](), Counter[str]()  # by branch
        named = dict(model.named_modules())
        self.modules: dict[str, nn.Module] = {}
        if reuse is not None:
            if missing := [name for name in reuse.modules if name not in named]:
                raise ValueError(f"Reuse names modules that {type(model).__name__} does not have: {', '.join(missing)}")
            self.modules = {name: named[name] for name in reuse.modules}
            self._computed = _recursion.refresh_calls(reuse.every)

    def call(self, name: str, forward: Any, *inputs: Any, **named: Any) -> Any:
        """One call of a branch: computed, or its last output again."""
        occurrence = self._calls.take(f"{name} (branch)")  # a layer counts its own calls under its name
        key, kept = (name, occurrence), self._states.present.branches
        last = kept.get(key)
        shapes = [tuple(x.shape) for x in pytree.tree_leaves((inputs, named)) if isinstance(x, Tensor)]
        call = 0 if last is None else last.call
        if last is not None and last.shapes != shapes:
            raise ValueError(
                f"branch '{occurrence_name(name, occurrence)}', call {call}: the inputs' shapes changed from "
                f"{last.shapes} to {shapes}; the output kept is of another batch: call run.reset() before a new one"
            )
        if last is None or self._computed(call):
            self._calls_made[name] += 1
            before = {k: (c.calls, c.macs) for k, c in self._counts(name).items()}
            seen = self._products.seen()
            output = forward(*inputs, **named)
            self._check(name, output)
            done = {k: (c.calls, c.macs) for k, c in self._counts(name).items()}
            work = Work(
                {k: (v[0] - before.get(k, (0, 0))[0], v[1] - before.get(k, (0, 0))[1]) for k, v in done.items()},
                {k: n - seen.get(k, 0) for k, n in self._products.seen().items()},
            )
            kept[key] = KeptOutput(_copy(output), shapes, call + 1, work)
            return output
        self._calls_reused[name] += 1
        self._products.pass_over(last.work.products)
        counts = self._counts(name)
        for layer, (calls, macs) in last.work.counts.items():
            if layer in self._layers:
                self._calls.skip(layer, calls)
            if calls:
                count = counts[layer]
                count.quantized(macs, 0, skipped=macs)
                count.calls += calls - 1
                count.quantized_calls += calls - 1
        kept[key] = last._replace(call=call + 1)
        return _copy(last.output)

    def computed_share(self, module: str) -> float:
        """Share of the calls of a module in which the branches that it is in were computed; 1 outside of them."""
        share = 1.0
        for branch, made in self._calls_made.items():
            if _within(module, branch):
                share *= made / (made + self._calls_reused[branch])
        return share

    def snapshot(self) -> Any:
        """How often branches were computed and used again, which a failed model call must not change."""
        return self._calls_made.copy(), self._calls_reused.copy()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._calls_made, self._calls_reused = (counted.copy() for counted in snapshot)

    def _counts(self, name: str) -> dict[str, LayerCount]:
        """The counts of the layers and products in a branch, as they stand."""
        every = {**self._layers, **{count.name: count for count in self._products.counts()}}
        return {k: c for k, c in every.items() if _within(k, name)}

    @staticmethod
    def _check(name: str, output: Any) -> None:
        """Raise TypeError for an output that cannot be copied: what the model writes into it would be kept."""
        for leaf in pytree.tree_leaves(output):
            if not isinstance(leaf, Tensor | str | int | float | complex | type(None)):
                raise TypeError(
                    f"branch '{name}' returns a {type(leaf).__name__}, in which tensors are not found: name modules "
                    "that return tensors, or register it with torch.utils._pytree"
                )


def _within(name: str, branch: str) -> bool:
    """Whether a module or layer of this name is in a branch."""
    return name == branch or name.startswith(branch + ".")


def _copy(output: Any) -> Any:
    """The model may write into what it is given."""
    return pytree.tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, output)
