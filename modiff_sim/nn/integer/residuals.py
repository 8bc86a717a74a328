"""The two passes over a layer's input: the largest residual of each block, and the residuals as codes.

Both do the operations of ``AbsMax`` and the recursions in their order, on floats of 32 bits, so that codes and
references are equal to the simulation's bit for bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .machine_code import Kernel, Processor, Writer, compiled

#: vectors that are looked at in one turn
TOGETHER = 4


@cache
def largest(processor: Processor, modulated: bool) -> Kernel:
    """The kernel that finds max|a - ref| of each block, or max|a| where it is not modulated.

    It takes (a, ref, out, length, first, last): block b is the entries b·length to (b+1)·length, and out[b] becomes the
    bits of its largest entry. As integers, bits of absolute values are in the order of the values, Inf is above all
    finite ones and NaN above Inf: no NaN is lost.
    """
    write = Writer("largest", ("a", "ref", "out", "length#", "first#", "last#"), processor.lanes)
    build, given = write.build, write.given
    biggest = write.call_to(f"llvm.smax.v{write.lanes}i32", write.ints, [write.ints, write.ints])
    sign = write.same(write.ints, 2**31 - 1)

    def bits(at: Any, mask: Any) -> Any:
        x = write.load_some(write.at(given["a"], at, write.f32), mask)
        if modulated:
            x = build.fsub(x, write.load_some(write.at(given["ref"], at, write.f32), mask))
        return build.and_(build.bitcast(x, write.ints), sign)

    step = TOGETHER * write.lanes
    with write.loop(given["first"], given["last"]) as block:
        start = write.times(block.index, given["length"])
        whole = build.sub(given["length"], build.srem(given["length"], write.number(step)))
        with write.loop(0, whole, step, carried=[write.same(write.ints, 0)] * TOGETHER) as many:
            many.values = [
                build.call(biggest, [top, bits(write.total(start, many.index, k * write.lanes), None)])
                for k, top in enumerate(many.values)
            ]
        top = many.values[0]
        for other in many.values[1:]:
            top = build.call(biggest, [top, other])
        with write.loop(whole, given["length"], write.lanes, carried=[top]) as rest:
            mask = write.first(build.sub(given["length"], rest.index))
            rest.values = [build.call(biggest, [rest.values[0], bits(write.total(start, rest.index), mask)])]
        reduce = write.call_to(f"llvm.vector.reduce.smax.v{write.lanes}i32", write.i32, [write.ints])
        found = build.call(reduce, rest.values)
        build.store(found, write.at(given["out"], block.index, write.i32), align=4)
    return compiled(write, processor)


@cache
def encode(processor: Processor, recursion: str) -> Kernel:
    """The kernel that writes codes, and the next reference unless the recursion is "direct".

    It takes (a, ref, new, codes, targets, scales, runs_per_scale, length, offset, first, last). Run r is the entries
    r·length to (r+1)·length of the input; its codes, v = round((a - ref)/scale) plus the offset, go to codes from
    targets[r] on. new = ref + v·scale in a closed loop, and a in an open one.
    """
    arguments = ("a", "ref", "new", "codes", "targets", "scales", "runs_per_scale#", "length#", "offset#", "first#",
                 "last#")  # fmt: skip
    write = Writer(f"encode_{recursion}", arguments, processor.lanes)
    build, given = write.build, write.given
    nearest = write.call_to(f"llvm.rint.v{write.lanes}f32", write.floats, [write.floats])
    offset = write.spread(build.trunc(given["offset"], write.i32))
    small = write.ir.VectorType(write.byte, write.lanes)
    with write.loop(given["first"], given["last"]) as run:
        scale = write.load(given["scales"], write.f32, build.sdiv(run.index, given["runs_per_scale"]), 4)
        scale, start = write.spread(scale), write.times(run.index, given["length"])
        target = write.at(given["codes"], write.load(given["targets"], write.i64, run.index, 8))

        def turn(index: Any, mask: Any) -> None:
            place = write.total(start, index)
            a = write.load_some(write.at(given["a"], place, write.f32), mask)
            ref = None
            if recursion != "direct":
                ref = write.load_some(write.at(given["ref"], place, write.f32), mask)
            code = build.call(nearest, [build.fdiv(a if ref is None else build.fsub(a, ref), scale)])
            whole = build.add(build.fptosi(code, write.ints), offset)
            write.store_some(build.trunc(whole, small), write.at(target, index), mask)
            if ref is not None:
                new = a if recursion == "open_loop" else build.fadd(ref, build.fmul(code, scale))
                write.store_some(new, write.at(given["new"], place, write.f32), mask)

        whole_vectors = build.sub(given["length"], build.srem(given["length"], write.number(write.lanes)))
        with write.loop(0, whole_vectors, write.lanes) as at:
            turn(at.index, None)
        with write.loop(whole_vectors, given["length"], write.lanes) as rest:
            turn(rest.index, write.first(build.sub(given["length"], rest.index)))
    return compiled(write, processor)
