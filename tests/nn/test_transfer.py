"""The transfer of torch models: against known matrices and autograd; the digits model's pipeline; its claims."""

import numpy as np
import pytest
import torch
from models import shallow, small
from torch import nn

import modiff_sim as ms
import paper_checks
from analysis.experiments import prediction, sizes
from modiff_sim import Verdict
from modiff_sim.evidence import judge
from modiff_sim.nn import modulated, probed, transfer, zoo
from modiff_sim.transfer import energy, full_precision, measure_transfer


def scaled_rotations(factors, d=6, seed=0):
    """Linear layers that multiply every energy by factor², whatever its direction."""
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(*(nn.Linear(d, d, dtype=torch.float64) for _ in factors))
    with torch.no_grad():
        for layer, factor in zip(model, factors, strict=True):
            layer.weight.copy_(factor * torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64))[0])
    return model.eval()


def rows(n=3, *shape, seed=0, dtype=torch.float64):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# -- one call ---------------------------------------------------------------------------------------------------------


def test_known_matrices_give_exact_energies():
    found = transfer(scaled_rotations((2.0, 0.5, 3.0)), rows(4, 6))
    expected = np.zeros((3, 3))
    expected[0, 1], expected[0, 2], expected[1, 2] = 1.0, 0.25, 1.0
    assert found.upstream.shape == (3, 3, 4)
    assert np.allclose(found.upstream, expected[..., None], rtol=1e-9)
    assert np.allclose(found.output, np.array([0.25 * 9, 9.0, 1.0])[:, None], rtol=1e-9)
    assert np.allclose(found.entered, np.array([1.0, 4.0, 1.0])[:, None], rtol=1e-9)
    assert np.allclose(found.through, 9.0, rtol=1e-9)


def test_mean_energy_is_that_of_autograds_jacobian():
    """Of a nonlinear model: mean over noise of the output's energy = ||J||² per unit of the same mean behind A."""
    model = small()
    x = rows(1, 2, 8, 8)
    found = transfer(model, x.repeat(2000, 1, 1, 1), 0.3, levels=1e5)
    J = torch.autograd.functional.jacobian(lambda z: model(z, 0.3), x).reshape(6, -1)
    # white noise in x: E||J z||²/E||z||²; of 2000 draws with 6 outputs the mean is known to 2 %
    assert found.through.mean() == pytest.approx(float((J**2).sum() / x.numel()), rel=0.1)
    (first,) = [i for i, name in enumerate(_order(model, x)) if name == "first"]
    inner = torch.autograd.functional.jacobian(lambda o: _after_first(model, o), model.first(x)).reshape(6, -1)
    A = torch.autograd.functional.jacobian(lambda z: model.first(z), x).reshape(inner.shape[1], -1)
    expected = float(((inner @ A) ** 2).sum() / (A**2).sum())
    assert found.output[first].mean() == pytest.approx(expected, rel=0.1)


def _order(model, x):
    with probed(model, forward=lambda rows, call: model(rows)) as network:
        network.discover(x.numpy())
        return network.layers


def _after_first(model, o):
    x = model.second(torch.relu(o)).mean((-2, -1))
    return model.head(torch.tanh(model.head(x)) + 0.3)


def test_a_layer_used_twice_is_two_and_the_model_is_left_alone():
    model, x = small(), rows(3, 2, 8, 8)
    before = model(x)
    assert _order(model, x) == ("first", "second", "head", "head#1")
    found = transfer(model, x)
    assert not np.tril(found.upstream.mean(axis=2)).any()  # nothing reaches a layer that was called before, or itself
    assert np.all(found.upstream[0, 1:] > 0)
    assert np.all(found.output > 0)
    assert torch.equal(model(x), before)
    assert not model.first._forward_pre_hooks
    assert not model._forward_pre_hooks


def test_where_and_keyword_inputs():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(input=self.a(input=x))

    model = Named().eval()
    assert transfer(model, rows(2, 4, dtype=torch.float32)).output.shape == (2, 2)
    found = transfer(model, rows(2, 4, dtype=torch.float32), where=lambda name, _: name == "b")
    # float32 outputs of which 1 % is noise: 100·eps = 1.2e-5 of an amplitude, a few of them
    assert np.allclose(found.output, 1.0, rtol=1e-4)


def test_an_edit_does_to_the_model_what_a_hook_would():
    model, x = small(), rows(2, 2, 8, 8)
    with probed(model, timesteps=[0, 3]) as network:
        network.discover(x.numpy())
        out = network(x.numpy(), 1, lambda layer, a: a + 0.1 if network.layers[layer] == "head#1" else a)
    body = model.second(torch.relu(model.first(x))).mean((-2, -1))
    assert np.allclose(out, (model.head(torch.tanh(model.head(body)) + 3 + 0.1)).detach().numpy())


def test_reduced_precision_models_are_measured_in_float32():
    model = nn.Sequential(nn.Linear(6, 6)).to(torch.bfloat16).eval()
    found = transfer(model, rows(3, 6, dtype=torch.bfloat16), levels=4.0)
    assert np.allclose(found.output, 1.0, atol=0.05)  # bfloat16 has 3 digits


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.zeros(0, 6), {}, "non-empty floating"),
        (torch.zeros(2, 6, dtype=torch.int64), {}, "non-empty floating"),
        (torch.zeros(6), {}, "non-empty floating"),
        ([1.0], {}, "non-empty floating"),
        (torch.ones(2, 6), {"levels": 1.0}, "levels must be above 1"),
        (torch.ones(2, 6), {"where": lambda name, _: False}, "nothing to probe"),
    ],
)
def test_bad_input(x, options, message):
    with pytest.raises(ValueError, match=message):
        transfer(nn.Sequential(nn.Linear(6, 6)).eval(), x, **options)


def test_models_that_cannot_be_measured_are_refused():
    model = nn.Sequential(nn.Linear(6, 6))
    with pytest.raises(ValueError, match="training mode"):
        transfer(model, rows(2, 6))
    with pytest.raises(TypeError, match=r"nn\.Module"), probed(lambda x: x, timesteps=[0]):
        pass
    for options in ({}, {"timesteps": [0], "forward": lambda x, call: x}):
        with pytest.raises(ValueError, match="timesteps=, one per call, or forward="), probed(model.eval(), **options):
            pass
    with modulated(model, activations=ms.AbsMax(4)), pytest.raises(RuntimeError, match="modulated"):
        transfer(model, rows(2, 6, dtype=torch.float32))
    with probed(model, timesteps=[0]) as network, pytest.raises(RuntimeError, match="discover"):
        _ = network.layers


def test_a_layer_without_the_samples_on_axis_0_is_named():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 6)

        def forward(self, x):
            return self.a(x.reshape(-1, 6)).reshape(x.shape)

    model = Mixed().eval()
    with pytest.raises(ValueError, match=r"layer 'a': its input .* 2 samples on axis 0"):
        transfer(model, rows(2, 3, 6, dtype=torch.float32))
    assert not model.a._forward_pre_hooks  # after the exception, too


# -- a run ------------------------------------------------------------------------------------------------------------


def test_a_unet_along_a_run():
    model = shallow()
    x = rows(2, 1, 8, 8, dtype=torch.float32).numpy()
    steps = (np.full(3, 0.95), np.full(3, -0.1))
    with probed(model, timesteps=[900, 500, 100]) as network:
        network.discover(x)
        found = measure_transfer(network, x, steps, probe_every=2)
        inputs = full_precision(network, x, steps)
    assert len(found.layers) == len(inputs) == len(set(found.layers))
    assert np.allclose(found.a, np.stack([[energy(a) for a in layer] for layer in inputs]).swapaxes(0, 1), rtol=1e-4)
    # error of ε̂ enters x times add; float32 noise of 1 % leaves 3 digits
    once = found.impulse[np.arange(3), np.arange(1, 4)]
    assert np.all(once > 0)
    last = list(found.layers).index("conv_out")
    assert np.allclose(found.output[:, last], 1.0, rtol=1e-3)
    assert 0 <= found.alignment <= 1


# -- the digits model -------------------------------------------------------------------------------------------------

MODULES = {
    name: next(m for m in paper_checks.claims("practice") if m.CLAIM.id == name)
    for name in (
        "small_gain_trained_model", "predicted_error_digits", "predicted_cliff_digits", "amplification_tells",
        "time_path_error",
    )
}  # fmt: skip


def verdict(name, **overrides):
    return judge(MODULES[name].CLAIM, MODULES[name].check("quick", **overrides))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The whole pipeline on the trained model at a size of seconds: 6 calls, 2 images to measure, 8 to compare with."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MODIFF_OUT", str(tmp_path_factory.mktemp("out")))
    patch.setenv("MODIFF_WORKERS", "1")
    effort = sizes.Effort("quick", steps=6, n=8, weight_bits=(8,), n_recorded=8, bits=(4, 6))
    patch.setitem(sizes.EFFORTS, "quick", effort)
    plan = prediction.PredictionSettings(samples=2, probe_every=3, source_every=2, lasting_every=1, images=8)
    patch.setitem(prediction.PLANS, "quick", plan)
    yield prediction
    patch.undo()


def test_the_time_path_is_what_sees_the_same_in_all_images(tiny):
    clocked, known = tiny.known("quick")
    everything = [name for name, module in zoo.load("digits").named_modules() if "time_emb" in name]
    assert set(clocked) <= set(everything)
    assert {"time_embedding.linear_1", "time_embedding.linear_2", "mid_block.resnets.0.time_emb_proj"} <= set(clocked)
    assert not set(clocked) & set(tiny.transfer("quick").layers)
    assert known["closed_loop", 4].x.shape == (7, 2)


def test_the_prediction_is_near_what_sampling_shows(tiny):
    """6 calls and 2 images to measure on: a factor of 2.5 in the result; recursions and bits differ by far more."""
    predicted, errors = tiny.predictions("quick"), tiny.measured("quick")
    assert set(predicted) == set(errors) == set(tiny.arms_of("quick"))
    for arm in (("direct", 6), ("open_loop", 6), ("closed_loop", 6), ("closed_loop", 4)):
        ratio = predicted[arm].final / np.median(errors[arm][-1])
        assert 0.4 < ratio < 2.5, (arm, ratio)


def test_everything_is_stored_by_content(tiny, monkeypatch):
    first = tiny.transfer("quick")

    def computed(*arguments, **options):
        raise AssertionError("computed again")

    for name in ("measure_transfer", "quantization_noise", "drive", "random_sign_gain"):
        tiny.loop_gain("quick", calls=2, probes=2)
        monkeypatch.setattr(prediction, name, computed)
    assert np.array_equal(tiny.transfer("quick").impulse, first.impulse)
    tiny.noises("quick")
    tiny.known("quick")
    assert tiny.loop_gain("quick", calls=2, probes=2).shape == (2, 2, 2)


def test_the_small_gain_condition_fails_on_the_trained_model(tiny):
    found = verdict("small_gain_trained_model", bits=4)
    assert found.verdict == Verdict.PREMISE_FAILS
    assert "demands" in found.detail
    assert verdict("small_gain_trained_model", bits=4, shrink=1e-3).verdict == Verdict.HOLDS  # were L that small


@pytest.fixture
def exact(tiny, monkeypatch):
    """Errors that are what is predicted, with some scatter over images: the claims hold by construction."""
    predicted = tiny.predictions("quick")
    scatter = 1 + 0.05 * np.random.default_rng(0).standard_normal((6, 16))
    errors = {arm: np.median(p.relative, axis=1)[:, None] * scatter for arm, p in predicted.items()}
    monkeypatch.setattr(prediction, "measured", lambda effort: errors)
    return errors


@pytest.mark.parametrize("name", ["predicted_error_digits", "predicted_cliff_digits"])
def test_verdicts_follow_what_is_measured(exact, name):
    from paper_checks.transfer._controls import halved, no_sampler

    assert verdict(name).verdict == Verdict.HOLDS
    if name == "predicted_error_digits":
        assert verdict(name, recursion="direct").verdict == Verdict.VIOLATED
        for change in (halved, no_sampler):
            small_known = verdict(name, change=change)
            assert small_known.measured > verdict(name).measured
    for arm in exact:
        exact[arm] *= 30.0
    assert verdict(name).verdict == Verdict.VIOLATED


def test_amplification_claim_follows_what_is_measured(exact):
    stable = verdict("amplification_tells")
    for arm in exact:
        exact[arm] *= 1e6  # no bit width keeps the error
    assert verdict("amplification_tells").verdict == Verdict.VIOLATED
    assert stable.evidence.claimed.shape == (2,)


def test_time_path_claim_follows_what_is_measured(tiny, monkeypatch):
    known = tiny.known("quick")[1]["open_loop", 6]
    size = np.sqrt(known.x / tiny.transfer("quick").x)
    for factor, expected in ((1.2, Verdict.HOLDS), (5.0, Verdict.VIOLATED)):
        errors = {("open_loop", 6): factor * size[1:]}
        monkeypatch.setattr(prediction, "measured", lambda effort, errors=errors: errors)
        assert verdict("time_path_error").verdict == expected


def test_plans_are_named_like_efforts():
    assert set(prediction.PLANS) == set(sizes.EFFORTS)
    with pytest.raises(ValueError, match="unknown effort"):
        prediction.plan_of("nonsense")
