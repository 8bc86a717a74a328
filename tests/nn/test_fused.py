"""The fused path gives the bytes of the definition, and is really taken."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import shallow, small, walk
from reference import PAPER
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import modulated
from modiff_sim.nn.run import fused

GRANULARITIES = [ms.PerSample(), ms.PerBatch()]


def outputs(model, inputs, *, observed, args=(), **options):
    """Outputs of every call; an observer forces the definition's path."""
    with modulated(model, **options) as run:
        if observed:
            run.observers.append(lambda *_: None)
        made = [model(x, *args) for x in inputs]
        held = run.buffer_bytes()
    return [getattr(y, "sample", y) for y in made], run.audit(), held


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("recursion", PAPER)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"refresh": 3}, {"warmup": 2}], ids=str)
def test_same_bytes_and_same_audit_as_the_definition(granularity, recursion, dtype, options):
    model, inputs = small(dtype=dtype), list(walk(5, dtype=dtype))
    arm = {"activations": ms.AbsMax(4, granularity=granularity), "recursion": recursion, "weights": ms.AbsMax(8)}
    fast, counted, held = outputs(model, inputs, observed=False, **arm, **options)
    slow, expected, none = outputs(model, inputs, observed=True, **arm, **options)
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))
    assert counted == expected
    assert held > 0 == none  # temporaries exist on the fused path only


def test_same_bytes_on_a_network_with_attention():
    model, inputs = shallow(), list(walk(4, shape=(1, 8, 8), dtype=torch.float32))
    for memory_format in (torch.contiguous_format, torch.channels_last):
        laid_out = [x.to(memory_format=memory_format) for x in inputs]
        fast, _, _ = outputs(model, laid_out, observed=False, args=(5,), activations=ms.AbsMax(3))
        slow, _, _ = outputs(model, laid_out, observed=True, args=(5,), activations=ms.AbsMax(3))
        assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


@given(
    bits=st.integers(2, 8),
    values=st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=6, max_size=6),
    batch=st.sampled_from(GRANULARITIES),
)
def test_the_fused_quantizer_is_absmax_for_any_numbers(bits, values, batch):
    """Zeros, subnormals and the largest floats included."""
    x = torch.tensor(values).reshape(2, 3)
    Q = ms.AbsMax(bits, granularity=batch)
    expected, qparams = Q.apply(x)
    made = x.clone()
    largest = fused._quantize_(made, Q)
    assert torch.equal(made, expected)
    assert largest.count(0.0) <= int(qparams.zero_range.sum())


def test_other_quantizers_and_clamped_codes_take_the_definition():
    x = torch.zeros(2, 3)
    assert fused.fits(ms.AbsMax(4), x)
    for other in (ms.MinMax(4), ms.HalfAway(4), ms.DeadZone(4), ms.AbsMax(4, granularity=ms.PerToken()), ms.AbsMax(24)):
        assert not fused.fits(other, x)
    assert not fused.fits(ms.AbsMax(8), x.bfloat16())  # 8 bits in bfloat16 are clamped


def test_the_state_survives_changes_of_mode_and_a_failed_call():
    """Buffers made in inference mode cannot be written outside of it; a call that fails must leave its state."""
    model, inputs = small(), list(walk(6))
    plain, _, _ = outputs(model, inputs, observed=False, activations=ms.AbsMax(3))
    bad = inputs[3].clone()
    bad[0, 0, 0, 0] = torch.inf
    with modulated(model, activations=ms.AbsMax(3)):
        made = []
        for i, x in enumerate(inputs):
            with torch.inference_mode(i % 2 == 0), torch.no_grad():
                if i == 3:
                    with pytest.raises(ValueError, match="layer 'first', call 3"):
                        model(bad)
                made.append(model(x))
        assert all(torch.equal(a, b) for a, b in zip(made, plain, strict=True))


class Fails(nn.Module):
    """A model whose last layer fails when told to, after the others have stepped."""

    def __init__(self):
        super().__init__()
        self.body, self.fail = small(), False

    def forward(self, x):
        x = self.body(x)
        if self.fail:
            raise KeyError
        return x


def test_a_call_that_fails_late_is_undone():
    model, inputs = Fails().eval(), list(walk(5))
    plain, expected, _ = outputs(model, inputs, observed=False, activations=ms.AbsMax(3))
    with modulated(model, activations=ms.AbsMax(3)) as run:
        made = []
        for x in inputs:
            model.fail = True
            with pytest.raises(KeyError):
                model(torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1)))
            model.fail = False
            made.append(model(x))
        assert all(torch.equal(a, b) for a, b in zip(made, plain, strict=True))
        assert run.audit() == expected


@pytest.mark.parametrize("top", [65504.0, 60000.0])
def test_an_overflowing_grid_is_refused_as_the_definition_does(top):
    """qmax scales may exceed float16 where max|x| does not: 7 * fl(65504/7) rounds to Inf."""
    model, a = nn.Linear(8, 8, bias=False).half().eval(), torch.ones(2, 8).half()
    results = []
    for observed in (False, True):
        with modulated(model, activations=ms.AbsMax(4), recursion="direct") as run:
            run.observers += [lambda *_: None] * observed
            model(a)
            try:
                results.append(bool(model(a * torch.tensor([[0.0], [top]]).half()).isfinite().all()))
            except ValueError as error:
                results.append(str(error))
    assert results[0] == results[1]
    assert ("range overflows" in str(results[0])) == (top == 65504.0)


def test_an_autocast_that_begins_later_gives_the_definitions_bytes():
    model, inputs = nn.Linear(8, 8).eval(), list(walk(4, shape=(8,), dtype=torch.float32))
    made = []
    for observed in (False, True):
        with modulated(model, activations=ms.AbsMax(4)) as run:
            run.observers += [lambda *_: None] * observed
            outputs = [model(inputs[0])]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                outputs += [model(x) for x in inputs[1:]]
        made.append(outputs)
    assert all(a.dtype == b.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_what_an_observer_was_given_is_not_written_later():
    model, inputs = small(), list(walk(6))
    with modulated(model, activations=ms.AbsMax(4)) as run:
        given = []

        def observe(name, call, a, info):
            arrays = [x for x in (info.output, info.residual, info.residual_hat) if x is not None]
            given.extend((x, x.clone()) for x in arrays)

        run.observers.append(observe)
        model(inputs[0])
        model(inputs[1])
        run.observers.clear()
        for x in inputs[2:]:
            model(x)
        assert run.buffer_bytes() > 0  # the fused path was taken
    assert given
    assert all(torch.equal(x, as_given) for x, as_given in given)
