"""The official regimes: what each quantizes, and their quantizers against the conventions written out."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import shallow, small, walk
from verdicts import verdict

import modiff_sim as ms
from modiff_sim import Verdict
from modiff_sim.nn import modulated, presets, sample, zoo

STEPS = 100


def audit_of(preset, steps=STEPS, model=None):
    with modulated(model or small(), **preset) as run:
        for x in walk(steps):
            run.model(x)
    return run.audit()


@pytest.mark.parametrize(
    ("name", "quantized"),
    # of 100 calls: all but the 11 listed ones; none; all but the first; all
    [("official_feb_2025", 89), ("official_june_2025", 0), ("official_sept_2025", 99), ("paper", 100)],
)
def test_share_of_quantized_calls(name, quantized):
    audit = audit_of(presets.PRESETS[name](4))
    assert audit.call_share == audit.mac_share == quantized / STEPS
    assert [row["quantized_calls"] for row in audit.rows()] == [quantized, quantized, 2 * quantized]  # used twice
    assert all(row["weight_bits"] == 8 for row in audit.rows())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_june_release_quantizes_no_activation(bits, symmetric):
    """0 % in the audit, and the outputs of a model whose weights alone were replaced, bit for bit."""
    model = small()
    replaced = copy.deepcopy(model)
    with torch.no_grad():
        for module in replaced.modules():
            if hasattr(module, "weight"):
                module.weight.copy_(ms.AbsMax(8, granularity=ms.PerChannel(0))(module.weight))
    with modulated(model, **presets.official_june_2025(bits, symmetric=symmetric)) as run, torch.no_grad():
        assert all(torch.equal(model(x), replaced(x)) for x in walk(7))
    audit = run.audit()
    assert audit.mac_share == audit.call_share == 0
    assert audit.activation_bits == 32
    with modulated(model, **presets.official_sept_2025(bits, symmetric=symmetric)), torch.no_grad():
        assert not all(torch.equal(model(x), replaced(x)) for x in walk(7))  # the fix does quantize them


def test_the_calls_of_february_are_the_eleven_of_the_code():
    assert len(presets.FEB_2025_CALLS) == 11
    exact = []
    with modulated(small(), **presets.official_feb_2025(2)) as run:
        run.observers.append(lambda name, call, a, info: None if info.quantized else exact.append((name, call)))
        for x in walk(presets.FEB_2025_STEPS):
            run.model(x)
    expected = {0, 7, 47, 52, 56, 59, 83, 96, 97, 98, 99}
    assert {call for name, call in exact if name == "second"} == expected


def test_the_papers_text_quantizes_the_first_input():
    model, Q = small(), presets.activation_quantizer(3)
    first = []
    with modulated(model, **presets.paper(3)) as run:
        run.observers.append(lambda name, call, a, info: first.append((a.clone(), info.residual_hat)))
        model(next(walk(1)))
    for a, hat in first:  # from a zero state, so that this is â
        assert torch.equal(hat, Q(a))


@pytest.mark.parametrize("name", presets.PRESETS)
def test_granularity_and_the_other_choices(name):
    make = presets.PRESETS[name]
    assert make(4)["activations"] == ms.AbsMax(4, granularity=ms.PerBatch())
    assert make(4, act_tensor=True)["activations"] == ms.AbsMax(4, granularity=ms.PerSample())
    assert make(4, symmetric=False)["activations"] == ms.MinMaxRaw(4, granularity=ms.PerBatch())
    grouped = make(4, act_tensor=True, granularity=ms.PerChannel(1))
    assert grouped["activations"].granularity == ms.PerChannel(1)
    assert make(4)["weights"] == ms.AbsMax(8, granularity=ms.PerChannel(0))
    assert make(4, weight_bits=4)["weights"].bits == 4
    assert make(4, weight_bits=None)["weights"] is None
    preset = make(4)
    assert preset.name == name
    assert len(preset.why) > 40
    assert set(preset.keys()) == set(preset.options)
    assert str(preset).startswith(f"{name}: activations=AbsMax(bits=4")
    with pytest.raises(ValueError, match="AbsMax needs 2 <= bits"):
        make(1)
    with pytest.raises(TypeError, match="bit_width"):
        make(4, bit_width=4)


def test_one_scale_for_the_whole_batch_makes_a_sample_depend_on_its_batch_mates():
    inputs = list(walk(5))

    def first_sample(scale_of_others, **how):
        weight = torch.tensor([1.0, scale_of_others, scale_of_others], dtype=torch.float64).reshape(3, 1, 1, 1)
        with modulated(model := small(), **presets.official_sept_2025(3, **how)):
            return [model(x * weight)[0] for x in inputs]

    alone, among = (first_sample(s, act_tensor=True) for s in (1.0, 4.0))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(alone, among, strict=True))
    alone, among = (first_sample(s) for s in (1.0, 4.0))
    assert not torch.allclose(alone[-1], among[-1], rtol=0, atol=1e-3)


# -- the quantizers against the conventions, written out ----------------------------------------


def official_symmetric(x, bits, floor=1e-8):
    """One block: scale with its floor, two's complement clamp."""
    qmax = 2 ** (bits - 1) - 1
    scale = max(np.abs(x).max() / qmax, floor)
    return np.clip(np.rint(x / scale), -(qmax + 1), qmax) * scale


@given(
    x=hnp.arrays(np.float64, (2, 6), elements=st.floats(-4, 4)),
    bits=st.integers(2, 8),
    size=st.sampled_from([1.0, 1e-4, 1e-7, 1e-8, 1e-9, 1e-12]),
)
def test_symmetric_is_the_official_one_up_to_the_scales_floor(x, bits, size):
    x = size * x
    theirs, ours = official_symmetric(x, bits), presets.activation_quantizer(bits)(x)
    if np.abs(x).max() >= 1e-8 * (2 ** (bits - 1) - 1):
        assert np.array_equal(ours, theirs)
    else:  # each is within half of its own scale, and both scales are at most 1e-8
        assert np.abs(ours - theirs).max() <= 1e-8


def test_the_floor_is_what_differs():
    x = np.array([[3e-9, -4e-9]])
    assert official_symmetric(x, 4).tolist() == [[0, 0]]  # below half of the floor
    assert np.abs(presets.activation_quantizer(4)(x) - x).max() < 4e-10


@given(x=hnp.arrays(np.float64, (2, 6), elements=st.floats(-4, 4)), bits=st.integers(2, 8))
def test_affine_is_the_official_one(x, bits):
    levels = 2**bits - 1
    raw = (x.max() - x.min()) / levels
    scale = max(raw, 1e-8)
    zero = np.rint(-x.min() / scale)
    theirs = scale * (np.clip(np.rint(x / scale) + zero, 0, levels) - zero)
    ours = presets.activation_quantizer(bits, symmetric=False)(x)
    # a constant block is exact here; the official floor leaves eps of it, through codes of up to 4e8
    assert np.array_equal(ours, theirs) if raw else np.allclose(ours, x, rtol=0, atol=0)


# -- on the trained model ----------------------------------------


def test_june_claim(monkeypatch):
    """A small model stands for the trained one."""
    monkeypatch.setattr(zoo, "load", lambda name: shallow().requires_grad_(False))
    assert verdict("june_regime_is_weights_only") == Verdict.HOLDS
    assert verdict("june_regime_is_weights_only", regime="official_sept_2025") == Verdict.VIOLATED


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_samples_the_trained_model(name):
    model = zoo.load("digits")
    with modulated(model, **presets.PRESETS[name](8)) as run:
        made = sample(model, images=2, steps=4, batch=2, run=run)
    assert np.abs(made).max() < 3
