"""Training: the same bytes again and after an interruption, nothing overwritten by mistake, and it learns."""

import copy
import hashlib
import itertools
import json
import math

import numpy as np
import pytest
import torch

from analysis import metrics, train
from analysis.data import digits, split
from analysis.train import Digits, Settings, train_classifier, train_digits

TINY = Settings(steps=6, batch=4, warmup=2, seed=1)


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train_digits(tmp_path_factory.mktemp("digits"), TINY).read_bytes()


# data ----------------------------------------------------------------------------------------------------------


def test_digits_are_the_17_grey_levels_mapped_to_plus_minus_one():
    images, labels = digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == np.float32
    assert np.array_equal(np.unique(images), np.arange(17) / 8 - 1)
    assert sorted(set(labels.tolist())) == list(range(10))


def test_split_is_a_fixed_partition():
    train_part, test_part = split(1797)
    assert len(test_part) == 359
    assert np.array_equal(np.sort(np.concatenate([train_part, test_part])), np.arange(1797))
    assert np.array_equal(split(1797)[1], test_part)
    assert not np.array_equal(split(1797, seed=1)[1], test_part)
    with pytest.raises(ValueError, match="empty part"):
        split(2)


# the diffusion model -------------------------------------------------------------------------------------------


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    s = Settings(steps=100, warmup=10, lr=2.0)
    rates = [s.lr_at(i) for i in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize("bad", [{"steps": 0}, {"batch": -1}, {"threads": 0}])
def test_settings_refuse(bad):
    with pytest.raises(ValueError, match="at least 1"):
        Settings(**bad)


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, monkeypatch, uninterrupted):
    one_step, killed = Digits.one_step, []

    def killed_in_step_4(run):
        if run.step == 4 and not killed:
            killed.append(True)
            raise KeyboardInterrupt
        one_step(run)

    monkeypatch.setattr(Digits, "one_step", killed_in_step_4)
    with pytest.raises(KeyboardInterrupt):
        train_digits(tmp_path, TINY, save_every=0.0)
    assert not (tmp_path / "digits.safetensors").exists()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4
    torch.manual_seed(99)  # the global random state plays no part
    assert train_digits(tmp_path, TINY, resume=True).read_bytes() == uninterrupted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "digits.json", "digits.safetensors"]


def test_out_of_time_leaves_a_checkpoint_that_finishes_to_the_same_bytes(tmp_path, uninterrupted):
    sittings = 0
    while train_digits(tmp_path, TINY, minutes=0.0, resume=True) is None:
        sittings += 1
    assert sittings == 5  # one step each; the last sitting finishes
    assert (tmp_path / "digits.safetensors").read_bytes() == uninterrupted


def test_the_json_describes_the_weights(tmp_path):
    weights = train_digits(tmp_path, Settings(steps=1, batch=2))
    about = json.loads((tmp_path / "digits.json").read_text())
    assert about["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert about["config"] == train.UNET
    assert about["training"]["images_seen"] == 2
    assert weights.stat().st_size < 4e6


def test_another_seed_gives_other_weights(tmp_path, uninterrupted):
    other = train_digits(tmp_path, Settings(steps=6, batch=4, warmup=2, seed=2))
    assert other.read_bytes() != uninterrupted


def test_a_run_is_not_overwritten_or_resumed_with_other_settings(tmp_path, capsys):
    train_digits(tmp_path, Settings(steps=2, batch=2), minutes=0.0)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(FileExistsError, match="--resume"):
        train_digits(tmp_path, Settings(steps=2, batch=2))
    with pytest.raises(SystemExit, match="2"):  # the command says so without a traceback
        train.main(["digits", "--steps", "2", "--out", str(tmp_path)])
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(ValueError, match="was made with"):
        train_digits(tmp_path, Settings(steps=3, batch=2), resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_loss_that_is_not_finite_stops_the_run():
    run = Digits(TINY)
    run.data[:] = math.nan
    with pytest.raises(FloatingPointError, match="step 0"):
        run.one_step()


def test_it_learns_and_the_average_follows_the_weights():
    run = Digits(Settings(steps=30, batch=8, warmup=5, lr=2e-3, ema=0.9))
    expected = copy.deepcopy(run.ema)
    for step in range(30):
        run.one_step()
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in run.model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    assert np.mean(run.losses[-10:]) < 0.6 * np.mean(run.losses[:5])
    for name, value in run.ema.items():
        # one rounding of each of two terms per step, in a sum with weights that forget
        torch.testing.assert_close(value, expected[name], rtol=0, atol=20 * 2**-23 * float(value.abs().max()))


# the classifier, progress, quality -----------------------------------------------------------------------------


def test_classifier_training_is_deterministic(tmp_path):
    torch.manual_seed(5)
    a = train_classifier(tmp_path / "a.safetensors", epochs=1)
    torch.manual_seed(6)
    b = train_classifier(tmp_path / "b.safetensors", epochs=1)
    assert a["sha256"] == b["sha256"] == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "a.json").read_text()) == a
    assert 0.3 < a["test_accuracy"] < 1  # one epoch: far above chance


def test_progress_is_plain_lines_off_a_terminal(capsys):
    assert list(train.progress(2, 5, lambda: "loss 1")) == [2, 3, 4]
    assert capsys.readouterr().err == "step 5/5 loss 1\n"


def test_measure_tells_noise_from_digits():
    """A denoiser that predicts no noise leaves the starting noise, scaled: the worst of all samplers."""

    class Nothing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x, t):
            from types import SimpleNamespace

            return SimpleNamespace(sample=torch.zeros_like(x))

    q = train.measure(Nothing().eval(), 64, 2)
    assert q["frechet"] > 10 * q["frechet_real_halves"]
    assert q["features"] == metrics.FEATURE_NAME
    assert sum(q["samples"]["histogram"]) == 64
    assert q["real_test_part"]["recognised"] > 0.9
    json.dumps(q)
