"""MACs, BOPs and memory of states, computed from shapes only (``nn.model_shapes`` finds those of a torch model).

A MAC is one multiply-accumulate. BOPs = MACs · bits of one operand · bits of the other; the paper's "GBops" are 10^9 of
them. Full precision is 32 bits. Bytes are those of states in memory: codes, scales and zero points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arguments import count, number
from .quantizers.fixed import FixedScale
from .recursion.storage import NATIVE, Codes, StateFormat, Storage

FULL_BITS = 32
Shape = tuple[int, ...]
#: how states are kept: the same everywhere, or a function of the layer's name
Storages = Storage | Callable[[str], Storage]


# -- multiply-accumulates ---------------------------------------------------------------------------------------------
def conv_macs(output_shape: Sequence[int], kernel_shape: Sequence[int]) -> int:
    """Return the MACs of a convolution: output elements (n, out, size...) times kernel entries (out, in/groups, k...).

    Examples
    --------
    >>> from modiff_sim import cost
    >>> cost.conv_macs((1, 8, 16, 16), (8, 4, 3, 3))
    73728
    """
    return _entries(output_shape) * _entries(kernel_shape[1:])


def linear_macs(output_shape: Sequence[int], in_features: int) -> int:
    """Return the MACs of a linear layer: output elements (..., out) times in_features."""
    return _entries(output_shape) * count("in_features", in_features, 0)


def matmul_macs(output_shape: Sequence[int], inner: int) -> int:
    """Return the MACs of a (batched) matrix product: output elements times the length of the summed axis."""
    return _entries(output_shape) * count("inner", inner, 0)


def _entries(shape: Sequence[int]) -> int:
    return math.prod(count("every number of a shape", n, 0) for n in shape)


# -- what a model computes --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LayerShape:
    """One call of one linear operator within one model call: its shapes, including the batch axis.

    Parameters
    ----------
    name : str
        Qualified name; a second call within the model call is "name#1", as in a run's states.
    kind : str
        The kind of the layer.
    input, output, weight : tuple of int
        The shapes.
    macs : int
        Its multiply-accumulates.
    same_input : str
        Name of an earlier layer that was called with the very same array (q, k and v of one attention), or "".
    """

    name: str
    kind: str
    input: Shape
    output: Shape
    weight: Shape
    macs: int
    same_input: str = ""

    @property
    def module(self) -> str:
        """The name without its occurrence."""
        return self.name.partition("#")[0]


@dataclass(frozen=True)
class ProductShape:
    """A matrix product outside the linear layers.

    Parameters
    ----------
    name : str
        The innermost module in which it happened.
    role : {"qk", "softmax_v", "weight", "other"}
        "qk": its result goes into a softmax. "softmax_v": an operand comes out of one. "weight": an operand is made of
        parameters alone, so that it is a linear operator that ``modulated`` does not see.
    left, right : tuple of int
        Shapes of the operands.
    macs : int
        Its multiply-accumulates.
    """

    name: str
    role: str
    left: Shape
    right: Shape
    macs: int


@dataclass(frozen=True)
class ModelShapes:
    """What one model call computes; ``parameters`` is how many the model has."""

    layers: tuple[LayerShape, ...]
    products: tuple[ProductShape, ...]
    parameters: int

    @property
    def macs(self) -> int:
        """MACs of the linear operators."""
        return sum(layer.macs for layer in self.layers)

    def product_macs(self, *roles: str) -> int:
        """Return the MACs of the products with these roles, or of all products without arguments."""
        return sum(p.macs for p in self.products if not roles or p.role in roles)

    @property
    def attention_macs(self) -> int:
        """MACs of q·k and softmax·v."""
        return self.product_macs("qk", "softmax_v")

    def occurrences(self) -> dict[str, int]:
        """Return how often one model call uses each module, by its name."""
        counts: dict[str, int] = {}
        for layer in self.layers:
            counts[layer.module] = counts.get(layer.module, 0) + 1
        return counts


# -- bit operations ---------------------------------------------------------------------------------------------------
def bops(macs: float, weight_bits: float, activation_bits: float) -> float:
    """Return the bit operations of this many MACs. For a product of two activations pass the bits of both operands."""
    for name, value in (("macs", macs), ("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        number(name, value)
    return macs * weight_bits * activation_bits


def run_bops(
    macs: float,
    weight_bits: float,
    activation_bits: float,
    calls: int,
    full_precision_calls: int = 1,
    *,
    skipped_calls: int = 0,
    full_weight_bits: float | None = None,
) -> float:
    """Return the bit operations of a whole run of ``calls`` calls with this many MACs each.

    Parameters
    ----------
    macs, weight_bits, activation_bits : float
        Multiply-accumulates of each call, and bits of the two operands in quantized calls.
    calls : int
        How many calls the run has.
    full_precision_calls : int, default 1
        The first call and every refresh, counted at 32 activation bits (0 for ``direct``).
    skipped_calls : int, default 0
        Calls at 0 bits or below a threshold: the cached output is used again, and nothing is computed.
    full_weight_bits : float, optional
        Bits of the other operand in full-precision calls; ``weight_bits`` by default, as weights stay quantized, and 32
        for a product of two activations.

    Raises
    ------
    ValueError
        For counts that do not fit, or negative numbers.

    Examples
    --------
    >>> from modiff_sim import cost
    >>> cost.run_bops(1000, weight_bits=8, activation_bits=4, calls=10)
    544000
    """
    named = {"calls": calls, "full_precision_calls": full_precision_calls, "skipped_calls": skipped_calls}
    for name, value in named.items():
        count(name, value, 0)
    if full_precision_calls + skipped_calls > calls:
        raise ValueError(
            f"{full_precision_calls} calls in full precision and {skipped_calls} skipped ones exceed {calls} calls"
        )
    quantized = calls - full_precision_calls - skipped_calls
    full = weight_bits if full_weight_bits is None else full_weight_bits
    return quantized * bops(macs, weight_bits, activation_bits) + full_precision_calls * bops(macs, full, FULL_BITS)


def operand_bits(storage: Storage, residual_bits: float, *, aligned: bool = False) -> float:
    """Return the bits of what the operator A is applied to in a step of the closed loop: its cost per weight bit.

    As computed, A sees the b-bit residual. A recomputed ô is A(stored â): one product at the bits of â, and those of
    the residual do not count. With â stored in a format of its own, A must see the change of the stored â. For a float
    format that is a float of that format. For codes of one fixed scale (``Static``) it is an integer of one bit more,
    or the residual itself where that lies on the same grid (``aligned``: ``GridAligned`` with the base step of the
    codes). For codes whose scale changes from call to call it is two products of codes. It never exceeds full
    precision.
    """
    number("residual_bits", residual_bits)
    bits = storage.ref_format.bits
    if storage.recomputes:
        return bits
    if storage.ref in ("native", "float32"):
        return residual_bits
    if not isinstance(storage.ref_format, Codes):
        return bits
    if isinstance(storage.ref_format.Q, FixedScale):
        return min(residual_bits if aligned else bits + 1, FULL_BITS)
    return min(2 * bits, FULL_BITS)


# -- memory -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CacheBytes:
    """Bytes of â and ô held between calls, per layer: rows of (name, â, ô)."""

    rows: tuple[tuple[str, int, int], ...]

    @property
    def ref(self) -> int:
        """Bytes of â, of all layers."""
        return sum(ref for _, ref, _ in self.rows)

    @property
    def o_hat(self) -> int:
        """Bytes of ô, of all layers."""
        return sum(o_hat for _, _, o_hat in self.rows)

    @property
    def total(self) -> int:
        """Bytes of both states, of all layers."""
        return self.ref + self.o_hat


def array_bytes(shape: Shape, form: StateFormat, *, itemsize: int = 4, packed: bool = False) -> int:
    """Return the bytes of one array kept in a format, including scales and zero points.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    form : StateFormat
        The format, as of ``recursion.storage``.
    itemsize : int, default 4
        Bytes per entry of the model's dtype, which "native" states and all scales have.
    packed : bool, default False
        Whether codes of b bits take b/8 bytes, rounded up per array; otherwise they take the smallest integer type that
        holds them.

    Returns
    -------
    int
        Bytes.
    """
    n = math.prod(shape)
    if isinstance(form, Codes):
        Q = form.Q
        width = form.bits / 8 if packed else np.dtype(form.container(np)).itemsize
        per_scale = 1 + (getattr(Q, "levels", None) is not None)  # affine grids have a zero point beside the scale
        return math.ceil(n * width) + per_scale * itemsize * math.prod(Q.granularity.scale_shape(shape))
    return n * (itemsize if form is NATIVE else int(form.bits) // 8)


def cache_bytes(
    layers: Iterable[LayerShape],
    storage: Storages | None = None,
    batch: int = 1,
    *,
    itemsize: int = 4,
    packed: bool = False,
    share_inputs: bool = False,
) -> CacheBytes:
    """Return the bytes of the closed (or open) loop's states, per layer and call within the model call.

    Parameters
    ----------
    layers : iterable of LayerShape
        The layers.
    storage : Storage or callable, optional
        How states are kept (None: as computed), or a function from a layer's name to it.
    batch : int, default 1
        Copies of the batch that the shapes were taken with (axis 0 is multiplied): images, for shapes of one.
    itemsize, packed
        As of ``array_bytes``.
    share_inputs : bool, default False
        Whether to count the â of layers that are called with the very same array once (a run does not do this).

    Returns
    -------
    CacheBytes
        Rows of (name, â, ô).
    """
    count("batch", batch)
    count("itemsize", itemsize)
    rows = []
    for layer in layers:
        kept = (storage(layer.module) if callable(storage) else storage) or Storage()

        def held(shape: Shape, form: StateFormat | None) -> int:
            whole = (shape[0] * batch, *shape[1:])
            return 0 if form is None else array_bytes(whole, form, itemsize=itemsize, packed=packed)

        shared = share_inputs and layer.same_input
        rows.append(
            (layer.name, 0 if shared else held(layer.input, kept.ref_format), held(layer.output, kept.o_format))
        )
    return CacheBytes(tuple(rows))


def predict_state_bytes(
    shapes: ModelShapes | Iterable[LayerShape], storage: Storages | None = None, batch: int = 1, *, itemsize: int = 4
) -> int:
    """Return what ``run.state_bytes()`` will say of the layers after a call of this batch, to the byte.

    Arguments are those of ``cache_bytes``. States of attention products and of reused branches are not counted.
    """
    layers: Any = shapes.layers if isinstance(shapes, ModelShapes) else shapes
    return cache_bytes(layers, storage, batch, itemsize=itemsize).total


def working_set(layers: Iterable[LayerShape], batch: int = 1, *, itemsize: int = 4) -> int:
    """Return the bytes of the largest layer at work: its input, residual, product and output, in the model's dtype."""
    count("batch", batch)
    count("itemsize", itemsize)
    return max(2 * batch * itemsize * (math.prod(x.input) + math.prod(x.output)) for x in layers)


def peak_bytes(
    shapes: ModelShapes, storage: Storages | None = None, batch: int = 1, *, weight_bits: float = 32, itemsize: int = 4
) -> int:
    """Return the bytes of weights, states, and the largest layer at work.

    The model's own activations (skip connections) come on top; they are the same without modulation.
    """
    number("weight_bits", weight_bits)
    weights = math.ceil(shapes.parameters * weight_bits / 8)
    states = predict_state_bytes(shapes, storage, batch, itemsize=itemsize)
    return weights + states + working_set(shapes.layers, batch, itemsize=itemsize)
