"""The kernel that multiplies codes by weights, and adds what it finds to ô.

A layer's output at a row (a pixel, a token) is a sum over taps (positions of a convolution's kernel) and input
channels. Codes are bytes in a padded buffer whose last axis are the channels, so that a tap of a row is a run of bytes.
Weights are packed into panels of output channels: for each tap, for each four input channels, four bytes per output
channel. A tile of rows and output channels stays in registers while the sum is taken.

Codes are stored with an offset, which makes them unsigned; the weights' sums times the offset are taken off at the end.
All sums are of integers and exact, so that neither the processor nor the number of threads, the tile or the batch
changes a bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from .machine_code import Kernel, Loop, Processor, Writer, compiled

#: the largest 16-bit sum
INT16 = 2**15 - 1
#: what the kernel is given: addresses, and numbers (with #)
ARGUMENTS = (
    "codes", "row_offsets", "tap_offsets", "taps#", "words#", "group#", "weights", "sums", "weight_scales", "scales",
    "rows_per_scale#", "old", "new", "output", "stride#", "panels#", "channels#", "first#", "last#",
)  # fmt: skip


class Tile(NamedTuple):
    """What is summed at a time: so many rows, and so many vectors of output channels."""

    rows: int
    vectors: int


#: tiles by what multiplies and, within, the widest first
TILES = {"quads": (Tile(4, 4), Tile(6, 3), Tile(8, 2), Tile(12, 1)), "pairs": (Tile(4, 2), Tile(8, 1))}


def group_length(processor: Processor, offset: int, largest_code: int, largest_weight: int) -> int:
    """How many steps of four input channels are summed before the sum is widened; 0 where not even one fits.

    Parameters
    ----------
    processor : Processor
        Which instructions multiply.
    offset, largest_code : int
        A code is stored as itself plus the offset, and is ``largest_code`` at most in size.
    largest_weight : int
        The largest |weight|, as an integer.

    Examples
    --------
    >>> from modiff_sim.nn.integer.machine_code import PROCESSORS
    >>> from modiff_sim.nn.integer.multiply import group_length
    >>> [group_length(PROCESSORS[2], 2 ** (bits - 1), 2 ** (bits - 1) - 1, 127) for bits in (4, 6, 7, 8)]
    [8, 2, 1, 0]
    """
    if processor.dot == "quads":  # sums of 32 bits from the beginning
        return 1 << 30
    return INT16 // (2 * (offset + largest_code) * largest_weight) if largest_weight else 1 << 30


@cache
def kernel(processor: Processor, tile: Tile, modulated: bool) -> Kernel:
    """The compiled kernel.

    For rows ``first`` to ``last`` and all panels it computes y = Σ code·weight · weight scale · scale. Where it is
    modulated, new = output = old + y; else ``old`` holds one number per output channel (the bias), and output =
    old + y. ``stride`` is the distance between rows of old, new and output, of which ``channels`` are written.
    """
    write = Writer(f"multiply_{tile.rows}_{tile.vectors}", ARGUMENTS, processor.lanes)
    given, width = write.given, tile.vectors * processor.lanes
    panel_bytes = write.times(write.times(given["taps"], given["words"]), 4 * width)
    end = write.total(given["last"], -1)
    with write.loop(0, given["panels"]) as panel:
        weights = write.at(given["weights"], write.times(panel.index, panel_bytes))
        with write.loop(given["first"], given["last"], tile.rows) as at:
            # rows beyond the last one are the last one again
            rows = [write.least(write.total(at.index, i), end) for i in range(tile.rows)]
            bases = [write.at(given["codes"], write.load(given["row_offsets"], write.i64, r, 8)) for r in rows]
            summed = (_quads if processor.dot == "quads" else _pairs)(write, processor, tile, bases, weights)
            _finish(write, tile, rows, write.times(panel.index, width), summed, modulated)
    return compiled(write, processor)


def _taps(write: Writer, bases: Sequence[Any], tap: Loop) -> list[Any]:
    """Where the rows' codes of this tap begin."""
    offset = write.load(write.given["tap_offsets"], write.i64, tap.index, 8)
    return [write.at(base, offset) for base in bases]


def _step(
    write: Writer, bases: Sequence[Any], word: Any, weights: Any, sums: list[Any], multiply: Callable[..., Any]
) -> list[Any]:
    """One step of four input channels: the sums with the products added, and where the next weights are."""
    vectors = len(sums) // len(bases)
    panel = [write.load(weights, write.bytes, j) for j in range(vectors)]
    at = write.times(word, 4)
    for i, base in enumerate(bases):
        four = write.build.bitcast(write.spread(write.load(write.at(base, at), write.i32)), write.bytes)
        for j in range(vectors):
            sums[i * vectors + j] = multiply(sums[i * vectors + j], four, panel[j])
    return [*sums, write.at(weights, vectors, write.bytes)]


def _quads(write: Writer, processor: Processor, tile: Tile, bases: Sequence[Any], weights: Any) -> list[Any]:
    """The sums of a tile, by an instruction that adds four products to a 32-bit number."""
    kinds = [write.ints, write.bytes, write.bytes]
    if _llvm() < 22:
        kinds = [write.ints] * 3
    dot = write.call_to(f"llvm.x86.avx512.vpdpbusd.{processor.bits}", write.ints, kinds)

    def multiply(total: Any, codes: Any, panel: Any) -> Any:
        return write.build.call(dot, [total, *(write.build.bitcast(x, kinds[1]) for x in (codes, panel))])

    zeros = [write.same(write.ints, 0)] * (tile.rows * tile.vectors)
    with write.loop(0, write.given["taps"], carried=[*zeros, weights]) as tap:
        starts = _taps(write, bases, tap)
        with write.loop(0, write.given["words"], carried=tap.values) as word:
            *sums, panel = word.values
            word.values = _step(write, starts, word.index, panel, sums, multiply)
        tap.values = word.values
    return tap.values[:-1]


def _pairs(write: Writer, processor: Processor, tile: Tile, bases: Sequence[Any], weights: Any) -> list[Any]:
    """The sums of a tile, by an instruction that adds two products in 16 bits, widened after ``group`` steps.

    The 32-bit sums lie in memory, which is L1: the registers hold the 16-bit ones.
    """
    shorts = write.ir.VectorType(write.ir.IntType(16), 2 * write.lanes)
    dot = write.call_to("llvm.x86.avx2.pmadd.ub.sw", shorts, [write.bytes, write.bytes])
    widen = write.call_to("llvm.x86.avx2.pmadd.wd", write.ints, [shorts, shorts])
    build, count, align = write.build, tile.rows * tile.vectors, processor.bits // 8
    with build.goto_entry_block():
        memory = build.alloca(write.ints, count)

    def multiply(total: Any, codes: Any, panel: Any) -> Any:
        return build.add(total, build.call(dot, [codes, panel]))

    for k in range(count):
        build.store(write.same(write.ints, 0), write.at(memory, k, write.ints), align=align)
    words = write.given["words"]
    with write.loop(0, write.given["taps"], carried=[weights]) as tap:
        starts = _taps(write, bases, tap)
        with write.loop(0, words, write.given["group"], carried=tap.values) as group:
            stop = write.least(write.total(group.index, write.given["group"]), words)
            zeros = [write.same(shorts, 0)] * count
            with write.loop(group.index, stop, carried=[*zeros, *group.values]) as word:
                *sums, panel = word.values
                word.values = _step(write, starts, word.index, panel, sums, multiply)
            for k, short in enumerate(word.values[:-1]):
                wide = build.call(widen, [short, write.same(shorts, 1)])
                total = build.add(write.load(memory, write.ints, k, align), wide)
                build.store(total, write.at(memory, k, write.ints), align=align)
            group.values = word.values[-1:]
        tap.values = group.values
    return [write.load(memory, write.ints, k, align) for k in range(count)]


def _finish(
    write: Writer, tile: Tile, rows: Sequence[Any], channel: Any, summed: Sequence[Any], modulated: bool
) -> None:
    """Take the offset's share off, scale, add what was there before, and store."""
    build, given = write.build, write.given
    for j in range(tile.vectors):
        at = write.total(channel, j * write.lanes)
        mask = write.first(build.sub(given["channels"], at))
        share = write.load(write.at(given["sums"], at, write.i32), write.ints, align=4)
        weight_scale = write.load(write.at(given["weight_scales"], at, write.f32), write.floats, align=4)
        bias = None if modulated else write.load_some(write.at(given["old"], at, write.f32), mask)
        for i, row in enumerate(rows):
            scale = write.load(given["scales"], write.f32, build.sdiv(row, given["rows_per_scale"]), 4)
            exact = build.sitofp(build.sub(summed[i * tile.vectors + j], share), write.floats)
            y = build.fmul(build.fmul(exact, weight_scale), write.spread(scale))
            place = write.total(write.times(row, given["stride"]), at)
            old = write.load_some(write.at(given["old"], place, write.f32), mask) if bias is None else bias
            y = build.fadd(y, old)
            for name in ("new", "output") if modulated else ("output",):
                write.store_some(y, write.at(given[name], place, write.f32), mask)


def _llvm() -> int:
    """The version of LLVM: the operands of one instruction became bytes in 22."""
    import llvmlite.binding as llvm

    return int(llvm.llvm_version_info[0])
