"""Methods of a module that are replaced while a context is open, and restored after it, whoever else replaces them.

Libraries for offloading, casting and caching replace a layer's ``forward`` as well, before our context or inside it. A
``Patch`` calls what it found. It is taken off where it is still the outermost; where somebody has wrapped it in the
meantime, it stays and passes calls on.
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

#: (what was there before, *arguments of the call) -> result
Handler = Callable[..., Any]
NO_COPIES = (
    "this model is modulated or recorded: leave the context before copying it, the state is not the model's "
    "(copy.copy of one layer gives a plain one)"
)
#: how many objects are searched for a patch in what somebody has put in its place
MOST_OBJECTS = 2000
#: attributes in which a module keeps its submodules and hooks
NOT_CALLED = frozenset(vars(nn.Module()))


class Patch:
    """A change (see ``undo``): ``handler(inner, *args, **kwargs)`` is called in place of an attribute of one module.

    ``inner`` is what the attribute was, bound to the module. ``owner`` is the run or recorder that this belongs to.
    """

    # functools.wraps copies the ``__dict__`` into wrappers of others, which must not hold the run
    __slots__ = (
        "__dict__", "__weakref__", "__wrapped__", "_copies", "_had", "handler", "inner", "module", "name", "owner",
    )  # fmt: skip

    def __init__(self, module: nn.Module, handler: Handler, *, name: str = "forward", owner: Any = None) -> None:
        self.module, self.name = module, name
        self.handler: Handler | None = handler
        self.owner = owner
        self._had = name in module.__dict__
        self.inner = getattr(module, name)
        self.__wrapped__ = self.inner  # so that inspect finds its signature
        # only for methods that outlive a call
        self._copies = None if name.startswith("_") else Patch(module, _state, name="__getstate__")

    @property
    def active(self) -> bool:
        """Whether it has not been removed."""
        return self.handler is not None

    def put(self) -> None:
        """Put the patch on the module."""
        if self._copies is not None:
            self._copies.put()
        self.module.__dict__[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler or, after ``remove``, what was there before."""
        handler = self.handler  # read once, because another thread may remove it
        return self.inner(*args, **kwargs) if handler is None else handler(self.inner, *args, **kwargs)

    def remove(self) -> None:
        """Restore the attribute; where others wrap this patch, leave it as a passage that holds nothing."""
        self.handler = self.owner = None
        found = without(self.module.__dict__.get(self.name), lambda patch: not patch.active)
        if found is None:
            self.module.__dict__.pop(self.name, None)
        else:
            self.module.__dict__[self.name] = found
        if self._copies is not None:
            self._copies.remove()

    def before(self) -> Any:
        """What was put on the module before this patch; None where the attribute was that of the class."""
        return self.inner if self._had else None

    def __reduce_ex__(self, protocol: Any) -> Any:  # called when a model is copied or pickled
        if self.active:
            raise RuntimeError(NO_COPIES)
        return super().__reduce_ex__(protocol)


class _State(dict[str, Any]):
    """The state of a module. ``copy.copy`` takes its entries; ``deepcopy`` and ``pickle`` take it as a whole."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError(NO_COPIES)


def _state(inner: Callable[[], Any]) -> Any:
    """The state of a module without patches, whose copies would call the module that they were copied from."""
    state = inner()
    if not isinstance(state, dict):
        return state
    own = {name: value for name, value in state.items() if not isinstance(value, Patch) or without(value) is not None}
    return _State({name: without(value) for name, value in own.items()})


def without(found: Any, which: Callable[[Patch], bool] = lambda _: True) -> Any:
    """What is below the outermost patches of this kind; None where that is the method of the class."""
    while isinstance(found, Patch) and which(found):
        found = found.before()
    return found


def patches(module: nn.Module, name: str = "forward") -> Iterator[Patch]:
    """The active patches of an attribute, outermost first, including those below the wrappers of others."""
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
    """Whether the module's method may still call this patch: it is there, or what is there refers to it."""
    todo, seen = [patch.module.__dict__.get(patch.name)], {id(patch.owner)}  # the owner refers to the patch as well
    while todo and len(seen) < MOST_OBJECTS:
        found = todo.pop()
        if found is patch:
            return True
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            todo.extend(_referred(found))
    return bool(todo)  # the search was cut short, so the answer is unknown


def _referred(x: Any) -> Iterator[Any]:
    """What a function, method or object calls, as far as that is visible from outside."""
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
    """The forward that somebody else has put on this one module; None where it is the class's, patched or not."""
    return without(module.__dict__.get("forward"))


class Hook(partial[Any]):
    """A change (see ``undo``): this function is a hook of one module, before or after its forward.

    The function is called as torch calls hooks with keyword arguments, after ``arguments``.
    """

    module: nn.Module
    _kind: str
    _always: bool

    @staticmethod
    def of(
        module: nn.Module, function: Callable[..., Any], *arguments: Any, after: bool = False, always: bool = False
    ) -> Hook:
        """Make the hook. ``after``: after the forward; ``always``: also where the forward failed."""
        made = Hook(function, *arguments)
        made.module, made._kind, made._always = module, "forward" if after else "forward_pre", always
        return made

    def put(self) -> None:
        """Register the hook."""
        if self._kind == "forward":
            self.module.register_forward_hook(self, with_kwargs=True, always_call=self._always)
        else:
            self.module.register_forward_pre_hook(self, with_kwargs=True)

    def remove(self) -> None:
        """Remove the hook without its handle, which is missing where an interrupt came after the registration."""
        own = vars(self.module)
        hooks = own[f"_{self._kind}_hooks"]
        for key in [key for key, hook in hooks.items() if hook is self]:
            for more in ("with_kwargs", "always_called"):
                own.get(f"_{self._kind}_hooks_{more}", {}).pop(key, None)
            hooks.pop(key, None)


class _LinearInside(TorchFunctionMode):
    """Passes ``F.linear`` with a module's own weight and bias to somebody else."""

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

    This holds only where that operation has the module's own weight and bias; ``changed`` is called where it has
    others.
    """
    if isinstance(module, nn.Linear):
        return Context(lambda undo: undo.put(On(_LinearInside(module, instead, changed))))
    busy = False

    def conv_forward(inner: Callable[..., Any], input: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        nonlocal busy
        own = weight is module.weight and bias is module.bias
        if busy or not own:  # the operation itself is called, or another one
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
    """Undo an ``operation_inside`` that an interrupt has kept from being undone."""
    if isinstance(patch := module.__dict__.get("_conv_forward"), Patch):
        patch.remove()
    for mode in _get_current_function_mode_stack():
        if isinstance(mode, _LinearInside) and mode.module is module:
            On(mode).remove()
