"""Passes that are named with ``apart``: one inside another, also where generators and coroutines hold them open."""

import asyncio
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import modulated, record

X = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
KINDS = {
    "modulated": lambda net: modulated(net, activations=ms.AbsMax(4)),
    "record": lambda net: record(net, ms.AbsMax(4)),
}
REFUSED = r"apart\('.'\) (was left|is open).* not across the yield of generators"


@pytest.fixture(params=KINDS)
def opened(request):
    """A model, and what ``apart`` is a method of."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    with KINDS[request.param](net) as apart:
        yield net, apart


@contextmanager
def helper(what, name):
    with what.apart(name):
        yield


class Entered:
    def __init__(self, what, name):
        self._what, self._name, self._stack = what, name, ExitStack()

    def __enter__(self):
        self._stack.enter_context(self._what.apart(self._name))

    def __exit__(self, *error):
        return self._stack.__exit__(*error)


WAYS = {"apart": lambda what, name: what.apart(name), "helper": helper, "class": Entered}


def calls(net, context, sign):
    with context:
        for x in X:
            net(sign * x)
            yield


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_generators_that_are_advanced_in_turns_are_refused(opened, way):
    net, what = opened
    one, other = calls(net, way(what, "a"), 1), calls(net, way(what, "b"), -1)
    next(one)
    next(other)
    with pytest.raises(RuntimeError, match=REFUSED):
        next(one)
    other.close()
    net(X[0])  # nothing is open any more


def test_leaving_before_what_was_opened_inside_is_refused(opened):
    net, what = opened
    outer, inner = what.apart("a"), what.apart("b")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match=REFUSED):
        outer.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match=REFUSED):
        net(X[0])
    inner.__exit__(None, None, None)
    net(X[0])


def test_one_that_is_closed_too_early_is_noticed_at_the_next_call(opened):
    net, what = opened
    one, other = calls(net, what.apart("a"), 1), calls(net, what.apart("b"), -1)
    next(one)
    next(other)
    one.close()
    with pytest.raises(RuntimeError, match=REFUSED):
        next(other)
    net(X[0])


def test_tasks_in_turns_are_refused(opened):
    net, what = opened

    async def task(name, sign):
        with what.apart(name):
            for x in X:
                net(sign * x)
                await asyncio.sleep(0)

    async def both():
        return await asyncio.gather(task("a", 1), task("b", -1), return_exceptions=True)

    found = asyncio.run(both())
    assert [str(e) for e in found if isinstance(e, RuntimeError)]
    net(X[0])


def outputs(net, how):
    with modulated(net, activations=ms.AbsMax(4)) as run:
        return how(run), run.audit().passes


def by_hand(net, run):
    out = []
    for x in X:
        for sign, name in ((1, "a"), (-1, "b")):
            with run.apart(name):
                out.append(net(sign * x))
    return out


def by_a_generator(net, run):
    """The generator rests while calls are made in the context that it holds open."""

    def passes():
        for sign, name in ((1, "a"), (-1, "b")):
            with run.apart(name):
                yield sign

    return [net(sign * x) for x in X for sign in passes()]


def by_a_generator_that_calls(net, run):
    def passes(x):
        for sign, name in ((1, "a"), (-1, "b")):
            with helper(run, name):
                yield from (net(sign * x) for _ in range(1))

    return [out for x in X for out in passes(x)]


def by_generators_in_turns(net, run):
    """Each opens its context anew for every call."""

    def one(sign, name):
        for x in X:
            with run.apart(name):
                out = net(sign * x)
            yield out

    return [out for pair in zip(one(1, "a"), one(-1, "b"), strict=True) for out in pair]


def by_a_stack(net, run):
    out = []
    for x in X:
        for sign, name in ((1, "a"), (-1, "b")):
            with ExitStack() as stack:
                [stack.enter_context(helper(run, n)) for n in (name, "inner")]
                out.append(net(sign * x))
    return out


@pytest.mark.parametrize(
    "how", [by_a_generator, by_a_generator_that_calls, by_generators_in_turns, by_a_stack], ids=lambda f: f.__name__
)
def test_contexts_inside_one_another_are_right(how):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    (expected, passes), (found, others) = (outputs(net, lambda run, f=f: f(net, run)) for f in (by_hand, how))
    assert passes == others == 2
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
