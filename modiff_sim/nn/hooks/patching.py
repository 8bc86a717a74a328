"""Methods of a module that are replaced while a context is open, and given back after it, whoever else replaces them.

Libraries for offloading, casting and caching replace a layer's ``forward``, too, before our context or inside it. A
``Patch`` calls what it found, and is taken off where it is still the outermost; where somebody has wrapped it in the
meantime it stays, and passes calls on.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, ModuleType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from .modes import On
from .undo import Context

#: (what was there before, arguments of the call)
Handler = Callable[..., Any]
NO_COPIES = (
    "this model is modulated or recorded: leave the context before copying it, the state is not the model's "
    "(copy.copy of one layer gives a plain one)"
)
#: how many objects are looked at to find a patch in what somebody has put in its place
MOST_OBJECTS = 2000
#: attributes of modules in which the modules around or below a layer are, and its hooks
NOT_CALLED = frozenset(vars(nn.Module()))


class Patch:
    """A change (see ``undo``): ``handler(inner, *args, **kwargs)`` is called in place of an attribute of one module.

    inner: what the attribute was, bound to the module. owner: the run or recorder that this belongs to.
    """

    # functools.wraps copies what is in the ``__dict__``, which is others', and must not hold the run
    __slots__ = (
        "__dict__", "__weakref__", "__wrapped__", "_copies", "_had", "handler", "inner", "module", "name", "owner",
    )  # fmt: skip

    def __init__(self, module: nn.Module, handler: Handler, *, name: str = "forward", owner: Any = None) -> None:
        self.module, self.name = module, name
        self.handler: Handler | None = handler
        self.owner = owner
        self._had = name in module.__dict__
        self.inner = getattr(module, name)
        self.__wrapped__ = self.inner  # so that its signature is found
        # of methods that outlive a call
        self._copies = None if name.startswith("_") else Patch(module, _state, name="__getstate__")

    @property
    def active(self) -> bool:
        """Whether it has not been removed."""
        return self.handler is not None

    def put(self) -> None:
        if self._copies is not None:
            self._copies.put()
        self.module.__dict__[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        handler = self.handler  # another thread may remove this
        return self.inner(*args, **kwargs) if handler is None else handler(self.inner, *args, **kwargs)

    def remove(self) -> None:
        """Give the module back what was there, or be a mere passage, which holds nothing, where others wrap this."""
        self.handler = self.owner = None
        found = without(self.module.__dict__.get(self.name), lambda patch: not patch.active)
        if found is None:
            self.module.__dict__.pop(self.name, None)
        else:
            self.module.__dict__[self.name] = found
        if self._copies is not None:
            self._copies.remove()

    def before(self) -> Any:
        """What was put on the module before this; None where it was its class's."""
        return self.inner if self._had else None

    def __reduce_ex__(self, protocol: Any) -> Any:  # copying and pickling a model come by here
        if self.active:
            raise RuntimeError(NO_COPIES)
        return super().__reduce_ex__(protocol)


class _State(dict[str, Any]):
    """What a module is made of: ``copy.copy`` takes what is in it, ``deepcopy`` and ``pickle`` take the whole."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError(NO_COPIES)


def _state(inner: Callable[[], Any]) -> Any:
    """The state of a module without patches: its copy would hand its calls to the module that it was copied from."""
    state = inner()
    if not isinstance(state, dict):
        return state
    own = {name: value for name, value in state.items() if not isinstance(value, Patch) or without(value) is not None}
    return _State({name: without(value) for name, value in own.items()})


def without(found: Any, which: Callable[[Patch], bool] = lambda _: True) -> Any:
    """What is below the outermost patches of this kind; None where that is the class's own method."""
    while isinstance(found, Patch) and which(found):
        found = found.before()
    return found


def patches(module: nn.Module, name: str = "forward") -> Iterator[Patch]:
    """The active patches of an attribute, outermost first, also below what others have put around them."""
    seen: set[int] = set()
    found = module.__dict__.get(name)
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, Patch):
            if found.active:
                yield found
            found = found.inner
        else:
            found = getattr(found, "__wrapped__", None)


def reached(patch: Patch) -> bool:
    """Whether the module's method may still come by this patch: it is there, or what is there instead refers to it."""
    todo, seen = [patch.module.__dict__.get(patch.name)], {id(patch.owner)}  # which refers to it
    while todo and len(seen) < MOST_OBJECTS:
        found = todo.pop()
        if found is patch:
            return True
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            todo.extend(_referred(found))
    return bool(todo)  # nobody knows


def _referred(x: Any) -> Iterator[Any]:
    """What a function, method or object calls, as far as that can be seen from outside."""
    if isinstance(x, Tensor | type | str | int | float | ModuleType):
        return
    if isinstance(x, FunctionType):
        yield from (cell.cell_contents for cell in x.__closure__ or () if cell != CellType())
        yield from (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
        yield from (x.__globals__[name] for name in x.__code__.co_names if name in x.__globals__)
    elif isinstance(x, Patch):
        yield x.inner
    elif not isinstance(x, nn.Module):
        yield from gc.get_referents(x)
    if isinstance(x, FunctionType | nn.Module):
        yield from (value for name, value in vars(x).items() if name not in NOT_CALLED)


def own_forward(module: nn.Module) -> Any:
    """The forward that somebody else has put on this one module; None where it is the class's, or a patch on that."""
    return without(module.__dict__.get("forward"))


class Hook(partial[Any]):
    """A change (see ``undo``): this function is a hook of one module, before or after its forward.

    The function is called as torch calls hooks that are given keyword arguments, too, after ``arguments``.
    """

    module: nn.Module
    _kind: str
    _always: bool

    @staticmethod
    def of(
        module: nn.Module, function: Callable[..., Any], *arguments: Any, after: bool = False, always: bool = False
    ) -> Hook:
        """after: the forward; always: also where it failed."""
        made = Hook(function, *arguments)
        made.module, made._kind, made._always = module, "forward" if after else "forward_pre", always
        return made

    def put(self) -> None:
        if self._kind == "forward":
            self.module.register_forward_hook(self, with_kwargs=True, always_call=self._always)
        else:
            self.module.register_forward_pre_hook(self, with_kwargs=True)

    def remove(self) -> None:
        """Not through the handle, which nobody has where an interrupt came after the registration."""
        own = vars(self.module)
        hooks = own[f"_{self._kind}_hooks"]
        for key in [key for key, hook in hooks.items() if hook is self]:
            for more in ("with_kwargs", "always_called"):
                own.get(f"_{self._kind}_hooks_{more}", {}).pop(key, None)
            hooks.pop(key, None)


class _LinearInside(TorchFunctionMode):
    """Hands ``F.linear`` with a module's own weight and bias to somebody else."""

    def __init__(self, module: nn.Module, instead: Callable[[Tensor], Tensor], changed: Callable[[], Any]) -> None:
        super().__init__()
        self.module, self._instead, self._changed = module, instead, changed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear:
            given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
            weight, bias = self.module.weight, self.module.bias
            if given["weight"] is weight and given.get("bias") is bias:
                return self._instead(given["input"])
            if given["weight"] is weight:
                self._changed()
        return func(*args, **kwargs)


def operation_inside(
    module: nn.Module, instead: Callable[[Tensor], Tensor], changed: Callable[[], Any] = lambda: None
) -> Context[None]:
    """While open, ``instead(a)`` computes the linear operation of a Linear or a convolution, whatever is around it.

    Only where that operation has the module's own weight and bias; ``changed`` is called where it has others.
    """
    if isinstance(module, nn.Linear):
        return Context(lambda undo: undo.put(On(_LinearInside(module, instead, changed))))
    busy = False

    def conv_forward(inner: Callable[..., Any], input: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        nonlocal busy
        own = weight is module.weight and bias is module.bias
        if busy or not own:  # it is the operation itself that is asked for, or another one
            if not busy:
                changed()
            return inner(input, weight, bias)
        busy = True
        try:
            return instead(input)
        finally:
            busy = False

    return Context(lambda undo: undo.put(Patch(module, conv_forward, name="_conv_forward")))


def operation_outside(module: nn.Module) -> None:
    """Take back what an interrupt has kept ``operation_inside`` from taking back."""
    if isinstance(patch := module.__dict__.get("_conv_forward"), Patch):
        patch.remove()
    for mode in _get_current_function_mode_stack():
        if isinstance(mode, _LinearInside) and mode.module is module:
            On(mode).remove()
