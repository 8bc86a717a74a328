"""How a layer's state is kept between calls: how many bits â and ô have, and what their rounding does.

    Storage()                                    as computed (the official code: both in float32)
    Storage(ref="float16", o_hat="float16")      half of the bytes
    Storage(ref=AbsMax(8), o_hat="float16")      â as 8-bit codes with one scale per sample
    Storage(ref=AbsMax(8), o_hat="recompute")    ô = A(â) made anew at every call: nothing kept of it

The next input is compared with the *stored* â, so its rounding is one more error that the next residual takes in: the
closed loop stays contractive, E <- κ(E + ||d||) + ρ with ρ the rounding of the state (``bounds.stored_reference``). The
sum ô is not compared with anything, and nothing would take its errors in: it is updated with A(stored â_new - stored
â_old), so that ô = A(stored â) up to ô's own rounding, which adds up over the calls (``bounds.accumulator_drift``); a
recomputed ô has none.

What A is applied to has then more bits than the residual (``cost.operand_bits``): all of â where ô is recomputed, else
what the stored â moved by, which for codes with a scale of their own at every call is two products of codes. Only on a
grid that stays (``GridAligned`` residuals, ``Static`` codes: ``nn.aligned``) is it the b-bit residual itself.

In the open loop â does not exist: a rounded reference is an error that stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from array_api_compat import array_namespace

from ..quantizers import QUANTIZERS, FixedScale, Split, parse
from ..quantizers.base import QParams, Quantizer
from ..typing import Array
from .base import Recursion, Step
from .lookup import label
from .state import Operator, State, nothing
from .wrapper import Wrapper

FLOATS = {"float32": 32, "float16": 16, "bfloat16": 16}
Spec = Quantizer | str


@dataclass(frozen=True)
class Packed:
    """What is kept of one array: codes in the smallest integer type that holds them, and the quantizer's parameters."""

    codes: Array
    qparams: QParams
    shape: tuple[int, ...]


class StateFormat:
    """As computed: what is kept is the array itself."""

    bits: float = 32

    def encode(self, x: Array) -> Any:
        """Return what is kept of an array."""
        return x

    def decode(self, kept: Any, like: Array) -> Array:
        """The array again, in the dtype of ``like``."""
        return kept


class FloatFormat(StateFormat):
    """Rounded to another float type."""

    def __init__(self, name: str) -> None:
        self.name, self.bits = name, FLOATS[name]

    def encode(self, x: Array) -> Any:
        """Round to the type. Raises ValueError where the array's library does not have it."""
        xp = array_namespace(x)
        if not hasattr(xp, self.name):
            raise ValueError(f"{xp.__name__} has no {self.name}: keep the state as float16, or use torch")
        return xp.astype(x, getattr(xp, self.name))

    def decode(self, kept: Any, like: Array) -> Array:
        """Return the array in the dtype of ``like``."""
        return array_namespace(like).astype(kept, like.dtype)


class Codes(StateFormat):
    """Rounded to a quantizer's grid: codes and scales are kept."""

    def __init__(self, Q: Quantizer) -> None:
        self.Q, self.bits = Q, Q.bits

    def container(self, xp: Any, dtype: Any = None) -> Any:
        """The smallest integer type that holds the codes, as an array of this type has them.

        The largest code is rounded up to a power of two where the dtype has too few digits for it: it takes a bit more.
        """
        if self.Q.bits <= 8:
            return xp.uint8 if self._unsigned else xp.int8
        digits = self.Q.bits - (not self._unsigned)
        rounded = dtype is not None and 2.0**digits * float(xp.finfo(dtype).eps) > 2
        need = digits + 1 + rounded
        return xp.int16 if need <= 16 else xp.int32 if need <= 32 else xp.int64

    @cached_property
    def _unsigned(self) -> bool:
        return hasattr(self.Q, "levels")  # affine grids count from 0

    def encode(self, x: Array) -> Packed:
        """Quantize. Raises ValueError for a foreign quantizer whose codes the integer type does not hold."""
        xp = array_namespace(x)
        blocks, _ = self.Q.blocks(xp, x)
        qparams = self.Q.choose_qparams(x)
        codes = self.Q.quantize(blocks, qparams)
        kept = xp.astype(codes, self.container(xp, codes.dtype))
        # a quantizer of the user's own may have codes that its bits do not hold
        if type(self.Q) not in QUANTIZERS.values() and not bool(xp.all(xp.astype(kept, codes.dtype) == codes)):
            low, high = float(xp.min(codes)), float(xp.max(codes))
            raise ValueError(
                f"storage: {self.Q} gave codes from {low:g} to {high:g}, which {kept.dtype} does not hold exactly"
            )
        return Packed(kept, qparams, tuple(x.shape))

    def decode(self, kept: Packed, like: Array) -> Array:
        """Dequantize, in the dtype of ``like``."""
        xp = array_namespace(like)
        values = self.Q.dequantize(xp.astype(kept.codes, like.dtype), kept.qparams)
        return values if values.shape == kept.shape else xp.reshape(values, kept.shape)


NATIVE = StateFormat()


def _format(what: str, spec: Spec) -> StateFormat:
    if isinstance(spec, Quantizer):
        if spec.laws.randomised or not spec.has_codes or spec.bits == 0 or not spec.integer_codes:
            raise ValueError(f"storage of {what}: {spec} has no fixed integer codes to keep; AbsMax(8) has")
        if isinstance(spec, Split):  # parts may count from 0 or not, in one container
            raise ValueError(f"storage of {what}: a Split keeps no one kind of codes: give the quantizer of one part")
        return Codes(spec)
    if spec == "native":
        return NATIVE
    if spec in FLOATS:
        return FloatFormat(spec)
    known = ", ".join(["native", *FLOATS, *(["recompute"] if what == "o_hat" else [])])
    raise ValueError(f"storage of {what} must be a quantizer such as AbsMax(8) or one of {known}; got {spec!r}")


@dataclass(frozen=True)
class Storage:
    """How a layer's state is kept between calls.

    Parameters
    ----------
    ref : Quantizer or str, default "native"
        The form of â (closed loop) or of the last input (open loop): a quantizer with integer codes, as an object or as
        text such as "absmax:8", or "native" (as computed), "float32", "float16" or "bfloat16" (torch only).
    o_hat : Quantizer or str, default "native"
        The form of the output sum ô: the same, or "recompute" (closed loop only).

    Raises
    ------
    ValueError
        For any other form, and for a quantizer without fixed integer codes.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.Storage(ref=ms.AbsMax(8), o_hat="recompute").bits()  # per entry of â and of ô
    (8, 0)
    """

    ref: Spec = "native"
    o_hat: Spec = "native"

    def __post_init__(self) -> None:
        for name in ("ref", "o_hat"):
            spec = getattr(self, name)
            if isinstance(spec, str) and spec.partition(":")[0] in QUANTIZERS:
                object.__setattr__(self, name, parse(spec))
        _format("ref", self.ref)
        if not self.recomputes:
            _format("o_hat", self.o_hat)

    @property
    def recomputes(self) -> bool:
        """Whether ô is not kept, and every call computes A(â) from the stored â."""
        return isinstance(self.o_hat, str) and self.o_hat == "recompute"

    @property
    def as_computed(self) -> bool:
        """Whether nothing is rounded."""
        return self.ref == "native" and self.o_hat == "native"

    @cached_property
    def ref_format(self) -> StateFormat:
        """The form in which â is kept."""
        return _format("ref", self.ref)

    @cached_property
    def o_format(self) -> StateFormat | None:
        """The form in which ô is kept; None where it is recomputed."""
        return None if self.recomputes else _format("o_hat", self.o_hat)

    @property
    def couples_samples(self) -> bool:
        """Whether the stored reference of a sample depends on its batch-mates: one dynamic scale for several."""
        if not isinstance(Q := self.ref, Quantizer) or isinstance(Q, FixedScale):
            return False
        size = 2 * getattr(Q.granularity, "size", 1)  # a shape that groups fit into, along any axis
        return Q.granularity.scale_shape((size,) * 4)[0] < size

    def bits(self) -> tuple[float, float]:
        """Bits per entry of â and of ô ("native" counted as 32), scales left out."""
        return self.ref_format.bits, 0 if self.o_format is None else self.o_format.bits


#: nothing is rounded
AS_COMPUTED = Storage()


class Stored(Wrapper):
    """A recursion whose state is kept rounded between two calls.

    In the closed loop ô is kept equal to A(stored â). Raises ValueError for a recursion without a state, or with a
    step of its own, and where ô is to be recomputed from a reference that is not â.
    """

    def __init__(self, inner: Recursion, storage: Storage) -> None:
        if storage.recomputes and not inner.reconstructs:
            raise ValueError(f'o_hat="recompute" needs ô = A(â), which {label(inner)} does not have: keep ô')
        super().__init__(inner, "storage")
        self.storage = storage

    @property
    def accumulates(self) -> bool:  # type: ignore[override]
        """Whether ô is kept, and not recomputed."""
        return not self.storage.recomputes

    def exact(self, a: Array, affine: Operator, call: int = 0) -> Step:
        """Do a call in full precision; in the closed loop A is applied to the *stored* reference."""
        ref = self.storage.ref_format.encode(a)
        used = self.storage.ref_format.decode(ref, a) if self.reconstructs else a
        state, info = self.inner.exact(used, affine, call)
        return State(ref, self._kept(info.output), state.call), info

    def init(self, a: Array, Q: Quantizer, A: Operator, *, affine: Operator | None = None, **options: Any) -> Step:
        """Do call 0: the first input is fed as computed, and the state is stored after the last feeding."""
        if options.get("warmup", "exact") == "exact":
            return self.exact(a, affine or A)
        state, info = self.inner.init(a, Q, A, affine=affine, **options)
        ref, output = self.storage.ref_format.encode(state.ref), info.output
        if self.reconstructs:
            output = (affine or A)(self.storage.ref_format.decode(ref, a))
        return State(ref, self._kept(output), state.call), replace(info, output=output)

    def step(self, state: State, a: Array, Q: Quantizer, A: Operator, *, random: Array | None = None) -> Step:
        """Do a later call from what was stored. Where ô is recomputed, A is the map with its bias."""
        form = self.storage.ref_format
        ref = form.decode(state.ref, a)
        after, info = self.inner.step(State(ref, 0.0, state.call), a, Q, nothing, random=random)
        stored = form.encode(after.ref)
        if not self.accumulates:
            output = A(form.decode(stored, a))
        else:
            # what the stored â moved by: its rounding must reach ô, or the two part for good
            moves = self.reconstructs and self.storage.ref != "native"
            added = A(form.decode(stored, a) - ref if moves else info.residual_hat)
            like = added if hasattr(added, "dtype") else a  # A may change the dtype: autocast
            output = added + self.storage.o_format.decode(state.o_hat, like)  # type: ignore[union-attr]
        return State(stored, self._kept(output), after.call), replace(info, output=output)

    def _kept(self, output: Array) -> Any:
        return None if self.storage.o_format is None else self.storage.o_format.encode(output)


def kept_bytes(kept: Any) -> int:
    """Bytes of what is kept of one array: codes, scales and zero points; 0 for None."""
    if kept is None:
        return 0
    if isinstance(kept, Packed):
        parts = (kept.codes, kept.qparams.scale, kept.qparams.zero_point)
        return sum(kept_bytes(x) for x in parts)
    if isinstance(kept, Mapping):  # a recursion of the user's own may keep several arrays
        return sum(kept_bytes(x) for x in kept.values())
    if isinstance(kept, (tuple, list)):
        return sum(kept_bytes(x) for x in kept)
    if not hasattr(kept, "dtype"):
        return 0
    return math.prod(kept.shape) * kept.dtype.itemsize
