"""What one call of a model is, whichever way it is entered, and which of a layer's uses within it this is.

A call begins and ends with the outermost ``forward`` of the model: through ``model(x)``, ``model.forward(x)``, or a
method that stands for it (``forward_with_cfg``, ``apply_model``), also one that was taken off the model before. A
forward that calls itself is one call. The modules of a root without a forward (``ModuleList``, ``ModuleDict``) are
entered one by one. A layer that is reached in another way belongs to no call: nobody could say which of its uses it
is, so it is refused.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from types import FrameType
from typing import Any

from torch import nn

from . import frames
from .kernels import eagerly, layers_are_called
from .patching import Patch

#: methods that stand for ``forward``, besides those whose name begins with "forward_"
ENTRANCES = ("apply_model",)
#: under which name the method is, among the arguments
METHOD = "(method)"

#: (arguments by name, which of the model's entrances: 0 for all methods of one module) -> anything
OnEnter = Callable[[Mapping[str, Any], int], Any]


class Calls:
    """Counts the calls of a model and the uses of its layers within them. Its patches are off after ``remove``.

    on_enter: called when a call begins, see ``OnEnter``; on_leave: when it has ended, with whether it failed.
    """

    def __init__(
        self,
        model: nn.Module,
        on_enter: OnEnter | None = None,
        on_leave: Callable[[bool], Any] | None = None,
        *,
        owner: Any = None,
    ) -> None:
        self._on_enter, self._on_leave = on_enter, on_leave
        self.calls_of: dict[int, int] = {}  # by entrance
        self._root = 0
        self._model, self._owner = model, owner
        self._depth = 0
        self._busy = threading.Lock()
        self._thread: int | None = None  # of the present call
        self._frame: FrameType | None = None  # of a method that passed the patches by
        self._seen: dict[str, int] = {}
        self._patches: list[Patch] = []
        self._codes: frames.Codes = {}
        self._roots: list[nn.Module] = []
        self._within: list[set[nn.Module]] = []
        self._open = ExitStack()

    def install(self) -> Calls:
        """Patch the model. After the patches of its layers, since a model may be a layer itself."""
        self._open.enter_context(layers_are_called())
        found = list(entrances(self._model))
        self._codes = frames.codes(found)
        self._roots = list(dict.fromkeys(module for module, _ in found))
        self._within = [set(root.modules()) for root in self._roots]
        try:
            for module, name in found:
                entered = partial(self._entered, self._roots.index(module), name)
                self._patches.append(Patch(module, entered, name=name, owner=self._owner))
        except BaseException:
            self.remove()
            raise
        return self

    def _entered(self, root: int, name: str, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.look()
        if self._depth:  # a forward that calls itself
            if self._thread != threading.get_ident():
                raise self._other_thread()
            return inner(*args, **kwargs)
        with eagerly(), self.call(_named(inner, args, kwargs) | {METHOD: name}, root):
            return inner(*args, **kwargs)

    @contextmanager
    def call(self, arguments: Mapping[str, Any], root: int = 0) -> Iterator[None]:
        """One call of the model happens inside."""
        self.settle()
        if self._depth and self._thread == threading.get_ident():
            yield
            return
        failed = True
        try:
            self._begin(arguments, root)
            yield
            failed = False
        finally:
            self._end(failed)

    def _begin(self, arguments: Mapping[str, Any], root: int) -> None:
        if not self._busy.acquire(blocking=False):
            raise self._other_thread()
        self._thread = threading.get_ident()
        self._seen.clear()
        self._depth, self._root = 1, root
        self.calls_of[root] = self.calls_of.get(root, 0) + 1
        if self._on_enter:
            self._on_enter(arguments, root)

    def _end(self, failed: bool) -> None:
        if self._thread != threading.get_ident():  # another thread's call goes on
            return
        self._depth, self._frame, self._thread = 0, None, None
        self.calls_of[self._root] -= failed
        try:
            if self._on_leave:
                self._on_leave(failed)
        finally:
            self._busy.release()

    def _other_thread(self) -> RuntimeError:
        return RuntimeError(
            f"a second thread called the {type(self._model).__name__} while a call of it was going on: its states "
            "belong to one sequence of calls. Give every thread a copy of the model and a context of its own"
        )

    @property
    def model_calls(self) -> int:
        """Calls of the model; of a root without a forward, of the one of its modules that was called most."""
        return max(self.calls_of.values(), default=0)

    def expected(self, module: nn.Module) -> int:
        """How often a layer could have been called, by the calls of the root that it is in."""
        return max((self.calls_of.get(i, 0) for i, r in enumerate(self._roots) if module in self._within[i]), default=0)

    # -- calls that passed the patches by ------------------------------------------------------------------------------
    @property
    def by_frame(self) -> bool:
        """Whether the present call passed the patches by: its end is noticed late."""
        return self._frame is not None

    def _adopt(self, frame: FrameType) -> None:
        self._frame = frame
        try:
            name, root = frame.f_code.co_name, self._roots.index(self._codes[id(frame.f_code)][1])
            self._begin(frames.arguments(frame) | {METHOD: name}, root)
        except BaseException:
            self._end(True)
            raise

    def look(self) -> None:
        """Begin a call that passed the patches by, if one is on the stack; end one that is there no more."""
        self.settle()
        if not self._depth and (frame := frames.on_stack(self._codes)) is not None:
            self._adopt(frame)

    def settle(self) -> None:
        """A call that passed the patches by is over once its frame has left the stack."""
        if self._frame is not None and not frames.running(self._frame):
            self._end(not frames.returned(self._frame))

    def going_on(self) -> bool:
        """Whether a call is going on."""
        return self._depth > 0 and (self._frame is None or frames.running(self._frame))

    def take(self, name: str) -> int:
        """The occurrence of this use of a layer within the call: 0 unless the model uses it several times."""
        return self.skip(name, 1)

    def skip(self, name: str, times: int) -> int:
        """Pass over uses of a layer that are not made; returns the occurrence of the first of them.

        Raises RuntimeError outside of a call.
        """
        self.look()
        if self._depth and self._thread != threading.get_ident():
            raise self._other_thread()
        if not self._depth and name == "(root)":  # the model is the layer, seen by a hook around its call
            return 0
        if not self._depth:
            raise RuntimeError(
                f"layer '{name}' was reached outside of a call of the {type(self._model).__name__}: through none of "
                f"its forward, forward_... and {', '.join(ENTRANCES)}, so that nothing says which use of it this is. "
                "Call the model itself, give the module that you do call to this context, or, inside modulated(...) as "
                "run, put the call into `with run.model_call():`"
            )
        index = self._seen.get(name, 0)
        self._seen[name] = index + times
        return index

    def remove(self) -> None:
        """Take the patches off the model."""
        if self._frame is not None:
            self._end(frames.running(self._frame) or not frames.returned(self._frame))
        self._open.close()
        for patch in reversed(self._patches):
            patch.remove()
        self._patches.clear()


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


def _named(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by the function's parameter names, in their order, with defaults; those of ``*args`` by position."""
    try:
        method = inspect.ismethod(function)
        names, defaults = _parameters(function.__func__ if method else function)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        names, defaults, method = (), {}, False
    names = names[method:]
    given = {names[i] if i < len(names) else str(i): value for i, value in enumerate(args)} | kwargs
    every = dict.fromkeys((*names, *defaults))
    ordered = {name: given.pop(name, defaults.get(name)) for name in every if name in given or name in defaults}
    return ordered | given


@lru_cache(maxsize=256)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names of the parameters that can be given by position, and the defaults of all."""
    every = inspect.signature(function).parameters.values()
    names = tuple(p.name for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return names, {p.name: p.default for p in every if p.default is not p.empty}
