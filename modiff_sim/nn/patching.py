"""Methods of a module that are replaced while a context is open, and given back after it, whoever else replaces them.

Libraries for offloading, casting and caching replace a layer's ``forward``, too, before our context or inside it. A
``Patch`` calls what it found, and is taken off where it is still the outermost; where somebody has wrapped it in the
meantime it stays, and passes calls on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: (what was there before, arguments of the call)
Handler = Callable[..., Any]


class Patch:
    """The attribute ``name`` of one module: ``handler(inner, *args, **kwargs)`` is called in its place.

    inner: what the attribute was, bound to the module. owner: the run or recorder that this belongs to.
    """

    def __init__(self, module: nn.Module, handler: Handler, *, name: str = "forward", owner: Any = None) -> None:
        self.module, self.handler, self.name, self.owner = module, handler, name, owner
        self._had = name in module.__dict__
        self.inner = getattr(module, name)
        self.__wrapped__ = self.inner  # so that its signature is found
        self.active = True
        module.__dict__[name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.active:
            return self.inner(*args, **kwargs)
        return self.handler(self.inner, *args, **kwargs)

    def remove(self) -> None:
        """Give the module back what was there, or become a mere passage where others have wrapped this."""
        self.active = False
        found = self.module.__dict__.get(self.name)
        while isinstance(found, Patch) and not found.active:  # also those that were left in another order
            found = found.inner if found._had else None
        if found is None:
            self.module.__dict__.pop(self.name, None)
        else:
            self.module.__dict__[self.name] = found

    def __reduce_ex__(self, protocol: Any) -> Any:  # copying and pickling a model come by here
        if self.active:
            raise RuntimeError(
                "this model is modulated or recorded: leave the context before copying it, the state is not the model's"
            )
        return super().__reduce_ex__(protocol)


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


def own_forward(module: nn.Module) -> Any:
    """The forward that somebody else has put on this one module; None where it is the class's, or a patch on that."""
    found = module.__dict__.get("forward")
    while isinstance(found, Patch):
        found = found.inner if found._had else None
    return found


class _LinearInside(TorchFunctionMode):
    """Hands ``F.linear`` with a module's own weight and bias to somebody else."""

    def __init__(self, module: nn.Module, instead: Callable[[Tensor], Tensor], changed: Callable[[], Any]) -> None:
        super().__init__()
        self._module, self._instead, self._changed = module, instead, changed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear:
            given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
            weight, bias = self._module.weight, self._module.bias
            if given["weight"] is weight and given.get("bias") is bias:
                return self._instead(given["input"])
            if given["weight"] is weight:
                self._changed()
        return func(*args, **kwargs)


@contextmanager
def operation_inside(
    module: nn.Module, instead: Callable[[Tensor], Tensor], changed: Callable[[], Any] = lambda: None
) -> Iterator[None]:
    """While open, ``instead(a)`` computes the linear operation of a Linear or a convolution, whatever is around it.

    Only where that operation has the module's own weight and bias; ``changed`` is called where it has others.
    """
    if isinstance(module, nn.Linear):
        with _LinearInside(module, instead, changed):
            yield
        return
    before, own = module._conv_forward, module.__dict__.get("_conv_forward")
    busy = False

    def conv_forward(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        nonlocal busy
        own = weight is module.weight and bias is module.bias
        if busy or not own:  # it is the operation itself that is asked for, or another one
            if not busy:
                changed()
            return before(input, weight, bias)  # type: ignore[operator]
        busy = True
        try:
            return instead(input)
        finally:
            busy = False

    module.__dict__["_conv_forward"] = conv_forward
    try:
        yield
    finally:
        del module.__dict__["_conv_forward"]
        if own is not None:
            module.__dict__["_conv_forward"] = own
