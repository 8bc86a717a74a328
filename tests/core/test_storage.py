"""How states are kept: what rounding them does to the recursion, and that nothing drifts."""

import numpy as np
import pytest
import torch
from calls import apart, infos
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import QUANTIZERS, Split, Static, Storage, Threshold, bounds, cost
from modiff_sim import recursion as rec
from modiff_sim.recursion.storage import Packed, kept_bytes

EPS = np.finfo(np.float64).eps


def sequence(steps, d=16, trials=3, seed=0, scale=0.1):
    rng = np.random.default_rng(seed)
    return [*np.cumsum(scale * rng.standard_normal((steps, trials, d)), axis=0) + rng.standard_normal((trials, d))]


KEPT = [
    Storage(ref="float16", o_hat="float16"),
    Storage(ref="float32", o_hat="float32"),
    Storage(ref=ms.AbsMax(8), o_hat="float16"),
    Storage(ref=ms.AbsMax(8), o_hat="recompute"),
    Storage(ref=ms.MinMax(6), o_hat="float32"),
    Storage(ref="native", o_hat="recompute"),
]


@pytest.mark.parametrize(("name", "bits"), [("float32", 32), ("float16", 16), ("bfloat16", 16)])
def test_a_float_format_has_the_bits_of_its_type(name, bits):
    storage = Storage(ref=name, o_hat=name)
    assert storage.bits() == (bits, bits)
    assert cost.array_bytes((3, 5), storage.ref_format, itemsize=8) == 15 * bits // 8


@pytest.mark.parametrize(
    ("granularity", "couples"),
    [(ms.PerSample(), False), (ms.PerBatch(), True), (ms.PerChannel(0), False), (ms.PerChannel(3), True),
     (ms.PerChannel((0, 1)), False), (ms.PerToken(), False), (ms.PerGroup(3), False)],
)  # fmt: skip
def test_samples_are_coupled_by_a_scale_that_they_share(granularity, couples):
    assert Storage(ref=ms.AbsMax(8, granularity=granularity)).couples_samples is couples


@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_was_kept_in_groups_has_its_shape_again(size):
    x = np.random.default_rng(0).standard_normal((3, 8))
    form = Storage(ref=ms.AbsMax(8, granularity=ms.PerGroup(size))).ref_format
    assert np.array_equal(form.decode(form.encode(x), x), form.Q(x))


def largest_rounding(storage, states, inputs):
    """max|stored â - what was stored| is at most this: half a step of the format at the largest |â| seen."""
    top = max(np.abs(a).max() for a in inputs) * 2
    if isinstance(storage.ref, ms.MinMax):
        return 2 * top / storage.ref.levels / 2
    if isinstance(storage.ref, ms.AbsMax):
        return top / storage.ref.qmax / 2
    return {"native": EPS, "float16": 2.0**-11, "float32": 2.0**-24}[storage.ref] * top


@pytest.mark.parametrize("storage", KEPT, ids=str)
@given(seed=st.integers(0, 10**6), bits=st.sampled_from([2, 3, 4]))
def test_the_bound_with_the_states_rounding_added_holds(storage, seed, bits):
    """||a - stored â||_∞ <= Σ κ^(age+1)||d|| + Σ κ^age ρ: the closed loop stays contractive."""
    Q, inputs = ms.AbsMax(bits), sequence(30, seed=seed)
    states, _ = apart(rec.run("closed_loop", inputs, Q, storage=storage))
    error = np.array([np.abs(a - storage.ref_format.decode(s.ref, a)).max(-1) for a, s in zip(inputs, states)])  # noqa: B905
    rho = largest_rounding(storage, states, inputs)
    assert (error[0] <= rho).all()  # an exact start is stored, too
    d = np.abs(np.diff(inputs, axis=0)).max(-1)
    bound = bounds.stored_reference(d, Q.kappa(16), rho, start=rho)
    assert (error[1:] <= bound * (1 + 1e-12)).all()


def test_a_call_in_full_precision_is_the_first_unless_it_is_said_which():
    wrapped = rec.Stored(rec.get("closed_loop"), Storage(ref="float32"))
    x = np.ones((1, 4))
    assert wrapped.exact(x, lambda a: 2 * a)[0].call == 1
    assert wrapped.exact(x, lambda a: 2 * a, 6)[0].call == 7


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize(
    "Q",
    [
        ms.AbsMax(8), ms.AbsMax(16), ms.AbsMax(17), ms.AbsMax(31), ms.AbsMax(32), ms.MinMax(8), ms.MinMax(9),
        ms.MinMax(15), ms.MinMax(16), ms.MinMax(31), ms.MinMax(32), ms.StaticAffine(32, low=-1.0, high=1.0),
    ],
    ids=lambda Q: f"{type(Q).__name__}-{Q.bits}",
)  # fmt: skip
def test_the_largest_codes_are_kept_as_they_are(Q, dtype):
    """Where a dtype has too few digits for the largest code, it is rounded up to a power of two."""
    x = torch.tensor([[-1.0, 0.3, 1.0], [1.0, 0.5, 0.0], [-1.0, -0.25, 0.0]], dtype=getattr(torch, dtype))
    try:
        expected = Q(x)
    except ValueError:
        return  # a dtype that cannot hold such codes at all
    form = Storage(ref=Q).ref_format
    assert torch.equal(form.decode(form.encode(x), x), expected)


@pytest.mark.parametrize("bits", [2, 8, 9, 15, 16, 17, 31])
@pytest.mark.parametrize("kind", [ms.AbsMax, ms.MinMax])
def test_codes_of_any_width_come_back(kind, bits):
    """The largest and the smallest code fit into the integers that are kept; signed codes take no wider ones."""
    Q, x = kind(bits), np.array([[-1.0, 0.3, 1.0]])
    form = Storage(ref=Q).ref_format
    kept = form.encode(x)
    assert form.decode(kept, x).tolist() == Q(x).tolist()
    if kind is ms.AbsMax:
        assert kept.codes.dtype == (np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)


def test_an_operator_that_changes_the_dtype_decides_that_of_the_output():
    """As under autocast: what was kept of ô is added in the operator's dtype, not in the input's."""
    inputs = [np.full((1, 4), value) for value in (1.0, 1.5, 2.5)]
    done = infos(
        rec.run(
            "closed_loop", inputs, ms.AbsMax(8), lambda a: (3 * a).astype(np.float32), storage=Storage(o_hat="float16")
        )
    )
    assert [info.output.dtype for info in done] == [np.float32] * 3
    assert [info.output[0, 0] for info in done] == [3.0, 4.5, 7.5]


@pytest.mark.parametrize("granularity", [ms.PerSample(), ms.PerBatch(), ms.PerChannel(), ms.PerGroup(2)], ids=str)
@pytest.mark.parametrize("kind", [ms.AbsMax, ms.MinMax])
def test_what_is_decoded_has_the_shape_and_the_values_of_what_was_rounded(kind, granularity):
    Q, x = kind(8, granularity=granularity), np.random.default_rng(0).standard_normal((2, 4, 6))
    form = Storage(ref=Q).ref_format
    assert form.decode(form.encode(x), x).tolist() == Q(x).tolist()


def test_a_quantized_start_is_stored_as_a_later_call_is():
    """The closed loop's ô is A of what is stored; the open loop's is A of what was quantized."""
    x, Q = np.array([[3.0, 0.4, -1.3]]), ms.AbsMax(8)
    hat, short = Q(x), Storage(ref="float16")
    for name, ref, output in (
        ("closed_loop", hat.astype(np.float16), 3 * hat.astype(np.float16).astype(float)),
        ("open_loop", x.astype(np.float16), 3 * hat),
    ):
        state, info = rec.Stored(rec.get(name), short).init(x, Q, lambda a: 3 * a, warmup=1)
        assert state.ref.tolist() == ref.tolist()
        assert info.output.tolist() == state.o_hat.tolist() == output.tolist()
        assert (output != 3 * ref.astype(float)).any() == (name == "open_loop")
    assert (hat != hat.astype(np.float16)).any()


@pytest.mark.parametrize("storage", KEPT, ids=str)
def test_the_output_is_A_of_the_stored_reference(storage):
    """ô = A(stored â) up to ô's own rounding, at every call: dropping the rounding of â from ô would part them."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((5, 16))
    inputs = sequence(200, seed=2)
    unit = {"float16": 2.0**-11, "float32": 2.0**-24}.get(storage.o_hat, EPS)
    calls = rec.run("closed_loop", inputs, ms.AbsMax(3), lambda x: x @ A.T, storage=storage)
    for n, (a, (s, info)) in enumerate(zip(inputs, calls, strict=True)):
        exact = storage.ref_format.decode(s.ref, a) @ A.T
        size = np.abs(inputs).max() * np.abs(A).sum(-1).max() * 2
        assert np.abs(info.output - exact).max() <= unit * size * (n + 2)
        if storage.recomputes:
            assert np.array_equal(info.output, exact)
            assert s.o_hat is None


def test_what_is_kept_has_the_bytes_it_says():
    a = np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32)
    for storage, ref, o in [
        (Storage(), 1600, 1600),
        (Storage("float16", "float16"), 800, 800),
        (Storage(ms.AbsMax(8), "recompute"), 400 + 4 * 4, 0),
        (Storage(ms.MinMax(8), "float32"), 400 + 2 * 4 * 4, 1600),
        (Storage(ms.AbsMax(12, granularity=ms.PerBatch()), "native"), 800 + 4, 1600),
    ]:
        *_, (state, _) = rec.run("closed_loop", [a, a + 1], ms.AbsMax(4), storage=storage)
        assert (kept_bytes(state.ref), kept_bytes(state.o_hat)) == (ref, o)
    assert isinstance(state.ref, Packed)
    assert storage.bits() == (12, 32)


def test_numpy_and_torch_keep_the_same():
    inputs = [a.astype(np.float32) for a in sequence(20, seed=3)]
    for storage in KEPT:
        ours = infos(rec.run("closed_loop", inputs, ms.AbsMax(4), storage=storage))
        theirs = infos(rec.run("closed_loop", [torch.from_numpy(a) for a in inputs], ms.AbsMax(4), storage=storage))
        assert all(np.array_equal(x.output, y.output.numpy()) for x, y in zip(ours, theirs, strict=True))
    bfloat = Storage(ref="bfloat16", o_hat="bfloat16")
    assert len(infos(rec.run("closed_loop", [torch.from_numpy(a) for a in inputs], ms.AbsMax(4), storage=bfloat))) == 20
    with pytest.raises(ValueError, match="no bfloat16"):
        infos(rec.run("closed_loop", inputs, ms.AbsMax(4), storage=bfloat))


def test_as_computed_is_the_plain_recursion_bit_for_bit():
    inputs = sequence(10)
    for recursion in ms.RECURSIONS:
        for plain, kept in zip(
            infos(rec.run(recursion, inputs, ms.AbsMax(3))),
            infos(rec.run(recursion, inputs, ms.AbsMax(3), storage=Storage())),
            strict=True,
        ):
            assert np.array_equal(plain.output, kept.output)


@pytest.mark.parametrize("base", [2.0**-5, 0.0317])
def test_aligned_grids_keep_an_exact_small_integer_over_1000_steps(base):
    """â is base times an integer of 8 bits: after 1000 steps it is the integers' own recursion, in Python's ints."""
    Q, storage = ms.GridAligned(3, base=base), Storage(ref=ms.Static(8, scale=base), o_hat="recompute")
    rng = np.random.default_rng(0)
    inputs, x = [], rng.standard_normal((2, 8))
    for _ in range(1000):
        x = 0.999 * x + np.sqrt(1 - 0.999**2) * rng.standard_normal(x.shape)
        inputs.append(np.clip(x, -120 * base, 120 * base))
    integers = None
    for a, (state, info) in zip(inputs, rec.run("closed_loop", inputs, Q, storage=storage), strict=True):
        if integers is None:
            integers = [[round(v / base) for v in row] for row in a]
        else:
            for row, n in zip(a, integers, strict=True):
                residual = [v - base * m for v, m in zip(row, n, strict=True)]
                step = 1
                while max(map(abs, residual)) > Q.qmax * step * base:
                    step *= 2
                n[:] = [m + step * round(r / (step * base)) for m, r in zip(n, residual, strict=True)]
        assert np.array_equal(state.ref.codes, integers)
        assert np.array_equal(info.output, base * np.array(integers, float))
    assert state.ref.codes.dtype == np.int8
    # the negative control: the same run kept in float16 has left the grid
    *_, (_, drifted) = rec.run("closed_loop", inputs, Q, storage=Storage(ref="float16", o_hat="float16"))
    off = drifted.output / base
    assert np.abs(off - np.round(off)).max() > 1e-3


@given(bits=st.integers(2, 8), base=st.floats(1e-3, 1e3), values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_aligned_grid_law(bits, base, values):
    """Multiples of the base step; error at most max(S/2, max|x|/qmax)."""
    Q = ms.GridAligned(bits, base=base, granularity=ms.PerBatch())
    x = np.array(values)
    steps = Q(x) / base
    assert np.allclose(steps, np.round(steps), rtol=1e-12, atol=0)
    top = np.abs(x).max()
    assert np.abs(x - Q(x)).max() <= max(base / 2, top / Q.qmax) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Storage(ref="int8"), "native, float32, float16, bfloat16; got 'int8'"),
        (lambda: Storage(o_hat="int8"), "recompute; got"),
        (lambda: Storage(ref="recompute"), "must be a quantizer"),
        (lambda: Storage(ref=ms.Identity()), "no fixed integer codes"),
        (lambda: Storage(ref=ms.Zero()), "no fixed integer codes"),
        (lambda: Storage(ref=ms.Stochastic(8)), "no fixed integer codes"),
        (lambda: Storage(ref=Split(ms.MinMax(8), at=(4,))), "no one kind of codes"),
        (lambda: infos(rec.run("open_loop", sequence(2), ms.AbsMax(4), storage=Storage(o_hat="recompute"))), "keep ô"),
        (lambda: ms.GridAligned(4, base=0.0), "base is a step and must be finite and > 0"),
        (lambda: ms.GridAligned(4, base=1e-300)(np.ones((1, 2), np.float32)), "cannot hold"),
    ],
)
def test_bad_storage_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_quantizer_with_integer_codes_can_keep_a_state():
    a = np.random.default_rng(0).standard_normal((2, 32))
    for name, kind in QUANTIZERS.items():
        Q = kind() if kind.fixed_bits is not None else kind(8)
        if not Q.integer_codes or not Q.has_codes or Q.bits == 0 or Q.laws.randomised:
            continue
        form = Storage(ref=Q).ref_format
        assert np.array_equal(form.decode(form.encode(a), a), Q(a)), name


@pytest.mark.parametrize("granularity", [ms.PerBatch(), ms.PerChannel(1), ms.PerGroup(2, axis=0)], ids=str)
def test_a_skipped_sample_keeps_its_reference_or_is_refused(granularity):
    """With one dynamic scale for several samples a skipped one would move when its batch-mates do."""
    shared = Storage(ref=ms.AbsMax(4, granularity=granularity))
    with pytest.raises(ValueError, match="skip= leaves out single samples"):
        infos(rec.run("closed_loop", sequence(2), ms.AbsMax(4), storage=shared, skip=Threshold(0.3)))
    a = np.random.default_rng(0).standard_normal((2, 8))
    b = a * [[7.0], [1.0]]
    for Q in (ms.AbsMax(4), Static(4, scale=0.4, granularity=ms.PerBatch())):
        first, second = infos(rec.run("closed_loop", [a, b], ms.AbsMax(4), storage=Storage(ref=Q), skip=Threshold(0.5)))
        assert second.kept.ravel().tolist() == [True, False]
        assert np.allclose(first.output[1], second.output[1], rtol=0, atol=1e-14)
        assert not np.array_equal(first.output[0], second.output[0])
