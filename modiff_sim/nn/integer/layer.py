"""One layer on integers: what it implements, and its step of direct quantization, the open and the closed loop."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...quantizers import AbsMax
from ...quantizers.granularity import PerBatch
from ..layers import Operator
from ..states import Step, owned, writable
from .codes import IntegerWeight
from .geometry import Geometry, Moves
from .grid import scales
from .machine_code import Processor
from .multiply import group_length, kernel
from .packing import Packed
from .residuals import encode, largest

#: MACs of a part of a product, and entries of a part of a pass, that are worth a thread
PART_MACS, PART_ENTRIES = 2**21, 2**16
INT32 = 2**31 - 1
TINY = torch.finfo(torch.float32).tiny
State = tuple[Tensor, Tensor]


class Buffers:
    """Buffers of codes, shared by all layers of a run whose codes lie in the same places."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Geometry, int], Tensor] = {}
        self._places: dict[Any, Geometry] = {}

    def places(self, shape: tuple[int, int, int, int], moves: Moves, groups: int) -> Geometry:
        """The geometry of a layer, made once."""
        key = shape, moves, groups
        if key not in self._places:
            self._places[key] = Geometry(shape, moves, groups)
        return self._places[key]

    def codes(self, places: Geometry, offset: int) -> Tensor:
        """The buffer whose border holds the offset."""
        key = places, offset
        if key not in self._kept:
            self._kept[key] = owned(lambda: places.buffer(offset))
        return self._kept[key]

    def clear(self) -> None:
        """Let go of all buffers."""
        self._kept.clear()

    def bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.numel() for buffer in self._kept.values())


class IntegerLayer:
    """A layer whose quantized calls run on integers.

    Codes and references are those of the simulation bit for bit, given the same state. Outputs are exact sums of
    integers, scaled: they differ from the simulation's by rounding alone, and depend neither on the batch, nor on the
    number of threads, nor on the processor.

    Parameters
    ----------
    operator : Operator
        The layer.
    weight : IntegerWeight
        Its weight as codes.
    processor : Processor
        What the kernels are compiled for.
    buffers : Buffers
        Those of the run.
    """

    def __init__(self, operator: Operator, weight: IntegerWeight, processor: Processor, buffers: Buffers) -> None:
        self.operator, self.processor = operator, processor
        module: Any = operator.module
        self.groups = getattr(module, "groups", 1)
        self.moves = Moves.of(module)
        self.packed = Packed.of(weight.codes, weight.scales, self.groups, processor)
        self._buffers = buffers
        self._axes = module.weight.ndim - 2  # in space

    def declines(self, Q: AbsMax) -> str:
        """Return why the kernels cannot sum codes of this quantizer; "" where they can."""
        offset, qmax = _offset(Q), Q.qmax
        if not group_length(self.processor, offset, qmax, self.packed.largest):
            return f"codes of {Q.bits} bits overflow 16-bit sums, which {self.processor.name} takes"
        if self.packed.reach(offset + qmax) > INT32:
            return "its sums may overflow 32 bits"
        return ""

    def step(self, Q: AbsMax, a: Tensor, state: State | None, recursion: str, spare: Any = ()) -> Step | None:
        """One step; nothing of the state before is written.

        None where a scale is subnormal: its rounding can put codes beyond the grid, for which sums have no room.

        Parameters
        ----------
        Q : AbsMax
            A quantizer that the layer does not decline.
        a : torch.Tensor
            The input.
        state : (Tensor, Tensor), optional
            The reference and ô before. None is a direct call, whose output has the bias.
        recursion : str
            "closed_loop", "open_loop" or "direct".
        spare : tuple of Tensor, optional
            Buffers for the next state, as ``states.Step`` has them.
        """
        a = self._laid_out(a)
        ref, o_hat = (None, None) if state is None else map(self._laid_out, state)
        blocks = 1 if type(Q.granularity) is PerBatch else a.shape[0]
        scale, largest = scales(self._largest(a, ref, blocks), Q)
        if not all(x < math.inf for x in largest):
            return Step(ref, o_hat, a, largest)  # which is refused
        if any(0 < x < 2 * Q.qmax * TINY for x in largest):
            return None
        spare_ref, spare_o = spare or (None, None)
        new_ref, new_o = _like(ref, spare_ref), _like(o_hat, spare_o)
        places = self._buffers.places(self._shape(a), self.moves, self.groups)
        codes = self._buffers.codes(places, _offset(Q))
        self._encode(a, ref, new_ref, codes, places, scale, _offset(Q), recursion)
        output = self._empty(a, places)
        old = self._bias() if o_hat is None else o_hat
        self._multiply(Q, codes, places, scale, old, new_o, output)
        kept = None if spare is None or ref is None or o_hat is None else (ref, o_hat)
        return Step(new_ref, new_o, output, largest, kept)

    # -- the three kernels ---------------------------------------------------------------------------------------------
    def _largest(self, a: Tensor, ref: Tensor | None, blocks: int) -> Tensor:
        """max|a - ref| of each block."""
        length = a.numel() // blocks
        pieces = torch.get_num_threads() if blocks == 1 else 1
        pieces = pieces if length % pieces == 0 else 1
        found = torch.empty(blocks, pieces, dtype=torch.int32)
        run, at = largest(self.processor, ref is not None), (_at(a), _at(ref), _at(found), length // pieces)
        run.shared(*at, items=found.numel(), least=-(-PART_ENTRIES * pieces // length))
        return found.amax(1).view(torch.float32)

    def _encode(
        self, a: Tensor, ref: Tensor | None, new: Tensor | None, codes: Tensor, places: Geometry, scale: Tensor,
        offset: int, recursion: str,
    ) -> None:  # fmt: skip
        """Write the codes of the residuals, and the next reference."""
        run, runs, length = encode(self.processor, recursion), places.targets.shape[0], places.run_length
        at = (_at(a), _at(ref), _at(new), _at(codes), _at(places.targets), _at(scale), runs // scale.shape[0], length)
        run.shared(*at, offset, items=runs, least=-(-PART_ENTRIES // length))

    def _multiply(
        self, Q: AbsMax, codes: Tensor, places: Geometry, scale: Tensor, old: Tensor, new: Tensor | None, output: Tensor
    ) -> None:
        """Write old + A(codes) into the output, and into the next ô."""
        packed, offset, rows, taps = self.packed, _offset(Q), places.rows, places.tap_offsets.shape[0]
        run, shares = kernel(self.processor, packed.tile, new is not None), packed.shares(offset)
        group = group_length(self.processor, offset, Q.qmax, packed.largest)
        panels, width = packed.panels.shape[1], packed.panels.shape[4]
        macs = taps * places.words * 4 * panels * width  # of a row and group
        for g in range(self.groups):
            at = 4 * g * packed.channels  # the group's first channel in old, new and output
            run.shared(
                _at(codes) + 4 * g * places.words, _at(places.row_offsets), _at(places.tap_offsets), taps, places.words,
                group, _at(packed.panels[g]), _at(shares[g]), _at(packed.scales[g]), _at(scale), rows // scale.shape[0],
                _at(old) + at, _at(new) + at, _at(output) + at, packed.channels * self.groups, panels, packed.channels,
                items=rows, least=-(-PART_MACS // macs), multiple=packed.tile.rows,
            )  # fmt: skip

    # -- where numbers lie in memory -----------------------------------------------------------------------------------
    def _laid_out(self, x: Tensor) -> Tensor:
        """The same with its channels last in memory, and nothing between its entries."""
        if self._axes == 2:
            return x.contiguous(memory_format=torch.channels_last)
        if self._axes == 1:
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        return x.contiguous()

    def _shape(self, a: Tensor) -> tuple[int, int, int, int]:
        """(samples, height, width, channels) of an input; the rows of a Linear layer are the width."""
        if not self._axes:
            return a.shape[0], 1, a[0].numel() // a.shape[-1], a.shape[-1]
        n, channels, *space = a.shape
        return n, *(space if len(space) == 2 else (1, *space)), channels

    def _empty(self, a: Tensor, places: Geometry) -> Tensor:
        """An output, not yet written."""
        channels, space = self.packed.channels * self.groups, places.out[2 - self._axes :]
        if not self._axes:
            return a.new_empty((*a.shape[:-1], channels))
        laid = a.new_empty((a.shape[0], *space, channels))
        return laid.permute(0, -1, *range(1, 1 + self._axes))

    def _bias(self) -> Tensor:
        """The bias, or zeros."""
        bias: Tensor | None = self.operator.module.bias  # type: ignore[assignment]
        return torch.zeros(self.packed.channels * self.groups) if bias is None else bias.detach().contiguous()


def _like(x: Tensor | None, spare: Tensor | None) -> Tensor | None:
    """A tensor to be written, laid out in memory as x is: the spare one, if it can be."""
    if x is None:
        return None
    if spare is not None and writable(spare, x) and spare.stride() == x.stride():
        return spare
    return owned(lambda: torch.empty_like(x))


def _offset(Q: AbsMax) -> int:
    """What is added to a code before it is stored."""
    return 1 << (Q.bits - 1)


def _at(x: Tensor | None) -> int:
    """The address of a tensor's first entry; 0 for none, which the kernels do not look at."""
    return 0 if x is None else x.data_ptr()


def static_reason(operator: Operator) -> str:
    """Return what about a layer, whatever its quantizers are, keeps it from integers; "" where nothing does."""
    module: Any = operator.module
    own = operator.own_weight
    if not operator.stock:
        return "its class has code of its own"
    if operator.remade:
        return "its weight is made anew for every call"
    if own.dtype != torch.float32 or own.device.type != "cpu":
        return f"its weight is {str(own.dtype).removeprefix('torch.')} on {own.device.type}, and not float32 on the cpu"
    if isinstance(module, nn.Linear):
        return ""
    if module.padding_mode != "zeros":
        return f"its padding is {module.padding_mode!r}, and not zeros"
    if module.groups > 1 and own.shape[1] % 4:
        return f"its groups have {own.shape[1]} channels, which is no multiple of 4"
    return ""
