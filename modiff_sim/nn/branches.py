"""Branches of a run: modules whose output is used again between refreshes. See ``reuse``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .. import recursion as _recursion
from .audit import LayerCount
from .layers import Occurrences, occurrence_name
from .reuse import Reuse


class Branches:
    """The branch modules of one run, their outputs, and the MACs that using those again saves.

    The layers inside are not called on a reused call: their states and call indices stand still, and the audit counts
    the MACs of their last computed call as skipped.
    """

    def __init__(
        self, model: nn.Module, reuse: Reuse | None, counts: dict[str, LayerCount], occurrences: Occurrences
    ) -> None:
        self._counts, self._occurrences = counts, occurrences
        named = dict(model.named_modules())
        self.modules: dict[str, nn.Module] = {}
        if reuse is not None:
            if missing := [name for name in reuse.modules if name not in named]:
                raise ValueError(f"Reuse names modules that {type(model).__name__} does not have: {', '.join(missing)}")
            self.modules = {name: named[name] for name in reuse.modules}
            self._computed = _recursion.refresh_calls(reuse.every)
        # (module, occurrence) -> State: ô is the output (a tree of tensors), ref the shapes of the inputs
        self._states: dict[tuple[str, int], _recursion.State] = {}
        self._work: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}  # what one computed call does, per layer

    def call(self, name: str, forward: Any, *inputs: Any, **named: Any) -> Any:
        """One call of a branch: computed, or its last output again."""
        occurrence = self._occurrences.take(name)
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
            inside = {k: replace(c) for k, c in self._counts.items() if k.startswith(name + ".") or k == name}
            output = forward(*inputs, **named)
            self._work[key] = {
                k: (self._counts[k].calls - c.calls, self._counts[k].macs - c.macs) for k, c in inside.items()
            }
            self._states[key] = _recursion.State(shapes, _copy(output), call + 1)
            return output
        for layer, (calls, macs) in self._work[key].items():
            self._occurrences.skip(layer, calls)
            if calls:
                count = self._counts[layer]
                count.quantized(macs, 0, skipped=macs)
                count.calls += calls - 1
                count.quantized_calls += calls - 1
        self._states[key] = replace(state, call=call + 1)
        return _copy(state.o_hat)

    def snapshot(self) -> Any:
        return dict(self._states), dict(self._work)

    def restore(self, snapshot: Any) -> None:
        self._states, self._work = dict(snapshot[0]), dict(snapshot[1])

    def reset(self) -> None:
        self._states.clear()
        self._work.clear()

    def close(self) -> None:
        self.reset()

    def state_bytes(self) -> int:
        leaves = (x for s in self._states.values() for x in pytree.tree_leaves(s.o_hat) if isinstance(x, Tensor))
        return sum(x.numel() * x.element_size() for x in leaves)


def _copy(output: Any) -> Any:
    """The model may write into what it is given."""
    return pytree.tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, output)
