"""Several model calls within a step: each pass has a state of its own, found from the calls or from the scheduler."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import linear
from modiff_sim.nn import modulated, record
from modiff_sim.nn.hooks.call_arguments import MOST_BYTES, MOST_ENTRIES
from modiff_sim.nn.hooks.pass_finder import ALL_NEW, MOST_PASSES, STANDING, Finder

STEPS = 6


class Conditional(nn.Module):
    """A denoiser whose hidden layer sees the condition added to x, far from where it is without."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.inner, self.outer = nn.Linear(8, 32), nn.Linear(32, 8)
        self.far = nn.Parameter(3 * torch.randn(2, 8, generator=g))

    def forward(self, x, t=None, c=None, *, drop=False, more=None):
        c = (more or {}).get("c", c)
        if c is None:
            x = x if drop else x + self.far[0]
        elif isinstance(c, torch.Tensor) and c.ndim == 1:
            x = x + self.far[c]
        else:
            x = x + c
        return self.outer(torch.relu(self.inner(x)))


def model():
    torch.manual_seed(0)
    return Conditional().eval().requires_grad_(False)


def slowly(steps=STEPS, seed=1):
    g = torch.Generator().manual_seed(seed)
    x, move = torch.randn(4, 8, generator=g), torch.randn(4, 8, generator=g)
    return [x + 0.05 * k * move for k in range(steps)]


A, B = torch.full((4, 8), 3.0), torch.full((4, 8), -3.0)
ONE, ZERO = torch.ones(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)


class Held:
    """A condition that can be compared by what it holds only."""

    def __init__(self, c):
        self.c = c


#: how a loop that somebody has written asks for its passes: step k, x -> the arguments of each
LOOPS = {
    "a flag, no time": lambda k, x: [((x,), {}), ((x,), {"drop": True})],
    "conditions by position": lambda k, x: [((x, 9 - k, A), {}), ((x, 9 - k, B), {})],
    "conditions by name": lambda k, x: [((x,), {"t": torch.tensor(9 - k), "c": c}) for c in (A, B)],
    "time per sample": lambda k, x: [((x, torch.full((4,), 9 - k), c), {}) for c in (A, B)],
    "labels": lambda k, x: [((x, 9 - k, ONE), {}), ((x, 9 - k, ZERO), {})],
    "labels in the place of the time": lambda k, x: [((x,), {"c": ONE}), ((x,), {"c": ZERO})],
    "conditions in a mapping": lambda k, x: [((x, 9 - k), {"more": {"c": c}}) for c in (A, B)],
    "new tensors of the same numbers": lambda k, x: [((x, 9 - k, c.clone()), {}) for c in (A, B)],
    "conditions that move": lambda k, x: [((x, 9 - k, c + 0.01 * k), {}) for c in (A, B)],
    "three passes": lambda k, x: [((x, 9 - k, A), {}), ((x, 9 - k, B), {}), ((x, 9 - k), {"drop": True})],
    "in turns the other way round": lambda k, x: [((x, 9 - k, c), {}) for c in ((A, B), (B, A))[k % 2]],
    "other x, same time": lambda k, x: [((x + 0.1, 9 - k, A), {}), ((x - 0.1, 9 - k, B), {})],
    "guidance on some steps": lambda k, x: [((x, 9 - k, c), {}) for c in ((A, B) if k not in (2, 3) else (A,))],
    "guidance from the third step on, the other first": lambda k, x: [
        ((x, 9 - k, c), {}) for c in ((B, A) if k > 1 else (A,))
    ],
    "conditions that move, guidance at first": lambda k, x: [
        ((x, 9 - k, c * (1 + 0.02 * k)), {}) for c in ((A, B) if k < 3 else (B,))
    ],
    "conditions that move, in turns": lambda k, x: [
        ((x, 9 - k, c * (1 + 0.02 * k)), {}) for c in ((A, B), (B, A))[k % 2]
    ],
    "a third pass at every second step": lambda k, x: [
        ((x, 9 - k, c), {}) for c in ((A, B) if k % 2 else (A, 0 * A, B))
    ],
    "another time for each pass": lambda k, x: [((x, 9 - k - 0.5 * i, c), {}) for i, c in enumerate((A, B))],
    "a NumPy time": lambda k, x: [((x, np.full(4, 9.0 - k), c), {}) for c in (A, B)],
    "a number and a tensor for the time": lambda k, x: [((x, 9 - k, A), {}), ((x, torch.tensor(9 - k), B), {})],
    "a time per sample and one for all": lambda k, x: [((x, torch.full((4,), 9 - k), A), {}), ((x, 9 - k, B), {})],
    "condition objects": lambda k, x: [((x, 9 - k), {"more": {"c": c, "held": Held(c)}}) for c in (A, B)],
    "guidance from the second step on": lambda k, x: [((x, 9 - k, c), {}) for c in ((A, B) if k else (A,))],
}


def which(args, named):
    """A name for the pass of a call, by its condition."""
    c = named.get("c", (named.get("more") or {}).get("c", args[2] if len(args) > 2 else None))
    return f"drop {named.get('drop')}" if c is None else f"{float(c.flatten()[0]):.0f}"


@pytest.mark.parametrize("loop", LOOPS.values(), ids=list(LOOPS))
@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop"])
def test_passes_are_told_apart_by_their_arguments(loop, recursion):
    """The same bytes as where every pass is named, and states as many."""
    made = []
    for named in (False, True):
        net = model()
        with modulated(net, activations=ms.AbsMax(4), recursion=recursion) as run:
            out = []
            for k, x in enumerate(slowly()):
                for args, options in loop(k, x):
                    if named:
                        with run.apart(which(args, options)):
                            out.append(net(*args, **options))
                    else:
                        out.append(net(*args, **options))
            made.append((out, run.audit(), run.state_bytes()))
    (found, audit, held), (expected, explicit, needed) = made
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert (audit.passes, held) == (explicit.passes, needed)
    assert f"passes: {audit.passes} kinds of model calls" in str(audit)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", ["uniform", "quad"])
def test_every_sampler_is_one_pass(sampler, spacing):
    """Heun and DPM-Solver-2 call twice within a step, PLMS twice at one time, "quad" repeats a time at the same x."""
    net = model()

    def sampled(named):
        with modulated(net, activations=ms.AbsMax(6)) as run:
            schedule = linear().spaced(60 if spacing == "quad" else 6, spacing=spacing)
            noise = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
            g = torch.Generator().manual_seed(1)

            def denoise(x, t):
                if not named:
                    return 0.1 * net(x, t, A)
                with run.apart("only"):
                    return 0.1 * net(x, t, A)

            x = SAMPLERS[sampler](denoise, noise, schedule, noise=lambda _: torch.randn(4, 8, generator=g))
            return x, run.audit().passes

    (x, passes), (expected, _) = sampled(False), sampled(True)
    assert passes == 1
    assert torch.equal(x, expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_guidance_in_two_passes_with_every_sampler(sampler):
    net, made = model(), []
    for named in (False, True):
        with modulated(net, activations=ms.AbsMax(6)) as run:

            def one(x, t, c, name, run=run, named=named):
                if not named:
                    return net(x, t, c)
                with run.apart(name):
                    return net(x, t, c)

            g = torch.Generator().manual_seed(1)
            made.append(
                SAMPLERS[sampler](
                    lambda x, t, one=one: 0.1 * (2 * one(x, t, A, "with") - one(x, t, B, "without")),
                    torch.randn(4, 8, generator=torch.Generator().manual_seed(0)),
                    linear().spaced(6),
                    noise=lambda _, g=g: torch.randn(4, 8, generator=g),
                )
            )
            assert run.audit().passes == 2
    assert torch.equal(*made)


SINGLE = {
    "repeated call as a warm-up": lambda k, x: [((x, 9 - k, A), {})] * (4 if k == 0 else 1),
    "self-conditioning": lambda k, x: [((x, 9 - k, A + 0.1 * torch.sin(torch.tensor(7.0 * k))), {})],
    "self-conditioning, two calls at a time": lambda k, x: [
        ((x, 9 - (k + 1) // 2, A + 0.1 * torch.sin(torch.tensor(7.0 * k))), {})
    ],
    "a random walk without a time": lambda k, x: [((x + torch.randn(4, 8),), {})],
    "resampling the same time": lambda k, x: [((x + 0.3 * torch.randn(4, 8), 9 - k // 3, A), {})],
    "defaults given or not": lambda k, x: [((x, 9 - k), {"drop": False} if k % 2 else {})],
    "self-conditioning, resampled": lambda k, x: [
        ((x + 0.3 * torch.randn(4, 8), 9 - k // 3), {"more": {"self_cond": torch.randn(4, 8) if k else None}})
    ],
    "an object made anew": lambda k, x: [
        ((x + 0.3 * torch.randn(4, 8), 9 - k // 3, A), {"more": {"c": A, "held": Held(1)}})
    ],
    "a counter": lambda k, x: [((x + 0.3 * torch.randn(4, 8), 9 - k // 3), {"more": {"c": A, "call": k}})],
    "an embedding of the time": lambda k, x: [((x,), {"c": A + 0.01 * k})],
}


@pytest.mark.parametrize("loop", SINGLE.values(), ids=list(SINGLE))
def test_one_pass_is_neither_split_nor_refused(loop):
    torch.manual_seed(0)
    net = model()
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for k, x in enumerate(slowly(9)):
            for args, options in loop(k, x):
                net(*args, **options)
        assert run.audit().passes == 1


@pytest.mark.parametrize("time", [False, True])
def test_an_input_that_goes_back_and_forth_is_refused(time):
    """Nothing but x tells these two passes apart, and x differs between them at every step."""
    net = model()
    with modulated(net, activations=ms.AbsMax(4)):
        first, second = slowly()[:2]
        for k, x in ((0, first + 2), (0, first - 2), (1, second + 2)):
            net(*((x, 9 - k) if time else (x,)))
        with pytest.raises(RuntimeError, match=r"goes back and forth.*run\.apart"):
            net(*((second - 2, 8) if time else (second - 2,)))
    with modulated(net, activations=ms.AbsMax(4)) as run:  # named, they are right
        for x in slowly():
            for far in (2.0, -2.0):
                with run.apart(str(far)):
                    net(x + far)
        assert run.audit().passes == 2


def test_the_same_arguments_twice_at_every_step_are_refused():
    """A condition that is no argument tells these calls apart; some repetitions at the start are a warm-up."""
    net = model()
    with modulated(net, activations=ms.AbsMax(4)):
        for k, x in enumerate(slowly(3)):
            net(x, 9 - k, A)
            if k == 2:
                with pytest.raises(RuntimeError, match=r"the same arguments more than once at every step.*run\.apart"):
                    net(x, 9 - k, A)
            else:
                net(x, 9 - k, A)


def test_x_beside_a_condition_is_refused_even_if_x_moves_far():
    net = nn.Sequential(nn.Linear(16, 8)).requires_grad_(False)
    g = torch.Generator().manual_seed(0)
    with modulated(net, activations=ms.AbsMax(4)):
        calls = [torch.cat([x, c], -1) for x in torch.randn(2, 4, 8, generator=g) for c in (A, B)]
        for call in calls[:3]:
            net(call)
        with pytest.raises(RuntimeError, match="goes back and forth"):
            net(calls[3])


@pytest.mark.parametrize("kind", ["tokens", "one vector", "condition first"])
def test_one_pass_of_models_that_are_called_in_other_ways(kind):
    g = torch.Generator().manual_seed(0)
    arm = {"activations": ms.AbsMax(4, granularity=ms.PerBatch())}
    if kind == "tokens":
        net = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 4))
        inputs = [(torch.randint(0, 20, (2, 6), generator=g),) for _ in range(20)]
    elif kind == "one vector":
        net, inputs = nn.Sequential(nn.Linear(8, 4)), [(x[0],) for x in slowly(20)]
    else:
        net, inputs = CondFirst(), [(A, x) for x in slowly(20)]
    with modulated(net.requires_grad_(False), **arm) as run:
        for args in inputs:
            net(*args)
        assert run.audit().passes == 1
        assert run.audit().call_share == 19 / 20
    with record(net, ms.AbsMax(4, granularity=ms.PerBatch())) as log:
        for args in inputs:
            net(*args)
    assert log.calls == 20


class CondFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, cond, x):
        return self.layer(x + cond)


def test_without_a_state_there_is_nothing_to_mix():
    net = model()
    with modulated(net, activations=ms.AbsMax(4), recursion="direct") as run:
        for x in slowly():
            for far in (2.0, -2.0):
                net(x + far)
        assert run.audit().passes == 1


def test_passes_without_end_are_refused():
    net, x = model(), slowly()[0]
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for i in range(MOST_PASSES):
            net(x, 9, A + i)
        assert run.audit().passes == MOST_PASSES  # as many prompts at one time are allowed
        with pytest.raises(RuntimeError, match="sets of conditions at one time"):
            net(x, 9, B)


def test_a_pass_for_every_call_is_refused():
    """An x that stands still while the time and other conditions move on would leave all in full precision."""
    net, x = model(), slowly()[0]
    with modulated(net, activations=ms.AbsMax(4)):
        for i in range(ALL_NEW - 1):
            net(x, 90 - i, A + i)
        with pytest.raises(RuntimeError, match=r"each of the first 16 model calls.*run\.reset\(\).*run\.apart"):
            net(x, 70, B)


class InAnyOrder(nn.Module):
    """What is denoised is not the first argument, and has no name that says so."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.outer = nn.Linear(8, 32), nn.Linear(32, 8)

    def made(self, x, c):
        return self.outer(torch.relu(self.inner(x) + c.repeat_interleave(4, -1)))


class ConditionThenInput(InAnyOrder):
    def forward(self, lowres, noisy, t, emb=None):
        return self.made(noisy, lowres if emb is None else lowres + emb)


class TimeThenLetter(InAnyOrder):
    def forward(self, t, y, ctx):
        return self.made(y, ctx)


class AnyArguments(InAnyOrder):
    def forward(self, *args):
        return self.made(args[1], args[0])


class Batch(InAnyOrder):
    def forward(self, batch):
        return self.made(batch["x"], batch["ctx"])


class NoTime(InAnyOrder):
    def forward(self, memory, target):
        return self.made(target, memory)


ORDERS = {
    "a condition first": (ConditionThenInput, lambda k, x: [(A, x, 9 - k)]),
    "a condition first, two passes": (ConditionThenInput, lambda k, x: [(A, x, 9 - k, e) for e in (A, B)]),
    "a level as tau": (ConditionThenInput, lambda k, x: [(A, x, torch.full((4,), 1 - k / 9))]),
    "the time first, x named y": (TimeThenLetter, lambda k, x: [(torch.tensor(9 - k), x, A)]),
    "a mapping": (Batch, lambda k, x: [({"ctx": A, "x": x, "t": 9 - k},)]),
    "a mapping, several calls at a time": (
        Batch,
        lambda k, x: [({"ctx": A, "x": x + d, "t": 9 - k},) for d in (0, 0.1)],
    ),
    "no time": (NoTime, lambda k, x: [(A, x)]),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_what_is_denoised_is_what_moves(order):
    """A constant array in the first place does not make every call a pass of its own."""
    kind, loop = order
    made = []
    for named in (False, True):
        net = kind().requires_grad_(False)
        with modulated(net, activations=ms.AbsMax(4)) as run:
            out = []
            for k, x in enumerate(slowly()):
                for args in loop(k, x):
                    with run.apart(f"{args[3].sum()}" if len(args) > 3 else "one") if named else nullcontext():
                        out.append(net(*args))
            made.append((out, run.audit().passes))
    (found, passes), (expected, wanted) = made
    assert passes == wanted
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [AnyArguments, ConditionThenInput])
def test_without_a_time_or_names_a_few_calls_tell_what_moves(kind):
    """Until then every call is a pass of its own, and exact."""
    net = kind().requires_grad_(False)
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for x in slowly(10):
            net(A, x, None)
    assert run.audit().passes <= STANDING
    assert run.audit().call_share >= 0.6


PROMPTS = (A, B, A / 2)


@pytest.mark.parametrize("prompts", [PROMPTS[:2], PROMPTS], ids=["two", "three"])
def test_passes_without_a_time_or_names(prompts):
    """x is the first argument here, and another prompt at the same x does not make it a condition."""

    class Net(InAnyOrder):
        def forward(self, *args):
            return self.made(*args)

    made = []
    for named in (False, True):
        net = Net().requires_grad_(False)
        with modulated(net, activations=ms.AbsMax(4)) as run:
            out = []
            for x in slowly():
                for c in prompts:
                    with run.apart(f"{c.sum()}") if named else nullcontext():
                        out.append(net(x, c))
            made.append((out, run.audit().passes))
    (found, passes), (expected, wanted) = made
    assert passes == wanted == len(prompts)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_labels_in_the_second_place_are_no_time():
    found, finder = [], Finder()
    for k, x in enumerate(slowly()):
        for label in (ONE, ZERO):
            found.append(finder.find({"picture": x, "kind": label, "t": 9 - k}))
    assert found == [0, 1] * STEPS


def test_a_mistaken_choice_of_what_is_denoised_is_refused():
    """More prompts than calls after which x seems to stand still, without a time or names."""
    finder, (x, y, *_) = Finder(), slowly()
    for i in range(STANDING + 2):
        finder.find({"0": x, "1": A + i})
    with pytest.raises(RuntimeError, match=r"run\.apart"):
        finder.find({"0": y, "1": A})


def test_objects_of_two_types_are_two_conditions():
    class With:
        pass

    class Without:
        pass

    found, finder = [], Finder()
    for k, x in enumerate(slowly()):
        found += [finder.find({"x": x, "t": 9 - k, "how": kind()}) for kind in (With, Without)]
    assert found == [0, 1] * STEPS


def test_objects_that_hold_much_are_not_copied():
    """Nor looked through: they are compared as a whole."""
    much, finder = Held(torch.zeros(MOST_BYTES // 4 + 1)), Finder()
    many = Held(list(range(10 * MOST_ENTRIES)))
    for k, x in enumerate(slowly()):
        assert finder.find({"x": x, "t": 9 - k, "much": much, "many": many}) == 0
    kept = finder.last.conditions
    assert kept["['much']"] is much
    assert kept["['many']"] is many


def test_arguments_that_cannot_be_looked_into():
    @dataclass
    class Raising:
        c: int = 0

        def __getattribute__(self, name):
            if name == "c":
                raise RuntimeError("not now")
            return super().__getattribute__(name)

    finder, held = Finder(), Raising.__new__(Raising)
    assert [finder.find({"x": x, "t": 9 - k, "held": held}) for k, x in enumerate(slowly())] == [0] * STEPS


def test_many_views_in_one_step_of_a_scheduler():
    found, finder = [], Finder(watched=True)
    g = torch.Generator().manual_seed(0)
    views = torch.randn(25, 2, 8, generator=g)
    for k in range(3):
        found += [finder.find({"x": v * (1 - 0.01 * k), "t": 9 - k}) for v in views]
        finder.step()
    assert found == [*range(25)] * 3


def test_a_transformer_with_a_fixed_source_is_one_pass():
    torch.manual_seed(0)
    net = nn.Transformer(8, 2, 1, 1, 16, dropout=0, batch_first=True).eval().requires_grad_(False)
    source, target = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for k in range(5):
            net(source, target + 0.1 * k)
    assert run.audit().passes == 1
    assert run.audit().call_share == 0.8
    with modulated(net.decoder, activations=ms.AbsMax(4)) as run:  # queries that stand still
        for k in range(10):
            net.decoder(target, source + 0.1 * k)
    assert run.audit().passes == STANDING


@pytest.mark.parametrize("times", [(9, 8, 8, 7, 7), (9, 9, 8, 8, 7, 7)], ids=["Heun", "corrector at every time"])
def test_two_passes_whose_conditions_move_with_x(times):
    """Residuals of a control network, made from x and the prompt at every call, two evaluations at one time."""
    made = []
    for named in (False, True):
        net = model()
        with modulated(net, activations=ms.AbsMax(4)) as run:
            out = []
            for t, x in zip(times, slowly(len(times)), strict=True):
                for c in (A, B):
                    with run.apart(f"{c.sum()}") if named else nullcontext():
                        out.append(net(x, t, more={"c": c + x, "prompt": c}))
            made.append((out, run.audit().passes))
    (found, passes), (expected, _) = made
    assert passes == 2
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@dataclass
class Conditions:
    c: torch.Tensor
    weight: torch.Tensor


class Node:
    """An object that refers to itself."""

    def __init__(self, c):
        self.c, self.parent = c, self


HELD = {
    "a dataclass": (lambda c: Conditions(c.clone(), torch.ones(2)), lambda k: (A, B)),
    "a dataclass, the other order": (
        lambda c: Conditions(c.clone(), torch.ones(2)),
        lambda k: (A, B) if k % 2 else (B, A),
    ),
    "a dataclass, at first": (lambda c: Conditions(c.clone(), torch.ones(2)), lambda k: (B, A) if k < 3 else (A,)),
    "a cycle": (Node, lambda k: (A, B)),
}


class OfAnObject(Conditional):
    def forward(self, x, t, held):
        return super().forward(x, t, held.c)


@pytest.mark.parametrize("case", HELD.values(), ids=list(HELD))
def test_conditions_in_objects_are_compared_by_what_they_hold(case):
    hold, order = case
    made = []
    for named in (False, True):
        torch.manual_seed(0)
        net = OfAnObject().eval().requires_grad_(False)
        with modulated(net, activations=ms.AbsMax(4)) as run:
            out = []
            for k, x in enumerate(slowly()):
                for c in order(k):
                    with run.apart(f"{c.sum()}") if named else nullcontext():
                        out.append(net(x, 9 - k, hold(c)))
            made.append((out, run.audit().passes))
    (found, passes), (expected, _) = made
    assert passes == 2
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_one_object_that_is_written_to_between_passes():
    torch.manual_seed(0)
    net, held = OfAnObject().eval().requires_grad_(False), Held(A)
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for c in (A, B):
            held.c = c
            net(slowly()[0], 9, held)
    assert run.audit().passes == 2


def test_stages_of_one_sequence_are_no_passes():
    """A number that jumps now and then, and never comes back: at most the first jump starts another pass."""
    net = model()
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for k, x in enumerate(slowly(12)):
            net(x, 19 - k, A, more={"c": A, "stage": k // 2})
    assert run.audit().passes <= 2


def test_a_failed_call_does_not_count_as_a_pass():
    net, x = model(), slowly()[0]
    with modulated(net, activations=ms.AbsMax(4)) as run:
        net(x, 9, A)
        with pytest.raises(ValueError, match="not finite"):
            net(x, 9, B / 0)
        net(x, 9, B)
        run.reset()
        net(x, 9, A)
        assert run.audit().passes == 2


def test_differences_are_recorded_within_a_pass():
    net = model()
    with record(net, ms.AbsMax(4)) as both:
        for k, x in enumerate(slowly()):
            net(x, 9 - k, A)
            net(x, 9 - k, B)
    with record(net, ms.AbsMax(4)) as one:
        for k, x in enumerate(slowly()):
            net(x, 9 - k, A)
    assert both.calls == one.calls == STEPS
    assert both.stats["inner", 3, "d"].values.absmax == pytest.approx(
        one.stats["inner", 3, "d"].values.absmax, rel=1e-5
    )


def call(x, t=None, **more):
    return {"x": x, "t": t, **more}


def test_a_scheduler_that_is_watched_tells_where_a_step_ends():
    finder = Finder(watched=True)
    same = torch.ones(2, 3)
    assert [finder.find(call(same, 9)) for _ in range(2)] == [0, 1]  # even where all arguments are the same
    finder = Finder(watched=True)
    found = []
    for k, x in enumerate(slowly()):
        found.append((finder.find(call(x, 9 - k)), finder.find(call(x + 1, 9 - k))))
        finder.step()
    assert found[1:] == [(0, 1)] * (STEPS - 1)
    heun = Finder(watched=True)
    found = []
    for k, x in enumerate(slowly()):
        found.append(heun.find(call(x, 9 - k)))
        heun.step()
        found.append(heun.find(call(x + 0.01, 8 - k)))
        heun.step()
    assert set(found) == {0}


class Switched(Conditional):
    """A denoiser whose condition is set elsewhere, so that no argument tells passes apart."""

    c = None

    def forward(self, x, t):
        return super().forward(x, t, self.c)


@pytest.mark.parametrize("recursion", ["direct", "closed_loop"])
def test_record_inside_modulated_sees_the_passes_of_the_run(recursion):
    """The very residuals that are quantized, pass by pass, where the run was told the passes."""
    torch.manual_seed(0)
    net, Q, quantized = Switched().eval().requires_grad_(False), ms.AbsMax(4), {}

    def observe(name, call, a, info):
        if call:
            quantized.setdefault((name, call), []).append(info.residual.norm(dim=1))

    with modulated(net, activations=Q, recursion=recursion) as run, record(net, Q) as log:
        run.observers += [observe] if recursion == "closed_loop" else []
        for k, x in enumerate(slowly()):
            for c in (A, B):
                net.c = c
                with run.apart(f"{c.sum()}"):
                    net(x, 9 - k)
    assert log.calls == STEPS
    for (name, call), norms in quantized.items():
        assert np.allclose(log.stats[name, call, "r"].norm, torch.cat(norms), rtol=1e-6)
    assert log.stats["inner", 1, "d"].values.absmax < 0.5  # across the passes it is 6


def test_record_around_modulated_is_refused():
    """It would see nothing: inside of the run the layers' own forwards are not called."""
    net = model()
    with record(net, ms.AbsMax(4)), pytest.raises(RuntimeError, match="inside of it"):
        modulated(net, activations=ms.AbsMax(4)).__enter__()
    with modulated(net, activations=ms.AbsMax(4)), record(net, ms.AbsMax(4)) as log:
        net(slowly()[0], 9, A)
    assert log.calls == 1


def test_record_can_be_told_the_passes():
    torch.manual_seed(0)
    net = Switched().eval().requires_grad_(False)
    with record(net, ms.AbsMax(4)) as log:
        for k, x in enumerate(slowly()):
            for c in (A, B):
                net.c = c
                with log.apart(f"{c.sum()}"):
                    net(x, 9 - k)
    assert log.calls == STEPS
    assert log.stats["inner", 1, "d"].values.absmax < 0.5


def test_a_reset_during_a_call_is_refused_and_nothing_is_lost():
    net, (x, y, *_) = model(), slowly()
    with modulated(net, activations=ms.AbsMax(4)) as run:
        net(x, 9, A)
        hook = net.inner.register_forward_hook(lambda *_: run.reset())
        with pytest.raises(RuntimeError, match="during a call"):
            net(y, 8, A)
        hook.remove()
        found = net(y, 8, A)
        run.reset()
        expected = (net(x, 9, A), net(y, 8, A))[1]
    assert torch.equal(found, expected)


def test_where_a_scheduler_tells_the_steps_a_jump_is_no_other_pass():
    """A prompt that a callback swaps, and control that starts late: with one call per step, and with two."""
    finder = Finder(watched=True)
    for k, x in enumerate(slowly()):
        assert finder.find({"x": x, "t": 9 - k, "c": B if k > 2 else A}) == 0
        finder.step()
    finder, found = Finder(watched=True), []
    for k, x in enumerate(slowly()):
        for c in (A, B):
            found.append(finder.find({"x": x, "t": 9 - k, "c": c, "control": 2 * x + c if k > 2 else None}))
        finder.step()
    assert found == [0, 1] * STEPS


def test_control_that_starts_late_by_hand():
    found, finder = [], Finder()
    for k, x in enumerate(slowly()):
        for c in (A, B):
            found.append(finder.find({"x": x, "t": 9 - k, "c": c, "control": 2 * x + c if k > 2 else None}))
    assert found == [0, 1] * STEPS
