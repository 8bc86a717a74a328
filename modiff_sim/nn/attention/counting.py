"""Counts the MACs of products of two activations in models whose attention is left in full precision."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from ..audit import LayerCount
from ..hooks.modes import Gradients
from ..hooks.modules import check_module
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo
from ..layers import occurrence_name
from .intercept import Products, always

#: the name of the model itself
ROOT = "(root)"


class Counting:
    """A handler that leaves every product as it is and counts its MACs."""

    def __init__(self) -> None:
        self._full_macs = 0
        self._unsupported: dict[str, None] = {}  # an ordered set

    def wants(self, module: str, role: str) -> bool:
        """False: no product is computed here."""
        return False

    def product(self, module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        """Not called, because no product is wanted."""
        raise NotImplementedError  # pragma: no cover - nothing is wanted

    def full(self, module: str, role: str, macs: int) -> None:
        """Add the MACs of a product in full precision."""
        self._full_macs += macs

    def cannot(self, what: str) -> None:
        """Note a product that cannot be taken apart, as "module: function"."""
        self._unsupported[what] = None

    def seen(self) -> dict[Any, int]:
        """How many products of each module and role this model call has met; empty where all are alike."""
        return {}

    def pass_over(self, seen: Mapping[Any, int]) -> None:
        """Count products that are not formed, because the branch that they are in is used again."""

    def unsupported(self) -> list[str]:
        """Products that could not be taken apart, as "module: function"."""
        return list(self._unsupported)

    def full_macs(self) -> int:
        """MACs of products in full precision that are in no row of ``counts``, over all calls."""
        return self._full_macs


class ProductCounter(Counting):
    """Counts products at next to no cost, for runs without ``attention``. It has the methods of ``Session``; no rows.

    Only the first model call after every ``reset`` is watched. Later, a hook on each module that formed products adds
    what the module took then, for inputs of that shape (of another batch: in proportion). Modules that are not executed
    do not count.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model: nn.Module | None = model
        self._watched = False
        self._shape: tuple[int, ...] | None = None  # shape of the first input of the present model call
        self._products: Products | None = None
        self._now: dict[str, int] = {}  # module -> MACs since it began
        self._took: dict[str, dict[tuple[int, ...], int]] = {}  # module -> shape of its input -> MACs of one call
        self._undo = Undo()

    def full(self, module: str, role: str, macs: int) -> None:
        """Add the MACs of a product in full precision, and watch the module that formed it."""
        super().full(module, role, macs)
        self._now[module] = self._now.get(module, 0) + macs
        if module not in self._took:
            self._took[module] = {}
            assert self._model is not None, "it was closed"
            # not for the root: torch looks for hooks before a call, when there may be none, so ``leave`` ends its count
            if module != ROOT:
                self._undo.put(Hook.of(self._model.get_submodule(module), self._ended, module, after=True))

    def _ended(self, module: str, _: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        self._count(module, _shape((*args, *kwargs.values())))

    def _count(self, module: str, shape: tuple[int, ...]) -> None:
        took = self._took[module]
        if (macs := self._now.pop(module, None)) is not None:  # the call was watched, and is counted already
            took[shape] = macs
        elif shape in took:
            self._full_macs += took[shape]
        elif took and shape:
            known, macs = next(iter(took.items()))
            self._full_macs += macs * shape[0] // known[0]

    def scope(self) -> str:
        """The name of the module that is being executed."""
        return ROOT if self._products is None else self._products.scope.name

    def enter(self, alive: Callable[[], bool] = always, arguments: Mapping[str, Any] | None = None) -> None:
        """A model call begins; ``alive`` says whether it is still going on."""
        self._shape = _shape((arguments or {}).values())
        if not self._watched:
            self._forget()
            assert self._model is not None, "it was closed"
            self._products = Products(self._model, weakref.proxy(self))
            self._products.enter()
            self._products.scope.alive = alive

    def leave(self) -> None:
        """The model call has ended."""
        self._watched = True
        shape, self._shape = self._shape, None
        if shape is not None and ROOT in self._took:
            self._count(ROOT, shape)
        if self._products is not None:
            self._products.close()
            self._products = None

    def snapshot(self) -> Any:
        """All that a failed model call must not change."""
        return self._full_macs, dict(self._unsupported), self._watched

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._full_macs, self._unsupported, self._watched = snapshot

    def _forget(self) -> None:
        self._undo.all()
        self._took.clear()
        self._now.clear()

    def reset(self) -> None:
        """Watch the next model call again."""
        self._watched = False

    def close(self) -> None:
        """Restore the model; the count stays readable."""
        self.leave()
        self._forget()
        self._model = None

    def counts(self) -> list[LayerCount]:
        """An empty list, because nothing was quantized."""
        return []


def _shape(values: Iterable[Any]) -> tuple[int, ...]:
    """Shape of the first array; () without one."""
    return next((tuple(x.shape) for x in values if isinstance(x, Tensor)), ())


class _Rows(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[LayerCount] = []
        self._seen: dict[str, int] = {}

    def full(self, module: str, role: str, macs: int) -> None:
        super().full(module, role, macs)
        name = f"{module}.{role}"
        self._seen[name] = self._seen.get(name, -1) + 1
        self.rows.append(row := LayerCount(occurrence_name(name, self._seen[name]), role))
        row.full(macs)


def count_products(model: nn.Module, *inputs: Any, **options: Any) -> list[LayerCount]:
    """The products of two activations in one call ``model(*inputs, **options)``.

    The model is left as it was. It may be on the meta device.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    *inputs, **options
        Arguments of the call.

    Returns
    -------
    list of LayerCount
        A row for every product, with its MACs, in order of execution: "<module>.qk" and "<module>.sv".

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import count_products
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.nn.functional.scaled_dot_product_attention(x, x, x)
    >>> [(row.name, row.macs) for row in count_products(Net(), torch.ones(2, 3, 4))]
    [('(root).qk', 72), ('(root).sv', 72)]
    """
    check_module(model)
    rows = _Rows()
    products = Products(model, rows)

    def enter(undo: Undo) -> None:
        undo.put(Gradients(False))
        undo.note(products.close)
        products.enter()

    with Context(enter):
        model(*inputs, **options)
    return rows.rows
