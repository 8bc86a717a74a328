"""Finds the products of two activations in any model: a torch function mode that is on while the model's forward runs.

Seen are ``F.scaled_dot_product_attention``, and ``bmm``, ``matmul``, ``@``, ``baddbmm`` of two float tensors of at
least 3 axes neither of which is a parameter, a buffer or a view of one. That covers diffusers' attention processors and
the original DDPM code. A product with a softmax's output as an operand is softmax·v ("sv"), every other one is q·kᵀ
("qk"). Not taken apart are ``einsum`` and torch's own ``multi_head_attention_forward``, which are named as unsupported.
Kernels that are not torch functions (xformers, flash-attn) are not seen.

Operands reach a handler in one form whatever the model's code does: three axes (samples × heads, rows, columns), q and
softmax as they are, k and v with tokens as rows. So ``PerSample`` is one scale per sample and head, ``PerToken`` one
per token, and processors that batch heads differently give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..hooks.modes import On
from ..hooks.patching import Hook
from ..hooks.undo import Undo

ROLES = ("qk", "sv")
#: role -> product of a left operand and a right one whose rows are tokens
PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"qk": lambda q, k: q @ k.mT, "sv": lambda p, v: p @ v}


class Handler(Protocol):
    """Protocol of what is done about a product."""

    def wants(self, module: str, role: str) -> bool:
        """Whether ``product`` computes products of this role in this module; else they are only counted."""
        ...  # pragma: no cover - protocol

    def product(self, module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        """The product, (n, rows, tokens or columns), from operands in the form that the module's docstring defines."""
        ...  # pragma: no cover - protocol

    def full(self, module: str, role: str, macs: int) -> None:
        """Count a product that was left in full precision."""
        ...  # pragma: no cover - protocol

    def cannot(self, what: str) -> None:
        """Note a product that cannot be taken apart, as "module: function"."""
        ...  # pragma: no cover - protocol


def always() -> bool:
    """True: the default of ``Scope.alive``."""
    return True


class Scope:
    """Which module is being executed: the innermost whose forward has begun. A change (see ``undo``).

    It has hooks on every module except the model.
    """

    def __init__(self, model: nn.Module) -> None:
        #: whether the model call is still going on; a run puts its own function here
        self.alive: Callable[[], bool] = always
        self._stack: list[str] = []
        self._model: nn.Module | None = model
        self._undo, self._on = Undo(), False

    def put(self) -> None:
        """Put the hooks on the modules."""
        if self._on:
            return
        self._undo.all()  # what an interrupt has left behind
        assert self._model is not None, "it was closed"
        for name, module in self._model.named_modules():
            # a script module has no hooks, and is one operation
            if name and not isinstance(module, torch.jit.ScriptModule):
                self._undo.put(Hook.of(module, self._entering(name)))
                self._undo.put(Hook.of(module, self._left, after=True, always=True))
        self._on = True

    def _entering(self, name: str) -> Callable[..., None]:
        return lambda *_: self._stack.append(name)

    def _left(self, *_: Any) -> None:
        if self._stack:
            self._stack.pop()

    @property
    def name(self) -> str:
        """The qualified name of that module; "(root)" for the model."""
        return self._stack[-1] if self._stack else "(root)"

    def clear(self) -> None:
        """Forget the modules that were being executed."""
        self._stack.clear()

    def remove(self) -> None:
        """Take the hooks off."""
        self._on = False
        self._undo.all()

    def close(self) -> None:
        """Take everything off the model, and no longer refer to it."""
        self.remove()
        self._model, self.alive = None, always


def _storage(x: Tensor) -> int:
    """Address of a tensor's storage object: the same for all its views, on every device ("meta" included)."""
    return x.untyped_storage()._cdata


_MATMUL = (torch.bmm, Tensor.bmm, torch.matmul, Tensor.matmul, torch.linalg.matmul)
_BADDBMM = (torch.baddbmm, Tensor.baddbmm)
_SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax)
#: functions, besides views, that a softmax may pass through on its way to the product
_KEEPS = (
    Tensor.to, Tensor.type, Tensor.type_as, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.contiguous, Tensor.clone,
    Tensor.reshape, torch.reshape, torch.clone, F.dropout, torch.dropout,
)  # fmt: skip
_CLOSED = (torch.einsum, F.multi_head_attention_forward, torch.tensordot, Tensor.baddbmm_)
_WHAT = {
    **dict.fromkeys(_MATMUL, "matmul"), **dict.fromkeys(_BADDBMM, "baddbmm"), **dict.fromkeys(_SOFTMAX, "softmax"),
    **dict.fromkeys(_KEEPS, "keeps"), **dict.fromkeys(_CLOSED, "closed"), F.scaled_dot_product_attention: "attention",
}  # fmt: skip


class Watchman(TorchFunctionMode):
    """Looks for a call that was not noticed yet when a product is formed, before the first layer is reached."""

    def __init__(self, look: Callable[[], Any]) -> None:
        super().__init__()
        self._look: Callable[[], Any] | None = look

    @property
    def stale(self) -> bool:
        """Whether it has stopped looking."""
        return self._look is None

    def close(self) -> None:
        """Stop looking, also where another thread cannot take this mode off."""
        self._look = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._look is not None and func in _WHAT:
            self._look()
        return func(*args, **(kwargs or {}))


class Products(TorchFunctionMode):
    """The mode. ``enter`` and ``leave`` push and pop it; a second ``leave`` does nothing."""

    def __init__(self, model: nn.Module, handler: Handler) -> None:
        super().__init__()
        self._model: nn.Module | None = model
        self._handler = handler
        self.scope = Scope(model)
        self._inert = True
        self._constants: set[int] = set()
        self._softmax: list[Tensor] = []  # held until used, so that no other tensor gets its storage's address

    @property
    def stale(self) -> bool:
        """Whether it is off."""
        return self._inert

    def enter(self) -> None:
        """Put the mode on, for a model call that begins."""
        self.scope.put()
        self.scope.clear()
        self._softmax.clear()
        assert self._model is not None, "it was closed"
        self._constants = {_storage(x) for x in (*self._model.parameters(), *self._model.buffers())}
        if self._inert:
            self._inert = False
            On(self).put()

    def leave(self) -> None:
        """Take the mode off, also from below modes that others have entered since (a call's end was noticed late)."""
        self._softmax.clear()
        On(self).remove()
        self._inert = True

    def close(self) -> None:
        """Take everything off the model, and no longer refer to it."""
        self.leave()
        self.scope.close()
        self._model = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        what, kwargs = _WHAT.get(func), kwargs or {}
        if what is None or self._inert or not self.scope.alive():
            return func(*args, **kwargs)
        if what == "attention":
            return self._attention(*args, **kwargs)
        if what in ("softmax", "keeps"):
            out = func(*args, **kwargs)
            if what == "softmax" or self._is_softmax(args[0]):
                self._softmax.append(out)
            return out
        operands = [x for x in (*args, *kwargs.values()) if self._is_activation(x)]
        if what == "closed" or "out" in kwargs:
            if len(operands) >= 2 or func is F.multi_head_attention_forward:
                self._handler.cannot(f"{self.scope.name}: {func.__name__}")
            return func(*args, **kwargs)
        return self._explicit(func, what, args, kwargs)

    def _is_activation(self, x: Any) -> bool:
        floats = isinstance(x, Tensor) and x.ndim >= 3 and x.is_floating_point()
        return floats and _storage(x) not in self._constants

    def _is_softmax(self, x: Any) -> bool:
        return isinstance(x, Tensor) and _storage(x) in {_storage(p) for p in self._softmax}

    # -- bmm, matmul, baddbmm -----------------------------------------------------------------------------------------
    def _explicit(self, func: Any, what: str, args: Any, kwargs: Any) -> Tensor:
        names = ("input", "batch1", "batch2") if what == "baddbmm" else ("input", "mat2")
        given = dict(zip(names, args, strict=False)) | {"mat2" if k == "other" else k: v for k, v in kwargs.items()}
        left, right = given[names[-2]], given[names[-1]]
        if not (self._is_activation(left) and self._is_activation(right)):
            return func(*args, **kwargs)
        flipped = self._is_softmax(right)
        role = "sv" if flipped or self._is_softmax(left) else "qk"
        module = self.scope.name
        if role == "sv":
            self._softmax.clear()
        if not self._handler.wants(module, role):
            out = func(*args, **kwargs)
            self._handler.full(module, role, out.numel() * left.shape[-1])
            return out
        a, b = (right.mT, left.mT) if flipped else (left, right)  # vᵀ·pᵀ is (p·v)ᵀ
        out = self._product(module, role, a, b.mT if role == "qk" else b)
        if what == "baddbmm":
            beta, alpha = given.get("beta", 1), given.get("alpha", 1)
            out = out * alpha
            return out if beta == 0 else out + given["input"] * beta  # at 0 the input may be anything, NaN included
        return out.mT if flipped else out

    def _product(self, module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        """The handler's product, in at least float32 and outside autocast, in the dtype that torch would give it."""
        dtype = _autocast_dtype(left) or left.dtype
        lead = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        a, b = (_wide(x.to(dtype)).expand(*lead, -1, -1).reshape(-1, *x.shape[-2:]) for x in (left, right))
        with _plain(a):
            out = self._handler.product(module, role, a, b)
        return out.reshape(*lead, *out.shape[-2:]).to(dtype)

    # -- scaled_dot_product_attention ---------------------------------------------------------------------------------
    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        module = self.scope.name
        wants = {role: self._handler.wants(module, role) for role in ROLES}
        if not any(wants.values()):
            out = F.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
            pairs = out.numel() // out.shape[-1] * key.shape[-2]  # of query and key tokens, over samples and heads
            self._handler.full(module, "qk", pairs * query.shape[-1])
            self._handler.full(module, "sv", pairs * value.shape[-1])
            return out
        if dropout_p > 0:
            raise ValueError(
                f"product '{module}.sv': attention with dropout_p = {dropout_p:g} (call model.eval() first)"
            )
        if is_causal and attn_mask is not None:
            raise ValueError(f"product '{module}.qk': attn_mask and is_causal=True exclude each other")
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
        dtype = _autocast_dtype(query) or query.dtype
        query, key, value = (_wide(x.to(dtype)) for x in (query, key, value))
        with _plain(query):
            scores = self._either(wants, module, "qk", query, key)
            scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
            p = masked_softmax(scores, attn_mask, is_causal)
            return self._either(wants, module, "sv", p, value).to(dtype)

    def _either(self, wants: dict[str, bool], module: str, role: str, left: Tensor, right: Tensor) -> Tensor:
        if wants[role]:
            return self._product(module, role, left, right)
        out = PRODUCTS[role](left, right)
        self._handler.full(module, role, out.numel() * left.shape[-1])
        return out


def masked_softmax(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Softmax over the last axis of scores (..., queries, keys). A bool mask keeps True; a float mask is added.

    A row that is masked out altogether is zero, as in ``scaled_dot_product_attention``.
    """
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is None:
        return torch.softmax(scores, -1)
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -math.inf)
    else:
        scores = scores + mask
    return torch.softmax(scores, -1).masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)


def _autocast_dtype(x: Tensor) -> torch.dtype | None:
    kind = x.device.type
    if kind in ("cpu", "cuda") and torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return None


def _wide(x: Tensor) -> Tensor:
    """At least float32: ô is a sum over all calls, and short floats would lose it (docs/theory.md, section 7)."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@contextmanager
def _plain(x: Tensor) -> Iterator[None]:
    """Without autocast, without gradients."""
    kind = x.device.type
    with torch.no_grad():
        if _autocast_dtype(x) is None:
            yield
        else:
            with torch.autocast(kind, enabled=False):
                yield
