"""One arm on one model: every layer's state, and how a layer's call is done. Made by ``modulated``."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from array_api_compat import array_namespace
from torch import Tensor, nn

from .. import cost
from .. import recursion as _recursion
from ..quantizer import Quantizer, not_finite
from ..quantizers import GridAligned, Static
from ..storage import Storage, kept_bytes
from . import lean
from .attention import ProductCounter
from .audit import Audit, LayerCount
from .branches import Branches
from .kept import Kept, Like
from .layers import Occurrences, Operator, Weights, find, finite, kind, occurrence_name, unsupported
from .options import Options
from .passes import Passes
from .plan import Plan, as_plan
from .random_bits import RandomBits
from .weights import QuantizedWeights

#: (layer name, call index, input, state after the call): what an observer of a run is given
Observer = Callable[[str, int, Tensor, _recursion.State], None]


class Run:
    """One arm on one model: quantizers, recursion, and every layer's state. Made by ``modulated``.

    A layer that is called several times within one model call has one state per occurrence.
    """

    def __init__(self, model: nn.Module, options: Options) -> None:
        options.check()
        if not isinstance(model, nn.Module):
            whole = "; for a whole pipeline use adapters.modulated_pipeline" if hasattr(model, "components") else ""
            raise TypeError(f"the model must be a torch.nn.Module, got {type(model).__name__}{whole}")
        chosen, everything = find(model, options.where), find(model, None)
        if not everything:
            raise ValueError(f"{type(model).__name__} has no Conv1d, Conv2d or Linear layer: nothing to modulate")
        if not chosen:
            raise ValueError(f"where= keeps none of the {len(everything)} layers, such as '{next(iter(everything))}'")
        if (owner := active_run(model)) is not None:
            raise RuntimeError(f"{type(model).__name__} is modulated already (by {owner}): leave that context first")
        options.check_names(everything)
        self.model, self.options = model, options
        self.recursion = _recursion.get(options.recursion)
        self.plan = as_plan(options.activations)
        self._is_refresh = _recursion.refresh_calls(options.refresh)
        if isinstance(options.weights, QuantizedWeights):
            options.weights.check(model, partial=True)  # names that do not fit would leave layers in full precision
        self.operators = {name: Operator(name, module, options.weights) for name, module in chosen.items()}
        self._counts = {k: LayerCount(k, str(kind(m)), self.operators[k].weight_bits) for k, m in chosen.items()}
        self._skip = {name: options.skip_of(name) for name in chosen}
        self._storage = {name: options.storage_of(name) for name in chosen}
        self._excluded = tuple(name for name in everything if name not in chosen)
        self._unsupported = tuple(unsupported(model))
        self._states: dict[tuple[str, int], Kept] = {}
        self._passes = Passes(self)
        self._resets = 0
        self._random = RandomBits(options.seed)
        self._scratch = lean.Scratch()
        self._checked: dict[str, Quantizer] = {}  # by layer, what its input was last checked against
        self._before: dict[str, Any] | None = None
        self.observers: list[Observer] = []
        self._patched: dict[nn.Module, Any] = {}
        # last: from here on the model is touched
        self._occurrences = Occurrences(model, self._enter, self._leave)
        try:
            self._products = (
                ProductCounter(model) if options.attention is None else options.attention.session(model, self)
            )
            self._branches = Branches(model, options.reuse, self._counts, self._products, self._occurrences)
            for name, operator in self.operators.items():
                self._patch(operator.module, partial(self._call, name))
            for name, module in self._branches.modules.items():
                self._patch(module, partial(self._branches.call, name, module.forward))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Run({self.recursion.name}, activations={self.activations}, weights={self.weights})"

    @property
    def activations(self) -> Quantizer | Plan:
        """The quantizer of the activations, or the plan."""
        return self.options.activations

    @property
    def weights(self) -> Weights:
        return self.options.weights

    # -- what a user calls --------------------------------------------------------------------------------------------
    def reset(self, *, stream: int = 0) -> None:
        """Forget all state: the next call is a first call. Call it between batches.

        ``stream`` selects the random bits of a randomised quantizer (``sample`` passes the micro-batch's index).
        """
        self._occurrences.settle()
        self._resets += bool(self._states or self._passes)
        self._forget()
        self._random.restart(stream)
        self._products.reset(stream=stream)
        self._branches.reset()

    def _forget(self) -> None:
        self._passes.clear()
        self._states.clear()
        self._scratch.clear()

    def audit(self) -> Audit:
        """What was really quantized since the run began (resets do not clear it); works after leaving, too."""
        layers = (*self._counts.values(), *self._products.counts())
        return Audit(
            tuple(replace(c) for c in layers), self._occurrences.model_calls, self._resets,
            (*self._unsupported, *self._products.unsupported()), self._excluded, self._products.full_macs(),
        )  # fmt: skip

    def apart(self, name: str) -> AbstractContextManager[None]:
        """Model calls inside have states of their own, kept under this name: guidance in passes."""
        return self._passes.inside(name)

    def state_bytes(self) -> int:
        """Bytes held between calls: â and ô of every layer as they are kept, operands of products, reused outputs; of
        all passes (see ``apart``)."""
        return self.held_bytes() + self._passes.state_bytes()

    def held_bytes(self) -> int:
        """``state_bytes`` of the present pass alone."""
        layers = sum(kept_bytes(s.ref) + kept_bytes(s.o_hat) for s in self._states.values())
        return layers + self._products.state_bytes() + self._branches.state_bytes()

    def buffer_bytes(self) -> int:
        """Bytes held on top: temporaries, and on the fused path buffers for the next step, as large as the states."""
        spare = (x for s in self._states.values() for x in s.spare or ())
        return self._scratch.bytes() + sum(kept_bytes(x) for x in spare)

    # -- entering and leaving ---------------------------------------------------------------------------------------
    def _patch(self, module: nn.Module, forward: Any) -> None:
        self._patched.setdefault(module, module.__dict__.get("forward"))  # a layer may be a branch as well
        forward.modiff_run = self  # how a second run recognises the first
        module.forward = forward

    def close(self) -> None:
        """Give the model back as it was; the audit stays readable."""
        self._occurrences.remove()
        for module, before in self._patched.items():
            module.__dict__.pop("forward", None)
            if before is not None:
                module.__dict__["forward"] = before
        self._patched.clear()
        for part in ("_products", "_branches"):
            if hasattr(self, part):  # not where making it failed
                getattr(self, part).close()
        self._forget()

    def __reduce_ex__(self, protocol: Any) -> Any:  # copying and pickling a model come by here
        raise RuntimeError("this model is modulated: leave the context before copying it, the state is not the model's")

    # -- a model call that fails leaves everything as before it -------------------------------------------------------
    def _enter(self) -> None:
        """States are immutable, so shallow copies are enough."""
        self._before = {
            "states": dict(self._states),
            "counts": {name: dict(vars(count)) for name, count in self._counts.items()},
            "random": self._random.snapshot(),
            "products": self._products.snapshot(),
            "branches": self._branches.snapshot(),
        }
        self._products.enter()

    def _leave(self, failed: bool) -> None:
        self._products.leave()
        before, self._before = self._before, None  # else the last call's states would be held as well
        if not failed or before is None:
            return
        self._states = before["states"]
        for name, count in before["counts"].items():  # in place: branches count for the layers they hold
            vars(self._counts[name]).update(count)
        self._random.restore(before["random"])
        self._products.restore(before["products"])
        self._branches.restore(before["branches"])

    # -- one layer call ------------------------------------------------------------------------------------------------
    def _bits(self, Q: Quantizer, a: Tensor, first: bool) -> Any:
        if not Q.laws.randomised:
            return None
        feeds = max(_recursion.feeds(self.options.warmup), 1)
        return [self._random.like(a) for _ in range(feeds)] if first else self._random.like(a)

    def _call(self, name: str, input: Tensor) -> Tensor:  # torch's name: models may pass it by keyword
        if torch.is_grad_enabled():
            with torch.no_grad():
                return self._call(name, input)
        a = input
        occurrence = self._occurrences.take(name)
        full_name = occurrence_name(name, occurrence)
        state = self._states.get((name, occurrence))
        call = 0 if state is None else state.call
        Q = self.plan.quantizer(full_name, call)
        if state is not None and self.recursion.has_state:
            self._same_batch(name, call, state.like, a)
        if state is None or self._checked.get(full_name) is not Q:
            try:
                Q.check(a)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer '{name}': {error}") from None
            self._checked[full_name] = Q
        if self._is_lean(name, Q, a, state, call):
            self._states[name, occurrence], output = self._lean(name, Q, a, state, call)
            return output
        after = self._general(name, full_name, Q, a, state, call)
        if not self.recursion.has_state:
            self._states[name, occurrence] = Kept(None, None, after.call)
            return after.output
        # the model may write into a layer's input or output (in-place activations do): the state must not change
        ref = a.clone() if after.ref is a else after.ref
        spare = None if self.observers else ()  # observers may hold on to what they were given
        self._states[name, occurrence] = Kept(ref, after.o_hat, after.call, like=Like(a), spare=spare)
        return after.output.clone() if after.output is after.o_hat else after.output

    def _is_lean(self, name: str, Q: Quantizer, a: Tensor, state: Any, call: int) -> bool:
        if self.observers or self._is_refresh(call) or (self.recursion.has_state and state is None):
            return False
        return self._skip[name] is None and self._storage[name].as_computed and lean.fits(Q, a)

    def _lean(self, name: str, Q: Any, a: Tensor, state: Any, call: int) -> tuple[Kept, Tensor]:
        operator, count = self.operators[name], self._counts[name]
        if self.recursion.has_state:
            step = lean.modulated(
                operator, Q, a, state.ref, state.o_hat, self._scratch, compensates=self.recursion.compensates,
                spare=state.spare,
            )  # fmt: skip
        else:
            step = lean.direct(operator, Q, a, self._scratch)
        if not all(x < math.inf for x in step.largest):  # False for NaN as well
            self._refuse(name, call, a)
        count.quantized(operator.macs(step.output), Q.bits)
        count.blocks += len(step.largest)
        count.zero_range += step.largest.count(0.0)
        like = state.like if self.recursion.has_state else None
        return Kept(step.ref, step.o_hat, call + 1, like=like, spare=step.spare), step.output

    def _general(self, name: str, full_name: str, Q: Quantizer, a: Tensor, state: Any, call: int) -> _recursion.State:
        operator = self.operators[name]
        after = _recursion.advance(
            self.recursion, state, a, Q, operator.linear, affine=operator.affine, warmup=self.options.warmup,
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

    def _same_batch(self, name: str, call: int, like: Like, a: Tensor) -> None:
        for what, before, now in (
            ("shape", like.shape, a.shape), ("dtype", like.dtype, a.dtype), ("device", like.device, a.device)
        ):  # fmt: skip
            if before != now:
                shown = [tuple(x) if isinstance(x, torch.Size) else x for x in (before, now)]
                raise ValueError(
                    f"layer '{name}', call {call}: {what} changed from {shown[0]} to {shown[1]}; the state is of "
                    "another batch: call run.reset() before a new one"
                )

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
        elif Q.bits == 0 and call > 0 and self.recursion.has_state and after.qparams is not None:
            skipped = macs
        elif after.kept is not None:
            skipped = macs - round(macs * float(after.kept.sum()) / after.kept.numel())
        if after.qparams is None or not Q.has_codes:  # in full precision: first, refresh, Identity
            return count.full(macs, skipped=skipped)
        operand = self._operand_bits(storage, Q) if self.recursion.compensates and call else Q.bits
        bops = cost.bops(macs - skipped, operator.weight_bits, operand)
        count.quantized(macs, Q.bits, skipped=skipped, bops=bops)
        count.grid(Q, after.residual, after.qparams)


def active_run(model: nn.Module) -> Run | None:
    """The run whose context the model is in, None outside."""
    for module in model.modules():
        if isinstance(run := getattr(module.__dict__.get("forward"), "modiff_run", None), Run):
            return run
    return None
