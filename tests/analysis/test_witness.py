"""Witnesses: the ports of other people's networks on made-up weights, their files, the sweep, and the rows."""

import dataclasses

import numpy as np
import pytest
import torch
from made_witnesses import HOURS, foreign, made
from torch import nn

import modiff_sim as ms
from analysis.running import workspace
from analysis.witness import __main__ as program
from analysis.witness import csdi, measure, plan, pulfer, rows, sampling, witnesses
from analysis.witness.arms import LAYERS, Arm, baseline, full
from modiff_sim.sweeps.store import StoreError, verify_one
from modiff_sim.sweeps.sweep import SweepError


@pytest.mark.parametrize(("module", "parameters"), [(pulfer, 606_852), (csdi, 414_065)])
def test_the_port_takes_the_names_of_the_file_and_no_others(module, parameters):
    network = made(module)
    state = foreign(module, network)
    assert sum(value.numel() for value in state.values()) == parameters  # as the authors' network has
    for name, value in witnesses.built(module, state).state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
    with pytest.raises(RuntimeError, match="Missing key"):
        witnesses.built(module, dict(list(state.items())[1:]))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        witnesses.built(module, state | {"more.weight": torch.ones(1)})


def test_every_sample_is_computed_by_itself():
    t, more = torch.tensor([7, 7]), {}
    for module, shape in ((pulfer, pulfer.SHAPE), (csdi, (1, csdi.FEATURES, HOURS))):
        network, x = made(module), torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
        more = {"known": x, "shown": (x > 1).float()} if module is csdi else {}
        both = network(x, t, **more)
        assert both.shape == x.shape
        one = network(x[1:], t[1:], **{name: value[1:] for name, value in more.items()})
        torch.testing.assert_close(one, both[1:], atol=1e-5, rtol=1e-4)


def test_a_transformer_of_csdi_is_torchs():
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(64, 8, 64, activation="gelu", batch_first=True).eval()
    ours = csdi.Transformer().eval()
    ours.load_state_dict({name.replace("in_proj_", "in_proj."): value for name, value in theirs.state_dict().items()})
    x = torch.randn(2, 3, 5, 64)
    torch.testing.assert_close(ours(x), theirs(x.flatten(0, 1)).unflatten(0, (2, 3)), atol=1e-5, rtol=1e-4)


def test_a_block_of_csdi_attends_over_hours_then_over_features():
    network, generator = made(csdi), torch.Generator().manual_seed(0)
    block = network.residual_layers[0]
    x = torch.randn(1, 64, csdi.FEATURES * HOURS, generator=generator)
    side, step = torch.randn(1, 145, x.shape[2], generator=generator), torch.randn(1, 128, generator=generator)
    y = (x + block.diffusion_projection(step)[:, :, None])[0].reshape(64, csdi.FEATURES, HOURS)
    for layer, axis in ((block.time_layer, 1), (block.feature_layer, 2)):
        lines = [layer(line.T[None, None])[0, 0].T for line in y.unbind(axis)]  # each (64, tokens)
        y = torch.stack(lines, dim=axis)
    gate, value = (block.mid_projection(y.reshape(1, 64, -1)) + block.cond_projection(side)).chunk(2, dim=1)
    residual, skip = block.output_projection(gate.sigmoid() * value.tanh()).chunk(2, dim=1)
    found = block(x, side, step)
    torch.testing.assert_close(found, ((x + residual) / 2**0.5, skip), atol=1e-5, rtol=1e-4)


def test_the_last_block_of_pulfer_is_not_normalized():
    network, x = made(pulfer), torch.randn(1, *pulfer.SHAPE, generator=torch.Generator().manual_seed(0))
    out, t = network(x, torch.tensor([3])), torch.tensor([3])
    for block, seen in ((network.b_out[2], False), (network.b_out[1], True), (network.b4[2], True)):
        torch.nn.init.constant_(block.ln.weight, 3.0)
        assert torch.equal(network(x, t), out) is not seen
        torch.nn.init.constant_(block.ln.weight, 1.0)


def test_csdi_sees_known_values_where_they_are_shown_and_noise_elsewhere():
    network, shape = made(csdi), (1, 1, csdi.FEATURES, HOURS)
    x, known = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    shown = torch.zeros(shape)
    shown[..., 0] = 1.0
    t = torch.tensor([3])
    out = network(x, t, known, shown)
    assert torch.equal(out, network(x + shown, t, known + (1 - shown), shown))
    assert not torch.allclose(out, network(x, t, known + shown, shown))
    assert not torch.allclose(out, network(x + (1 - shown), t, known, shown))


def test_the_noise_levels_are_those_of_the_authors():
    assert pulfer.schedule().betas[[0, -1]] == pytest.approx([1e-4, 0.02])
    betas = csdi.schedule().betas
    assert np.sqrt(betas)[[0, 25, 49]] == pytest.approx([0.01, 0.01 + 25 / 49 * (0.5**0.5 - 0.01), 0.5**0.5])


def test_only_imputed_values_are_judged():
    reference = np.ones((2, *csdi.SHAPE), np.float32)
    known = csdi.shown(range(2))
    assert 0.15 < known.mean() < 0.25
    assert np.array_equal(csdi.decibels(reference + known, reference, range(2)), [np.inf] * 2)
    assert csdi.decibels(reference + 0.1 * ~known, reference, range(2)) == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("name", plan.PLANS)
def test_a_selection_quantizes_what_it_says(name):
    module = witnesses.WITNESSES[name].network
    network, counts = made(module), {}
    layers = dict(network.named_modules())
    for chosen in LAYERS:
        arm = Arm("stochastic", "direct", 4, chosen)
        activations = arm._activations(network, module.TIME_PATH)
        linear = [k for k, m in layers.items() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
        bits = dict.fromkeys(linear, 4) if isinstance(activations, ms.AbsMax) else {}
        bits = bits or {k: activations.quantizer(k, 0).bits for k in linear}
        counts[chosen] = {k for k in linear if bits[k] == 4}
    assert counts["all"] == set(linear)
    time = counts["all"] - counts["no time path"]
    assert len(time) == {"pulfer": 14, "csdi": 6}[name]
    assert all(k.startswith(("te", "diffusion_embedding")) or k.endswith("diffusion_projection") for k in time)
    assert counts["convolutions"] == {k for k in linear if not isinstance(layers[k], nn.Linear)}


def test_differences_are_those_of_each_sample():
    network = nn.Sequential(nn.Linear(2, 2))
    with sampling.Differences.of(network) as seen:
        network(torch.tensor([[1.0, 0.0], [4.0, 0.0]]))
        network(torch.tensor([[0.9, 0.0], [4.0, 1.0]]))
        network(torch.tensor([[0.9, 0.1], [4.0, 1.0]]))
    network(torch.ones(2, 2))  # after the context nothing is seen
    assert np.stack(seen.ratios) == pytest.approx(np.array([[9.0, 4.0], [9.0, np.inf]]), rel=1e-5)
    found = seen.arrays()
    assert found["ratio"] == pytest.approx([9.0, np.inf])
    assert found["tenfold"].tolist() == [0.0, 0.5]


def test_a_missing_file_is_named_and_another_one_refused(small):
    path = small / "csdi.pt"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(witnesses.WitnessError, match=r"csdi.pt is another file than .* get github.com/ermongroup/CSDI"):
        witnesses.load("csdi", small)
    path.unlink()
    with pytest.raises(witnesses.WitnessError, match=r"csdi.pt is missing: get it from .*commit 16478a9f"):
        witnesses.load("csdi", small)


@pytest.mark.parametrize("name", plan.PLANS)
def test_an_interrupted_measurement_goes_on(small, monkeypatch, name):
    compute, seen = sampling.compute, []

    def fails_once(folder, point):
        seen.append(point)
        if len(seen) == 3:
            raise RuntimeError("made to fail")
        return compute(folder, point)

    monkeypatch.setattr(measure, "compute", fails_once)
    with pytest.raises(SweepError, match="1 of 6 points failed"):
        measure.measure(name, small, workers=1)
    found, pictures = measure.measure(name, small, workers=1)
    assert len(seen) == 7  # the one that failed, again
    assert pictures.shape[0] == 4
    by = {(row["bits"], row["weight_bits"], row["value"]): row["samples"] for row in found}
    assert set(by) == {
        (32, 32, "ratio"), (32, 32, "tenfold"), (32, 8, "to_full"), (4, 8, "to_full"), (4, 8, "to_baseline")
    }  # fmt: skip
    assert np.isfinite(by[4, 8, "to_baseline"]).all()
    assert (by[4, 8, "to_baseline"] < 200).all()


def test_rows_are_read_back_and_changed_ones_refused(small, tmp_path):
    found, _ = measure.measure("pulfer", small, workers=1)
    place = tmp_path / "rows"
    rows.save(place / "pulfer", found, rows.manifest("pulfer"))
    read = rows.committed("pulfer", place)
    assert len(read.values) == len(found)
    for row in found:
        arm = Arm(**{field.name: row[field.name] for field in dataclasses.fields(Arm)})
        np.testing.assert_allclose(read.of(arm, row["value"]), row["samples"], rtol=1e-4)
    with pytest.raises(StoreError, match="hold no 'to_full' of W8A6 direct, stochastic: measure them with --models"):
        read.of(Arm("stochastic", "direct", 6), "to_full")
    path = place / "pulfer" / "rows.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("stochastic", "Stochastic"), encoding="utf-8")
    rows.committed.cache_clear()
    with pytest.raises(StoreError, match="sha256 differs"):
        rows.committed("pulfer", place)


def test_the_program_measures_into_its_folder(small, capsys, monkeypatch):
    monkeypatch.setattr(workspace, "use", lambda path: None)
    few = (full("stochastic"), baseline("stochastic"), *(Arm("stochastic", r, 4) for r in ("direct", "closed_loop")))
    monkeypatch.setitem(plan.PLANS, "pulfer", plan.Plan(4, 2, few))
    command = ["pulfer", "--models", str(small), "--out", str(small / "out"), "--workers", "1"]
    assert program.main(command) == 0
    out = capsys.readouterr().out
    assert "W8A4 closed loop, stochastic" in out
    assert "mean over 4 samples" in out
    assert (small / "out" / "witness" / "pulfer" / "full_precision.png").is_file()
    (small / "pulfer.pt").unlink()
    witnesses.load.cache_clear()
    assert program.main(command) == 2
    assert "pulfer.pt is missing" in capsys.readouterr().err


def test_the_committed_rows_are_whole_and_printed(capsys):
    assert program.main([]) == 0
    out = capsys.readouterr().out
    for name, known in witnesses.WITNESSES.items():
        assert f"{name}: {known.kind}" in out
        assert verify_one(rows.COMMITTED / name) == []
        found = rows.committed(name)
        assert {arm for arm, _ in found.values} == set(plan.PLANS[name].arms)
        assert {len(values) for values in found.values.values()} == {plan.PLANS[name].samples}
    with pytest.raises(SystemExit):
        program.main(["nobody"])


def test_rows_of_other_weights_are_refused(small):
    """The file of a witness has been replaced by another one since its rows were measured."""
    rows.committed.cache_clear()
    with pytest.raises(StoreError, match="measured on other weights of csdi"):
        rows.committed("csdi", rows.COMMITTED)
    rows.committed.cache_clear()
