"""What layers see, image by image: against a loop in NumPy over recorded inputs, and against NumPy's own quantizers."""

import numpy as np
import pytest
import torch
from models import denoiser
from torch import nn

import modiff_sim as ms
from analysis.experiments import recordings, residuals, sizes
from modiff_sim.nn import zoo

STEPS, IMAGES = 6, 3
LAYERS = ("conv_in", "mid_block.attentions.0.to_q")


@pytest.fixture
def seen(tmp_path, monkeypatch):
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    monkeypatch.setitem(residuals.STEPS, "quick", STEPS)
    monkeypatch.setitem(residuals.IMAGES, "quick", IMAGES)
    return residuals.measure("quick")


def expected_c(a, Q, shape):
    """c of every residual of a closed loop on inputs (steps, images, d), by the definition."""
    ref, found = a[0], []
    for x in a[1:]:
        r = x - ref
        hat = np.asarray(Q(r.reshape(len(r), *shape))).reshape(r.shape)
        found.append(((r - hat).astype(np.float64) ** 2).sum(1) / (r.astype(np.float64) ** 2).sum(1))
        ref = ref + hat
    return np.stack(found)


def test_sizes_and_contraction_are_those_of_the_recorded_inputs(seen):
    inputs = recordings.layer_inputs("quick", layers=LAYERS, steps=STEPS, images=IMAGES)
    moved = np.flatnonzero(np.diff(seen["timesteps"]) != 0)
    for name, a in inputs.items():
        i = list(seen["layers"]).index(name)
        np.testing.assert_array_equal(seen["absmax_a"][i], np.abs(a).max(-1))
        np.testing.assert_array_equal(seen["absmax_d"][i], np.abs(np.diff(a, axis=0)).max(-1))
        shape = (1, 8, 8) if name == "conv_in" else (a.shape[-1],)
        scales = {"channel": ms.PerChannel((0, 1)) if name == "conv_in" else ms.PerSample(), "sample": ms.PerSample()}
        for scale, granularity in scales.items():
            wanted = expected_c(a, ms.MinMax(bits=3, granularity=granularity), shape)
            np.testing.assert_allclose(seen[f"c_{scale}"][i][moved], wanted[moved], rtol=1e-3)
        wanted = expected_c(a, ms.AbsMax(3), (a.shape[-1],))
        np.testing.assert_allclose(seen["c_absmax"][i][moved], wanted[moved], rtol=1e-3)


def test_one_scale_for_fewer_entries_contracts_more(seen):
    convolutions = [i for i, name in enumerate(seen["layers"]) if "conv" in name]
    assert np.median(seen["c_channel"][convolutions]) < np.median(seen["c_sample"][convolutions])


def test_a_linear_layer_has_one_scale_per_sample():
    found = residuals.quantizers(nn.Linear(4, 4))
    assert found["channel"] == found["sample"] == ms.MinMax(bits=3)
    assert residuals.quantizers(nn.Conv2d(2, 2, 1))["channel"].granularity == ms.PerChannel((0, 1))


def test_an_input_that_does_not_change_has_c_0():
    layer = residuals.Seen(nn.Linear(4, 4))
    for _ in range(3):
        layer.add(nn.Identity(), (torch.ones(2, 4),))
    assert np.stack(layer.values["c_sample"]).tolist() == [[0.0, 0.0]] * 2
    assert np.stack(layer.values["absmax_d"]).tolist() == [[0.0, 0.0]] * 2


def test_the_model_has_no_hooks_afterwards(tmp_path, monkeypatch):
    model = denoiser()
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    monkeypatch.setattr(zoo, "load", lambda name: model)
    monkeypatch.setitem(residuals.STEPS, "quick", 2)
    residuals.measure(sizes.EFFORTS["quick"])
    assert not any(module._forward_pre_hooks for module in model.modules())
