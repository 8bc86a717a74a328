"""Quantized attention: the products of two activations, q·kᵀ and softmax·v, direct or modulated.

    with modulated(model, activations=AbsMax(4), attention=Attention(q=AbsMax(8), k=AbsMax(8), v=AbsMax(8),
                                                                     softmax=MinMax(8), recursion="direct")) as run:

The arithmetic is ``recursion.bilinear``; ``products`` finds the products in the model and defines the form of the
operands. A product is called "<module>.qk" or "<module>.sv", further ones within one model call "<module>.qk#1".
Everything is computed in at least float32, and states are kept so.

Modulated attention has costs (docs/theory.md, section 14): a modulated product is *two* products of b-bit residuals
with full references, and its state, both operands and ô, is quadratic in the number of tokens. ``MinMax`` is unsigned
on the softmax itself (twice the levels of ``AbsMax``), but not on its residual, which has both signs. A quantized
softmax is not normalized to sum to one again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import array_namespace
from torch import Tensor, nn

from ... import quantizers
from ... import recursion as _recursion
from ...cost import FULL_BITS as FULL
from ...quantizers import Identity, Zero
from ...quantizers.base import Quantizer, not_finite
from ...recursion import bilinear
from ..audit import LayerCount
from ..layers import Where, finite, occurrence_name
from ..macs import FirstCall
from ..states import KeptProduct, RunStates
from .counting import Counting, ProductCounter, count_products
from .intercept import PRODUCTS, Products, always

__all__ = ["Attention", "ProductCounter", "Session", "count_products"]

#: role -> what its left and right operand are called
OPERANDS = {"qk": ("q", "k"), "sv": ("softmax", "v")}


@dataclass(frozen=True)
class Attention:
    """Which operands of attention are quantized, and how. None leaves an operand in full precision.

    Parameters
    ----------
    q, k, v, softmax : Quantizer, optional
        Quantizers of the operands or, where modulated, of their residuals. A product is left alone where both of its
        quantizers are None. ``PerSample`` is one scale per sample and head, ``PerToken`` one per token.
    recursion : str or Recursion, optional
        None is the run's; "direct" is the usual choice beside modulated layers.
    where : callable, optional
        (qualified name, module) -> bool of the module whose forward forms the product; None is all.

    Raises
    ------
    TypeError
        For what is not a quantizer, and for a ``where`` that is not a function.
    ValueError
        Where no operand has a quantizer, and for a recursion that is not defined for products (``bilinear``).

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import Attention, modulated
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.qkv = torch.nn.Linear(4, 12)
    ...     def forward(self, x):
    ...         q, k, v = self.qkv(x).chunk(3, -1)
    ...         return torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> Q = ms.AbsMax(8)
    >>> attention = Attention(q=Q, k=Q, v=Q, softmax=ms.MinMax(8), recursion="direct")
    >>> with modulated(Net().eval(), activations=Q, recursion="direct", attention=attention) as run:
    ...     out = run.model(torch.ones(2, 3, 4))
    >>> [(layer.name, layer.activation_bits) for layer in run.audit().layers]
    [('qkv', 8.0), ('(root).qk', 8.0), ('(root).sv', 8.0)]
    """

    q: Quantizer | str | None = None
    k: Quantizer | str | None = None
    v: Quantizer | str | None = None
    softmax: Quantizer | str | None = None
    recursion: str | _recursion.Recursion | None = None
    where: Where | None = None

    def __post_init__(self) -> None:
        for name in ("q", "k", "v", "softmax"):
            if (Q := getattr(self, name)) is not None:
                object.__setattr__(self, name, quantizers.get(Q, f"Attention: {name}, unless it is None,"))
        if self.q is self.k is self.v is self.softmax is None:
            raise ValueError("Attention() quantizes nothing: name at least one of q, k, v, softmax")
        if self.recursion is not None:
            bilinear.check(_recursion.get(self.recursion))
        if self.where is not None and not callable(self.where):
            raise TypeError(f"Attention: where must be a function (name, module) -> bool, got {self.where!r}")

    def quantizers(self, role: str) -> tuple[Quantizer, Quantizer] | None:
        """The quantizers of the left and the right operand of "qk" or "sv"; None where both are in full precision."""
        left, right = (getattr(self, name) for name in OPERANDS[role])
        return None if left is None and right is None else (left or Identity(), right or Identity())


class Session(Counting):
    """The products of one run: quantizers, recursion, states, counts.

    ``enter`` and ``leave`` bracket a model's forward (``leave`` after an exception as well).
    """

    def __init__(
        self,
        model: nn.Module,
        attention: Attention,
        scheme: _recursion.Scheme,
        *,
        states: RunStates,
        first_call: FirstCall | None = None,
    ) -> None:
        super().__init__()
        bilinear.check(scheme.recursion)
        self.attention, self.scheme, self._states = attention, scheme, states
        self._first_call = first_call or FirstCall()
        modules = dict(model.named_modules())
        modules["(root)"] = modules.pop("")
        where = attention.where
        self._chosen = {name for name, module in modules.items() if where is None or where(name, module)}
        self._counts: dict[str, LayerCount] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._products = Products(model, weakref.proxy(self))

    # -- what a run calls ----------------------------------------------------------------------------------------------
    def scope(self) -> str:
        """The name of the module that is being executed."""
        return self._products.scope.name

    def enter(self, alive: Callable[[], bool] = always, arguments: Mapping[str, Any] | None = None) -> None:
        """A model call begins; ``alive`` says whether it is still going on."""
        self._seen.clear()
        self._products.enter()
        self._products.scope.alive = alive

    def leave(self) -> None:
        """The model call has ended."""
        self._products.leave()

    def close(self) -> None:
        """Restore the model; the counts stay readable."""
        self._products.close()

    def reset(self) -> None:
        """Do nothing: the states are the run's, and every call is counted."""

    def snapshot(self) -> Any:
        """The counts, which a failed model call must not change."""
        return {name: replace(count) for name, count in self._counts.items()}, self._full_macs, dict(self._unsupported)

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._counts, self._full_macs, self._unsupported = snapshot

    def counts(self) -> list[LayerCount]:
        """One row per product or residual.

        Direct: a row per product, with the left operand's bits as activation bits and the right operand's as weight
        bits.

        Modulated: a row per residual, such as "mid.attn.qk[q]". Its activation bits are the residual's, and its weight
        bits are those of the other operand's reference, which is kept in float32. These are the two products of the
        rule (docs/theory.md, section 14). The one product of a call in full precision is in the first row.
        """
        return list(self._counts.values())

    def seen(self) -> dict[Any, int]:
        """How many products of each module and role this model call has met so far."""
        return dict(self._seen)

    def pass_over(self, seen: Mapping[Any, int]) -> None:
        """Count products that are not formed, because the branch that they are in is used again."""
        for key, times in seen.items():
            self._seen[key] = self._seen.get(key, 0) + times

    # -- one product ---------------------------------------------------------------------------------------------------
    def wants(self, module: str, role: str) -> bool:
        """Whether the product of this role in this module is quantized."""
        return module in self._chosen and self.attention.quantizers(role) is not None

    def product(self, module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        """The product, quantized and counted."""
        with self._first_call.row():
            out = self._quantized(module, role, left, right)
        self._first_call.add(out.numel() * left.shape[-1])
        return out

    def _quantized(self, module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        occurrence = self._seen.get((module, role), 0)
        self._seen[module, role] = occurrence + 1
        name = occurrence_name(f"{module}.{role}", occurrence)
        pair = self.attention.quantizers(role)
        assert pair is not None
        products = self._states.present.products
        kept = products.get(name)
        state = None if kept is None else kept.state
        call = 0 if state is None else state.call
        who = f"product '{name}', call {call}"
        like = tuple((tuple(x.shape), x.dtype, x.device) for x in (left, right))
        try:
            if state is None:
                for Q, x in zip(pair, (left, right), strict=True):
                    Q.check(x)
        except (TypeError, ValueError) as error:
            raise type(error)(f"product '{name}': {error}") from None
        has_state = self.scheme.recursion.has_state
        if kept is not None and has_state and kept.like != like:
            raise ValueError(
                f"{who}: operands changed from {_shown(kept.like)} to {_shown(like)}; the state is of another "
                "batch: call run.reset() before a new one"
            )
        bits = self._bits(pair, (left, right), state is None)
        state, info = bilinear.advance(self.scheme, state, left, right, pair, PRODUCTS[role], random=bits)
        for what, Q, x, operand in zip(OPERANDS[role], pair, (left, right), (info.left, info.right), strict=True):
            probe = x if operand.qparams is None or not Q.has_codes else Q.probe(operand.residual, operand.qparams)
            if not finite(probe):
                raise ValueError(not_finite(array_namespace(x), x, f"{who}, operand {what}"))
        self._count(name, role, pair, info, call, info.output.numel() * left.shape[-1])
        # the model may write into its tensors, which must reach neither references nor ô
        own = {k: x.clone() for k, x in (("left", left), ("right", right)) if getattr(state, k) is x}
        products[name] = KeptProduct(replace(state, **own), like)
        output: Tensor = info.output
        return output.clone() if has_state else output

    def _bits(self, pair: tuple[Quantizer, Quantizer], operands: tuple[Tensor, Tensor], first: bool) -> Any:
        if not any(Q.laws.randomised for Q in pair):
            return None

        def draw() -> Any:
            return tuple(
                self._states.product_random.like(x) if Q.laws.randomised else None
                for Q, x in zip(pair, operands, strict=True)
            )

        return [draw() for _ in range(self.scheme.draws)] if first else draw()

    # -- counting ------------------------------------------------------------------------------------------------------
    def _row(self, name: str, role: str, weight_bits: int) -> LayerCount:
        return self._counts.setdefault(name, LayerCount(name, role, weight_bits))

    def _count(self, name: str, role: str, pair: Any, info: bilinear.ProductInfo, call: int, macs: int) -> None:
        bits = [Q.bits for Q in pair]
        if not self.scheme.recursion.has_state:
            row = self._row(name, role, bits[1])
            if not info.quantized:  # a refresh
                row.full(macs)
                row.bops += macs * FULL * (FULL - row.weight_bits)  # the right operand is in full precision as well
                return
            row.quantized(macs, bits[0])
            for Q, seen in zip(pair, (info.left, info.right), strict=True):
                if Q.has_codes:
                    row.grid(Q, seen.residual, seen.qparams)
            return
        rows = [self._row(f"{name}[{what}]", role, FULL) for what in OPERANDS[role]]
        if not info.quantized:
            return rows[0].full(macs)
        feeds = self.scheme.feeds if call == 0 else 0
        for i, (row, Q, seen) in enumerate(zip(rows, pair, (info.left, info.right), strict=True)):
            times = 1 if call else feeds - i  # the first feeding is one product, of the two quantized operands
            if not times:
                continue
            if not Q.has_codes:
                row.full(macs * times)
                continue
            skipped = macs * times if call and type(Q) is Zero else 0
            bops = None if call or i else macs * bits[0] * (bits[1] + (feeds - 1) * FULL)
            row.quantized(macs * times, Q.bits, skipped=skipped, bops=bops)
            row.grid(Q, seen.residual, seen.qparams)


def _shown(like: tuple[Any, ...]) -> str:
    return " and ".join(f"{shape} {str(dtype).removeprefix('torch.')} {device}" for shape, dtype, device in like)
