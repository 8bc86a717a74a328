"""Statistics of what a model's layers see, per layer and call, without keeping activations.

    with record(model, ms.AbsMax(4)) as log:
        sample(model, images=64, batch=64, steps=50, on_batch=[log.reset])
    log.stats["conv_in", 3, "d"].values.quantiles([0.01, 0.99])

There are three quantities per layer and call, in the paper's symbols; r takes a quantizer, and a and d none:

    a   the input a_t
    d   the temporal difference a_t - a_{t+1}           (from call 1 on)
    r   the residual a_t - â_{t+1} of a closed loop      (from call 1 on; exact start, driven by the recorded inputs)

On a full-precision model, r belongs to a shadow loop that is open through the network (the setting of Theorem 4.4).
Inside ``modulated(..., recursion="closed_loop")`` with the same quantizer, exact start and no refresh, it is the very
residual that is quantized.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ... import quantizers
from ... import recursion as _recursion
from ...quantizers.base import Quantizer
from ..hooks.batches import Batches
from ..hooks.calls import Calls
from ..hooks.named_passes import Aparts
from ..hooks.pass_finder import Finder
from ..hooks.patching import Patch, operation_inside, operation_outside, own_forward
from ..hooks.undo import Context, Listed, Undo
from ..layers import Chosen, find, finite, occurrence_name, refuse_wrapped, unsupported
from ..run.run import Run, active_run
from .statistics import Recorded, Statistics


class Recorder(Statistics):
    """What ``record`` yields: ``stats[layer, call, quantity]`` is a ``Recorded``.

    A layer that a model uses several times per call is listed once per occurrence: "head", "head#1". Where the model is
    called once per prompt within a step (guidance in separate passes), differences are taken within each pass, as in
    ``modulated``, and the values of all passes are in the same statistics. Passes that cannot be told apart from their
    arguments are named with ``apart``; inside ``modulated`` they are those of the run.

    Attributes
    ----------
    quantizer : Quantizer or None
        The quantizer of c, kappa and of the loop of r; without one, only a and d are recorded.
    layers : list of str
        Names of the layers, in the order of their first calls.
    stats : dict of (str, int, str) to Recorded
        By layer, call since ``reset``, and quantity: "a", "d" or "r".
    unsupported : list of str
        "name (class)" of what has a weight matrix and cannot be recorded.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import record
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> with record(model, ms.AbsMax(4)) as log:
    ...     for _ in range(2):  # two batches of two calls
    ...         log.reset()
    ...         out = model(torch.ones(3, 4)), model(torch.zeros(3, 4))
    >>> log.layers, log.calls, log.stats["0", 1, "d"].values.mean
    (['0'], 2, -1.0)
    """

    def __init__(self, quantizer: Quantizer | None, unsupported: Sequence[str] = ()) -> None:
        super().__init__(quantizer, unsupported)
        self._calls: Calls | None = None
        self._finders, self._aparts = dict[int, Finder](), Aparts()
        self._batches = Batches("reset() of the recording")
        self._found: Hashable = 0
        self._run: Run | None = None  # the run of the model, if any, which knows the passes
        self._last: dict[tuple[Hashable, str], tuple[int, Tensor, _recursion.State]] = {}

    def reset(self, **_: Any) -> None:
        """Start a new batch at call 0: forget the last inputs, keep the statistics.

        Raises RuntimeError during a call of the model.
        """
        if self._calls is None:
            return self._forget()
        with self._calls.alone("reset()"):
            self._forget()
            self._calls.anew()

    def _forget(self) -> None:
        self._last.clear()
        self._finders, self._found = {}, 0
        self._batches.forget()

    def _put(self, model: nn.Module, chosen: Mapping[str, nn.Module], undo: Undo) -> Recorder:
        """Change the model; ``undo`` restores it."""
        undo.note(self._gone)
        self._calls = Calls(model, self._enter, owner=self)
        run = self._run = active_run(model)
        told = []
        for name, module in chosen.items():
            plain = own_forward(module) is None
            if not plain and run is not None and name in run.operators:  # the run computes the operation of this layer
                told.append(name)
                continue
            see = partial(self._forward, name)
            if not plain:
                see = partial(self._around, name, module)
                undo.note(partial(operation_outside, module))
            undo.put(Patch(module, see, owner=self))
        if run is not None:
            run.passes.follow()
        if run is not None and told:
            undo.put(Listed(run.listeners, lambda name, a: self._see(name, a) if name in told else None))
        undo.put(self._calls)
        if active_run(model) is not run:  # another thread has entered or left since this began
            raise RuntimeError(f"another thread entered or left modulated(...) of the {type(model).__name__} meanwhile")
        return self

    def _gone(self) -> None:
        self._forget()
        self._calls = self._run = None

    def apart(self, name: str) -> AbstractContextManager[None]:
        """Take differences of the model calls inside only among those under this name: guidance in separate passes.

        Inside ``modulated``, the run's own ``apart`` is what counts.
        """
        if self._calls is not None:
            self._calls.mine()
        return self._aparts.inside(name)

    @property
    def _pass(self) -> Hashable:
        """The pass that the present call belongs to."""
        passes = () if self._run is None else self._run.passes.key
        names = self._aparts.names
        return (names, passes) if self._run is not None or names else self._found

    def _enter(self, arguments: Mapping[str, Any], root: int) -> None:
        refuse_wrapped(arguments)
        self._aparts.check()
        if self._run is None and not self._aparts.names:
            self._found = self._finders.setdefault(root, Finder()).find(arguments)
        self._batches.see(arguments, (root, self._pass))

    def _forward(self, name: str, inner: Callable[..., Any], input: Tensor) -> Any:
        self._see(name, input)
        return inner(input)

    def _around(self, name: str, module: nn.Module, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A layer whose forward somebody else has replaced: record what reaches the linear operation inside it."""

        def inside(a: Tensor) -> Tensor:
            self._see(name, a)
            out: Tensor = type(module).forward(module, a)
            return out

        with operation_inside(module, inside):
            return inner(*args, **kwargs)

    def _see(self, name: str, a: Tensor) -> None:
        assert self._calls is not None
        name = occurrence_name(name, self._calls.take(name))
        if a.numel() == 0:  # an expert without tokens
            return
        with torch.no_grad():
            a = a.detach()
            if self.quantizer is not None:
                self.quantizer.check(a)
            last = self._last.get((self._pass, name))
            call = 0 if last is None else last[0] + 1
            if not finite(a):
                raise ValueError(f"layer '{name}', call {call}: NaN or Inf in its input; nothing of it was recorded")
            if name not in self.layers:
                self.layers.append(name)
            self._add(name, call, "a", a)
            if last is None:
                state = _recursion.State(a.clone(), None, 1)
            else:
                _, previous, state = last
                if previous.shape != a.shape:
                    raise ValueError(
                        f"layer '{name}', call {call}: shape changed from {tuple(previous.shape)} to {tuple(a.shape)}; "
                        "call reset() before a new batch"
                    )
                self._add(name, call, "d", a - previous)
                if self.quantizer is not None:
                    hat = self._add(name, call, "r", a - state.ref)
                    closed = _recursion.RECURSIONS["closed_loop"]
                    state = _recursion.State(closed.next_ref(state.ref, a, hat), None, call + 1)
            self._last[self._pass, name] = (call, a.clone(), state)

    def _add(self, name: str, call: int, quantity: str, x: Tensor) -> Tensor:
        """Add x to the statistics; returns Q(x), or x without a quantizer."""
        entry = self.stats.setdefault((name, call, quantity), Recorded())
        entry.values.add(x)
        entry.norms.append(
            torch.linalg.vector_norm(x.double().reshape(len(x) if x.ndim > 1 else 1, -1), dim=1).cpu().numpy()
        )
        if self.quantizer is None:
            return x
        hat, _ = self.quantizer.apply(x)
        blocks, axes = self.quantizer.granularity.blocked(tuple(x.shape))
        wide, error = x.double().reshape(blocks), (x - hat).double().reshape(blocks)
        for norm, order in (("c", 2), ("kappa", float("inf"))):
            top = torch.linalg.vector_norm(error, ord=order, dim=axes)
            bottom = torch.linalg.vector_norm(wide, ord=order, dim=axes)
            ratio = torch.where(bottom > 0, top / bottom, 0.0).reshape(-1).cpu().numpy()
            getattr(entry, norm).append(ratio**2 if norm == "c" else ratio)
        return hat


def record(
    model: nn.Module, quantizer: Quantizer | str | None = None, *, where: Chosen = None
) -> AbstractContextManager[Recorder]:
    """Record the inputs of the model's Conv1d, Conv2d and Linear layers while the context is open.

    Call ``reset()`` of what it yields between batches. Recorded is all that the model computes, with ``nn.sample`` that
    of whole micro-batches: give it ``batch=4`` for four images. With ``modulated`` on the same model, this is the inner
    context.
    Inside, NaN or Inf raises ValueError, which names layer and call.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    quantizer : Quantizer or str, optional
        For c, kappa and the loop of r, such as ``AbsMax(3)`` or "absmax:3"; deterministic. Without one, the inputs a
        and their differences d are recorded, and neither r nor c and kappa.
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.

    Returns
    -------
    context manager of Recorder
        Entering it hooks the layers and yields the ``Recorder``; leaving it restores the model.

    Raises
    ------
    ValueError
        For a randomised quantizer, and for a model without such layers.
    RuntimeError
        On entering, where another thread enters or leaves ``modulated`` of the same model meanwhile.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import record
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> with record(model, ms.AbsMax(4)) as log:
    ...     out = model(torch.ones(3, 4)), model(torch.zeros(3, 4))
    >>> log.table("a", "absmax").tolist()
    [[1.0, 0.0]]
    """
    Q = None if quantizer is None else quantizers.get(quantizer, "the quantizer of record")
    if Q is not None and Q.laws.randomised:
        raise ValueError(f"record needs a deterministic quantizer, got {Q!r}")
    chosen = find(model, where)
    if not chosen:
        raise ValueError(f"{type(model).__name__}: no Conv1d, Conv2d or Linear layer to record (after where=)")
    recorder = Recorder(Q, unsupported(model))
    return Context(lambda undo: recorder._put(model, chosen, undo))
