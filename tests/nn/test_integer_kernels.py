"""The integer kernels against exact integer arithmetic, at the edges of what they are allowed to sum."""

import ctypes
import itertools
import warnings
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import modiff_sim as ms
from modiff_sim.nn.integer import machine_code, multiply, residuals, threads
from modiff_sim.nn.integer.geometry import Geometry, Moves
from modiff_sim.nn.integer.machine_code import PROCESSORS
from modiff_sim.nn.integer.packing import Packed

RUNNABLE = machine_code.runnable()
pytestmark = pytest.mark.skipif(not RUNNABLE, reason="needs llvmlite and a processor with AVX2")
EVERY = [(p, tile) for p in RUNNABLE for tile in multiply.TILES[p.dot]]


def at(x):
    return 0 if x is None else x.data_ptr()


def product(processor, tile, codes, weights, *, bits, modulated):
    """Sums of one tap by the kernel: codes (rows, in), weights (out, in), all scales 1."""
    offset, (rows, channels) = 1 << (bits - 1), codes.shape
    places = Geometry((rows, 1, 1, channels), Moves())
    buffer = places.buffer(offset)
    buffer[:, 0, 0, :channels] = codes + offset
    packed = packed_with(tile, processor, weights)
    old, scale = torch.zeros(rows if modulated else 1, len(weights)), torch.ones(1)
    new, output = torch.full((rows, len(weights)), torch.nan), torch.full((rows, len(weights)), torch.nan)
    group = multiply.group_length(processor, offset, offset - 1, packed.largest)
    multiply.kernel(processor, tile, modulated)(
        at(buffer), at(places.row_offsets), at(places.tap_offsets), 1, places.words, group, at(packed.panels),
        at(packed.shares(offset)), at(packed.scales), at(scale), rows, at(old), at(new), at(output),
        len(weights), packed.panels.shape[1], len(weights), 0, rows,
    )  # fmt: skip
    return output, new


def packed_with(tile, processor, weights):
    """Weights packed for this tile, whichever is chosen by itself."""
    only = {processor.dot: (tile,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modiff_sim.nn.integer.packing.TILES", only)
        return Packed.of(weights[:, :, None], torch.ones(len(weights)), 1, processor)


@pytest.mark.parametrize(("processor", "tile"), EVERY, ids=str)
@pytest.mark.parametrize("modulated", [True, False])
def test_sums_are_exact_whatever_the_shape(processor, tile, modulated):
    generator = torch.Generator().manual_seed(0)
    for rows, channels, out in itertools.product((1, tile.rows, 2 * tile.rows + 1), (4, 36), (1, 17, 70)):
        codes = torch.randint(-7, 8, (rows, channels), generator=generator)
        weights = torch.randint(-127, 128, (out, channels), generator=generator).to(torch.int8)
        output, new = product(processor, tile, codes, weights, bits=4, modulated=modulated)
        assert torch.equal(output.long(), codes @ weights.long().T)
        assert torch.equal(new, output) if modulated else bool(new.isnan().all())


@pytest.mark.parametrize(("processor", "tile"), EVERY, ids=str)
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("largest", [127, 63, 1])
def test_the_largest_sums_do_not_overflow(processor, tile, bits, largest):
    """All products are as large as they can be, and of one sign: a sum of 16 bits is as full as is allowed."""
    qmax = (1 << (bits - 1)) - 1
    if not multiply.group_length(processor, qmax + 1, qmax, largest):
        assert (processor.dot, bits, largest) == ("pairs", 8, 127)  # 255·127·2 does not fit
        return
    for code, weight in itertools.product((qmax, -qmax), (largest, -largest)):
        codes = torch.full((3, 200), code)
        weights = torch.full((9, 200), weight, dtype=torch.int8)
        output, _ = product(processor, tile, codes, weights, bits=bits, modulated=True)
        assert output.unique().tolist() == [200 * code * weight]


def test_one_step_more_would_overflow():
    """The length of a group is the longest that is safe, so that the test above is at the edge."""
    for bits, largest in itertools.product(range(2, 8), (127, 63, 1)):
        stored = (1 << bits) - 1
        steps = multiply.group_length(PROCESSORS[2], 1 << (bits - 1), (1 << (bits - 1)) - 1, largest)
        assert steps * 2 * stored * largest <= multiply.INT16 < (steps + 1) * 2 * stored * largest


@cache
def numbers(n):
    return torch.randn(n, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("processor", RUNNABLE, ids=lambda p: p.name)
@pytest.mark.parametrize("length", [1, 7, 16, 63, 64, 65, 200])
def test_the_largest_residual_of_every_block(processor, length):
    a, ref = numbers(3 * length), 0.5 * numbers(3 * length + 1)[1:]
    for modulated in (True, False):
        found = torch.zeros(3, dtype=torch.int32)
        residuals.largest(processor, modulated)(at(a), at(ref) if modulated else 0, at(found), length, 0, 3)
        x = a - ref if modulated else a
        assert torch.equal(found.view(torch.float32), x.view(3, -1).abs().amax(1))


@pytest.mark.parametrize("processor", RUNNABLE, ids=lambda p: p.name)
@pytest.mark.parametrize("bad", [torch.nan, -torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 40, 69])
def test_no_nan_and_no_inf_is_lost(processor, bad, place):
    """Not even where the next numbers are larger than anything, as a maximum by comparison would lose it."""
    a = torch.full((70,), 3e38)
    a[place] = bad
    found = torch.zeros(1, dtype=torch.int32)
    residuals.largest(processor, False)(at(a), 0, at(found), 70, 0, 1)
    assert not found.view(torch.float32).isfinite().item()


@pytest.mark.parametrize("processor", RUNNABLE, ids=lambda p: p.name)
@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop", "direct"])
@pytest.mark.parametrize("length", [1, 8, 16, 37])
def test_codes_and_references_are_those_of_the_definition(processor, recursion, length):
    a, Q = numbers(4 * length).view(4, length), ms.AbsMax(4)
    ref = None if recursion == "direct" else a + 0.1 * numbers(4 * length + 1)[1:].view(4, length)
    residual = a if ref is None else a - ref
    rounded, qparams = Q.apply(residual)
    targets = torch.tensor([3, 60, 120, 200])
    codes, new = torch.zeros(300, dtype=torch.uint8), torch.full((4, length), torch.nan)
    scale = qparams.scale.flatten()
    residuals.encode(processor, recursion)(
        at(a), at(ref), at(new), at(codes), at(targets), at(scale), 1, length, 8, 0, 4
    )
    written = torch.stack([codes[t : t + length] for t in targets.tolist()])
    assert torch.equal(written.long() - 8, Q.quantize(residual, qparams).long())
    assert codes.count_nonzero() == written.count_nonzero()  # nothing beside the runs
    if recursion == "direct":
        assert new.isnan().all()
    else:
        assert torch.equal(new, ref + rounded if recursion == "closed_loop" else a)


sizes = st.integers(1, 3)


@given(
    kernel=st.tuples(sizes, sizes), stride=st.tuples(sizes, sizes), dilation=st.tuples(sizes, sizes),
    padding=st.sampled_from(["same", *itertools.product(range(3), range(3))]),
    groups=sizes, channels=st.sampled_from([1, 3, 4, 8]), space=st.tuples(st.integers(7, 9), st.integers(7, 9)),
)  # fmt: skip
def test_rows_and_taps_are_where_a_convolution_looks(kernel, stride, dilation, padding, groups, channels, space):
    """By an ordinary sum over what the offsets point at, for any convolution that torch has."""
    channels = channels if groups == 1 else 4
    stride = (1, 1) if padding == "same" else stride
    layer = nn.Conv2d(channels * groups, 2 * groups, kernel, stride, padding, dilation, groups, bias=False)
    x = torch.arange(2 * channels * groups * space[0] * space[1]).reshape(2, channels * groups, *space) % 13
    places = Geometry((2, *space, channels * groups), Moves.of(layer), groups)
    buffer = places.buffer(0).flatten()
    last = x.permute(0, 2, 3, 1).reshape(-1, places.run_length).to(torch.uint8)
    for run, target in zip(last, places.targets.tolist(), strict=True):
        buffer[target : target + places.run_length] = run
    weight = torch.arange(layer.weight.numel()).reshape(layer.weight.shape) % 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that padding="same" copies the input for even kernels
        expected = F.conv2d(x.double(), weight.double(), None, stride, padding, dilation, groups)
    assert places.out == tuple(expected.shape[2:])
    look = (places.row_offsets[:, None] + places.tap_offsets)[..., None] + torch.arange(channels)
    for g in range(groups):
        seen = buffer[look + g * channels].long()  # (rows, taps, channels)
        own = weight[2 * g : 2 * g + 2].flatten(2)
        got = torch.einsum("rtc,oct->ro", seen.double(), own.double())
        assert torch.equal(got, expected[:, 2 * g : 2 * g + 2].permute(0, 2, 3, 1).reshape(-1, 2))


def marks():
    """A kernel that adds 1 to every entry of its range, and the entries."""
    write = machine_code.Writer("marks", ("found", "first#", "last#"), 8)
    with write.loop(write.given["first"], write.given["last"]) as at:
        place = write.at(write.given["found"], at.index, write.i32)
        write.build.store(write.build.add(write.build.load(place, typ=write.i32), write.i32(1)), place)
    return machine_code.compiled(write, RUNNABLE[0])


@pytest.mark.skipif(threads.team() is None, reason="torch has no OpenMP of GNU's here")
def test_threads_of_torch_do_every_part_once():
    kernel, before = marks(), torch.get_num_threads()
    try:
        for many in (1, 2, 3):
            torch.set_num_threads(many)
            for items in (0, 1, 5, 12, 100, 1001):
                found = torch.zeros(items + 1, dtype=torch.int32)
                kernel.shared(at(found), items=items, least=4, multiple=4)
                assert found.tolist() == [1] * items + [0]
                assert torch.equal(torch.ones(2**18) + 1, torch.full((2**18,), 2.0))  # the same threads go on
    finally:
        torch.set_num_threads(before)


def test_without_a_team_one_thread_does_it_all(monkeypatch):
    monkeypatch.setattr(machine_code, "team", lambda: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    found = torch.zeros(100, dtype=torch.int32)
    marks().shared(at(found), items=100, least=1)
    assert found.tolist() == [1] * 100


def test_a_team_of_fewer_threads_than_parts_does_every_part():
    """Where a team has one thread, it takes one part after the other."""
    kernel, alone = marks(), threads.team()
    if alone is None:
        pytest.skip("torch has no OpenMP of GNU's here")
    found = torch.zeros(100, dtype=torch.int32)
    data = (ctypes.c_int64 * 3)(at(found), 100, 8)
    alone.parallel(kernel._in_team, ctypes.addressof(data), 1, 0)
    assert found.tolist() == [1] * 100


def test_parts_begin_at_multiples_and_are_worth_it(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert [threads.part(items, 4, 4) for items in (1, 5, 12, 100)] == [1, 5, 4, 36]
    assert threads.part(100, 60) == 100


def test_machine_code_is_for_a_family_and_not_for_this_machine():
    """Code for an older family runs here as well, with the same bits: the tests above take every one of them."""
    assert [p.cpu for p in PROCESSORS] == ["x86-64-v4", "x86-64-v3", "x86-64-v3"]
    assert PROCESSORS[2] in RUNNABLE  # every x86 processor of today has AVX2
