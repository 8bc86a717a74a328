"""Machine code for this processor, written in LLVM's instructions and compiled when it is first needed (extra [fast]).

numba brings llvmlite, which is all that is used of it here: the kernels of this room have to say which numbers stay in
registers, and which instruction multiplies codes.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from .threads import part, team

#: of llvmlite: addresses without a type
OLDEST = (0, 45)


@dataclass(frozen=True)
class Processor:
    """What kernels are compiled for: a family of x86 processors.

    Parameters
    ----------
    name : str
        What it is called in messages.
    needs : tuple of str
        The features that a processor must have, in LLVM's words.
    cpu, features : str
        LLVM's name of the family, and what is added to it. They do not depend on the machine, and so neither does the
        machine code.
    bits : int
        Width of a vector.
    dot : "quads" or "pairs"
        What multiplies codes: one instruction that sums four products in 32 bits, or one that sums two in 16 bits.

    Examples
    --------
    >>> from modiff_sim.nn.integer.machine_code import PROCESSORS
    >>> [processor.name for processor in PROCESSORS]
    ['AVX-512 VNNI', 'AVX VNNI', 'AVX2']
    """

    name: str
    needs: tuple[str, ...]
    cpu: str
    features: str
    bits: int
    dot: str

    @property
    def lanes(self) -> int:
        """32-bit numbers of a vector."""
        return self.bits // 32


#: the best first
PROCESSORS = (
    Processor("AVX-512 VNNI", ("avx512vnni", "avx512bw", "avx512vl"), "x86-64-v4", "+avx512vnni", 512, "quads"),
    Processor("AVX VNNI", ("avxvnni", "avx2"), "x86-64-v3", "+avxvnni", 256, "quads"),
    Processor("AVX2", ("avx2",), "x86-64-v3", "", 256, "pairs"),
)


@cache
def runnable() -> tuple[Processor, ...]:
    """The families that this processor belongs to, the best first; empty without llvmlite.

    A processor with AVX-512 VNNI has the instructions of all three families but, in some cases, not the encoding of
    the second.
    """
    if not _version() >= OLDEST:
        return ()
    import llvmlite.binding as llvm

    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:  # not known to LLVM
        return ()
    return tuple(p for p in PROCESSORS if all(found.get(feature, False) for feature in p.needs))


def _version() -> tuple[int, int]:
    """The version of llvmlite; (0, 0) without it."""
    if find_spec("llvmlite") is None:
        return 0, 0
    import llvmlite

    major, minor = llvmlite.__version__.split(".")[:2]
    return int(major), int(minor)


def why_not() -> str:
    """Return why there is no integer engine here; "" where there is one."""
    if not _version() >= OLDEST:
        needed = ".".join(map(str, OLDEST))
        return f"the integer engine needs llvmlite {needed}, which numba brings: pip install 'modiff-sim[fast]'"
    if not runnable():
        return "the integer engine needs a processor with AVX2 (x86), and this one has none"
    return ""


class Writer:
    """What a kernel is written with: numbers, addresses and vectors of one function."""

    def __init__(self, name: str, arguments: Sequence[str], lanes: int) -> None:
        import llvmlite.ir as ir

        self.ir, self.lanes = ir, lanes
        self.byte, self.i32, self.i64, self.f32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
        self.pointer = ir.PointerType()
        self.ints, self.floats = ir.VectorType(self.i32, lanes), ir.VectorType(self.f32, lanes)
        self.bytes = ir.VectorType(self.byte, 4 * lanes)
        self.module = ir.Module(name)
        kinds = [self.i64 if argument.endswith("#") else self.pointer for argument in arguments]
        self.function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.build: Any = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.given = {a.rstrip("#"): value for a, value in zip(arguments, self.function.args, strict=True)}

    def number(self, value: Any) -> Any:
        """A Python int as a 64-bit number; what is a number already stays."""
        return self.i64(value) if isinstance(value, int) else value

    def total(self, *terms: Any) -> Any:
        """The sum of 64-bit numbers."""
        first, *others = map(self.number, terms)
        for other in others:
            first = self.build.add(first, other)
        return first

    def times(self, x: Any, y: Any) -> Any:
        """The product of two 64-bit numbers."""
        return self.build.mul(self.number(x), self.number(y))

    def least(self, x: Any, y: Any) -> Any:
        """The smaller of two 64-bit numbers."""
        x, y = self.number(x), self.number(y)
        return self.build.select(self.build.icmp_signed("<", x, y), x, y)

    def at(self, address: Any, index: Any, kind: Any = None) -> Any:
        """The address of an entry of this kind (a byte by default), so many entries on."""
        return self.build.gep(address, [self.number(index)], source_etype=kind or self.byte)

    def load(self, address: Any, kind: Any, index: Any = 0, align: int = 1) -> Any:
        """What is at an address, ``index`` entries on."""
        return self.build.load(self.at(address, index, kind), typ=kind, align=align)

    def same(self, kind: Any, value: Any) -> Any:
        """A constant vector whose entries are all this number."""
        return self.ir.Constant(kind, [value] * kind.count)

    def spread(self, value: Any) -> Any:
        """A vector whose entries are all this number."""
        kind = self.ir.VectorType(value.type, self.lanes)
        first = self.build.insert_element(kind(self.ir.Undefined), value, self.i32(0))
        return self.build.shuffle_vector(first, kind(self.ir.Undefined), self.same(self.ints, 0))

    def first(self, count: Any) -> Any:
        """A mask of the first ``count`` lanes; all where there are more, none below 1."""
        count = self.least(count, self.lanes)  # 32 bits hold it then
        numbered = self.ir.Constant(self.ints, list(range(self.lanes)))
        return self.build.icmp_signed("<", numbered, self.spread(self.build.trunc(count, self.i32)))

    def load_some(self, address: Any, mask: Any) -> Any:
        """Floats at an address where the mask is set, 0 elsewhere; memory behind the others is not touched.

        A mask of None is that of all lanes.
        """
        if mask is None:
            return self.build.load(address, typ=self.floats, align=4)
        kinds = [self.pointer, self.i32, mask.type, self.floats]
        load = self.call_to(f"llvm.masked.load.v{self.lanes}f32.p0", self.floats, kinds)
        return self.build.call(load, [address, self.i32(4), mask, self.same(self.floats, 0.0)])

    def store_some(self, values: Any, address: Any, mask: Any) -> None:
        """Store the lanes, floats or bytes, for which the mask is set."""
        size = 4 if values.type == self.floats else 1
        if mask is None:
            self.build.store(values, address, align=size)
            return
        kinds = [values.type, self.pointer, self.i32, mask.type]
        name = f"llvm.masked.store.v{self.lanes}{'f32' if size == 4 else 'i8'}.p0"
        self.build.call(self.call_to(name, self.ir.VoidType(), kinds), [values, address, self.i32(size), mask])

    def call_to(self, name: str, gives: Any, kinds: Sequence[Any]) -> Any:
        """LLVM's own function of this name."""
        known = self.module.globals.get(name)
        return known or self.ir.Function(self.module, self.ir.FunctionType(gives, kinds), name)

    def loop(self, start: Any, stop: Any, step: Any = 1, carried: Sequence[Any] = ()) -> Loop:
        """A loop over range(start, stop, step), as a context."""
        return Loop(self, start, stop, step, carried)


class Loop:
    """A loop: ``index`` and ``values`` inside, where ``values`` is set to what the next turn begins with.

    After it ``values`` is what the last turn left, or what was carried in where there was none.
    """

    def __init__(self, write: Writer, start: Any, stop: Any, step: Any, carried: Sequence[Any]) -> None:
        self.write, self.start, self.stop, self.step = write, write.number(start), write.number(stop), step
        self.values = list(carried)

    def __enter__(self) -> Loop:
        build = self.write.build
        before = build.block
        self._head, body, self._after = (build.append_basic_block(x) for x in ("head", "body", "after"))
        build.branch(self._head)
        build.position_at_end(self._head)
        self.index = build.phi(self.write.i64)
        self.index.add_incoming(self.start, before)
        self._carried = [build.phi(value.type) for value in self.values]
        for phi, value in zip(self._carried, self.values, strict=True):
            phi.add_incoming(value, before)
        build.cbranch(build.icmp_signed("<", self.index, self.stop), body, self._after)
        build.position_at_end(body)
        self.values = list(self._carried)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            return
        build = self.write.build
        self.index.add_incoming(self.write.total(self.index, self.step), build.block)
        for phi, value in zip(self._carried, self.values, strict=True):
            phi.add_incoming(value, build.block)
        build.branch(self._head)
        build.position_at_end(self._after)
        self.values = list(self._carried)


_lock = threading.Lock()
_kept: list[Any] = []  # what machine code lives in
#: by these names kernels call functions of OpenMP
NUMBER, SIZE = "modiff_sim_thread_number", "modiff_sim_team_size"


class Kernel:
    """Machine code. It takes addresses and numbers, of which the last two are a range, and lets other threads run.

    Parameters
    ----------
    call : callable
        The function, on the range of its last two arguments.
    in_team : int
        The address of the function that a thread of a team calls to do its parts; 0 where there are no teams.
    """

    def __init__(self, call: Callable[..., None], in_team: int) -> None:
        self._call, self._in_team = call, in_team

    def __call__(self, *args: int) -> None:
        """Do the range of the last two arguments, in this thread."""
        self._call(*args)

    def shared(self, *args: int, items: int, least: int, multiple: int = 1) -> None:
        """Do range(items), whose parts (``threads.part``) are divided among torch's threads."""
        together = team() if self._in_team else None
        if together is None or (size := part(items, least, multiple)) >= items:
            return self._call(*args, 0, items)
        data = (ctypes.c_int64 * (len(args) + 2))(*args, items, size)
        return together.parallel(self._in_team, ctypes.addressof(data), 0, 0)


def _write_team(write: Writer) -> str:
    """Add the function that a thread of a team calls with the address of (arguments, items, size of a part)."""
    ir, kernel, kinds = write.ir, write.function, write.function.ftype.args
    number, size = (ir.Function(write.module, ir.FunctionType(write.i32, []), name) for name in (NUMBER, SIZE))
    function = ir.Function(write.module, ir.FunctionType(ir.VoidType(), [write.pointer]), f"{kernel.name}_in_team")
    write.build = build = ir.IRBuilder(function.append_basic_block("entry"))

    def given(i: int) -> Any:
        return write.load(function.args[0], write.i64, i, 8)

    args = [given(i) if kind == write.i64 else build.inttoptr(given(i), kind) for i, kind in enumerate(kinds[:-2])]
    items, each = given(len(args)), given(len(args) + 1)
    mine, all_of_them = (write.times(build.sext(build.call(f, []), write.i64), each) for f in (number, size))
    with write.loop(mine, items, all_of_them) as at:
        build.call(kernel, [*args, at.index, write.least(write.total(at.index, each), items)])
    build.ret_void()
    return str(function.name)


def compiled(write: Writer, processor: Processor) -> Kernel:
    """The function as machine code."""
    import llvmlite.binding as llvm

    write.build.ret_void()
    together = team()
    in_team = _write_team(write) if together is not None else ""
    with _lock:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        if together is not None:
            llvm.add_symbol(NUMBER, together.number)
            llvm.add_symbol(SIZE, together.size)
        module = llvm.parse_assembly(str(write.module))
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=processor.cpu, features=processor.features, opt=3
        )
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        _kept.append(engine)
        address = engine.get_function_address(write.function.name)
        team_address = engine.get_function_address(in_team) if in_team else 0
    kinds = [ctypes.c_int64 if kind == write.i64 else ctypes.c_void_p for kind in write.function.ftype.args]
    return Kernel(ctypes.CFUNCTYPE(None, *kinds)(address), team_address)
