"""Recorded layer inputs: the right tensors, in sampling order, computed once, refused where asked for nonsense."""

import numpy as np
import pytest
import torch

import modiff_sim as ms
from analysis.experiments import recordings
from analysis.experiments.recordings import LAYERS, layer_inputs, main
from analysis.experiments.sizes import effort_of
from modiff_sim.nn import record, sample, zoo
from modiff_sim.nn.layers import find


@pytest.fixture(autouse=True)
def workspace(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path_factory.getbasetemp() / "recordings"))


def test_the_first_convolution_sees_the_samples_themselves():
    steps = []
    sample(
        zoo.load("digits"),
        images=3,
        batch=3,
        steps=7,
        spacing="quad",
        callback=lambda call, t, x, prediction: steps.append(x.flatten(1).numpy().copy()),
    )
    found = layer_inputs("quick", layers=["conv_in"], steps=7, images=3)["conv_in"]
    assert found.dtype == np.float32
    assert found.shape == (7, 3, 64)
    assert np.array_equal(found[1:], np.stack(steps)[:-1])  # the callback sees the sample after each call


def test_every_layer_can_be_recorded_and_agrees_with_the_recorder():
    model = zoo.load("digits")
    with record(model, ms.AbsMax(3)) as log:
        sample(model, images=2, batch=2, steps=3, spacing="quad", on_batch=[log.reset])
    found = layer_inputs("quick", layers=list(find(model, None)), steps=3, images=2)
    assert list(found) == list(find(model, None))
    norms = {name: np.linalg.norm(a.astype(np.float64), axis=-1) for name, a in found.items()}
    for name in log.layers:
        recorded = np.stack([log.stats[name, call, "a"].norm for call in range(3)])
        # float32 convolutions depend on the number of threads, and nothing else here: 1e-5 relative
        np.testing.assert_allclose(norms[name].reshape(3, 2, -1)[..., 0], recorded.reshape(3, 2), rtol=1e-5)


def test_default_layers_cover_both_ends_and_several_shapes_in_the_order_asked_for():
    found = layer_inputs("quick")
    assert tuple(found) == LAYERS
    assert {a.shape[:2] for a in found.values()} == {(effort_of("quick").steps, recordings.IMAGES["quick"])}
    assert len({a.shape[2] for a in found.values()}) >= 4
    assert sum(a.nbytes for a in found.values()) < 8e6
    assert all(np.isfinite(a).all() and np.ptp(a) > 0 for a in found.values())


def test_a_recording_is_computed_once(monkeypatch):
    first = layer_inputs("quick", layers=["conv_out"], steps=4, images=1)
    monkeypatch.setattr(recordings, "_record", lambda *a, **k: pytest.fail("sampled again"))
    again = layer_inputs("quick", layers=["conv_out"], steps=4, images=1)
    assert np.array_equal(first["conv_out"], again["conv_out"])


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # recordings are made with one
    try:
        layer_inputs("quick", layers=["conv_in"], steps=2, images=1, spacing="uniform")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["conv_inn"]}, "unknown layers conv_inn; known: conv_in, "),
        ({"layers": []}, "no layers were named"),
        ({"steps": 0}, "steps must be an integer in 1"),
        ({"images": 0}, "images must be at least 1"),
        ({"spacing": "cubic"}, "unknown spacing 'cubic'; known: "),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        layer_inputs("quick", **options)
    with pytest.raises(ValueError, match=r"unknown effort 'slow'; known: quick, full"):
        layer_inputs("slow", **options)


def test_command_writes_what_the_simulator_reads(tmp_path, capsys):
    path = tmp_path / "new" / "layers.npz"
    wanted = ["--layers", "conv_in", "conv_out", "--steps", "5", "--images", "2", "--out", str(path)]
    assert main(wanted) == 0
    assert "conv_out: 5 × 2 × 2048" in capsys.readouterr().out
    with np.load(path) as archive:
        assert sorted(archive.files) == ["conv_in", "conv_out"]
        result = ms.simulate(ms.processes.recorded(archive["conv_in"]), ms.AbsMax(3), steps=5, trials=2, workers=1)
    bound = ms.bounds.max_norm_closed_loop(result.d_inf, 1 / 6)
    assert np.all(result.error_inf <= bound * (1 + 1e-12))
    assert main(["--layers", "nowhere", "--out", str(path)]) == 2
    assert "unknown layers nowhere" in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "layers.csv"), *wanted[:3]]) == 2
    assert [p.name for p in tmp_path.rglob("*.npz")] == ["layers.npz"]
