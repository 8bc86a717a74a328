"""The classifiers: what is committed is what it says, a row depends on its image only, training repeats its bytes."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
import torch

from analysis import datasets
from analysis.datasets import digits, split
from analysis.metrics import EXTRACTORS
from analysis.training import classifier
from modiff_sim.metrics import frechet_distance

EPS = np.finfo(np.float64).eps
DIGITS = EXTRACTORS["digits"]


def test_the_committed_classifier_has_the_accuracy_it_states():
    images, labels = digits()
    _, test = split(len(images))
    about = DIGITS.about()
    right = (DIGITS.probabilities(images[test]).argmax(axis=1) == labels[test]).mean()
    assert round(float(right), 4) == about["test_accuracy"]
    assert about["test_accuracy"] > 0.98


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=list(EXTRACTORS))
def test_the_name_holds_the_weights(extractor):
    about = extractor.about()
    assert hashlib.sha256(extractor.weights.read_bytes()).hexdigest() == about["sha256"]
    assert about["sha256"][:8] in extractor.name
    assert f"{extractor.width} features" in extractor.name
    assert extractor.weights.stat().st_size < 1_000_000
    assert about["test_accuracy"] > (0.75 if extractor.data == "cifar10" else 0.9)


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=list(EXTRACTORS))
def test_a_row_depends_on_its_image_only(extractor):
    images = np.random.default_rng(0).uniform(-1.2, 1.2, (300, *extractor.shape))
    f, p = extractor.features_and_probabilities(images)
    assert f.shape == (300, extractor.width)
    assert p.shape == (300, 10)
    alone = extractor.features_and_probabilities(images[290:291])
    assert np.array_equal(alone[0], f[290:291])
    assert np.array_equal(alone[1], p[290:291])
    assert np.array_equal(f, extractor.features(np.clip(images, -1, 1)))  # judged by what one would see
    assert not np.array_equal(f[0], f[1])


def test_features_are_deterministic_and_each_depends_on_its_image_only():
    images = digits()[0][:300]
    f = DIGITS.features(images)
    assert f.shape == (300, DIGITS.width)
    assert f.dtype == np.float64
    assert np.array_equal(f, DIGITS.features(images))
    assert np.array_equal(f[7:9], DIGITS.features(torch.from_numpy(images[7:9])))  # bit for bit, in another batch
    assert np.linalg.matrix_rank(np.cov(f.T)) > 40


def test_probabilities_sum_to_one_also_far_outside():
    p = DIGITS.probabilities(100.0 * digits()[0][:5])
    assert np.isfinite(p).all()
    assert p.sum(axis=1) == pytest.approx(1.0, rel=10 * EPS)


def test_classifier_report():
    images, labels = digits()
    real = DIGITS.report(images)
    assert real["recognised"] > 0.95
    assert real["class_entropy"] == pytest.approx(math.log2(10), abs=0.01)
    assert np.abs(np.array(real["histogram"]) - np.bincount(labels)).max() < 10
    ones = DIGITS.report(np.repeat(images[labels == 1][:1], 7, axis=0))
    assert ones["class_entropy"] == 0.0
    assert ones["histogram"] == [0, 7, 0, 0, 0, 0, 0, 0, 0, 0]
    grey = DIGITS.report(np.zeros((4, 1, 8, 8)))
    assert grey["recognised"] < real["recognised"]


def test_frechet_in_the_features_orders_noise_by_strength():
    images = digits()[0]
    noise = np.random.default_rng(0).standard_normal(images.shape)
    f = DIGITS.features(images)
    far = [frechet_distance(DIGITS.features(images + s * noise), f) for s in (0.0, 0.1, 0.3, 1.0)]
    assert far[0] < 1e-9
    assert far == sorted(far)
    assert far[1] < 0.3 * far[2] < 0.3 * far[3]


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((3, 8, 8)), "shape"),
        (np.zeros((0, 1, 8, 8)), "shape"),
        (np.zeros((3, 1, 16, 16)), "shape"),
        (np.full((3, 1, 8, 8), np.nan), "NaN or Inf"),
    ],
)
def test_the_classifier_refuses(images, match):
    with pytest.raises(ValueError, match=match):
        DIGITS.features(images)


def test_a_damaged_or_missing_classifier_is_refused(tmp_path):
    damaged = dataclasses.replace(DIGITS, weights=tmp_path / "c.safetensors")
    with pytest.raises(RuntimeError, match=r"missing; run python -m analysis\.training\.classifier digits"):
        damaged.features(np.zeros((1, 1, 8, 8)))
    assert "untrained" in damaged.name
    damaged.weights.write_bytes(DIGITS.weights.read_bytes()[:-1] + b"x")
    damaged.weights.with_suffix(".json").write_text(
        DIGITS.weights.with_suffix(".json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with pytest.raises(RuntimeError, match=r"python -m analysis\.training\.classifier digits"):
        damaged.features(np.zeros((1, 1, 8, 8)))


# training ------------------------------------------------------------------------------------------------------


def test_training_is_deterministic_and_decided_by_its_settings(tmp_path):
    data = datasets.load("digits")
    short = dataclasses.replace(classifier.SETTINGS["digits"], epochs=1)
    found = {}
    changed = (("flipped", {"flips": True}), ("shifted", {"shifts": 1}))
    for name, settings in (
        ("a", short),
        ("b", short),
        *((name, dataclasses.replace(short, **change)) for name, change in changed),
    ):
        torch.manual_seed(len(found))
        found[name] = classifier.train(DIGITS, data, tmp_path / f"{name}.safetensors", settings)
    assert found["a"] == found["b"] | {"sha256": found["a"]["sha256"]}
    assert found["a"]["sha256"] == hashlib.sha256((tmp_path / "b.safetensors").read_bytes()).hexdigest()
    assert len({found[name]["sha256"] for name in found}) == 3
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == found["a"]
    assert 0.3 < found["a"]["test_accuracy"] < 1  # one epoch: far above chance


def test_shifts_move_images_and_mirror_their_borders():
    images = torch.arange(25.0).reshape(1, 1, 5, 5).expand(200, 1, 5, 5)
    found = classifier._shifted(images, 2, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    centres = {tuple(divmod(int(v), 5)) for v in found[:, 0, 2, 2]}
    assert centres == {(y, x) for y in range(5) for x in range(5)}  # 5 × 5 shifts, and none of another size
    padded = np.pad(np.arange(25.0).reshape(5, 5), 2, mode="reflect")
    for each in found[:, 0].numpy():
        y, x = divmod(int(each[2, 2]), 5)
        assert np.array_equal(each, padded[y : y + 5, x : x + 5])


def test_the_command_says_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit):
        classifier.main(["fashion32"])
    assert "needs --data PATH" in capsys.readouterr().err
    with pytest.raises(ValueError, match="the classifier takes"):
        classifier.train(
            EXTRACTORS["fashion32"], datasets.load("digits"), tmp_path / "x", classifier.ClassifierSettings()
        )
