"""Ctrl-C at any moment leaves a model, and torch, as they were: what was changed is taken back."""

import contextlib

import pytest
import torch
from models import family, small
from torch import nn
from unchanged import assert_same, everything

import modiff_sim as ms
from analysis.faults.interrupts import ARMS, Interrupt, InterruptedCall, attempts, differences, inputs, model, seen
from modiff_sim.nn import Attention, model_shapes, modulated, modulated_pipeline, probed, record, skip_splits
from modiff_sim.nn.attention.intercept import Watchman
from modiff_sim.nn.attention.quantized import count_products
from modiff_sim.nn.calibration.moments import gather
from modiff_sim.nn.hooks.calls import _Call
from modiff_sim.nn.hooks.modes import On, inference
from modiff_sim.nn.hooks.patching import Hook, Patch
from modiff_sim.nn.hooks.undo import Context, Undo
from modiff_sim.nn.layers import find

Q = ms.AbsMax(4)
#: Python reports, and drops, an interrupt that comes while an object is being freed
LOST = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.slow
@LOST
def test_interrupts_at_drawn_moments_leave_no_trace(tmp_path):
    done = list(attempts(4 * len(ARMS), 3, tmp_path))
    assert [a for a in done if not a.right] == []
    assert {a.what for a in done} == {f"interrupt in {name}" for name in ARMS}


@pytest.mark.slow
@LOST
def test_moments_at_which_something_is_being_changed():
    """Those in the functions that make changes and note them, in a statement that uses every mode of torch."""
    subject, found = InterruptedCall("sampling"), []

    class Noting(Interrupt):
        def _count(self, frame):
            if frame.f_code.co_filename.endswith(("undo.py", "modes.py")):
                found.append((self.passed, frame.f_code.co_name))
            super()._count(frame)

    with Noting():
        subject._statement(subject.what)
    drawn = [at for at, name in found if name not in ("__exit__", "__del__")][::17]
    assert len(drawn) > 20
    assert [a for at in drawn if not (a := subject.attempt(at)).right] == []


def test_a_trace_that_is_left_is_found(monkeypatch):
    """The judge itself: where patches are not taken off, an interrupt inside is seen."""
    subject = InterruptedCall("closed loop")
    monkeypatch.setattr(Patch, "remove", lambda self: None)
    attempt = subject.attempt(subject.moments // 2)
    assert not attempt.right
    assert "changed" in attempt.outcome


@LOST
def test_every_moment_of_leaving():
    """Leaving a small model, interrupted at one moment after another."""
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    before = seen_alone(net)
    net_before = everything(net)

    def leave(at):
        context = modulated(net, activations=Q)
        context.__enter__()
        net(torch.ones(2, 3))
        with Interrupt(at) as interrupt:
            context.__exit__(None, None, None)
        return interrupt.passed

    moments = leave(10**9)
    assert moments > 50
    for at in range(1, moments):  # 0 is before the first line of __exit__: nobody can do anything there
        with pytest.raises(KeyboardInterrupt):
            leave(at)
        assert_same(net, net_before)
        assert seen_alone(net) == before


def seen_alone(net):
    return {k: v for k, v in seen(net).items() if " of '" not in k}


@pytest.mark.parametrize("interrupted", [0, 1])
def test_an_interrupt_before_the_first_line_of_leaving_is_made_good_when_it_was_handled(interrupted):
    net = model()
    before = seen(net)
    context = modulated(net, activations=Q)
    context.__enter__()
    with contextlib.suppress(KeyboardInterrupt), Interrupt(0 if interrupted else 10**9):
        context.__exit__(None, None, None)
    del context
    assert differences(before, seen(net)) == []


# -- every registration and every patch --------------------------------------------------------------------------------

STATEMENTS = {
    "modulated": lambda net: _calls(net, modulated(net, activations=Q)),
    "attention": lambda net: _calls(net, modulated(net, activations=Q, attention=Attention(q=Q))),
    "record": lambda net: _calls(net, record(net, Q)),
    "record inside": lambda net: _nested(net),
    "products": lambda net: count_products(net, inputs()[0]),
    "shapes": lambda net: model_shapes(net, inputs()[0]),
    "transfer": lambda net: _calls(net, probed(net, timesteps=[0])),
    "moments": lambda net: list(gather(net, [(inputs()[0],)], find(net, None))),
    "splits": lambda net: skip_splits(net, inputs()[0]),
}


def _calls(net, context):
    with context:
        net(inputs()[0])


def _nested(net):
    with modulated(net, activations=Q), record(net, Q):
        net(inputs()[0])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", STATEMENTS)
def test_every_change_interrupted(what, after, monkeypatch):
    """Ctrl-C right before or right after each change is made: the n-th hook, patched method or mode."""
    net, count, at = model(), [0], [10**9]
    before = seen(net)
    for kind in (Hook, Patch, On):

        def put(self, real=kind.put):
            count[0] += 1
            chosen = count[0] == at[0]
            if chosen and not after:
                raise KeyboardInterrupt
            real(self)
            if chosen:
                raise KeyboardInterrupt

        monkeypatch.setattr(kind, "put", put)
    STATEMENTS[what](net)
    total = count[0]
    assert total > 3
    for n in {1, 2, 3, total} | {*range(4, total, max(4, total // 8))}:
        count[0], at[0] = 0, n
        with pytest.raises(KeyboardInterrupt):
            STATEMENTS[what](net)
        assert differences(before, seen(net)) == [], n
    at[0] = 10**9
    STATEMENTS[what](net)  # and it works again


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_the_case_that_was_reported(n, monkeypatch):
    net, real, count = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)]), nn.Module.register_forward_hook, [0]

    def ctrl_c(self, *args, **named):
        handle = real(self, *args, **named)
        count[0] += 1
        if count[0] == n:
            raise KeyboardInterrupt
        return handle

    monkeypatch.setattr(nn.Module, "register_forward_hook", ctrl_c)
    before = everything(net)
    with contextlib.suppress(KeyboardInterrupt), modulated(net, activations=Q):
        net(torch.randn(2, 4))
    assert_same(net, before)


def test_a_schedulers_class_is_given_back(monkeypatch):
    from models import ddim_pipeline

    pipeline = ddim_pipeline()
    before = everything(pipeline.unet)
    own, real = type(pipeline.scheduler), Hook.put

    def put(self):
        real(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Hook, "put", put)
    with pytest.raises(KeyboardInterrupt), modulated_pipeline(pipeline, activations=Q):
        pass
    assert type(pipeline.scheduler) is own
    assert_same(pipeline.unet, before)


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["conv_in", "mid_block.1.out", "conv_out"])
def test_a_call_that_was_interrupted_is_as_if_it_had_not_been(layer):
    """Caught inside the context: the same call again gives what it would have given, in the same mode."""
    net, xs = model(), inputs(4)
    with modulated(net, activations=Q, attention=Attention(q=ms.AbsMax(8))) as run:
        expected = [net(x) for x in xs]
        counted = repr(run.audit().rows())

    def ctrl_c(*_):
        raise KeyboardInterrupt

    with modulated(net, activations=Q, attention=Attention(q=ms.AbsMax(8))) as run:
        found = []
        for x in xs:
            hook = net.get_submodule(layer).register_forward_pre_hook(ctrl_c)
            with pytest.raises(KeyboardInterrupt):
                net(x)
            hook.remove()
            assert torch.is_grad_enabled()
            found.append(net(x))
        assert repr(run.audit().rows()) == counted
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# -- the mechanism ---------------------------------------------------------------------------------------------------


def test_steps_are_taken_back_last_first_whatever_fails():
    undo, taken = Undo(), []

    def failing():
        taken.append("failing")
        raise ValueError("no")

    interrupts = [KeyboardInterrupt, KeyboardInterrupt]

    def interrupted():
        taken.append("interrupted")
        if interrupts:
            raise interrupts.pop()

    for step in (lambda: taken.append("first"), failing, interrupted, lambda: taken.append("last")):
        undo.note(step)
    with pytest.raises(ValueError, match="no"):
        undo.all()
    assert taken == ["last", "interrupted", "interrupted", "interrupted", "failing", "first"]
    undo.all()
    assert len(taken) == 6


def test_a_context_that_nobody_leaves_is_left_when_it_is_freed():
    net = small()
    before = everything(net)
    context = modulated(net, activations=Q)
    run = context.__enter__()
    del context
    assert_same(net, before)
    assert run.audit().model_calls == 0


def test_modes_are_taken_off_from_below_others():
    stack = torch.overrides._get_current_function_mode_stack
    before = stack()
    modes = [Watchman(lambda: None) for _ in range(3)]
    for mode in (*modes, modes[1]):
        On(mode).put()
    On(modes[1]).remove()
    assert stack() == [*before, modes[0], modes[2]]
    for mode in modes:
        On(mode).remove()
    assert stack() == before


@pytest.mark.parametrize("outside", [False, True])
def test_inference_mode_and_gradients_are_given_back(outside):
    with torch.inference_mode(outside), torch.enable_grad():
        for on in (True, False):
            with contextlib.suppress(KeyboardInterrupt), inference(on):
                assert torch.is_inference_mode_enabled() is on
                assert not torch.is_grad_enabled()
                raise KeyboardInterrupt
            assert torch.is_inference_mode_enabled() is outside
            assert torch.is_grad_enabled()
        with inference(False, gradients=True):
            assert torch.is_grad_enabled()


def switches():
    return torch.is_inference_mode_enabled(), torch.is_grad_enabled()


@pytest.mark.parametrize("inner", [True, False])
def test_a_mode_whose_end_was_interrupted_ends_with_the_one_around_it(inner):
    """And not when the interrupt is freed, which may be much later."""
    before = switches()
    with inference():
        kept = inference(inner)
        kept.__enter__()  # Ctrl-C before the first line of its __exit__
    assert switches() == before
    with inference(False, gradients=False):
        del kept
        assert switches() == (False, False)
    assert switches() == before


def test_a_call_that_is_ended_late_leaves_gradients_alone(monkeypatch):
    """Ctrl-C before the first line of a call's end: those around it have put gradients back when it is noticed."""
    net, end = nn.Linear(3, 3), _Call.__exit__
    interrupts = [KeyboardInterrupt]

    def interrupted(self, *error):
        if interrupts:
            raise interrupts.pop()
        return end(self, *error)

    monkeypatch.setattr(_Call, "__exit__", interrupted)
    with modulated(net, activations=Q) as run:
        with pytest.raises(KeyboardInterrupt), torch.no_grad():
            net(torch.ones(2, 3))
        assert torch.is_grad_enabled()
        net(torch.ones(2, 3))
        assert torch.is_grad_enabled()
    assert not interrupts
    assert torch.is_grad_enabled()
    assert run.audit().model_calls == 1


def test_a_context_binds_what_it_is_told():
    undone = []

    def enter(undo):
        undo.note(lambda: undone.append(1))
        return "here"

    with Context(enter) as found:
        assert found == "here"
        assert undone == []
    assert undone == [1]


@LOST
def test_the_unet_of_diffusers_is_given_back_too():
    net, call = family("unet"), torch.zeros(1, 1, 8, 8)
    before = everything(net)
    for at in (100, 3000, 9000, 15000):
        with contextlib.suppress(KeyboardInterrupt), Interrupt(at), modulated(net, activations=Q):
            net(call, 5)
        assert_same(net, before)
