"""The outside judge: the network is that of its file, a file is recognised, and others are refused."""

import json

import numpy as np
import pytest
import torch

from analysis.metrics import outside
from analysis.training import quality
from modiff_sim.sweeps.store import sha256


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A judge of random weights, in a file as those of other people are."""
    torch.manual_seed(0)
    net = outside.network(1)
    path = tmp_path / "net.th"
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, path)
    monkeypatch.setitem(outside.KNOWN, "small", (1, sha256(path)))
    return outside.load(path)


@pytest.mark.parametrize(("name", "parameters"), [("ResNet-20", 269_722), ("ResNet-56", 853_018)])
def test_the_networks_have_as_many_parameters_as_are_published(name, parameters):
    """0.27 M and 0.85 M (He et al. 2016, table 6)."""
    net = outside.network(outside.KNOWN[name][0])
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_a_block_without_weights_passes_on_its_input():
    """Smaller maps are every other pixel, and new channels are zero on both sides."""
    x = torch.rand(2, 4, 6, 6)
    for outside_channels, stride in ((4, 1), (8, 2)):
        block = outside.Block(4, outside_channels).eval()
        torch.nn.init.zeros_(block.bn2.weight)
        with torch.no_grad():
            y = block(x)
        assert y.shape == (2, outside_channels, 6 // stride, 6 // stride)
        added = (outside_channels - 4) // 2
        assert torch.equal(y[:, added : added + 4], x[:, :, ::stride, ::stride])
        assert y.sum() == pytest.approx(float(x[:, :, ::stride, ::stride].sum()))


def test_images_are_standardized_as_on_imagenet():
    """Black, white and the mean itself."""
    x = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 3, 1, 1)
    black, white = outside.Normalized()(x)[..., 0, 0]
    assert black.tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert (white - black).tolist() == pytest.approx([1 / 0.229, 1 / 0.224, 1 / 0.225])


def test_the_file_is_what_judges(judge):
    images = np.random.default_rng(0).uniform(-1, 1, (5, 3, 32, 32))
    features, probabilities = judge.features_and_probabilities(images)
    torch.manual_seed(0)
    net = outside.network(1).double().eval()
    with torch.no_grad():
        want = net[:-1](torch.from_numpy(images)).numpy()
    assert features == pytest.approx(want)
    assert (features.shape, probabilities.shape) == ((5, 64), (5, 10))
    assert judge.name == f"small {sha256(judge.weights)[:8]}, 64 features"


def test_the_quality_of_samples_in_its_features(judge):
    real = np.random.default_rng(1).uniform(-1, 1, (140, 3, 32, 32))
    found = quality.judged(real[:70], real, judge)
    assert found["features"] == judge.name
    assert 0 < found["frechet"] < found["frechet_noise"]
    json.dumps(found)


def test_another_file_is_refused(judge, tmp_path, capsys):
    other = tmp_path / "other.th"
    other.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"neither ResNet-20 nor ResNet-56 .*pytorch_resnet_cifar10"):
        outside.load(other)
    with pytest.raises(SystemExit):
        quality.main(["digits", "--outside", str(other)])
    assert "is neither ResNet-20" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        quality.main(["digits", "--outside", str(judge.weights)])
    assert "small judges images (3, 32, 32), and those of digits are (1, 8, 8)" in capsys.readouterr().err
