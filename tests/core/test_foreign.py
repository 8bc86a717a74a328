"""Recursions, quantizers and granularities of other people: the numbers of the definition on every engine, or a no."""

import foreign
import numpy as np
import pytest
import torch
from calls import infos
from models import small, walk
from reference import PAPER
from torch import nn

import modiff_sim as ms
from modiff_sim import Storage, cli, prediction, processes
from modiff_sim import recursion as rec
from modiff_sim.nn import Attention, modulated
from modiff_sim.simulation import driver

RECURSIONS = pytest.mark.parametrize("recursion", foreign.RECURSIONS.values(), ids=list(foreign.RECURSIONS))
QUANTIZERS = pytest.mark.parametrize("Q", foreign.QUANTIZERS.values(), ids=list(foreign.QUANTIZERS))


def by_definition(recursion, inputs, Q):
    """Errors in the max norm of ``recursion.run``, whose input the simulation measures."""
    return np.stack(
        [np.abs(a - s.output).max(axis=1) for a, (_, s) in zip(inputs, rec.run(recursion, inputs, Q), strict=True)]
    )


def recorded(steps=6, trials=5, d=8):
    return np.random.default_rng(0).standard_normal((steps, trials, d)).cumsum(axis=0)


@RECURSIONS
@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_simulate_runs_the_definition(recursion, engine, monkeypatch):
    monkeypatch.setattr(driver, "AUTO_FLOATS", 1)  # large enough for the fused kernel, if it could
    inputs = recorded()
    found = ms.simulate(processes.recorded(inputs), ms.AbsMax(4), recursion, steps=6, trials=5, engine=engine)
    assert np.array_equal(found.error_inf, by_definition(recursion, inputs, ms.AbsMax(4)))
    assert found.params["engine"] == "numpy"


@QUANTIZERS
@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_simulate_runs_foreign_quantizers_and_granularities(Q, recursion, monkeypatch):
    monkeypatch.setattr(driver, "AUTO_FLOATS", 1)
    inputs = recorded()
    found = ms.simulate(processes.recorded(inputs), Q, recursion, steps=6, trials=5)
    assert np.array_equal(found.error_inf, by_definition(recursion, inputs, Q))


def test_the_fused_kernel_declines_by_name():
    pytest.importorskip("numba")
    for recursion, said in (
        (foreign.Leaky(), "Leaky is none of direct, open_loop, closed_loop"),
        (foreign.overridden(), "ClosedLoop is"),
    ):
        with pytest.raises(ValueError, match=said):
            ms.simulate(processes.random_walk(d=4), ms.AbsMax(4), recursion, engine="numba")
    for Q in foreign.QUANTIZERS.values():
        with pytest.raises(ValueError, match="is not AbsMax with one scale per sample"):
            ms.simulate(processes.random_walk(d=4), Q, engine="numba")


def test_known_recursions_are_known_by_what_they_run():
    assert [rec.standard(r) for r in ms.RECURSIONS.values()] == [*PAPER, *[None] * (len(ms.RECURSIONS) - len(PAPER))]
    assert not any(rec.standard(r) for r in foreign.RECURSIONS.values())
    assert rec.standard(type("Renamed", (rec.OpenLoop,), {"name": "mine"})()) == "open_loop"
    assert [ms.RECURSIONS[name].reconstructs for name in PAPER] == [False, False, True]


def test_a_shortcut_of_the_closed_loop_is_not_taken_for_its_subclass():
    """With A = 1 the closed loop's ô is its reference; a damped reference is not ô."""
    inputs = recorded()
    explicit = infos(rec.run(foreign.LeakyLoop(), inputs, ms.AbsMax(4), lambda a: a))
    implied = infos(rec.run(foreign.LeakyLoop(), inputs, ms.AbsMax(4)))
    assert all(np.array_equal(a.output, b.output) for a, b in zip(explicit, implied, strict=True))


def outputs(model, inputs, *, observed, **arm):
    with torch.no_grad(), modulated(model, **({"activations": ms.AbsMax(4)} | arm)) as run:
        if observed:
            run.observers.append(lambda *_: None)
        return [model(x) for x in inputs], run.state_bytes()


@RECURSIONS
def test_modulated_equals_the_definition(recursion):
    """On every layer, driven by the inputs that the layer saw; in-place activations write into inputs and outputs."""
    model, seen, made = small(), {}, {}
    with torch.no_grad(), modulated(model, activations=ms.AbsMax(4), recursion=recursion) as run:
        run.observers.append(lambda name, call, a, state: seen.setdefault(name, []).append(a.clone()))
        run.observers.append(lambda name, call, a, state: made.setdefault(name, []).append(state.output.clone()))
        for x in walk(6):
            model(x)
        operators = dict(run.operators)
    for name, inputs in seen.items():
        A = operators[name.partition("#")[0]]
        states = infos(rec.run(recursion, inputs, ms.AbsMax(4), A.linear, affine=A.affine))
        assert all(torch.equal(s.output, o) for s, o in zip(states, made[name], strict=True)), name


@RECURSIONS
def test_modulated_gives_the_same_with_and_without_an_observer(recursion):
    (fast, held), (slow, _) = (outputs(small(), list(walk(6)), observed=o, recursion=recursion) for o in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))
    assert held > 0


@QUANTIZERS
def test_modulated_runs_foreign_quantizers_and_granularities(Q):
    (fast, _), (slow, _) = (outputs(small(), list(walk(6)), observed=o, activations=Q) for o in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


def test_what_a_foreign_recursion_does_not_take_is_refused_before_anything_runs():
    for options, said in (
        ({"storage": Storage(ref=ms.AbsMax(8))}, r"Momentum.init is another: leave storage= out"),
        ({"skip": ms.Threshold(0.1)}, r"Momentum.init is another: leave skip= out"),
    ):
        with (
            pytest.raises(ValueError, match=said),
            modulated(small(), activations=ms.AbsMax(4), recursion=foreign.Momentum(), **options),
        ):
            pass
    with pytest.raises(ValueError, match="needs ô = A"):
        infos(rec.run(foreign.LeakyLoop(), recorded(), ms.AbsMax(4), storage=Storage(o_hat="recompute")))


def test_products_predictions_and_wrong_types_are_refused():
    with pytest.raises(ValueError, match="products of two activations are defined for direct"):
        Attention(q=ms.AbsMax(4), k=ms.AbsMax(4), recursion=foreign.Leaky())
    with pytest.raises(ValueError, match="errors are predicted for direct"):
        prediction.layer_noise(recorded(), ms.AbsMax(4), foreign.Leaky())
    for call in (lambda r: ms.simulate(processes.random_walk(d=4), ms.AbsMax(4), r), lambda r: rec.get(r)):
        with pytest.raises(TypeError, match=r"pass an instance, Leaky\(\)"):
            call(foreign.Leaky)
        with pytest.raises(ValueError, match="unknown recursion 'leaky'"):
            call("leaky")


def test_the_command_line_shows_a_registered_recursion_without_a_bound(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(rec.RECURSIONS, "leaky", foreign.Leaky())
    assert cli.main(["simulate", "--steps", "5", "--trials", "4", "--d", "4"]) == 0
    shown = capsys.readouterr().out.split("\nleaky\n")[1]
    assert "no bound is known for this recursion" in shown
    assert cli.main(["simulate", "--recursion", "leaky", "--json", "--plot", str(tmp_path / "leaky.png")]) == 0


def test_zero_bits_that_are_no_zeros_are_computed():
    """At 0 bits only ``Zero`` is known to give zeros: another quantizer that calls itself so may not."""

    class Half(ms.Zero):
        def dequantize(self, codes, qparams):
            return codes + 0.5

    inputs = recorded()
    states = infos(rec.run("closed_loop", inputs, Half(), lambda a: 2 * a))
    assert np.allclose(states[-1].output, 2 * inputs[0] + 5.0, rtol=0, atol=1e-12)


def test_codes_that_their_container_does_not_hold_are_refused():
    class Wide(ms.AbsMax):
        def quantize(self, blocks, qparams, *, random=None):
            return 100 * super().quantize(blocks, qparams)

    with pytest.raises(ValueError, match="which int8 does not hold exactly"):
        infos(rec.run("closed_loop", recorded(), ms.AbsMax(4), storage=Storage(ref=Wide(8))))


def test_codes_of_a_quantizer_of_ones_own_that_fit_are_kept():
    class Own(ms.AbsMax):
        pass

    own, known = (
        infos(rec.run("closed_loop", recorded(), ms.AbsMax(4), storage=Storage(ref=kind(8))))
        for kind in (Own, ms.AbsMax)
    )
    assert all(np.array_equal(a.output, b.output) for a, b in zip(own, known, strict=True))


def put_on(what, name, value):
    object.__setattr__(what, name, value)
    return what


INSTANCES = {
    "quantizer": lambda: put_on(ms.AbsMax(3), "choose_qparams", foreign.Coarse(3).choose_qparams),
    "granularity": lambda: ms.AbsMax(3, granularity=put_on(ms.PerSample(), "blocked", ms.PerBatch().blocked)),
}


@pytest.mark.parametrize("make", INSTANCES.values(), ids=list(INSTANCES))
def test_what_was_put_on_an_instance_is_run(make, monkeypatch):
    """The class is AbsMax with one scale per sample, and the instance is not."""
    monkeypatch.setattr(driver, "AUTO_FLOATS", 1)
    inputs = recorded()
    found = ms.simulate(processes.recorded(inputs), make(), "closed_loop", steps=6, trials=5)
    assert np.array_equal(found.error_inf, by_definition("closed_loop", inputs, make()))
    with pytest.raises(ValueError, match="is not AbsMax with one scale per sample"):
        ms.simulate(processes.recorded(inputs), make(), "closed_loop", steps=6, trials=5, engine="numba")
    (fast, _), (slow, _) = (outputs(small(), list(walk(6)), observed=o, activations=make()) for o in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


class InPlace(rec.ClosedLoop):
    """Writes into its own state."""

    def init(self, a, Q, A, *, warmup="exact", affine=None, random=None):
        o_hat = (affine or A)(a)
        return rec.State(a.clone(), o_hat, 1), rec.Info(o_hat)

    def step(self, state, a, Q, A, *, random=None):
        hat, qparams = Q.apply(a - state.ref)
        state.ref.add_(hat)
        state.o_hat.add_(A(hat))
        state = rec.State(state.ref, state.o_hat, state.call + 1)
        return state, rec.Info(state.o_hat, a - state.ref, hat, qparams)


def test_a_failed_call_leaves_a_state_that_its_recursion_writes_into():
    inputs, made = list(walk(5)), []
    for fails in (False, True):
        model, out = small(), []
        with torch.no_grad(), modulated(model, activations=ms.AbsMax(3), recursion=InPlace()):
            for k, x in enumerate(inputs):
                if fails and k == 2:
                    broken = model.second.register_forward_pre_hook(lambda *_: 1 / 0)
                    with pytest.raises(ZeroDivisionError):
                        model(x)
                    broken.remove()
                out.append(model(x).clone())
        made.append(out)
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_a_quantizer_whose_scale_is_a_number_is_run():
    class Plain(ms.AbsMax):
        def choose_qparams(self, a):
            return ms.QParams(float(super().choose_qparams(a).scale.max()))

    (made, _), (again, _) = (outputs(small(), list(walk(3)), observed=o, activations=Plain(4)) for o in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))


@pytest.mark.parametrize("cls", [nn.Linear, nn.Conv2d])
def test_a_forward_that_was_replaced_for_a_whole_class_is_not_taken_for_torchs(cls, monkeypatch):
    """As some libraries add adapters: the layers compute something else, and are left out by name."""
    own = cls.forward
    made = {nn.Linear: lambda: nn.Linear(4, 4), nn.Conv2d: lambda: nn.Conv2d(2, 2, 3, padding=1)}[cls]()
    other = {nn.Linear: nn.Conv1d(2, 2, 3, padding=1), nn.Conv2d: nn.Linear(4, 4)}[cls]
    model, x = nn.Sequential(made, other), torch.randn(2, 2, 4) if cls is nn.Linear else torch.randn(1, 2, 4, 4)
    monkeypatch.setattr(cls, "forward", lambda self, x: own(self, x) + 3.0)
    right = model(x)
    with modulated(model, activations=ms.Identity(), recursion="direct") as run:
        assert torch.equal(model(x), right)
        assert run.audit().unsupported == (f"0 ({cls.__name__})",)
