"""What one call of a model is, whichever way it is entered, and which of a layer's uses within it this is.

A call begins and ends with the outermost ``forward`` of the model: through ``model(x)``, ``model.forward(x)``, or a
method that stands for it (``forward_with_cfg``, ``apply_model``), also one that was taken off the model before. A
forward that calls itself is one call. The modules of a root without a forward (``ModuleList``, ``ModuleDict``) are
entered one by one. A layer that is reached in another way belongs to no call: it would be unknown which of its uses it
is, so it is refused.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch import nn

from . import frames
from .after_hooks import AfterHooks
from .kernels import LayersAreCalled, eagerly
from .patching import Patch, reached
from .threads import Turn
from .undo import Context, Undo

#: methods that stand for ``forward``, besides those whose name begins with "forward_"
ENTRANCES = ("apply_model",)
#: the name of the method among the arguments
METHOD = "(method)"

#: (arguments by name, which of the model's entrances: 0 for all methods of one module) -> anything
OnEnter = Callable[[Mapping[str, Any], int], Any]


@dataclass(eq=False)
class _Going:
    """The call that is in progress."""

    frame: FrameType
    by_frame: bool  # it bypassed the patches, so its end is noticed late
    root: int
    before: int  # how many calls that root had before
    gradients: bool = field(default_factory=torch.is_grad_enabled)
    cut: bool = False  # another thread has left the context meanwhile
    thread: threading.Thread = field(default_factory=threading.current_thread)

    @property
    def mine(self) -> bool:
        """Whether it is the present thread's."""
        return self.thread.ident == threading.get_ident()

    def over(self) -> bool:
        """Whether its frame has left the stack; for another thread, whether that thread has ended."""
        return not frames.running(self.frame) if self.mine else not self.thread.is_alive()


def _opener(frame: FrameType) -> FrameType:
    """The frame that opens a context: not one of an ExitStack or of a context made of a generator around it."""
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_globals.get("__name__") != "contextlib" and not outer.f_code.co_flags & inspect.CO_GENERATOR:
            return outer
        outer = outer.f_back
    return frame


class Calls:
    """A change (see ``undo``) that counts the calls of a model and the uses of its layers within them.

    on_enter: called when a call begins, see ``OnEnter``; on_leave: when it has ended, with whether it failed; again
    where that was interrupted; it may return what takes the call back. sequence: calls may depend on earlier ones.
    """

    def __init__(
        self,
        model: nn.Module,
        on_enter: OnEnter | None = None,
        on_leave: Callable[[bool], Any] | None = None,
        *,
        owner: Any = None,
        sequence: bool = True,
    ) -> None:
        self._on_enter, self._on_leave = on_enter, on_leave
        self.calls_of: dict[int, int] = {}  # by entrance
        self._model: nn.Module | None = model
        self._name, self._owner = type(model).__name__, owner
        self._going: dict[None, _Going] = {}  # at most one: it is taken by ``setdefault``, which no thread interrupts
        self._turn = Turn(needed=sequence)
        self._seen: dict[str, int] = {}
        self._home = threading.get_ident()
        self._undo, self._after = Undo(), AfterHooks()
        self._codes: frames.Codes = {}
        self._roots: list[nn.Module] = []
        self._entrances: dict[tuple[nn.Module, str], Patch] = {}
        self._within: list[set[nn.Module]] = []

    def put(self) -> None:
        """Patch the model, after the patches of its layers, since a model may be a layer itself."""
        assert self._model is not None, "it was removed"
        found = list(entrances(self._model))
        self._codes = frames.codes(found)
        self._roots = list(dict.fromkeys(module for module, _ in found))
        self._within = [set(root.modules()) for root in self._roots]
        self._undo.put(LayersAreCalled())
        for module, name in found:
            self._patch(module, name)

    def _patch(self, module: nn.Module, name: str) -> None:
        entered = partial(self._entered, self._roots.index(module), name, frames.Signature(getattr(module, name)))
        self._entrances[module, name] = patch = Patch(module, entered, name=name, owner=self._owner)
        self._undo.put(patch)

    def _entered(
        self, root: int, name: str, signature: frames.Signature, inner: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        self.look()
        if self._within_one():  # a forward that calls itself
            return inner(*args, **kwargs)
        with eagerly(), self.call(signature.named(args, kwargs) | {METHOD: name}, root):
            self._after.watch(self._roots[root])
            return inner(*args, **kwargs)

    def call(self, arguments: Mapping[str, Any], root: int = 0) -> AbstractContextManager[None]:
        """A context: what happens inside is one call of the model."""
        return _Call(self, arguments, root)

    def _within_one(self) -> bool:
        """Whether a call of this thread is in progress. A call whose end was interrupted is ended."""
        going = self._going.get(None)
        if going is not None and going.over():
            self._end(not (going.by_frame and frames.returned(going.frame)))
            return False
        return going is not None and going.mine

    def _begin(self, arguments: Mapping[str, Any], root: int, frame: FrameType, *, by_frame: bool = False) -> None:
        going = _Going(frame, by_frame, root, self.calls_of.get(root, 0))
        if self._going.setdefault(None, going) is not going:
            raise self._other_thread("called")
        if not self._turn.take():
            raise self._other_thread("called")
        self._after.forget()
        self._seen.clear()
        self.calls_of[root] = going.before + 1
        if self._on_enter:
            self._on_enter(arguments, root)

    def _end(self, failed: bool) -> None:
        """The call is over. Where this is interrupted it may be done again, as the end of a call that failed."""
        going = self._going.get(None)
        if going is None or not (going.mine or going.over()):  # a call of another thread is in progress
            return
        back = self._on_leave(failed) if self._on_leave else None
        if not failed:
            self._after.ended(partial(self._take_back, going, back))
        else:
            self.calls_of[going.root] = going.before
            if going.mine and not going.by_frame and not going.over():  # else outer contexts have restored theirs
                torch._C._set_grad_enabled(going.gradients)
        self._going.clear()
        if going.cut:
            self._let_go()

    def _take_back(self, going: _Going, back: Callable[[], Any] | None) -> None:
        self.calls_of[going.root] = going.before
        if back:
            back()

    def _other_thread(self, did: str) -> RuntimeError:
        return RuntimeError(
            f"a second thread {did} the {self._name} while a call of it was going on, or before the "
            "calls of the first one had ended: states belong to one sequence of calls. Give every thread a model "
            "(copy.deepcopy(model), before it is modulated) and a context of its own; a thread that goes on where "
            "another has stopped begins with a reset()"
        )

    def alone(self, what: str) -> Context[None]:
        """While open, no call begins. RuntimeError, naming ``what``, where one is in progress, in whatever thread.

        It must be opened by its caller.
        """
        refused = RuntimeError(f"{what} during a call of the model: its first layers have used the old state")
        if self._within_one():
            raise refused
        mine = _Going(sys._getframe(1), False, 0, self.calls_of.get(0, 0))

        def enter(undo: Undo) -> None:
            undo.note(lambda: self._going.clear() if self._going.get(None) is mine else None)
            if self._going.setdefault(None, mine) is not mine:
                raise refused

        return Context(enter)

    def mine(self) -> None:
        """Raise RuntimeError where the present sequence of calls belongs to another thread."""
        self._within_one()
        if not self._turn.take():
            raise self._other_thread("changed the states of")

    def anew(self) -> None:
        """The next call begins a sequence of its own, because the states were reset.

        Offloading removes its hooks between two uses, and our patches with them; those are put on again here.
        """
        for (module, name), patch in list(self._entrances.items()):
            if not reached(patch):
                self._patch(module, name)
        self._after.forget()
        self._turn.anew()

    @property
    def model_calls(self) -> int:
        """Calls of the model; for a root without a forward, of the module in it that was called most."""
        return max(self.calls_of.values(), default=0)

    def containing(self, module: nn.Module) -> tuple[int, ...]:
        """The roots that contain a module."""
        return tuple(i for i, within in enumerate(self._within) if module in within)

    def expected(self, roots: tuple[int, ...]) -> int:
        """How often a layer could have been called, by the calls of the roots that it is in."""
        return max((self.calls_of.get(i, 0) for i in roots), default=0)

    # -- calls that bypassed the patches -------------------------------------------------------------------------------
    @property
    def by_frame(self) -> bool:
        """Whether the present call bypassed the patches, so that its end is noticed late."""
        going = self._going.get(None)
        return going is not None and going.by_frame

    def _adopt(self, frame: FrameType) -> None:
        if threading.get_ident() != self._home:
            raise RuntimeError(
                f"this thread's call of the {self._name} began before another thread entered a context "
                "on it, or bypasses it: give every thread a model, copy.deepcopy(model), and a context of its own"
            )
        try:
            name, root = frame.f_code.co_name, self._roots.index(self._codes[id(frame.f_code)][1])
            self._begin(frames.arguments(frame) | {METHOD: name}, root, frame, by_frame=True)
        except BaseException:
            self._end(True)
            raise

    def look(self) -> None:
        """Begin a call that bypassed the patches, if one is on the stack; end one that is no longer there."""
        self.settle()
        if not self._going and (frame := frames.on_stack(self._codes)) is not None:
            self._adopt(frame)

    def settle(self) -> None:
        """End a call that bypassed the patches, once its frame has left the stack."""
        going = self._going.get(None)
        if going is not None and going.by_frame and going.mine and going.over():
            self._end(not frames.returned(going.frame))

    def going_on(self) -> bool:
        """Whether a call is in progress."""
        going = self._going.get(None)
        return going is not None and not (going.by_frame and going.over())

    def take(self, name: str) -> int:
        """The occurrence of this use of a layer within the call: 0 unless the model uses it several times."""
        return self.skip(name, 1)

    def skip(self, name: str, times: int) -> int:
        """Pass over uses of a layer that are not made; returns the occurrence of the first of them.

        Raises RuntimeError outside of a call.
        """
        self.look()
        going = self._going.get(None)
        if going is None and name == "(root)":  # the model is the layer, seen by a hook around its call
            return 0
        if going is None:
            raise RuntimeError(
                f"layer '{name}' was reached outside of a call of the {self._name}: through none of "
                f"its forward, forward_... and {', '.join(ENTRANCES)}, so that nothing says which use of it this is. "
                "Call the model itself, give the module that you do call to this context, or, inside modulated(...) as "
                "run, put the call into `with run.model_call():`"
            )
        if not going.mine:
            raise self._other_thread("called")
        self._seen[name] = (index := self._seen.get(name, 0)) + times
        return index

    def remove(self) -> None:
        """Take the patches off the model. A call in progress in another thread fails at its end."""
        if self._within_one():
            self._end(True)
        for going in self._going.values():
            going.cut = True
        self._after.remove()
        self._undo.all()
        if not self._going:
            self._let_go()

    def _let_go(self) -> None:
        """Release the model, and what the callbacks belong to."""
        self._on_enter = self._on_leave = self._owner = self._model = None
        self._codes, self._roots, self._within, self._entrances = {}, [], [], {}


class _Call(AbstractContextManager[None]):
    """See ``Calls.call``. A class: an interrupt between two frames of a generator would leave the call going on."""

    def __init__(self, calls: Calls, arguments: Mapping[str, Any], root: int) -> None:
        self._calls, self._arguments, self._root = calls, arguments, root
        self._going: _Going | None = None

    def __enter__(self) -> None:
        calls = self._calls
        if calls._within_one():
            return
        try:
            calls._begin(self._arguments, self._root, _opener(sys._getframe(1)))
            self._going = calls._going.get(None)
        except BaseException:
            calls._end(True)
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        going = self._going
        if going is None:  # within another call
            return
        try:
            self._calls._end(kind is not None)
        except BaseException:
            self._calls._end(True)
            raise
        if going.cut and kind is None:
            raise RuntimeError("another thread left the context during this call: its last layers ran as they are")


def entrances(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """(module, method) of every way into a model."""
    if type(model).forward is nn.Module.forward and "forward" not in model.__dict__:
        for child in dict.fromkeys(model.children()):
            yield from entrances(child)
    else:
        yield model, "forward"
    for name in dir(type(model)):
        if (name.startswith("forward_") or name in ENTRANCES) and inspect.isfunction(
            inspect.getattr_static(type(model), name)
        ):
            yield model, name
