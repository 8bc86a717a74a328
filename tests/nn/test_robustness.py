"""What ``modulated`` must not touch, and the modes of torch it works under; every arm, on models that exercise them."""

import contextlib
import copy
import gc
import pickle
import weakref
from functools import cache

import pytest
import torch
from models import family_calls, shallow, small, walk
from torch import nn
from unchanged import assert_same, everything

import modiff_sim as ms
from modiff_sim import Storage, Threshold
from modiff_sim import recursion as rec
from modiff_sim.nn import Attention, modulated, record
from modiff_sim.nn.plans.reuse import matching

Q = ms.AbsMax(4)
ARMS = {
    "direct": {"activations": Q, "recursion": "direct"},
    "open_loop": {"activations": Q, "recursion": "open_loop"},
    "closed_loop": {"activations": Q},
    "affine": {"activations": ms.MinMax(4), "weights": ms.AbsMax(8), "warmup": "quantized"},
    "stochastic": {"activations": ms.Stochastic(4), "warmup": 2, "refresh": 2},
    "zero": {"activations": ms.Zero()},
    "skipping": {"activations": Q, "skip": Threshold(0.1)},
    "stored": {"activations": Q, "storage": Storage(ref=ms.AbsMax(8), o_hat="float32")},
    "recomputed": {"activations": Q, "storage": Storage(ref="float32", o_hat="recompute")},
    "attention": {"activations": Q, "attention": Attention(q=ms.AbsMax(8), k=ms.AbsMax(8))},
    "reuse": {"activations": Q},
}
every_arm = pytest.mark.parametrize("arm", ARMS)


def options(arm, model):
    """An arm's options; the branches to be used again are named by the model."""
    return {**ARMS[arm], **({"reuse": matching(model, "mid_block", every=2)} if arm == "reuse" else {})}


class Normed(nn.Module):
    """Buffers, tied layers, a frozen parameter, dropout, foreign hooks; convolution and linear layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head, self.twin = nn.Linear(4, 4), nn.Linear(4, 4)
        self.twin.weight = self.head.weight
        self.twin.bias.requires_grad_(False)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("shift", torch.arange(4.0), persistent=False)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu().mean((-2, -1))
        return self.twin(self.drop(torch.tanh(self.head(x) + self.shift)))


def normed(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Normed()
        model.norm.running_mean += torch.randn(4)
    return model.eval()


def unet_calls(steps=3, **kw):
    return list(family_calls("unet", steps, **kw))


def run_unet(model, calls):
    return [model(**call)[0] for call in calls]


# -- what is given back ----------------------------------------------------------------------------------------------


@every_arm
def test_leaving_gives_everything_back(arm):
    """However the context ends: normally, in an exception, in a failing call."""
    model = shallow()
    model.conv_in.register_forward_hook(lambda *_: None)  # a foreign hook stays where it is
    calls = unet_calls()
    with torch.no_grad():
        plain = run_unet(model, calls)
    before, random = everything(model), torch.get_rng_state()
    with modulated(model, **options(arm, model)):
        found = run_unet(model, calls)
    assert_same(model, before)
    assert all(y.isfinite().all() and y.dtype == z.dtype for y, z in zip(found, plain, strict=True))
    assert any(not torch.equal(y, z) for y, z in zip(found, plain, strict=True))

    def broken_off(then):
        with modulated(model, **options(arm, model)):
            model(**calls[0])
            then()

    with pytest.raises(KeyError):
        broken_off(lambda: {}["nothing"])
    assert_same(model, before)
    bad = {**calls[0], "sample": torch.full_like(calls[0]["sample"], torch.nan)}
    with pytest.raises(ValueError, match="the input is not finite"):
        broken_off(lambda: model(**bad))
    assert_same(model, before)
    assert torch.equal(torch.get_rng_state(), random)  # random bits are the run's own
    with torch.no_grad():
        assert all(torch.equal(y, z) for y, z in zip(run_unet(model, calls), plain, strict=True))


def test_inside_the_parameters_are_the_models_own():
    model = normed()
    before = copy.deepcopy(model.state_dict())
    with modulated(model, activations=Q, weights=ms.AbsMax(3)):
        model(next(walk(1, dtype=torch.float32)))
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert model.state_dict().keys() == before.keys()


def test_the_models_own_randomness_is_not_disturbed():
    """Dropout in training mode draws the same numbers inside as outside, also next to a randomised quantizer."""
    x = next(walk(1, dtype=torch.float32))
    model = normed().train()

    def drawn():
        torch.manual_seed(3)
        with torch.no_grad():
            return torch.where(model.drop(torch.ones(1000)) > 0, 1.0, 0.0)

    expected = drawn()
    with modulated(model, activations=ms.Stochastic(4)):
        torch.manual_seed(3)
        model(x)
        torch.manual_seed(3)
        assert torch.equal(torch.where(model.drop(torch.ones(1000)) > 0, 1.0, 0.0), expected)


def test_foreign_hooks_run_inside_as_outside():
    seen = []
    model = normed()
    model.conv.register_forward_pre_hook(lambda m, inputs: seen.append("pre"))
    model.conv.register_forward_hook(lambda m, inputs, out: seen.append("post") or out + 1)
    x = next(walk(1, dtype=torch.float32))
    with torch.no_grad():
        plain = model(x)
    with modulated(model, activations=ms.Identity(), recursion="direct"):
        assert torch.equal(model(x), plain)
    assert seen == ["pre", "post"] * 2


@pytest.mark.parametrize("first", [0, 1])
def test_parts_of_a_model_are_separate_runs(first):
    """Two runs on parts that share no layer live side by side and may be left in any order; nesting is refused."""
    model = normed()
    before, x = everything(model), next(walk(1, dtype=torch.float32))
    contexts = [modulated(part, activations=Q, recursion="direct") for part in (model.conv, model.head)]
    runs = [context.__enter__() for context in contexts]
    model(x)
    with pytest.raises(RuntimeError, match="modulated already"), modulated(model, activations=Q):
        pass
    contexts[first].__exit__(None, None, None)
    model(x)
    contexts[1 - first].__exit__(None, None, None)
    calls = [run.audit().layers[0].calls for run in runs]
    assert calls == [1, 2] if first == 0 else [2, 1]
    assert_same(model, before)
    with modulated(model, activations=Q), pytest.raises(RuntimeError, match="modulated already"):
        modulated(model.conv, activations=Q).__enter__()
    assert_same(model, before)


# -- copies ----------------------------------------------------------------------------------------------------------


@every_arm
def test_copies(arm):
    """Before and after a model can be copied and the copy is plain; inside it is refused, and the run goes on."""
    model, calls = shallow(), unet_calls()
    with torch.no_grad():
        plain = run_unet(model, calls)
    twin = copy.deepcopy(model)
    with modulated(model, **options(arm, model)):
        expected = run_unet(model, calls)
    with modulated(model, **options(arm, model)) as run:
        found = []
        for call in calls:
            found.append(model(**call)[0])
            with pytest.raises(RuntimeError, match="leave the context before copying"):
                copy.deepcopy(model)
            with pytest.raises(RuntimeError, match="leave the context before copying"):
                pickle.dumps(model)
            with torch.no_grad():
                twin(**call)
        assert run.audit().model_calls == len(calls)
    assert all(torch.equal(y, z) for y, z in zip(found, expected, strict=True))
    for copied in (twin, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            assert all(torch.equal(y, z) for y, z in zip(run_unet(copied, calls), plain, strict=True))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_shallow_copy_of_a_layer_is_a_plain_one(wrapped):
    """With weights of its own, inside and after: never the run's forward, nor the first layer's."""
    model = normed()
    if wrapped:
        inner = model.head.forward
        model.head.forward = lambda x: inner(x) + 1
    x = torch.randn(3, 4)
    with modulated(model, activations=ms.AbsMax(2)) as run, record(model, Q):
        copies = {name: copy.copy(model.get_submodule(name)) for name in ("head", "conv")}
        plain = nn.Parameter(2 * model.twin.weight.detach()), model.twin.bias
        twin = copy.copy(model.twin)
        twin._parameters = dict(zip(("weight", "bias"), plain, strict=True))
        assert torch.equal(twin(x), nn.functional.linear(x, *plain))
        model(next(walk(1, dtype=torch.float32)))
        assert run.audit().model_calls == 1
    assert torch.equal(twin(x), nn.functional.linear(x, *plain))
    for name, copied in copies.items():
        own = model.get_submodule(name)
        assert vars(copied).keys() == vars(own).keys()
        assert all(vars(copied)[k] is v for k, v in vars(own).items())
    pickle.dumps(twin), copy.deepcopy(twin)


def test_a_shallow_copy_of_a_model_holds_the_models_layers():
    """Inside they are modulated, and reached past the model: refused. Afterwards both are plain."""
    model, x = normed(), next(walk(1, dtype=torch.float32))
    with torch.no_grad():
        plain = model(x)
    with modulated(model, activations=Q):
        copied = copy.copy(model)
        with pytest.raises(RuntimeError, match="outside of a call of the Normed"):
            copied(x)
        model(x)
    with torch.no_grad():
        assert torch.equal(copied(x), plain)


# -- what is freed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["closed_loop", "affine", "attention", "reuse", "recorded", "in an exception"])
def test_nothing_is_held_by_what_was_left(arm):
    """A run, its weights and its states are freed at once, without a search for cycles."""
    model, call = shallow(), unet_calls(1)[0]
    made = []

    def once(expected=()):
        arguments = options(arm, model) if arm in ARMS else {"activations": Q, "weights": ms.AbsMax(8)}
        with contextlib.suppress(expected), modulated(model, **arguments) as run:
            made.append(weakref.ref(run))
            made.extend(weakref.ref(kept.state.o_hat) for kept in run._states.present.layers.values())
            made.extend(weakref.ref(x) for o in run.operators.values() if (x := o.quantized) is not None)
            with record(model, Q) if arm == "recorded" else contextlib.nullcontext():
                model(**call)
            if arm == "in an exception":
                raise KeyError

    once(KeyError)
    gc.collect()
    gc.disable()
    try:
        made.clear()
        for _ in range(3):
            once(KeyError)
        assert len(made) >= 3
        assert [one for one in made if one() is not None] == []
    finally:
        gc.enable()


def test_a_layer_that_is_the_model_is_not_held_either():
    """Its entrance is the patch of the layer: a cache of signatures must not hold that."""
    layer, made = nn.Linear(3, 3), []
    for _ in range(3):
        with modulated(layer, activations=Q, weights=ms.AbsMax(8)) as run:
            layer(torch.ones(2, 3))
        made.append(weakref.ref(run))
        del run
    gc.collect()
    assert [one for one in made if one() is not None] == []


# -- modes of torch --------------------------------------------------------------------------------------------------

MODES = {
    "inference": lambda: torch.inference_mode(),
    "no_grad": lambda: torch.no_grad(),
    "grad": lambda: torch.enable_grad(),
}


@every_arm
def test_gradient_modes_change_nothing(arm):
    """Inference mode, no_grad and gradients, each after each within one run: same bytes, and no graph."""
    model, calls = shallow(), unet_calls(6)
    with modulated(model, **options(arm, model)):
        expected = run_unet(model, calls)
    for modes in ("inference inference no_grad grad grad inference", "grad no_grad no_grad inference grad grad"):
        with modulated(model, **options(arm, model)):
            for i, (mode, call, y) in enumerate(zip(modes.split(), calls, expected, strict=True)):
                with MODES[mode]():
                    found = model(**call)[0]
                assert torch.equal(found, y), (modes, i)
                assert found.grad_fn is None or not any(p.grad is not None for p in model.parameters())


@every_arm
def test_autocast(arm):
    """Layers compute in bfloat16, as the model does without us; states take the dtype that results."""
    model, calls = shallow(), unet_calls(4)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            plain = run_unet(model, calls)
        with modulated(model, activations=ms.Identity(), recursion="direct"):
            assert all(torch.equal(y, z) for y, z in zip(run_unet(model, calls), plain, strict=True))
        with modulated(model, **options(arm, model)) as run:
            found = run_unet(model, calls)
    assert plain[0].dtype == torch.bfloat16
    assert [y.dtype for y in found] == [y.dtype for y in plain]
    assert all(y.isfinite().all() for y in found)
    assert run.audit().model_calls == 4
    exact = (4 - 1) / 4  # the loops' first call is in full precision
    share = {"direct": 1.0, "affine": 1.0, "stochastic": 3 / 4}.get(arm, exact)
    linear = [layer for layer in run.audit().layers if layer.kind in ("Linear", "Conv2d")]
    assert sum(x.quantized_calls for x in linear) == share * sum(x.calls for x in linear)
    distance = float((torch.stack(found) - torch.stack(plain)).float().norm() / torch.stack(plain).float().norm())
    assert 0 < distance < 1


@every_arm
def test_channels_last(arm):
    """Same layout out as without us, and the same values as in the usual layout up to the order of sums."""
    model, calls = shallow(), unet_calls(3)
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    turned = [{**c, "sample": c["sample"].to(memory_format=torch.channels_last)} for c in calls]
    layouts = []
    for module in last.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda m, i, out: layouts.append(out.is_contiguous(memory_format=torch.channels_last))
            )
    with torch.no_grad():
        plain = run_unet(last, turned)
    assert all(layouts)
    with modulated(last, activations=ms.Identity(), recursion="direct"):
        assert all(torch.equal(y, z) for y, z in zip(run_unet(last, turned), plain, strict=True))
    with modulated(last, **options(arm, last)):
        found = run_unet(last, turned)
    assert all(layouts)
    assert all(y.isfinite().all() for y in found)
    assert last.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    # one layer alone, whose input is the same in both layouts
    one = {k: v for k, v in options(arm, model).items() if k not in ("attention", "reuse")}
    with modulated(model.conv_in, **one):
        expected = torch.stack([model.conv_in(c["sample"]) for c in calls])
    with modulated(last.conv_in, **one):
        found = [last.conv_in(c["sample"]) for c in turned]
    assert torch.allclose(torch.stack(found), expected, rtol=0, atol=1e-5)


# -- dtypes and devices ----------------------------------------------------------------------------------------------

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@cache
def plain_outputs(dtype):
    with torch.no_grad():
        return run_unet(shallow().to(dtype), unet_calls(dtype=dtype))


@every_arm
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(arm, dtype):
    """The model's own dtype throughout: outputs, references and stored outputs."""
    model, calls = shallow().to(dtype), unet_calls(3, dtype=dtype)
    with modulated(model, **options(arm, model)) as run:
        found = run_unet(model, calls)
        kept = [layer.state for layer in run._states.present.layers.values()]
        states = [s for s in kept if isinstance(s.ref, torch.Tensor)]
        if arm not in ("direct", "stored", "recomputed"):
            assert states
            assert {s.ref.dtype for s in states} == {dtype}
    assert all(y.dtype == dtype and y.isfinite().all() for y in found)
    assert any(not torch.equal(y, z) for y, z in zip(found, plain_outputs(dtype), strict=True))


@pytest.mark.parametrize("recursion", rec.RECURSIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_layer_of_any_dtype_equals_the_recursion_bit_for_bit(recursion, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = nn.Linear(6, 5).to(dtype)
    inputs = list(walk(6, shape=(6,), dtype=dtype))

    def A(a):
        return torch.nn.functional.linear(a, layer.weight.detach())

    def affine(a):
        return torch.nn.functional.linear(a, layer.weight.detach(), layer.bias.detach())

    expected = rec.run(recursion, inputs, Q, A, affine=affine)
    with modulated(layer, activations=Q, recursion=recursion):
        for a, (_, info) in zip(inputs, expected, strict=True):
            assert torch.equal(layer(a), info.output)


@pytest.mark.parametrize("recursion", ["open_loop", "closed_loop"])
def test_a_state_of_another_batch_is_refused(recursion):
    """Another batch size, picture size, dtype or device; after it the run goes on as if nothing had been asked."""
    layer = nn.Conv2d(2, 3, 3)
    x = list(walk(3, shape=(2, 8, 8), dtype=torch.float32))
    with modulated(layer, activations=Q, recursion=recursion):
        expected = [layer(a) for a in x]
    with modulated(layer, activations=Q, recursion=recursion) as run:
        found = [layer(x[0])]
        for other, what in [
            (x[1][:2], r"shape changed from \(3, 2, 8, 8\) to \(2, 2, 8, 8\)"),
            (x[1][..., :7], r"shape changed from \(3, 2, 8, 8\) to \(3, 2, 8, 7\)"),
            (x[1].double(), r"dtype changed from torch\.float32 to torch\.float64"),
            (x[1].to("meta"), r"device changed from cpu to meta"),
        ]:
            with pytest.raises(ValueError, match=rf"layer '\(root\)', call 1: {what}.*run\.reset\(\)"):
                layer(other)
        found += [layer(a) for a in x[1:]]
        assert run.audit().model_calls == 3
    assert all(torch.equal(y, z) for y, z in zip(found, expected, strict=True))


def test_the_direct_arm_has_no_state_to_refuse():
    layer = nn.Linear(4, 2)
    with modulated(layer, activations=Q, recursion="direct") as run:
        for batch in (3, 1, 5):
            assert layer(torch.randn(batch, 4)).shape == (batch, 2)
        assert run.state_bytes() == 0


@pytest.mark.parametrize(
    "error", [KeyError, KeyboardInterrupt, GeneratorExit], ids=["an error", "an interruption", "a generator's end"]
)
def test_a_model_call_that_is_broken_off_never_happened(error):
    """Whatever breaks off the forward, and wherever: states, counts and random bits are those of before it."""

    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.when = small(), ""

        def forward(self, x):
            if self.when == "before":
                raise error
            x = self.inner(x)
            if self.when == "after":
                raise error
            return x

    inputs, model = list(walk(4)), Breaks()
    arm = {"activations": ms.Stochastic(3), "warmup": 2}
    with modulated(model, **arm) as run:
        expected = [model(x) for x in inputs]
        whole = run.audit()
    with modulated(model, **arm) as run:
        for x, y in zip(inputs, expected, strict=True):
            for model.when in ("before", "after", ""):
                if model.when:
                    with pytest.raises(error):
                        model(x + 1)
            assert torch.equal(model(x), y)
        assert run.audit() == whole
        model.when = "after"
        with pytest.raises(error):
            model(inputs[0])
        run.reset()  # what was broken off must not come back after it
        model.when = ""
        assert all(torch.equal(model(x), y) for x, y in zip(inputs, expected, strict=True))
        assert run.audit().model_calls == 2 * whole.model_calls


def test_unsupported_layers_are_named_in_every_arm():
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    model = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.ConvTranspose2d(2, 2, 2),
        nn.Conv3d(2, 2, 1),
        nn.Flatten(),
        Own(8, 3),
        nn.Bilinear(2, 2, 2),
        nn.Embedding(3, 2),
        nn.LSTM(3, 2),
        nn.LayerNorm(3),
        nn.PReLU(),
    )
    for arm in ("direct", "open_loop", "closed_loop"):
        with modulated(model, **ARMS[arm]) as run:
            pass
        named = "1 (ConvTranspose2d)", "2 (Conv3d)", "4 (Own)", "5 (Bilinear)", "6 (Embedding)", "7 (LSTM)"
        assert run.audit().unsupported == named
        assert [layer.name for layer in run.audit().layers] == ["0"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_arm
def test_on_a_cuda_device(arm):
    """The Identity arm bit for bit; every arm finite, on its device, left as it was, and refusing another device."""
    model, calls = (
        shallow().cuda(),
        [{k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in call.items()} for call in unet_calls()],
    )
    torch.backends.cudnn.deterministic = True
    before = everything(model)
    with torch.no_grad():
        plain = run_unet(model, calls)
    with modulated(model, activations=ms.Identity(), recursion="direct"):
        assert all(torch.equal(y, z) for y, z in zip(run_unet(model, calls), plain, strict=True))
    with modulated(model, **options(arm, model)) as run:
        found = run_unet(model, calls)
        assert run.audit().model_calls == len(calls)
    assert all(y.is_cuda and y.isfinite().all() for y in found)
    assert_same(model, before)
    layer = nn.Linear(3, 2).cuda()
    with modulated(layer, activations=Q):
        layer(torch.ones(1, 3).cuda())
        with pytest.raises(ValueError, match="device changed from cuda:0 to cpu"):
            layer(torch.ones(1, 3))


@pytest.mark.parametrize("way", ["with", "stack", "helper"])
def test_a_model_call_is_opened_in_any_way(way):
    """By ``with``, an ExitStack, or a context of one's own around it: the layers' states go on alike."""

    @contextlib.contextmanager
    def helper(run):
        with run.model_call():
            yield

    torch.manual_seed(0)
    first, net = nn.Linear(8, 8), nn.Linear(8, 8)
    model = nn.Sequential(first, net)
    xs = [torch.randn(3, 8) for _ in range(4)]
    with modulated(model, activations=ms.AbsMax(4)) as run:
        expected = [model(x) for x in xs]
    with modulated(model, activations=ms.AbsMax(4)) as run:
        for x, right in zip(xs, expected, strict=True):
            with contextlib.ExitStack() as stack:
                if way == "stack":
                    stack.enter_context(run.model_call())
                opened = {"with": run.model_call, "helper": lambda: helper(run), "stack": contextlib.nullcontext}[way]
                with opened():
                    assert torch.equal(net(first(x)), right)


def test_a_context_that_is_open_is_not_entered_again():
    model = nn.Sequential(nn.Linear(4, 4))
    context = modulated(model, activations=ms.AbsMax(4))
    x = torch.randn(2, 4)
    with context as run:
        with pytest.raises(RuntimeError, match="this context is open already"):
            context.__enter__()
        model(x)
        assert run.audit().summary()["mac_share"] >= 0
        assert "forward" in vars(model[0])  # still modulated
    assert "forward" not in vars(model[0])
