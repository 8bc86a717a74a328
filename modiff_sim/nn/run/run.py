"""One arm on one model: every layer's state, and how a layer's call is done. Made by ``modulated``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ... import recursion as _recursion
from ...quantizers.base import Quantizer
from ...recursion.storage import kept_bytes
from ..attention.intercept import Watchman
from ..audit import Audit, LayerCount
from ..hooks.calls import Calls
from ..hooks.changes import Unchanged
from ..hooks.modes import On
from ..hooks.patching import Patch, operation_inside, operation_outside, own_forward
from ..hooks.threads import Claimed, Ownership
from ..hooks.undo import Undo
from ..integer.engine import Engine
from ..layers import Operator, Weights, brought, find, kind, refuse_wrapped, unsupported, with_matrices
from ..macs import FirstCall
from ..plans.plan import Plan, as_plan, short
from ..states import RunStates
from ..weights.quantized import QuantizedWeights
from . import fused
from .branches import Branches
from .options import Options
from .passes import Passes
from .refusals import modulated_already, owners, refuse_recorded, refuse_unloaded
from .samples import Samples
from .step import LayerSteps, Observer

#: what a run holds under these names counts calls as well, and goes back to before a call that fails
UNDONE = ("products", "passes", "samples", "branches")


class Run(LayerSteps):
    """One arm on one model, made by ``modulated``: quantizers, recursion, and a state per occurrence of a layer.

    Examples
    --------
    >>> import torch, modiff_sim as ms, modiff_sim.nn
    >>> with ms.nn.modulated(torch.nn.Linear(8, 4), activations=ms.AbsMax(4)) as run:
    ...     y = run.model(torch.ones(2, 8)); print(run.state_bytes())  # â of 2×8 and ô of 2×4 entries, float32
    96
    """

    def __init__(self, model: nn.Module, options: Options) -> None:
        options.check()
        chosen, everything = find(model, options.where), find(model, None)
        if not everything:
            raise ValueError(f"{type(model).__name__} has no Conv1d, Conv2d or Linear layer: nothing to modulate")
        if not chosen:
            raise ValueError(f"where= keeps none of the {len(everything)} layers, such as '{next(iter(everything))}'")
        if (owner := active_run(model)) is not None:
            raise modulated_already(model, owner)
        refuse_recorded(model)
        refuse_unloaded(model, everything)
        self._unsupported = tuple(unsupported(model))
        options.check_names(chosen, [name for name in everything if name not in chosen], self._unsupported)
        self._model: nn.Module | None = model
        self.options = options
        self.recursion = options.scheme.recursion
        self._standard = _recursion.standard(self.recursion)
        self.plan = as_plan(options.activations)
        if isinstance(options.weights, QuantizedWeights):
            options.weights.check(model, partial=True)  # names that do not fit would leave layers in full precision
        anew = brought(model)
        self.operators = {k: Operator(k, m, options.weights, anew=m in anew) for k, m in chosen.items()}
        self._counts = {k: LayerCount(k, str(kind(m)), self.operators[k].weight_bits) for k, m in chosen.items()}
        self._layers = {name: options.of_layer(name) for name in chosen}
        self._integers = Engine(options.engine, self.operators, options.off_integers(chosen))
        self._excluded = tuple(name for name in everything if name not in chosen)
        self._states = RunStates(options.seed)
        self._passes = Passes(self._states, matter=options.keeps_state, goes_on=options.goes_on)
        self._resets = 0
        self._scratch = fused.Scratch()
        self._checked: dict[str, Quantizer] = {}  # by layer, what its input was last checked against
        self._before: dict[str, Any] | None = None
        self._left_out: dict[str, str] = {}  # layers that turned out not to be linear, and their classes
        self._within: dict[str, tuple[int, ...]] = {}  # layers, and the entrances of the model that they are in
        self._over = False
        self.first_call = FirstCall()
        self._samples = Samples(model)
        self.observers: list[Observer] = []
        self.listeners: list[Callable[[str, Tensor], Any]] = []  # told of every input of a layer, before its call
        plain = [(name, operator.module) for name, operator in self.operators.items() if not operator.remade]
        self._unchanged = Unchanged(model, plain, partial(with_matrices, model))
        self._calls = Calls(model, self._enter, self._leave, owner=self, sequence=options.is_sequence)
        self._products = options.products(model, self._states, self.first_call)
        self._branches = Branches(model, options.reuse, self._counts, self._products, self._calls, self._states)

    def put(self, undo: Undo) -> Run:
        """Patch the model, which is untouched so far; ``undo`` restores it. The audit stays readable."""
        undo.note(self._gone)
        model = self.model
        claim = Ownership(model.modules(), self)
        undo.note(claim.remove)
        try:
            claim.put()
        except Claimed as taken:
            raise modulated_already(model, taken.owner) from None
        undo.note(self.first_call.remove)
        undo.note(self._products.close)
        for name, operator in self.operators.items():
            how: Callable[..., Any] = self._call
            if own_forward(operator.module) is not None:
                how = self._around
                undo.note(partial(operation_outside, operator.module))
            self._patch(name, operator.module, partial(how, name), undo)
        for name, module in self._branches.modules.items():
            self._patch(name, module, partial(self._branches.call, name), undo)
        undo.put(self._calls)
        self._within = {name: self._calls.containing(operator.module) for name, operator in self.operators.items()}
        if self.options.attention is not None:
            watchman = Watchman(self._calls.look)
            undo.put(On(watchman))
            undo.note(watchman.close)
        refuse_recorded(model, self)  # by another thread, since this was begun
        return self

    def _patch(self, name: str, module: nn.Module, handler: Callable[..., Any], undo: Undo) -> None:
        patch = Patch(module, handler, owner=self)
        undo.put(patch)
        self._unchanged.patched.append((name, patch))

    def __repr__(self) -> str:
        arm = f"activations={short(self.activations)}, weights={short(self.weights)}"
        what = f"{len(self._counts)} layers, {self._calls.model_calls} model calls"
        return f"Run({_recursion.label(self.recursion)}, {arm}: {what})"

    def _repr_html_(self) -> str:
        """The table of the audit, in a notebook."""
        return self.audit()._repr_html_()

    @property
    def model(self) -> nn.Module:
        """The model. Raises RuntimeError after the context was left, because the run no longer holds it."""
        if self._model is None:
            raise RuntimeError("the context was left: the run keeps what its audit needs, and its model no longer")
        return self._model

    @property
    def activations(self) -> Quantizer | Plan:
        """The quantizer of the activations, or the plan."""
        return self.options.activations

    @property
    def weights(self) -> Weights:
        """The quantizer of the weights, the quantized weights, or None."""
        return self.options.weights

    def reset(self, *, stream: int = 0) -> None:
        """Forget all state between batches: the next call is a first call. ``stream`` selects the random bits.

        Raises RuntimeError during a model call, and where layers or weights were changed since the context was entered.
        """
        with self._calls.alone("reset()"):
            self._unchanged.check(everything=True)
            self._resets += bool(self._states)
            self._forget()
            self._states.restart(stream)
            self._products.reset()
            self._calls.anew()

    def _forget(self) -> None:
        self._passes.forget()
        self._scratch.clear()
        self._integers.clear()

    def audit(self) -> Audit:
        """What was really quantized since the run began, resets or not. It can be called after leaving, too."""
        self._calls.settle()
        layers = (*self._counts.values(), *self._products.counts())
        left_out = [f"{name} ({cls}: not linear)" for name, cls in self._left_out.items()]
        rarely = (c.name for c in self._counts.values() if 0 < c.calls < self._calls.expected(self._within[c.name]))
        first, elsewhere = self.first_call, self.first_call.elsewhere
        return Audit(
            tuple(replace(c) for c in layers if c.name not in self._left_out),
            self._calls.model_calls,
            self._resets,
            (*self._unsupported, *left_out, *self._products.unsupported()),
            self._excluded,
            self._products.full_macs(),
            passes=self._states.most,
            watched_macs=first.inside + sum(elsewhere.values()),
            elsewhere=elsewhere,
            borrowed=first.borrowed,
            uncounted=first.uncounted,
            undercalled=tuple(rarely),
            samples=self._samples.most,
            whole_macs=first.extrapolated(self._samples.total),
            on_floats=dict(self._integers.declined),
            outside_macs=first.extrapolated(self._samples.total, self._branches.computed_share),
        )

    def apart(self, name: str) -> AbstractContextManager[None]:
        """Model calls inside have states of their own, kept under this name: guidance in separate passes."""
        self._calls.mine()
        return self._passes.inside(name)

    def model_call(self) -> AbstractContextManager[None]:
        """What happens inside is one call of the model, for a model that is entered past its ``forward``."""
        return self._calls.call({})

    @property
    def passes(self) -> Passes:
        """The states of the passes: ``watch`` and ``step`` are what a scheduler's owner calls."""
        return self._passes

    @property
    def samples(self) -> int:
        """Samples of the last model call, which the states are of; 0 before the first."""
        return self._samples.present

    def state_bytes(self) -> int:
        """Bytes held between calls, of all passes: â and ô as kept, operands of products, reused outputs."""
        return self._states.bytes()

    def held_bytes(self) -> int:
        """The ``state_bytes`` of the present pass alone."""
        return self._states.present.bytes()

    def buffer_bytes(self) -> int:
        """Further bytes held: temporaries, and buffers for the next step, as large as the states, on the fused path.

        With engine="integer" they include the packed weights and the codes.
        """
        spare = (x for s in self._states.present.layers.values() for x in s.spare or ())
        return self._scratch.bytes() + self._integers.bytes() + sum(kept_bytes(x) for x in spare)

    def _gone(self) -> None:
        """The model is as it was. Nothing refers to this run any more but who wants to read the audit."""
        self._forget()
        self._over = True
        if self._before is None:  # else another thread's call is going on, and does so at its end
            self._let_go()

    def _let_go(self) -> None:
        """Hold neither the model nor its weights any more, only what ``audit`` says."""
        self._model = None
        self.operators = {}
        self._integers.close()
        self._branches.modules.clear()
        self._unchanged.forget()
        self.observers.clear()
        self.listeners.clear()

    def __reduce_ex__(self, protocol: Any) -> Any:  # copying and pickling a model come by here
        raise RuntimeError("this model is modulated: leave the context before copying it, the state is not the model's")

    # -- a model call that fails leaves everything as before it -------------------------------------------------------
    def _enter(self, arguments: Mapping[str, Any], root: int) -> None:
        refuse_wrapped(arguments)
        self._unchanged.check()
        counted = {name: getattr(self, f"_{name}").snapshot() for name in UNDONE}
        self._passes.choose(arguments, root)
        foreign = self._standard is None  # one that may write into its own state
        self._before = {
            "states": self._states.snapshot(arrays=foreign),
            "counts": {name: dict(vars(count)) for name, count in self._counts.items()},
            **counted,
        }
        self._samples.begin(arguments, root)
        self._products.enter(self._calls.going_on, arguments)
        if not self._calls.by_frame:  # whose end would be noticed too late
            weights = ((k, o.own_weight) for k, o in self.operators.items())
            self.first_call.begin(self._products.scope, weights, root, samples=self._samples.present)

    def _leave(self, failed: bool) -> Callable[[], None] | None:
        """Returns what takes the call back."""
        if (before := self._before) is None:
            return None
        watched = self.first_call.watching
        self.first_call.end(failed)
        self._products.leave()
        if failed:
            self._restore(before, watched)
        self._before = None  # else the last call's states would be held as well
        if self._over:
            self._forget()
            self._let_go()
        return partial(self._restore, before, watched)

    def _restore(self, before: dict[str, Any], watched: bool) -> None:
        if watched:
            self.first_call.forget()
        self._states.restore(before["states"])
        for name, count in before["counts"].items():  # in place: branches count for the layers they hold
            vars(self._counts[name]).update(count)
        for name in UNDONE:
            getattr(self, f"_{name}").restore(before[name])

    # -- one call of a layer -------------------------------------------------------------------------------------------
    def _around(self, name: str, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A layer whose forward somebody else has replaced: theirs runs, and the linear operation inside it is ours."""
        module = self.operators[name].module
        changed = partial(self._left_out.setdefault, name, type(module).__name__)
        with operation_inside(module, partial(self._call, name, None), changed):
            return inner(*args, **kwargs)

    def _call(self, name: str, _: Any, input: Tensor) -> Tensor:  # torch's name: models may pass it by keyword
        if torch.is_grad_enabled():
            with torch.no_grad():
                return self._call(name, _, input)
        a, operator = input, self.operators[name]
        for listen in self.listeners:
            listen(name, a)
        occurrence = self._calls.take(name)
        if a.numel() == 0 or not self._is_linear(operator, a):
            if a.numel():
                self._left_out.setdefault(name, type(operator.module).__name__)
            # nothing to take a scale of, or no operator that the recursions are defined for: as the layer is
            return type(operator.module).forward(operator.module, a)
        operator.verify()
        if not self.first_call.watching:
            return self._quantized(name, operator, a, occurrence)
        with self.first_call.row():
            output = self._quantized(name, operator, a, occurrence)
        self.first_call.add(operator.macs(output))
        return output

    def _is_linear(self, operator: Operator, a: Tensor) -> bool:
        if operator.is_linear is True:
            return True
        with self.first_call.row():  # what the check multiplies is not the model's
            return operator.check_linear(a)


def active_run(model: nn.Module) -> Run | None:
    """The run whose context the model is in, None outside."""
    return next((owner for owner in owners(model) if isinstance(owner, Run)), None)
