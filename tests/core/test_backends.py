"""One definition, two backends: NumPy and torch bit for bit, and a run under array_api_strict."""

import array_api_strict as strict
import numpy as np
import pytest
import torch
from calls import infos
from hypothesis import given, settings
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import QUANTIZERS
from modiff_sim import recursion as rec
from modiff_sim.quantizers import SymmetricGrid, make
from modiff_sim.testing import arrays, granularities, sequences

BITS = st.integers(2, 8)
#: formats are data: one of each kind of code here, the elements of every format in ``test_quantizers_floats``
NAMES = sorted(set(QUANTIZERS) - {"fp8_e5m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2"})
#: what a namespace lacks, or a short mantissa breaks, is seen on few inputs
FEW = settings(max_examples=settings().max_examples * 2 // 5)


def bits_for(Q, x):
    return np.full(x.shape, 0.25, x.dtype) if Q.laws.randomised else None


@pytest.mark.parametrize("name", NAMES)
@given(x=arrays(), bits=BITS, granularity=granularities())
def test_torch_equals_numpy_bit_for_bit(name, x, bits, granularity):
    Q = make(name, bits, granularity=granularity)
    random = bits_for(Q, x)
    got = Q(torch.from_numpy(x.copy()), random=None if random is None else torch.from_numpy(random))
    assert got.dtype == getattr(torch, x.dtype.name)
    assert np.array_equal(got.numpy(), Q(x, random=random))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(x=arrays(dtypes=[np.float32], magnitude=100, rescaled=False), bits=st.integers(2, 6))
def test_half_precisions_are_within_one_step_of_the_grid(name, x, bits):
    """float16 and bfloat16 against float32 on the same (representable) input: at most one jump of the grid, plus the
    rounding of the result to the short mantissa (16 eps max|x|, as for every law). A grid that is chosen by its error
    may be another one where two are about as good: there it is the error that is compared."""
    Q = make(name, bits, granularity=ms.PerSample())
    for dtype in (torch.float16, torch.bfloat16):
        short = torch.from_numpy(x.copy()).to(dtype)
        wide = short.to(torch.float32)
        random = torch.full_like(short, 0.25) if Q.laws.randomised else None
        got = Q(short, random=random).to(torch.float32)
        expected = Q(wide, random=None if random is None else random.to(torch.float32))
        slack = 16 * torch.finfo(dtype).eps * float(wide.abs().max())
        if name == "mse":
            far, near = (torch.linalg.vector_norm(wide - q, dim=1) for q in (got, expected))
            assert bool(torch.all(far <= near + slack * x.shape[1] ** 0.5))
            continue
        jump = max(1.0, *(2 * h for _, h in Q.boundaries)) if isinstance(Q, SymmetricGrid) else 1.0
        step = jump * Q.choose_qparams(wide).scale if name not in ("zero", "identity") else 0.0
        assert bool(torch.all(torch.abs(got - expected) <= step + slack))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(x=arrays(), granularity=granularities())
def test_runs_under_the_strict_namespace(name, x, granularity):
    Q = make(name, 3, granularity=granularity)
    random = bits_for(Q, x)
    got = Q(strict.asarray(x), random=None if random is None else strict.asarray(random))
    assert np.array_equal(np.asarray(got), Q(x, random=random))


@pytest.mark.parametrize("name", rec.RECURSIONS)
@given(inputs=sequences())
def test_recursions_agree_across_backends(name, inputs):
    inputs = inputs.astype(np.float32)
    states = [
        infos(rec.run(name, [convert(a) for a in inputs], ms.AbsMax(3)))
        for convert in (lambda a: a, torch.from_numpy, strict.asarray)
    ]
    for plain, *others in zip(*states, strict=True):
        for other in others:
            assert np.array_equal(plain.output, np.asarray(other.output))


def test_arguments_are_never_written():
    x = np.random.default_rng(0).standard_normal((3, 8))
    x.flags.writeable = False
    for name in QUANTIZERS:
        Q = make(name, granularity=ms.PerSample())
        Q(x, random=bits_for(Q, x))
    infos(rec.run("closed_loop", [x, x + 1], ms.AbsMax(3)))
