"""One quantized call of one layer, on the fused path where that implements what is asked for, else by definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from ..audit import LayerCount
from ..integer.engine import Engine, wrong_quantizer
from ..layers import Operator, finite, occurrence_name
from ..plans.plan import Plan
from ..states import KeptLayer, Like, RunStates
from . import fused
from .options import LayerOptions
from .samples import Samples

#: (layer name, call index, input, what the call did): what an observer of a run is given
Observer = Callable[[str, int, Tensor, _recursion.Info], None]


class LayerSteps:
    """Base of ``Run``: what it does at a layer's call, from what it holds."""

    recursion: _recursion.Recursion
    plan: Plan
    operators: Mapping[str, Operator]
    observers: list[Observer]
    _standard: str | None  # the recursion that this is, where the fused path may serve
    _layers: Mapping[str, LayerOptions]
    _states: RunStates
    _counts: Mapping[str, LayerCount]
    _checked: dict[str, Quantizer]  # by layer, what its input was last checked against
    _scratch: fused.Scratch
    _integers: Engine
    _samples: Samples

    def _quantized(self, name: str, operator: Operator, a: Tensor, occurrence: int) -> Tensor:
        full_name = occurrence_name(name, occurrence)
        key, layers = (name, occurrence), self._states.present.layers
        kept = layers.get(key)
        call = 0 if kept is None else kept.state.call
        Q = self.plan.quantizer(full_name, call)
        if kept is not None and kept.like is not None and self.recursion.has_state:
            kept.like.check(a, f"layer '{name}', call {call}")
        if operator.without_batch(a):
            self._check_samples(name, Q, a)
        if kept is None or self._checked.get(full_name) is not Q:
            try:
                Q.check(a)
                _check_runs(Q, a, operator)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer '{name}': {error}") from None
            self._checked[full_name] = Q
        output: Tensor
        if self._is_fused(name, Q, a, kept, call):
            layers[key], output = self._fused(name, Q, a, kept, call)
            return output
        state, info = self._general(name, full_name, Q, a, kept, call)
        # the model may write into a layer's input or output (in-place activations do): the state must not change
        output = info.output
        if self._standard is None:  # it may have kept any part of what it was given and gave
            layers[key] = KeptLayer.owning(state, a, output)
            return output
        if not self.recursion.has_state:
            layers[key] = KeptLayer(state)
            return output
        if state.ref is a:
            state = replace(state, ref=a.clone())
        spare = None if self.observers else ()  # observers may hold on to what they were given
        layers[key] = KeptLayer(state, Like(a), spare)
        return output.clone() if output is state.o_hat else output

    def _check_samples(self, name: str, Q: Quantizer, a: Tensor) -> None:
        """Raise ValueError for an input without a batch axis where something is decided per sample."""
        one_for_all = not Q.has_codes or type(Q) is Zero or type(Q.granularity) is PerBatch
        if not (one_for_all and self._layers[name].skip is None):
            raise ValueError(
                f"layer '{name}': its input of shape {tuple(a.shape)} has no batch axis, so that axis 0, the channels, "
                "would be taken for the samples: call the model with a batch of one, x[None], or use PerBatch() and no "
                "skip="
            )

    def _is_fused(self, name: str, Q: Quantizer, a: Tensor, kept: KeptLayer | None, call: int) -> bool:
        options = self._layers[name]
        if self._standard is None or self.observers or options.scheme.refreshed(call):
            return False
        if self.recursion.has_state and kept is None:
            return False
        if not (fits := fused.fits(Q, a)):
            self._integers.decline(name, wrong_quantizer(Q))
        # a layer with code of its own may hand on what it is given, which is a buffer here
        return fits and self.operators[name].stock and options.skip is None and options.storage.as_computed

    def _fused(self, name: str, Q: Any, a: Tensor, kept: KeptLayer | None, call: int) -> tuple[KeptLayer, Tensor]:
        operator, count = self.operators[name], self._counts[name]
        state, spare = None, None
        if kept is not None and self.recursion.has_state:
            state, spare = (kept.state.ref, kept.state.o_hat), kept.spare
        step = self._integers.step(name, Q, a, state, str(self._standard), spare)
        count.integer_calls += step is not None
        if step is None and state is not None:
            compensates = self._standard == "closed_loop"
            step = fused.modulated(operator, Q, a, *state, self._scratch, compensates=compensates, spare=spare)
        elif step is None:
            step = fused.direct(operator, Q, a, self._scratch)
        if not all(x < math.inf for x in step.largest):  # False for NaN as well
            self._refuse(name, call, a)
        count.quantized(operator.macs(step.output), Q.bits)
        count.blocks += len(step.largest)
        count.samples += self._samples.present
        count.zero_range += step.largest.count(0.0)
        like = None if kept is None else kept.like
        return KeptLayer(_recursion.State(step.ref, step.o_hat, call + 1), like, step.spare), step.output

    def _general(
        self, name: str, full_name: str, Q: Quantizer, a: Tensor, kept: KeptLayer | None, call: int
    ) -> tuple[_recursion.State, _recursion.Info]:
        operator, scheme = self.operators[name], self._layers[name].scheme
        bits = self._bits(scheme, Q, a, kept is None)
        state = None if kept is None else kept.state
        state, info = scheme.advance(state, a, Q, operator.linear, affine=operator.affine, random=bits)
        # the scale is non-finite if the input is; a call in full precision (first, refresh) has no scale to look at
        probe = Q.probe(info.residual, info.qparams) if info.qparams is not None else a
        if not finite(probe):
            self._refuse(name, call, a)
        for observe in self.observers:
            observe(full_name, call, a, info)
        self._count(self._counts[name], operator, Q, info, call)
        return state, info

    def _refuse(self, name: str, call: int, a: Tensor) -> None:
        raise ValueError(not_finite(array_namespace(a), a, f"layer '{name}', call {call}"))

    @staticmethod
    def _operand_bits(storage: Storage, Q: Quantizer) -> float:
        """Bits of what A is applied to: more than the residual's where â is kept rounded."""
        grid = storage.ref
        aligned = isinstance(Q, GridAligned) and isinstance(grid, Static) and grid.scale == Q.base
        return cost.operand_bits(storage, Q.bits, aligned=aligned)

    def _count(self, count: LayerCount, operator: Operator, Q: Quantizer, info: _recursion.Info, call: int) -> None:
        storage, scheme = self._layers[operator.name].storage, self._layers[operator.name].scheme
        macs = operator.macs(info.output) * (max(scheme.feeds, 1) if call == 0 else 1)
        skipped = 0
        if storage.recomputes:  # ô = A(â) in full, whatever was left out of â
            pass
        elif type(Q) is Zero and call > 0 and self.recursion.has_state and info.quantized:
            skipped = macs
        elif info.kept is not None:
            skipped = macs - round(macs * float(info.kept.sum()) / info.kept.numel())
        if not info.quantized or not Q.has_codes:  # in full precision: first, refresh, Identity
            return count.full(macs, skipped=skipped)
        operand = self._operand_bits(storage, Q) if self.recursion.reconstructs and call else Q.bits
        bops = cost.bops(macs - skipped, operator.weight_bits, operand)
        count.quantized(macs, Q.bits, skipped=skipped, bops=bops)
        count.grid(Q, info.residual, info.qparams, self._samples.present)

    def _bits(self, scheme: _recursion.Scheme, Q: Quantizer, a: Tensor, first: bool) -> Any:
        if not Q.laws.randomised:
            return None
        random = self._states.random
        return [random.like(a) for _ in range(scheme.draws)] if first else random.like(a)


def _check_runs(Q: Quantizer, a: Tensor, operator: Operator) -> None:
    """Raise ValueError for a block format whose runs lie along the width of a convolution's input."""
    runs = Q.granularity
    if isinstance(Q, MX) and type(runs) is PerGroup and operator.kind != "Linear" and runs.axis % a.ndim >= 2:
        raise ValueError(
            f"{Q}: its blocks would be runs along the last axis of {tuple(a.shape)}, and a convolution sums over its "
            f"channels: pass granularity=PerGroup({runs.size}, axis=1)"
        )
