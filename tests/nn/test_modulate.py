"""modulated(): every arm on small models equals the recursion layer by layer; what it touches and what it refuses."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from models import shallow, small, walk
from torch import nn

import modiff_sim as ms
from analysis.faults import interrupts as interrupted
from modiff_sim import Static, Storage, Threshold
from modiff_sim import recursion as rec
from modiff_sim.nn import Attention, ByCall, Reuse, modulated, quantize_weights, record


def snapshot(model):
    return {k: v.clone() for k, v in model.state_dict().items()}, [dict(m.__dict__) for m in model.modules()]


def untouched(model, before):
    weights, attributes = before
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    for module, old in zip(model.modules(), attributes, strict=True):
        assert module.__dict__.keys() == old.keys()
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.parametrize("recursion", rec.RECURSIONS)
@pytest.mark.parametrize("warmup", ["exact", "quantized", 3])
@pytest.mark.parametrize("refresh", ["never", 3])
@pytest.mark.parametrize("weights", [None, ms.AbsMax(4)])
def test_one_layer_equals_the_recursion_bit_for_bit(recursion, warmup, refresh, weights):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = nn.Conv2d(2, 4, 3, padding=1, dtype=torch.float64)
    Q, inputs = ms.AbsMax(3), list(walk(7))
    w = layer.weight.detach() if weights is None else weights(layer.weight.detach())

    def A(a):
        return torch.nn.functional.conv2d(a, w, None, padding=1)

    def affine(a):
        return torch.nn.functional.conv2d(a, w, layer.bias.detach(), padding=1)

    expected = rec.run(recursion, inputs, Q, A, affine=affine, warmup=warmup, refresh=refresh)
    with modulated(layer, activations=Q, weights=weights, recursion=recursion, warmup=warmup, refresh=refresh) as run:
        for a, (_, info) in zip(inputs, expected, strict=True):
            assert torch.equal(layer(a), info.output)
    assert len(run.audit().layers) == 1


@pytest.mark.parametrize(
    ("recursion", "skip"), [*((name, None) for name in rec.RECURSIONS), ("closed_loop", Threshold(0.5))]
)
def test_a_refresh_is_the_model_itself(recursion, skip):
    """Biases included: a refreshed call has the outputs of the model in full precision, to the bit, and after it the
    loops go on from them: what they make of an input that stays is the same output once more."""
    model, inputs = small(), list(walk(6))
    inputs[3] = inputs[2]
    with torch.no_grad():
        plain = [model(x) for x in inputs]
    with modulated(model, activations=ms.AbsMax(3), recursion=recursion, refresh=(2, 5), skip=skip):
        found = [model(x) for x in inputs]
    same = [torch.equal(y, expected) for y, expected in zip(found, plain, strict=True)]
    assert [same[call] for call in (1, 2, 4, 5)] == [False, True, False, True]
    if recursion in ("open_loop", "closed_loop"):
        assert same[3]


def test_identity_arm_is_the_model_itself():
    """The direct arm bit for bit; the loops up to the rounding of sums, 7 calls of numbers below 10."""
    model = small()
    with torch.no_grad():
        plain = [model(x) for x in walk(7)]
    with modulated(model, activations=ms.Identity(), recursion="direct"):
        assert all(torch.equal(model(x), y) for x, y in zip(walk(7), plain, strict=True))
    for recursion in ("open_loop", "closed_loop"):
        with modulated(model, activations=ms.Identity(), recursion=recursion):
            for x, y in zip(walk(7), plain, strict=True):
                assert torch.allclose(model(x), y, rtol=0, atol=100 * 7 * 10 * torch.finfo(torch.float64).eps)


@pytest.mark.parametrize("make", [small, shallow], ids=["small", "unet"])
@pytest.mark.parametrize("recursion", rec.RECURSIONS)
def test_leaving_restores_the_model_bit_for_bit(make, recursion):
    model = make()
    inputs = list(walk(3)) if make is small else list(walk(3, shape=(1, 8, 8), dtype=torch.float32))
    args = () if make is small else (5,)
    with torch.no_grad():
        plain = model(inputs[0], *args)
    before = snapshot(model)
    with modulated(model, activations=ms.AbsMax(2), weights=ms.AbsMax(3), recursion=recursion):
        arm = [model(x, *args) for x in inputs]
    value = getattr(arm[-1], "sample", arm[-1])
    assert torch.isfinite(value).all()
    untouched(model, before)
    with torch.no_grad():
        again = model(inputs[0], *args)
    assert torch.equal(getattr(again, "sample", again), getattr(plain, "sample", plain))


def test_leaving_restores_after_an_exception_and_keeps_foreign_forwards():
    model = small()
    foreign = model.first.forward
    model.first.forward = foreign  # another library's patch, an instance attribute
    before = snapshot(model)

    def fails():
        with modulated(model, activations=ms.AbsMax(4)):
            model(next(walk(1)))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    untouched(model, before)
    assert model.first.__dict__["forward"] is foreign


def test_a_layer_called_twice_has_a_state_per_occurrence():
    """With 0 bits every occurrence must repeat its own first output: with one shared state the second would repeat
    the first's."""
    model, inputs = small(), list(walk(3))
    with torch.no_grad():
        plain = model(inputs[0])
    with modulated(model, activations=ms.Zero()) as run:
        for x in inputs:
            assert torch.allclose(model(x), plain, rtol=0, atol=1e-14)
    assert run.audit().layers[-1].calls == 6  # twice per model call


def test_in_place_activations_do_not_reach_the_state():
    """The in-place ReLU after the first layer writes into its output; ô must stay A(â)."""
    inputs = list(walk(5))
    in_place, out_of_place = small(), small()
    out_of_place.act = nn.ReLU(inplace=False)
    for recursion in ("open_loop", "closed_loop"):
        with modulated(in_place, activations=ms.AbsMax(3), recursion=recursion):
            a = [in_place(x.clone()) for x in inputs]
        with modulated(out_of_place, activations=ms.AbsMax(3), recursion=recursion):
            b = [out_of_place(x.clone()) for x in inputs]
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_reset_starts_a_new_batch():
    model = small()
    with modulated(model, activations=ms.AbsMax(3)) as run:
        first = [model(x) for x in walk(4)]
        with pytest.raises(ValueError, match=r"layer 'first', call 4: shape changed .* run.reset\(\)"):
            model(next(walk(1, batch=5)))
        held = run.state_bytes()
        run.reset()
        assert held > 0
        assert run.state_bytes() == 0
        assert all(torch.equal(x, y) for x, y in zip([model(x) for x in walk(4)], first, strict=True))
        run.reset()
        model(next(walk(1, batch=5)))
    assert run.audit().resets == 2


def test_nan_names_layer_and_call_and_leaves_the_state():
    model = small()
    inputs = list(walk(3))
    bad = inputs[1].clone()
    bad[0, 0, 0, 0] = torch.nan
    for recursion in rec.RECURSIONS:
        with modulated(model, activations=ms.AbsMax(3), recursion=recursion):
            expected = [model(x) for x in inputs]
        with modulated(model, activations=ms.AbsMax(3), recursion=recursion) as run:
            model(inputs[0])
            before = run.audit().layers[0].calls
            with pytest.raises(ValueError, match="layer 'first', call 1: the input is not finite: 1 of 384 entries"):
                model(bad)
            assert run.audit().layers[0].calls == before
            assert torch.equal(model(inputs[1]), expected[1])
        with (
            modulated(model, activations=ms.AbsMax(3), recursion=recursion),
            pytest.raises(ValueError, match="layer 'first', call 0"),
        ):
            model(bad)


def test_audit_counts_what_was_quantized():
    model = small()
    for options, share in [
        ({"recursion": "direct"}, 1.0),
        ({"recursion": "closed_loop"}, 4 / 5),
        ({"recursion": "closed_loop", "warmup": "quantized"}, 1.0),
        ({"recursion": "closed_loop", "refresh": (2,)}, 3 / 5),
        ({"recursion": "closed_loop", "refresh": 1}, 0.0),  # a cache reset at every step quantizes nothing
        ({"recursion": "direct", "activations": ms.Identity()}, 0.0),
    ]:
        with modulated(model, **({"activations": ms.AbsMax(4)} | options)) as run:
            for x in walk(5):
                model(x)
        audit = run.audit()
        assert audit.mac_share == pytest.approx(share), options
        assert audit.call_share == pytest.approx(share), options
        assert audit.model_calls == 5
        assert audit.activation_bits == pytest.approx(4 * share + 32 * (1 - share))
    assert "100.0%" not in str(audit)
    assert "total: 0.0% of all MACs" in str(audit)


def test_audit_macs_equal_the_flop_counter():
    """torch counts 2 FLOPs per MAC."""
    from torch.utils.flop_counter import FlopCounterMode

    for model, x, args in [(small(), next(walk(1)), ()), (shallow(), torch.zeros(3, 1, 8, 8), (5,))]:
        with modulated(model, activations=ms.Identity(), recursion="direct") as run:
            with FlopCounterMode(display=False) as counter:
                model(x, *args)
            counts = counter.get_flop_counts()["Global"]
        names = {"aten.convolution", "aten.addmm", "aten.mm"}
        linear = sum(v for k, v in counts.items() if str(k) in names)
        assert linear == 2 * sum(layer.macs for layer in run.audit().layers)


def test_audit_names_what_it_does_not_cover():
    model = nn.Sequential(nn.Linear(4, 4), nn.ConvTranspose1d(4, 4, 3), nn.Linear(2, 2))

    class Custom(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    model.append(Custom(2, 2))
    with modulated(model, activations=ms.AbsMax(4), where=lambda name, m: name != "2") as run:
        pass
    audit = run.audit()
    assert audit.unsupported == ("1 (ConvTranspose1d)", "3 (Custom)")
    assert audit.excluded == ("2",)
    assert audit.uncalled == ("0",)
    assert "unsupported: 1 (ConvTranspose1d)" in str(audit)


def test_saturation_and_zero_range_are_counted():
    layer = nn.Linear(4, 2)
    x = torch.tensor([[1.0, 2.0, 100.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    with modulated(layer, activations=ms.Static(3, scale=1.0), recursion="direct") as run:
        layer(x)
    assert run.audit().layers[0].row()["saturated_share"] == 1 / 8
    with modulated(layer, activations=ms.AbsMax(3), recursion="direct") as run:
        layer(x)
    assert run.audit().layers[0].row()["zero_range_share"] == 1 / 2


def test_zero_bits_are_caching_bit_for_bit():
    """0 bits after an exact first call: every linear layer repeats its first output. A cache written with hooks
    alone, with none of our code, gives the same bytes."""
    model = shallow()
    inputs = list(walk(4, shape=(1, 8, 8), dtype=torch.float32))
    with modulated(model, activations=ms.Zero()) as run:
        ours = [model(x, 900 - 10 * i).sample for i, x in enumerate(inputs)]
    cache, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            hooks.append(module.register_forward_hook(lambda m, i, o, name=name: cache.setdefault(name, o)))
    with torch.no_grad():
        theirs = [model(x, 900 - 10 * i).sample for i, x in enumerate(inputs)]
    for hook in hooks:
        hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    audit = run.audit()
    assert sum(x.skipped_macs for x in audit.layers) == sum(x.macs for x in audit.layers) * 3 // 4


def test_one_step_at_another_batch_size_is_within_one_grid_step():
    """Another batch size changes a layer's input by rounding (float sums in another order). From a shared state that
    moves an entry of â by one grid step at most, and does so where a residual lies on a tie: most entries stay."""
    Q, g = ms.AbsMax(4), torch.Generator().manual_seed(0)
    ref = torch.randn(3, 4, 8, 8, generator=g)
    residual = torch.randint(-28, 29, ref.shape, generator=g) / 4.0  # a quarter of the entries are ties
    residual[:, 0, 0, 0] = 7.0  # so that the scale is 1
    a = ref + residual
    other = a * (1 + 5e-7 * torch.randn(a.shape, generator=g))
    step = rec.RECURSIONS["closed_loop"].step
    (one, info), (two, _) = (step(rec.State(ref, 0.0, 1), x, Q, lambda v: v) for x in (a, other))
    moved = (one.ref - two.ref).abs()
    # both scales and references carry the change of the input, 5e-7·max|a| times a few
    assert float(moved.max()) <= float(info.qparams.scale.max()) * (1 + 1e-5)
    flipped = float((moved > 0.5).float().mean())
    assert 0.01 < flipped < 0.25  # flips do happen, on ties only


def test_stochastic_rounding_is_seeded():
    model, inputs = small(), list(walk(4))

    def outputs(seed, stream=0):
        with modulated(model, activations=ms.Stochastic(3), seed=seed, warmup=2) as run:
            run.reset(stream=stream)
            return torch.stack([model(x) for x in inputs])

    assert torch.equal(outputs(0), outputs(0))
    assert not torch.equal(outputs(0), outputs(1))
    assert not torch.equal(outputs(0), outputs(0, stream=1))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recursion": "half_open"}, ValueError, "known: direct, open_loop, closed_loop"),
        ({"engine": "integers"}, ValueError, "did you mean 'integer'"),
        ({"engine": "integer"}, ValueError, "none of the 3 layers can run on integers; 'first': its weight is float64"),
        ({"warmup": 0}, ValueError, "warmup must be"),
        ({"refresh": -1}, ValueError, "k >= 1"),
        ({"refresh": 1.5}, TypeError, "refresh must be"),
        ({"seed": 1.5}, ValueError, "seed must be an int"),
        ({"seed": 2**60}, ValueError, "seed must be an int"),
        ({"skip": {"frist": Threshold(0.1)}}, ValueError, "'frist' is none of the layers"),
        (
            {"skip": Threshold(0.1), "storage": lambda name: Storage(ref=ms.AbsMax(8, granularity=ms.PerBatch()))},
            ValueError,
            "layer 'first': skip= leaves out single samples",
        ),
        ({"where": lambda name, m: False}, ValueError, "keeps none of the 3 layers"),
        ({"activations": 4}, TypeError, "must be a quantizer"),
        ({"activations": None}, TypeError, "must be a quantizer"),
        ({"weights": ms.Stochastic(4)}, ValueError, "without random bits"),
        ({"weights": ms.AbsMax(4, granularity=ms.PerGroup(5))}, ValueError, "weight of layer 'first'"),
    ],
)
def test_bad_arguments_leave_the_model_untouched(options, error, message):
    model = small()
    before = snapshot(model)
    with pytest.raises(error, match=message), modulated(model, **({"activations": ms.AbsMax(4)} | options)):
        pass
    untouched(model, before)


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="nothing to modulate"), modulated(nn.ReLU(), activations=ms.AbsMax(4)):
        pass
    model = small()
    with modulated(model, activations=ms.AbsMax(4)):
        with pytest.raises(RuntimeError, match="modulated already"), modulated(model, activations=ms.AbsMax(4)):
            pass
        model(next(walk(1)))  # the first run still works
    integer = nn.Linear(2, 2)
    with modulated(integer, activations=ms.AbsMax(4)), pytest.raises(ValueError, match="axis 0 is the sample axis"):
        integer(torch.zeros(2))


def test_a_run_holds_no_reference_through_the_model():
    model = small()
    with modulated(model, activations=ms.AbsMax(4)) as run:
        model(next(walk(1)))
    assert run.state_bytes() == 0
    assert copy.deepcopy(model)(next(walk(1))).shape == (3, 6)


def test_max_norm_bound_holds_layer_by_layer_on_a_real_network():
    """Closed loop inside a network: â of every layer stays within Σ κ^(age+1) ||d_k||_inf of its input."""

    def lost(info, a):
        return info.residual - info.residual_hat if info.quantized else 0 * a

    model = shallow()
    Q = ms.AbsMax(3)
    seen: dict[str, list] = {}
    with modulated(model, activations=Q) as run:
        run.observers.append(lambda name, call, a, info: seen.setdefault(name, []).append((a.clone(), lost(info, a))))
        for i, x in enumerate(walk(6, shape=(1, 8, 8), dtype=torch.float32)):
            model(x, 900 - 10 * i)
    assert len(seen) > 20
    for name, calls in seen.items():
        a = np.stack([c[0].double().flatten(1).numpy() for c in calls])
        error = np.abs(np.stack([c[1].double().flatten(1).numpy() for c in calls])).max(-1)
        d = np.abs(np.diff(a, axis=0)).max(-1)
        bound = ms.bounds.max_norm_closed_loop(d, Q.kappa(a.shape[-1]))
        slack = 4 * len(a) * np.finfo(np.float32).eps * np.abs(a).max()
        assert np.all(error[1:] <= bound + slack), name


@pytest.mark.parametrize("activations", [ms.AbsMax(3), ms.Stochastic(3)], ids=["absmax", "stochastic"])
def test_a_model_call_that_fails_leaves_every_layer_as_before(activations):
    """Layers before the failing one have stepped on already: all of them must go back, and their random bits."""

    class Fails(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.fail = inner, False

        def forward(self, x):
            y = self.inner(x)
            if self.fail:
                raise KeyError("after all layers")
            return y

    inputs = list(walk(4))
    model = Fails(small())
    with modulated(model, activations=activations, warmup=2) as run:
        expected = [model(x) for x in inputs]
        whole = run.audit()
    with modulated(model, activations=activations, warmup=2) as run:
        for call, x in enumerate(inputs):
            model.fail = True
            with pytest.raises(KeyError):
                model(x + 1)
            model.fail = False
            assert torch.equal(model(x), expected[call])
        assert run.audit() == whole


def test_copying_a_modulated_model_is_refused():
    model = small()
    with (
        modulated(model, activations=ms.AbsMax(3)),
        pytest.raises(RuntimeError, match="leave the context before copying"),
    ):
        copy.deepcopy(model)


def test_layers_called_by_keyword():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(input=x)

    model = Keyword()
    with modulated(model, activations=ms.AbsMax(3)) as run:
        model(torch.ones(2, 3))
    assert run.audit().layers[0].calls == 1


def test_warm_up_by_repetition_is_paid_for():
    """The first input fed m times costs m times the MACs."""
    macs = {}
    for warmup in ("quantized", 3):
        layer = nn.Linear(4, 2)
        with modulated(layer, activations=ms.AbsMax(3), warmup=warmup) as run:
            layer(torch.ones(2, 4))
        macs[warmup] = run.audit().layers[0].macs
    assert macs[3] == 3 * macs["quantized"]


def test_the_lowest_code_of_a_static_scale_is_not_saturated():
    layer = nn.Linear(2, 1)
    with modulated(layer, activations=ms.Static(2, scale=1.0), recursion="direct") as run:
        layer(torch.tensor([[-2.0, -1.0], [1.0, 2.0]]))
    assert run.audit().layers[0].row()["saturated_share"] == 1 / 4  # 2 is beyond the highest level, -2 is the lowest


def test_a_forward_that_others_have_put_around_a_layer_is_kept_and_the_layer_inside_is_quantized():
    model, x = small(), next(walk(1))
    plain = model.first.forward
    with modulated(model, activations=ms.AbsMax(4), recursion="direct", where=lambda name, _: name == "first"):
        quantized = []
        hook = model.first.register_forward_hook(lambda _m, _i, out: quantized.append(out.clone()))
        model(x)
        hook.remove()
    model.first.forward = theirs = lambda a: 2 * plain(a)  # another library's, on this instance alone
    with modulated(model, activations=ms.AbsMax(4), recursion="direct", where=lambda name, _: name == "first") as run:
        model.first.register_forward_hook(lambda _m, _i, out: quantized.append(out.clone()))
        model(x)
        assert torch.equal(quantized[1], 2 * quantized[0])
        assert run.audit().mac_share == 1
    assert model.first.forward is theirs


def test_a_later_quantizer_of_a_plan_is_checked_as_the_first_is():
    """In float16 a scale of 1e-9 is 0, and every residual would become 0 without a word."""
    model, plan = nn.Linear(8, 8).half().eval(), ByCall(lambda call: Static(4, scale=1e-9) if call else ms.AbsMax(4))
    with modulated(model, activations=plan):
        model(torch.ones(2, 8).half())
        with pytest.raises(ValueError, match=r"layer '\(root\)': Static.* cannot hold this scale"):
            model(torch.zeros(2, 8).half())


def test_a_reset_within_a_pass_reaches_the_states_outside():
    model, (a, b) = small(), list(walk(2))
    with modulated(model, activations=ms.AbsMax(4)) as run:
        first = model(a)
        held = run.state_bytes()
        with run.apart("other"):
            model(b)
            assert run.state_bytes() == 2 * held
            run.reset()
            assert run.state_bytes() == 0
        assert run.state_bytes() == 0
        assert torch.equal(model(a), first)  # a first call, in full precision


def test_a_recomputed_output_is_never_skipped():
    with modulated(small(), activations=ms.Identity(), skip=Threshold(1e9), storage=Storage(o_hat="recompute")) as run:
        for x in walk(3):
            run.model(x)
    assert run.audit().summary()["skipped_macs"] == 0


KEPT = {
    "closed loop": {},
    "attention": {"attention": Attention(q=ms.AbsMax(8), k=ms.AbsMax(8))},
    "reuse": {"reuse": Reuse(("mid_block",), every=2)},
}


@pytest.mark.parametrize("options", KEPT.values(), ids=list(KEPT))
def test_a_run_that_is_kept_for_its_audit_holds_neither_the_model_nor_its_weights(options):
    net = interrupted.model()
    with modulated(net, activations=ms.AbsMax(4), weights=ms.AbsMax(4), **options) as run, record(net, ms.AbsMax(4)):
        for x in interrupted.inputs(3):
            net(x)
        audit, text = run.audit(), str(run.audit())
        assert run.model is net
        held = [weakref.ref(x) for x in (net, *net.parameters(), *(o.quantized for o in run.operators.values()))]
    del net
    gc.collect()
    assert {ref() for ref in held} == {None}
    assert (run.audit(), str(run.audit())) == (audit, text)
    assert (run.state_bytes(), run.held_bytes(), run.buffer_bytes()) == (0, 0, 0)
    run.reset()
    assert repr(run).startswith("Run(closed_loop")
    with pytest.raises(RuntimeError, match="the context was left"):
        run.model  # noqa: B018


def test_a_run_is_short_in_text_and_its_audit_in_a_notebook():
    model = small()
    many = {f"{name}*": "absmax:8" for name in ("first", "second")} | {"*": "absmax:4"}
    weights = quantize_weights(model, ms.AbsMax(8))
    with modulated(model, activations=many, weights=weights, recursion="direct") as run:
        model(next(walk(1)))
        arm = "activations={first*: absmax:8, second*: absmax:8, *: absmax:4}, weights=QuantizedWeights"
        assert repr(run) == f"Run(direct, {arm}: 3 layers, 1 model calls)"
        assert run._repr_html_() == run.audit()._repr_html_()
    assert "3 layers, 1 model calls" in repr(run)  # after leaving, too
