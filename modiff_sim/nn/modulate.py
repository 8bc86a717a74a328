"""``modulated(model, activations=Q, ...)``: a model's forward becomes an arm of the paper, for as long as you say.

    with modulated(model, activations=ms.AbsMax(4), recursion="closed_loop") as run:
        images = sample(model, images=64, steps=50, run=run)
        print(run.audit())

State belongs to the run, never to the model; leaving the context restores the model bit for bit, after an exception
too. The arithmetic is simulated: values on the quantization grid in the model's own dtype. No gradients flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from array_api_compat import array_namespace
from torch import Tensor, nn

from .. import recursion as _recursion
from ..quantizer import Quantizer, not_finite
from .audit import Audit, LayerCount
from .layers import Occurrences, Operator, Where, find, finite, kind, occurrence_name, unsupported

ENGINES = ("simulated",)
#: (layer name, call index, input, state after the call): what an observer of a run is given
Observer = Callable[[str, int, Tensor, _recursion.State], None]


class Run:
    """One arm on one model: quantizers, recursion, and every layer's state. Made by ``modulated``.

    A layer that is called several times within one model call has one state per occurrence.
    """

    def __init__(
        self,
        model: nn.Module,
        activations: Quantizer,
        weights: Quantizer | None,
        recursion: str,
        warmup: _recursion.Warmup,
        refresh: _recursion.Refresh,
        where: Where | None,
        seed: int,
    ) -> None:
        for what, Q in (("activations", activations), ("weights", weights)):
            if not (isinstance(Q, Quantizer) or (Q is None and what == "weights")):
                raise TypeError(f"{what} must be a quantizer such as AbsMax(bits=4), got {Q!r}")
        if weights is not None and weights.laws.randomised:
            raise ValueError(f"weights are quantized once, without random bits: {weights} does not fit")
        self.recursion = _recursion.get(recursion)
        _recursion.check_warmup(warmup)
        self._is_refresh = _recursion.refresh_calls(refresh)
        self.activations, self.weights, self.warmup, self.seed = activations, weights, warmup, seed

        if not isinstance(model, nn.Module):
            raise TypeError(f"the model must be a torch.nn.Module, got {model!r}")
        if where is not None and not callable(where):
            raise TypeError(f"where must be a function (name, module) -> bool, got {where!r}")
        chosen = find(model, where)
        everything = find(model, None)
        if not everything:
            raise ValueError(f"{type(model).__name__} has no Conv1d, Conv2d or Linear layer: nothing to modulate")
        if not chosen:
            raise ValueError(f"where= keeps none of the {len(everything)} layers, such as '{next(iter(everything))}'")
        if (owner := active_run(model)) is not None:
            raise RuntimeError(f"{type(model).__name__} is modulated already (by {owner}): leave that context first")
        self.model = model
        self.operators = {name: Operator(name, module, weights) for name, module in chosen.items()}
        self._counts = {
            name: LayerCount(name, str(kind(m)), activations.bits, self.operators[name].weight_bits)
            for name, m in chosen.items()
        }
        self._excluded = tuple(name for name in everything if name not in chosen)
        self._unsupported = tuple(unsupported(model))
        self._states: dict[tuple[str, int], _recursion.State] = {}
        self._resets = 0
        self._generators: dict[torch.device, torch.Generator] = {}
        self._stream = 0
        self.observers: list[Observer] = []
        self._before: tuple[dict, dict, dict] | None = None
        # last: it is the only thing here that touches the model
        self._occurrences = Occurrences(model, self._remember, self._restore)

    def __repr__(self) -> str:
        return f"Run({self.recursion.name}, activations={self.activations}, weights={self.weights})"

    # -- what a user calls --------------------------------------------------------------------------------------------
    def reset(self, *, stream: int = 0) -> None:
        """Forget all state: the next call is a first call. Call it between batches.

        ``stream`` selects the random bits of a randomised quantizer (``sample`` passes the micro-batch's index).
        """
        self._resets += bool(self._states)
        self._forget()
        self._stream = stream

    def _forget(self) -> None:
        self._states.clear()
        self._generators.clear()

    def audit(self) -> Audit:
        """What was really quantized since the run began (resets do not clear it); works after leaving, too."""
        layers = tuple(replace(c) for c in self._counts.values())
        return Audit(layers, self._occurrences.model_calls, self._resets, self._unsupported, self._excluded)

    def state_bytes(self) -> int:
        """Bytes held between calls: â and ô of every layer."""
        tensors = [t for s in self._states.values() for t in (s.ref, s.o_hat) if isinstance(t, Tensor)]
        return sum(t.numel() * t.element_size() for t in tensors)

    # -- a model call that fails leaves everything as before it -------------------------------------------------------
    def _remember(self) -> None:
        """States are immutable, so a shallow copy is enough."""
        counts = {name: replace(count) for name, count in self._counts.items()}
        generators = {device: generator.get_state() for device, generator in self._generators.items()}
        self._before = (dict(self._states), counts, generators)

    def _restore(self) -> None:
        assert self._before is not None
        self._states, self._counts, generators = self._before
        self._generators = {d: g for d, g in self._generators.items() if d in generators}
        for device, state in generators.items():
            self._generators[device].set_state(state)

    def __deepcopy__(self, memo: Any) -> Run:
        raise RuntimeError("this model is modulated: leave the context before copying it, the state is not the model's")

    # -- one layer call ------------------------------------------------------------------------------------------------
    def _random(self, a: Tensor) -> Tensor:
        if a.device not in self._generators:
            generator = torch.Generator(a.device)
            generator.manual_seed((self.seed << 20) ^ self._stream)
            self._generators[a.device] = generator
        return torch.rand(a.shape, generator=self._generators[a.device], device=a.device, dtype=a.dtype)

    def _bits(self, a: Tensor, first: bool) -> Any:
        if not self.activations.laws.randomised:
            return None
        feeds = max(_recursion.feeds(self.warmup), 1)
        return [self._random(a) for _ in range(feeds)] if first else self._random(a)

    @torch.no_grad()
    def _call(self, name: str, input: Tensor) -> Tensor:  # torch's name: models may pass it by keyword
        a = input
        operator, count, Q = self.operators[name], self._counts[name], self.activations
        occurrence = self._occurrences.take(name)
        state = self._states.get((name, occurrence))
        call = 0 if state is None else state.call
        if state is None:
            try:
                Q.check(a)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer '{name}': {error}") from None
        elif self.recursion.has_state:
            self._same_batch(name, call, state.ref, a)
        after = _recursion.advance(
            self.recursion, state, a, Q, operator.linear, affine=operator.affine, warmup=self.warmup,
            refreshed=self._is_refresh(call), random=self._bits(a, state is None),
        )  # fmt: skip
        # the scale is non-finite if the input is; a call in full precision (first, refresh) has no scale to look at
        probe = Q.probe(after.residual, after.qparams) if after.qparams is not None else a
        if not finite(probe):
            raise ValueError(not_finite(array_namespace(a), a, f"layer '{name}', call {call}"))
        for observe in self.observers:
            observe(occurrence_name(name, occurrence), call, a, after)
        self._count(count, operator, after, call)
        if not self.recursion.has_state:
            self._states[name, occurrence] = _recursion.State(None, None, after.call)
            return after.o_hat
        # the model may write into a layer's input or output (in-place activations do): the state must not change
        ref = a.clone() if after.ref is a else after.ref
        self._states[name, occurrence] = _recursion.State(ref, after.o_hat, after.call)
        return after.o_hat.clone()

    def _same_batch(self, name: str, call: int, ref: Tensor, a: Tensor) -> None:
        for what, before, now in (
            ("shape", tuple(ref.shape), tuple(a.shape)), ("dtype", ref.dtype, a.dtype), ("device", ref.device, a.device)
        ):  # fmt: skip
            if before != now:
                raise ValueError(
                    f"layer '{name}', call {call}: {what} changed from {before} to {now}; the state is of another "
                    "batch: call run.reset() before a new one"
                )

    def _count(self, count: LayerCount, operator: Operator, after: _recursion.State, call: int) -> None:
        feeds = _recursion.feeds(self.warmup) if call == 0 and self.recursion.has_state else 1
        macs = operator.macs(after.o_hat) * max(feeds, 1)
        count.calls += 1
        count.macs += macs
        if after.qparams is None or not self.activations.has_codes:  # in full precision: first, refresh, Identity
            return
        count.quantized_calls += 1
        count.quantized_macs += macs
        if self.activations.bits == 0 and call > 0 and self.recursion.has_state:
            count.skipped_macs += macs
        count.blocks += after.qparams.zero_range.numel()
        count.zero_range += int(after.qparams.zero_range.sum())
        if self.activations.saturates:
            blocks, _ = self.activations.blocks(array_namespace(after.residual), after.residual)
            codes, (low, high) = blocks / after.qparams.scale, self.activations.limits
            count.values += blocks.numel()
            count.saturated += int(((codes > high) | (codes < low)).sum())


@contextmanager
def modulated(
    model: nn.Module,
    *,
    activations: Quantizer,
    weights: Quantizer | None = None,
    recursion: str = "closed_loop",
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    where: Where | None = None,
    engine: str = "simulated",
    seed: int = 0,
) -> Iterator[Run]:
    """Run the model's Conv1d, Conv2d and Linear layers as an arm of the paper while the context is open.

    activations: quantizer of the layers' inputs (direct) or residuals (open and closed loop).
    weights:     quantizer of the weights, applied once; None leaves them. ``AbsMax(8)`` is per output channel (axis 0).
    recursion:   "direct" (PTQ), "open_loop" (no error compensation), "closed_loop" (MoDiff).
    warmup, refresh: see ``modiff_sim.recursion``; they count a layer's calls since the last ``run.reset()``.
    where:       (qualified name, module) -> bool, which layers; None is all, first, last and time embedding included.
    seed:        of the random bits, for randomised quantizers.

    Raises ValueError for a model without such layers or unknown names, RuntimeError for a model that is modulated
    already; the model is then untouched. Inside: ValueError naming layer and call for NaN or Inf and for a batch of
    another shape, dtype or device without ``run.reset()``; after any exception in the model's forward all states and
    counts are as before that model call.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    run = Run(model, activations, weights, recursion, warmup, refresh, where, seed)
    before = {name: op.module.__dict__.get("forward") for name, op in run.operators.items()}
    try:
        for name, operator in run.operators.items():
            forward = partial(run._call, name)
            forward.modiff_run = run  # type: ignore[attr-defined]  # how a second run recognises the first
            operator.module.forward = forward
        yield run
    finally:
        run._occurrences.remove()
        for name, operator in run.operators.items():
            operator.module.__dict__.pop("forward", None)
            if before[name] is not None:
                operator.module.__dict__["forward"] = before[name]
        run._forget()


def active_run(model: nn.Module) -> Run | None:
    """The run whose context the model is in, None outside."""
    for module in model.modules():
        if isinstance(run := getattr(module.__dict__.get("forward"), "modiff_run", None), Run):
            return run
    return None
