"""A model call is the same whichever way the model is entered; kernels that would pass the layers by are off."""

from contextlib import ExitStack

import pytest
import torch
from models import small, walk
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import Attention, modulated, record
from modiff_sim.nn.hooks.kernels import layers_are_called

A8 = Attention(q=ms.AbsMax(4), k=ms.AbsMax(4), v=ms.AbsMax(4))


def tokens(steps=5, shape=(2, 5, 8), seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g)
    for _ in range(steps):
        yield x
        x = x + 0.1 * torch.randn(shape, generator=g)


class Block(nn.Module):
    """Attention, then a layer that is used twice; several methods that do the same."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.q, self.w = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        return self.w(self.w(nn.functional.scaled_dot_product_attention(*self.q(x).chunk(3, -1))))

    forward_with_cfg = apply_model = forward

    def denoise(self, x):
        return self.w(self.w(nn.functional.scaled_dot_product_attention(*self.q(x).chunk(3, -1))))

    def wrapped(self, x):
        return self.forward(x)


def block():
    return Block().eval().requires_grad_(False)


def outputs(model, call, inputs, *, observed=False, **arm):
    arm = {"activations": ms.AbsMax(4), "recursion": "closed_loop"} | arm
    with modulated(model, **arm) as run:
        if observed:
            run.observers.append(lambda *_: None)
        made = [call(x) for x in inputs]
    return made, run.audit()


ENTRANCES = {
    "call": lambda m: m,
    "forward": lambda m: lambda x: m.forward(x),
    "forward, taken before": lambda m: m.forward,
    "the class's forward": lambda m: lambda x: type(m).forward(m, x),
    "forward_with_cfg": lambda m: lambda x: m.forward_with_cfg(x),
    "apply_model, taken before": lambda m: m.apply_model,
    "a method that calls forward": lambda m: lambda x: m.wrapped(x),
}


@pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=list(ENTRANCES))
def test_every_entrance_gives_the_same_outputs_and_counts(entrance):
    model, inputs = block(), list(tokens())
    expected, counted = outputs(model, model, inputs, attention=A8)
    made, audit = outputs(model, entrance(model), inputs, attention=A8)
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert audit.model_calls == 5
    assert [str(x) for x in audit.rows()] == [str(x) for x in counted.rows()]


@pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=list(ENTRANCES))
def test_every_entrance_is_recorded_alike(entrance):
    model = block()
    call = entrance(model)
    with record(model, ms.AbsMax(4)) as log:
        for x in tokens():
            call(x)
    assert (log.layers, log.calls) == (["q", "w", "w#1"], 5)


@pytest.mark.parametrize("entrance", ["call", "forward, taken before"])
def test_a_call_that_fails_changes_nothing_and_may_be_made_again(entrance):
    model, inputs = block(), list(tokens())
    expected, _ = outputs(model, model, inputs)
    call = ENTRANCES[entrance](model)
    with modulated(model, activations=ms.AbsMax(4)) as run:
        made = [call(x) for x in inputs[:2]]
        broken = model.w.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call(inputs[2])
        broken.remove()
        made += [call(x) for x in inputs[2:]]
        assert run.audit().model_calls == 5
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


HOOKS = {
    "last": lambda model, hook: model.register_forward_hook(hook),
    "first": lambda model, hook: model.register_forward_hook(hook, prepend=True),
    "always called": lambda model, hook: model.register_forward_hook(hook, always_call=True),
    "of all modules": lambda _, hook: nn.modules.module.register_module_forward_hook(hook),
}


@pytest.mark.parametrize("register", HOOKS.values(), ids=list(HOOKS))
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("handling", [False, True])
@pytest.mark.parametrize("attention", [None, A8])
def test_a_call_is_taken_back_where_a_hook_on_the_model_raises_after_it(register, inside, handling, attention):
    """The first call too, which is watched; and where the model is called while another exception is handled."""
    model, inputs, failing = block(), list(tokens()), False
    expected, whole = outputs(model, model, inputs, attention=attention)

    def hook(module, *_):
        if module is model and failing:
            raise KeyError

    def call(x):
        if not handling:
            return model(x)
        try:
            raise ValueError
        except ValueError:
            return model(x)

    with ExitStack() as stack:
        if not inside:
            stack.callback(register(model, hook).remove)
        run = stack.enter_context(modulated(model, activations=ms.AbsMax(4), attention=attention))
        if inside:
            stack.callback(register(model, hook).remove)
        made = []
        for x in inputs:
            failing = True
            with pytest.raises(KeyError):
                call(x)
            failing = False
            made.append(call(x))
        assert run.audit() == whole
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert not model._forward_hooks


def test_a_call_stays_made_where_another_one_or_a_reset_came_before_the_hook_raised():
    model, inputs = block(), list(tokens())
    with modulated(model, activations=ms.AbsMax(4)) as run:
        first = model(inputs[0])

        def reset(*_):
            run.reset()
            raise KeyError

        broken = model.register_forward_hook(reset)
        with pytest.raises(KeyError):
            model(inputs[1])
        broken.remove()
        assert run.state_bytes() == 0
        assert torch.equal(model(inputs[0]), first)


def test_a_layer_outside_of_any_call_is_refused_and_may_be_put_into_one():
    model = block()
    inputs = list(tokens())
    expected, _ = outputs(model, model, inputs)
    with modulated(model, activations=ms.AbsMax(4)) as run:
        with pytest.raises(RuntimeError, match=r"layer 'q' was reached outside of a call of the Block.*model_call\(\)"):
            model.denoise(inputs[0])
        made = []
        for x in inputs:
            with run.model_call():
                made.append(model.denoise(x))
        assert run.audit().model_calls == 5
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


def test_a_forward_that_calls_itself_is_one_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x, deep=False):
            return self.layer(x) if deep else 2 * self(x, True) - self.forward(0.5 * x, deep=True)

    model = Twice().requires_grad_(False)
    made, audit = outputs(model, model, tokens())
    slow, _ = outputs(model, model, tokens(), observed=True)
    assert (audit.model_calls, audit.passes, audit.layers[0].calls) == (5, 1, 10)
    assert all(torch.equal(a, b) for a, b in zip(made, slow, strict=True))
    assert all((y - model(x)).norm() < 0.05 * y.norm() for x, y in zip(tokens(), made, strict=True))


def test_the_modules_of_a_list_are_entered_one_by_one():
    layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)]).requires_grad_(False)
    chain = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    expected, _ = outputs(chain, chain, tokens())
    made, audit = outputs(layers, lambda x: layers[1](torch.relu(layers[0](x))), tokens())
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert [layer.calls for layer in audit.layers] == [5, 5]


# -- kernels that pass the layers by -----------------------------------------------------------------------------------


def encoder(**options):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2, **options).eval().requires_grad_(False)


def test_torchs_fused_encoder_does_not_pass_the_layers_by():
    model, x = encoder(), next(tokens())
    full = model(x)
    made, audit = outputs(model, model, [x] * 4, recursion="direct", activations=ms.AbsMax(2))
    assert all(torch.equal(y, made[0]) for y in made)
    assert (made[0] - full).norm() > 0.01 * full.norm()
    assert audit.undercalled == ()
    assert audit.uncalled == ("layers.0.self_attn.out_proj", "layers.1.self_attn.out_proj")


@pytest.mark.parametrize("name", ["encoder", "encoder with a mask", "transformer"])
def test_torchs_transformers_equal_the_definition(name):
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    if name == "transformer":
        torch.manual_seed(0)
        model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True, dropout=0.0).eval().requires_grad_(False)
        call = lambda x: model(x, x)  # noqa: E731
    else:
        model = encoder()
        call = model if name == "encoder" else lambda x: model(x, mask=mask)
    fast, _ = outputs(model, call, tokens())
    slow, _ = outputs(model, call, tokens(), observed=True)
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


@pytest.mark.parametrize("before", [True, False])
def test_the_switch_of_the_fused_kernels_is_as_it_was(before):
    torch.backends.mha.set_fastpath_enabled(before)
    try:
        with layers_are_called():
            with modulated(encoder(), activations=ms.AbsMax(4)), record(encoder(), ms.AbsMax(4)):
                assert not torch.backends.mha.get_fastpath_enabled()
            assert not torch.backends.mha.get_fastpath_enabled()  # one is still open
        with pytest.raises(ZeroDivisionError), modulated(encoder(), activations=ms.AbsMax(4)):
            _ = 1 / 0
        assert torch.backends.mha.get_fastpath_enabled() is before
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
@pytest.mark.parametrize("attention", [None, A8])
@pytest.mark.parametrize("warm", [False, True])
def test_a_compiled_model_equals_the_eager_one(attention, warm):
    model = block()
    expected, counted = outputs(model, model, tokens(), attention=attention)
    compiled = torch.compile(model, backend="eager")
    if warm:  # code that was traced before the context knows nothing of it
        compiled(next(tokens()))
    made, audit = outputs(compiled, compiled, tokens(), attention=attention)
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert audit.mac_share == counted.mac_share
    assert torch.equal(compiled(next(tokens())), model(next(tokens())))


@pytest.mark.filterwarnings("ignore")
def test_a_model_with_a_compiled_part_equals_the_eager_one():
    model = block()
    expected, _ = outputs(model, model, tokens())
    model.w.compile(backend="eager")
    made, _ = outputs(model, model, tokens())
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


# -- what cannot be quantized ------------------------------------------------------------------------------------------


def test_a_model_without_weights_is_refused():
    with torch.device("meta"):
        model = block()
    with (
        pytest.raises(ValueError, match="has no weights yet, its layer 'q' is on the meta device"),
        modulated(model, activations=ms.AbsMax(4)),
    ):
        pass


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
def test_an_expert_without_tokens_gives_its_empty_output_and_is_not_counted(recursion):
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 4)])

        def forward(self, x):
            return [self.experts[0](x), self.experts[1](x[:0])]

    model = Experts().requires_grad_(False)
    (made, *_), audit = outputs(model, model, tokens(), recursion=recursion)
    assert made[1].shape == (0, 5, 4)
    assert audit.uncalled == ("experts.1",)
    with record(model, ms.AbsMax(4)) as log:
        model(next(tokens()))
    assert log.layers == ["experts.0"]


def test_leaving_gives_everything_back():
    model = small()
    before = [dict(vars(m)) for m in model.modules()]
    with modulated(model, activations=ms.AbsMax(4)), record(model, ms.AbsMax(4)):
        for x in walk(2):
            model(x)
    assert [dict(vars(m)) for m in model.modules()] == before


def test_contexts_may_be_left_in_any_order():
    model, x = small(), next(walk(1))
    plain = model(x)
    first, second = modulated(model, activations=ms.AbsMax(2), recursion="direct"), record(model, ms.AbsMax(4))
    run, log = first.__enter__(), second.__enter__()
    model(x)
    first.__exit__(None, None, None)
    assert torch.equal(model(x), plain)
    second.__exit__(None, None, None)
    assert (run.audit().model_calls, log.calls) == (1, 2)
    assert torch.equal(model(x), plain)


def test_attention_before_the_first_layer_of_a_forward_that_was_taken_before():
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Linear(8, 8)

        def forward(self, x):
            return self.w(nn.functional.scaled_dot_product_attention(x, x, x))

    model = First().requires_grad_(False)
    expected, _ = outputs(model, model, tokens(), attention=A8)
    made, audit = outputs(model, model.forward, tokens(), attention=A8)
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert [x.kind for x in audit.layers] == ["Linear", "qk", "qk", "sv", "sv"]


def test_modes_are_taken_off_wherever_they_are():
    model, x = block(), next(tokens())
    forward, device = model.forward, torch.device("cpu")
    before = torch.overrides._get_current_function_mode_stack()
    with modulated(model, activations=ms.AbsMax(4), attention=A8):
        forward(x)
        device.__enter__()
        forward(x)
    assert len(torch.overrides._get_current_function_mode_stack()) == len(before) + 1
    device.__exit__(None, None, None)
    assert torch.overrides._get_current_function_mode_stack() == before


def test_a_second_thread_is_refused():
    from threading import Event, Thread

    model, x, inside, go_on = block(), next(tokens()), Event(), Event()
    model.register_forward_pre_hook(lambda *_: None)

    def wait(*_):
        inside.set()
        go_on.wait(600)

    hook, said = model.w.register_forward_pre_hook(wait), []
    with modulated(model, activations=ms.AbsMax(4)) as run:
        other = Thread(target=lambda: model(x))
        other.start()
        assert inside.wait(600)
        try:
            model(x)
        except RuntimeError as error:
            said.append(str(error))
        go_on.set()
        other.join(600)
        hook.remove()
        assert run.audit().model_calls == 1
        model(x)
    assert said
    assert "a second thread called the Block while a call of it was going on" in said[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["around", "in place", "around a sampler"])
def test_compiled_code_around_a_modulated_model_equals_the_eager_one(how):
    model = block()
    expected, _ = outputs(model, model, tokens())
    if how == "in place":
        model.compile(backend="eager")
    sampler = torch.compile(lambda x: model(x) + 0, backend="eager")
    compiled = {"around": torch.compile(model, backend="eager"), "in place": model, "around a sampler": sampler}[how]
    compiled(next(tokens()))
    made, _ = outputs(model, compiled, tokens())
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("kind", ["nested", "vmap", "trace"])
def test_tensors_without_values_of_their_own_are_refused(kind):
    model, x = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False), next(tokens())
    calls = {
        "nested": lambda: model(torch.nested.nested_tensor([x[0], x[1, :3]], layout=torch.jagged)),
        "vmap": lambda: torch.func.vmap(model)(x),
        "trace": lambda: torch.jit.trace(model, x),
    }
    with (
        modulated(model, activations=ms.AbsMax(4)),
        pytest.raises(TypeError, match=r"pad them|call .* outside|outside"),
    ):
        calls[kind]()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_scripted_part_is_one_operation_and_nothing_stays_on_the_model():
    model = nn.Sequential(nn.Linear(8, 8), torch.jit.script(nn.Linear(8, 8)))
    hooks = [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in (model, model[0])]
    with modulated(model, activations=ms.AbsMax(4)) as run:
        model(next(tokens()))
    assert [x.name for x in run.audit().layers] == ["0"]
    assert [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in (model, model[0])] == hooks
