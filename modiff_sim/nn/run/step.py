"""One quantized call of one layer, on the fused path where that implements what is asked for, else by definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from array_api_compat import array_namespace
from torch import Tensor

from ... import cost
from ... import recursion as _recursion
from ...quantizers import GridAligned, Static, Zero
from ...quantizers.base import Quantizer, not_finite
from ...quantizers.floats import MX
from ...quantizers.granularity import PerBatch, PerGroup
from ...recursion.storage import Storage
from ...recursion.threshold import Threshold
from ..audit import LayerCount
from ..layers import Operator, finite, occurrence_name
from ..plans.plan import Plan
from ..random_bits import RandomBits
from . import fused
from .kept import Kept, Like
from .options import Options

#: (layer name, call index, input, state after the call): what an observer of a run is given
Observer = Callable[[str, int, Tensor, _recursion.State], None]


class LayerSteps:
    """Base of ``Run``: what it does at a layer's call, from what it holds."""

    options: Options
    recursion: _recursion.Recursion
    plan: Plan
    operators: Mapping[str, Operator]
    observers: list[Observer]
    _standard: str | None  # the recursion that this is, where the fused path may serve
    _is_refresh: Callable[[int], bool]
    _states: dict[tuple[str, int], Kept]
    _counts: Mapping[str, LayerCount]
    _skip: Mapping[str, Threshold | None]
    _storage: Mapping[str, Storage]
    _checked: dict[str, Quantizer]  # by layer, what its input was last checked against
    _random: RandomBits
    _scratch: fused.Scratch
    _samples: int

    def _quantized(self, name: str, operator: Operator, a: Tensor, occurrence: int) -> Tensor:
        full_name = occurrence_name(name, occurrence)
        state = self._states.get((name, occurrence))
        call = 0 if state is None else state.call
        Q = self.plan.quantizer(full_name, call)
        if state is not None and self.recursion.has_state:
            state.like.check(a, f"layer '{name}', call {call}")
        if operator.without_batch(a):
            self._check_samples(name, Q, a)
        if state is None or self._checked.get(full_name) is not Q:
            try:
                Q.check(a)
                _check_runs(Q, a, operator)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer '{name}': {error}") from None
            self._checked[full_name] = Q
        if self._is_fused(name, Q, a, state, call):
            self._states[name, occurrence], output = self._fused(name, Q, a, state, call)
            return output
        after = self._general(name, full_name, Q, a, state, call)
        # the model may write into a layer's input or output (in-place activations do): the state must not change
        output = after.output
        if self._standard is None:  # it may need all of what it left, and may have kept any part of it
            self._states[name, occurrence] = Kept.whole_of(after, a, output)
            return output
        if not self.recursion.has_state:
            self._states[name, occurrence] = Kept(None, None, after.call)
            return output
        ref = a.clone() if after.ref is a else after.ref
        spare = None if self.observers else ()  # observers may hold on to what they were given
        self._states[name, occurrence] = Kept(ref, after.o_hat, after.call, like=Like(a), spare=spare)
        return output.clone() if output is after.o_hat else output

    def _check_samples(self, name: str, Q: Quantizer, a: Tensor) -> None:
        """Raise ValueError for an input without a batch axis where something is decided per sample."""
        one_for_all = not Q.has_codes or type(Q) is Zero or type(Q.granularity) is PerBatch
        if not (one_for_all and self._skip[name] is None):
            raise ValueError(
                f"layer '{name}': its input of shape {tuple(a.shape)} has no batch axis, so that axis 0, the channels, "
                "would be taken for the samples: call the model with a batch of one, x[None], or use PerBatch() and no "
                "skip="
            )

    def _is_fused(self, name: str, Q: Quantizer, a: Tensor, state: Any, call: int) -> bool:
        if self._standard is None or self.observers or self._is_refresh(call):
            return False
        if self.recursion.has_state and state is None:
            return False
        # a layer with code of its own may hand on what it is given, which is a buffer here
        return (
            self.operators[name].stock
            and self._skip[name] is None
            and self._storage[name].as_computed
            and fused.fits(Q, a)
        )

    def _fused(self, name: str, Q: Any, a: Tensor, state: Any, call: int) -> tuple[Kept, Tensor]:
        operator, count = self.operators[name], self._counts[name]
        if self.recursion.has_state:
            step = fused.modulated(
                operator, Q, a, state.ref, state.o_hat, self._scratch, compensates=self._standard == "closed_loop",
                spare=state.spare,
            )  # fmt: skip
        else:
            step = fused.direct(operator, Q, a, self._scratch)
        if not all(x < math.inf for x in step.largest):  # False for NaN as well
            self._refuse(name, call, a)
        count.quantized(operator.macs(step.output), Q.bits)
        count.blocks += len(step.largest)
        count.samples += self._samples
        count.zero_range += step.largest.count(0.0)
        like = state.like if self.recursion.has_state else None
        return Kept(step.ref, step.o_hat, call + 1, like=like, spare=step.spare), step.output

    def _general(self, name: str, full_name: str, Q: Quantizer, a: Tensor, state: Any, call: int) -> _recursion.State:
        operator = self.operators[name]
        before = state.whole if isinstance(state, Kept) and state.whole is not None else state
        after = _recursion.advance(
            self.recursion, before, a, Q, operator.linear, affine=operator.affine, warmup=self.options.warmup,
            refreshed=self._is_refresh(call), random=self._bits(Q, a, state is None), skip=self._skip[name],
            storage=self._storage[name],
        )  # fmt: skip
        # the scale is non-finite if the input is; a call in full precision (first, refresh) has no scale to look at
        probe = Q.probe(after.residual, after.qparams) if after.qparams is not None else a
        if not finite(probe):
            self._refuse(name, call, a)
        for observe in self.observers:
            observe(full_name, call, a, after)
        self._count(self._counts[name], operator, Q, after, call)
        return after

    def _refuse(self, name: str, call: int, a: Tensor) -> None:
        raise ValueError(not_finite(array_namespace(a), a, f"layer '{name}', call {call}"))

    @staticmethod
    def _operand_bits(storage: Storage, Q: Quantizer) -> float:
        """Bits of what A is applied to: more than the residual's where â is kept rounded."""
        grid = storage.ref
        aligned = isinstance(Q, GridAligned) and isinstance(grid, Static) and grid.scale == Q.base
        return cost.operand_bits(storage, Q.bits, aligned=aligned)

    def _count(self, count: LayerCount, operator: Operator, Q: Quantizer, after: _recursion.State, call: int) -> None:
        feeds = _recursion.feeds(self.options.warmup) if call == 0 and self.recursion.has_state else 1
        macs = operator.macs(after.output) * max(feeds, 1)
        storage = self._storage[operator.name]
        skipped = 0
        if storage.recomputes:  # ô = A(â) in full, whatever was left out of â
            pass
        elif type(Q) is Zero and call > 0 and self.recursion.has_state and after.qparams is not None:
            skipped = macs
        elif after.kept is not None:
            skipped = macs - round(macs * float(after.kept.sum()) / after.kept.numel())
        if after.qparams is None or not Q.has_codes:  # in full precision: first, refresh, Identity
            return count.full(macs, skipped=skipped)
        operand = self._operand_bits(storage, Q) if self.recursion.reconstructs and call else Q.bits
        bops = cost.bops(macs - skipped, operator.weight_bits, operand)
        count.quantized(macs, Q.bits, skipped=skipped, bops=bops)
        count.grid(Q, after.residual, after.qparams, self._samples)

    def _bits(self, Q: Quantizer, a: Tensor, first: bool) -> Any:
        if not Q.laws.randomised:
            return None
        feeds = max(_recursion.feeds(self.options.warmup), 1)
        return [self._random.like(a) for _ in range(feeds)] if first else self._random.like(a)


def _check_runs(Q: Quantizer, a: Tensor, operator: Operator) -> None:
    """Raise ValueError for a block format whose runs lie along the width of a convolution's input."""
    runs = Q.granularity
    if isinstance(Q, MX) and type(runs) is PerGroup and operator.kind != "Linear" and runs.axis % a.ndim >= 2:
        raise ValueError(
            f"{Q}: its blocks would be runs along the last axis of {tuple(a.shape)}, and a convolution sums over its "
            f"channels: pass granularity=PerGroup({runs.size}, axis=1)"
        )
