"""States for a denoiser that is called several times within a step, once per prompt: each pass has its own.

Classifier-free guidance without a doubled batch calls the model in turns with and without the prompt. Its inputs change
slowly within each of these passes and not from one to the next, so the two share no state, as if they were two models.

``run.apart(name)`` says which pass a call belongs to. Where nobody says it, it is found from the calls themselves:

* two calls at the same x and t that differ in another argument belong to two passes, and so do two calls at the same t
  with other conditions; in a pipeline whose scheduler is watched, so do any two calls at the same t within one step;
* two calls at different t are one pass (Heun and DPM-Solver-2 make them within one step), and so are two calls at the
  same t that differ in x alone, and repetitions of the same call (a warm-up);
* later calls belong to the pass whose conditions theirs are nearest to; conditions that stood still for some calls and
  then jump are another pass;
* calls that nothing tells apart are refused: an x that goes back and forth between two sequences, or the same arguments
  twice at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .calling import CONDITIONS, LEVELS, TIMES

if TYPE_CHECKING:
    from .run import Run

#: what a run and its parts (products, reused branches) hold between model calls
STATES = ("_states", "_like", "_work")
#: names of the argument that says when: a timestep or a noise level
WHEN = frozenset({*TIMES, *LEVELS})
#: names of the argument that is denoised
DENOISED = frozenset(
    {"x", "sample", "hidden_states", "latents", "latent", "z", "x_t", "xt", "noisy", "noisy_latents", "input_ids"}
)
#: more passes than this are no guidance
MOST_PASSES = 16
#: conditions nearer than this to those of a pass may have moved there; further ones have jumped
JUMP = 0.25
#: a sequence goes back and forth if x is so much nearer to the call before the last than to the last, or if this share
#: of its entries is back at its value
NEARER, BACK = 0.25, 0.1
#: so many steps in a row with the same call twice are no warm-up
REPEATED = 3


@dataclass(frozen=True)
class _Call:
    """The arguments of one model call: what is denoised, when, and everything else, by path.

    second: a number in the second place whose name does not say what it is: a time, or else a class label.
    """

    x: Any
    t: dict[str, Any]
    second: dict[str, Any]
    rest: dict[str, Any]

    @staticmethod
    def of(arguments: Mapping[str, Any]) -> _Call:
        leaves = [(pytree.keystr(path), _top(path), leaf) for path, leaf in _flat(dict(arguments))]
        where = _denoised(leaves)
        call = _Call(None if where is None else _kept(leaves[where][2]), {}, {}, {})
        for i, (name, top, leaf) in enumerate(leaves):
            if i == where:
                continue
            if top in WHEN:
                if leaf is not None:
                    call.t[name] = _kept(leaf)
            elif i == 1 and _a_number(leaf) and top not in CONDITIONS:
                call.second[name] = _kept(leaf)
            else:
                call.rest[name] = _kept(leaf)
        return call

    @property
    def when(self) -> dict[str, Any]:
        return {**self.t, **self.second}

    @property
    def conditions(self) -> dict[str, Any]:
        return {**self.second, **self.rest}


def _flat(arguments: dict[str, Any]) -> list[tuple[Any, Any]]:
    return pytree.tree_flatten_with_path(arguments)[0]


def _top(path: Any) -> str:
    return str(getattr(path[0], "key", "")).lower()


def _kept(leaf: Any) -> Any:
    """What is compared later: a copy of arrays, which may be written to; of an object, what it holds."""
    if isinstance(leaf, Tensor):
        return leaf.detach().clone()
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    return leaf


def _denoised(leaves: list[tuple[str, str, Any]]) -> int | None:
    """Which leaf is denoised: by its name, else the first array of numbers that is no condition by its name."""
    arrays = [i for i, (_, _, v) in enumerate(leaves) if isinstance(v, Tensor) and v.ndim > 0 and v.dtype != torch.bool]
    named = [i for i in arrays if leaves[i][1] in DENOISED]
    floats = [i for i in arrays if leaves[i][2].is_floating_point() and leaves[i][1] not in {*CONDITIONS, *WHEN}]
    others = [i for i in arrays if leaves[i][1] not in {*CONDITIONS, *WHEN}]
    return next(iter((*named, *floats, *others)), None)


def _a_number(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.ndim <= 1 and leaf.dtype != torch.bool
    if isinstance(leaf, np.ndarray):
        return leaf.ndim <= 1
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        return a.is_meta or torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        if bool(a == b):
            return True
    except Exception:  # an object that cannot be compared
        return False
    # made anew for every call, with the same content
    return type(a).__eq__ is object.__eq__ and hasattr(a, "__dict__") and not _differing(vars(a), vars(b))


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> set[str]:
    return {k for k in {*a, *b} if k not in a or k not in b or not _same(a[k], b[k])}


def _far(x: Any, y: Any) -> float:
    """How far two different conditions are: relative to their size for arrays of one shape, else 1."""
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape == y.shape and x.is_floating_point():
        size = float(x.double().norm() + y.double().norm())
        return min(1.0, 2 * float((x.double() - y.double()).norm()) / size) if size > 0 else 0.0
    return 1.0


class _Pass:
    """One pass: its conditions when last seen, and for how many calls each of them has stood still."""

    def __init__(self, call: _Call) -> None:
        self.conditions, self.calls = call.conditions, 0
        self.still: dict[str, int] = {}

    def copy(self) -> _Pass:
        other = object.__new__(_Pass)
        other.conditions, other.calls, other.still = self.conditions, self.calls, dict(self.still)
        return other

    def see(self, call: _Call) -> None:
        differ = _differing(call.conditions, self.conditions) if self.calls else set()
        self.still = {k: 0 if k in differ else self.still.get(k, -1) + 1 for k in call.conditions}
        self.conditions, self.calls = call.conditions, self.calls + 1

    def tells(self, k: str, *calls: _Call) -> bool:
        """Whether a condition that differs at the same time tells another pass, where x differs, too.

        Not so for a number, which may count calls, and for one that changes from call to call anyway, as an estimate
        of the clean image does (self-conditioning).
        """
        values = (c.conditions.get(k) for c in calls)
        numbers = any(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        return not numbers and "self_cond" not in k and (self.calls < 2 or self.still.get(k, 0) > 0)

    def differing(self, call: _Call) -> set[str]:
        """Conditions in which a call differs; a number in the second place is one if it has stood still so far."""
        moving = {k for k in call.second if self.still.get(k, 0) < 1}
        return _differing(call.conditions, self.conditions) - moving

    def apart(self, call: _Call) -> float:
        """How far a call's conditions are: 0 for equal ones, up to 1 for each that differs."""
        return sum(_far(call.conditions.get(k), self.conditions.get(k)) for k in self.differing(call))

    def left(self, call: _Call) -> bool:
        """Whether the call's conditions have jumped away from where they stood still."""
        stood = all(self.still.get(k, self.calls - 1) > 0 for k in self.differing(call))
        return self.apart(call) > JUMP and stood


@dataclass
class Finder:
    """Finds which pass each model call belongs to, 0 for the first; see the module's head.

    watched: ``step`` is called after every step of a scheduler.
    """

    watched: bool = False
    now: int = 0
    last: _Call | None = None
    before: _Call | None = None  # the call before the last
    known: list[_Pass] = field(default_factory=list)
    group: tuple[int, ...] = ()  # passes that have been called since x or t moved on
    groups: int = 0
    stepped: bool = False  # the scheduler has made a step since the last call
    steps: int = 0
    nearer: int = 0  # how often in a row x went back to where it was two calls before
    again: int = 0  # in how many steps in a row the same call came twice
    twice: bool = False

    def copy(self) -> Finder:
        return replace(self, known=[p.copy() for p in self.known])

    def step(self) -> None:
        """The scheduler has made a step."""
        self.stepped, self.steps = True, self.steps + 1

    def find(self, arguments: Mapping[str, Any]) -> int:
        """The pass of the call with these arguments. Raises RuntimeError for calls that cannot be told apart."""
        call = _Call.of(arguments)
        if call.x is None:  # nothing that is denoised: nothing to tell passes by
            return self.now
        if self.last is None:
            self.now, self.known, self.group = 0, [_Pass(call)], (0,)
        elif self._goes_on(call, self.last):
            self._next_in_group(call, self.last)
        else:
            self.again, self.twice = (self.again + 1 if self.twice else 0), False
            self._new_group(call)
        self._refuse_back_and_forth(call)
        self.known[self.now].see(call)
        self.before, self.last, self.stepped = self.last, call, False
        return self.now

    @property
    def _told(self) -> bool:
        """Whether the scheduler tells where a step ends: some pipelines never ask theirs for one."""
        return self.watched and (self.steps > 0 or self.groups == 0)

    def _goes_on(self, call: _Call, last: _Call) -> bool:
        """Whether this call belongs to the same step as the last."""
        if _differing(call.t, last.t):
            return False
        if self._told:
            return not self.stepped and not _differing(call.second, last.second)
        if _same(call.x, last.x):
            return True
        return bool(call.when) and not _differing(call.second, last.second)

    def _next_in_group(self, call: _Call, last: _Call) -> None:
        """A further call at the same time."""
        same_x = _same(call.x, last.x)
        if not self._told:
            differ = _differing(call.conditions, last.conditions)
            if not same_x:
                differ = {k for k in differ if self.known[self.now].tells(k, call, last)}
            if not differ:  # the same call again, or the same prompt at another x
                self.twice |= same_x
                if self.twice and self.again >= REPEATED - 1:
                    raise RuntimeError(
                        "the model is called with the same arguments more than once at every step: if a condition "
                        "that is set elsewhere tells these calls apart, each needs a state of its own. Put each kind "
                        'of call into its own `with run.apart("name"):`'
                    )
                return
        apart = [p.apart(call) for p in self.known]
        free = [k for k in range(len(self.known)) if k not in self.group]
        back = [k for k in self.group if not _differing(call.conditions, self.known[k].conditions)]
        if back and not self._told:  # a pass that was called already: the same time at another x, as Heun has it
            self.now, self.group = back[0], self.group if same_x else (back[0],)
            return
        if not free and len(self.known) >= MOST_PASSES:
            raise RuntimeError(
                f"the model was called with more than {MOST_PASSES} sets of conditions at one time step, and each "
                'would have a state of its own. Say which calls belong together: `with run.apart("name"):` around each'
            )
        self.now = min(free, key=lambda k: apart[k]) if free else self._new(call)
        self.group = (*self.group, self.now)

    def _new_group(self, call: _Call) -> None:
        """The first call at another time or x: whose conditions are nearest, unless they have jumped there."""
        apart = [p.apart(call) for p in self.known]
        self.now = min(range(len(self.known)), key=lambda k: (apart[k], bool(_differing(call.second, self._second(k)))))
        same_shape = self.last is not None and call.x.shape == self.last.x.shape  # else it is another batch
        if same_shape and all(p.left(call) for p in self.known) and len(self.known) < MOST_PASSES:
            self.now = self._new(call)
        self.group, self.groups = (self.now,), self.groups + 1

    def _second(self, k: int) -> dict[str, Any]:
        conditions = self.known[k].conditions
        return {name: v for name, v in conditions.items() if self.last is not None and name in self.last.second}

    def _new(self, call: _Call) -> int:
        self.known.append(_Pass(call))
        return len(self.known) - 1

    def _refuse_back_and_forth(self, call: _Call) -> None:
        """Raise for an x that alternates between two sequences within what was taken for one pass."""
        last, before = self.last, self.before
        if last is None or before is None or len(self.known) > 1 or self._told:
            self.nearer = 0
            return
        if not _comparable(xs := [c.x for c in (call, last, before)]):
            self.nearer = 0
            return
        if _differing(call.when, last.when) and _differing(last.when, before.when):
            self.nearer = 0  # one call per time step
            return
        x, x_last, x_before = (v.double() for v in xs)
        near = bool((x - x_before).norm() < NEARER * (x - x_last).norm())
        back = float(((x == x_before) & (x != x_last)).double().mean()) > BACK
        self.nearer = self.nearer + 1 if near or back else 0
        if self.nearer >= 2:
            raise RuntimeError(
                "the model's input goes back and forth: twice in a row it is much nearer to the input of the call "
                "before the last than to the last one's, as in guidance with one call per prompt. Such calls would "
                'share one state. Put each kind of call into its own `with run.apart("name"):`'
            )


def _comparable(xs: list[Any]) -> bool:
    return all(isinstance(x, Tensor) and x.is_floating_point() and not x.is_meta and x.shape == xs[0].shape for x in xs)


class Passes:
    """The states of all passes of a run: those of the present one are the run's, the others are kept here by name."""

    def __init__(self, run: Run, *, matter: bool) -> None:
        self._run, self._matter = run, matter
        self._kept: dict[tuple[tuple[str, ...], int], dict] = {}
        self._names: tuple[str, ...] = ()  # of the open ``apart`` contexts
        self._now: tuple[tuple[str, ...], int] = ((), 0)
        self._finders: dict[int, Finder] = {}
        self._watched = False
        self._most = 1

    def __len__(self) -> int:
        return len(self._kept)

    def _used(self) -> int:
        present = any(vars(owner)[name] for owner, name in self._owners())
        return present + sum(any(held.values()) for held in self._kept.values())

    @property
    def most(self) -> int:
        """How many passes had states at one time, at most; at least 1."""
        return max(self._most, self._used())

    @property
    def now(self) -> str:
        """The name of the present pass; empty while there is one only."""
        names, index = self._now
        return "/".join([*names, *([str(index)] if index else [])])

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """The states of this pass are the run's; nested passes are separate, too."""
        outside, before = self._now, self._names
        self._names = (*before, name)
        self._go((self._names, 0))
        try:
            yield
        finally:
            self._names = before
            self._go(outside)

    def choose(self, arguments: Mapping[str, Any], root: int = 0) -> None:
        """Put the states of the pass in place that a call of this root with these arguments belongs to."""
        if self._names or not self._matter:  # it is said, or there is no state to mix
            return
        finder = self._finders.setdefault(root, Finder(watched=self._watched))
        self._go(((), finder.find(arguments)))

    def watch(self, watched: bool) -> None:
        """Whether ``step`` will be called after every step of a scheduler."""
        self._watched = watched
        for finder in self._finders.values():
            finder.watched = watched

    def step(self) -> None:
        """A scheduler has made a step."""
        for finder in self._finders.values():
            finder.step()

    def snapshot(self) -> Any:
        return {names: finder.copy() for names, finder in self._finders.items()}

    def restore(self, snapshot: Any) -> None:
        self._finders = snapshot

    def _go(self, where: tuple[tuple[str, ...], int]) -> None:
        if where == self._now:
            return
        self._kept[self._now] = self._exchange(self._kept.pop(where, None))
        self._now = where
        self._most = max(self._most, self._used())

    def _owners(self) -> list[tuple[Any, str]]:
        owners: tuple[Any, ...] = (self._run, self._run._products, self._run._branches)
        return [(owner, name) for owner in owners for name in STATES if name in vars(owner)]

    def _exchange(self, other: dict | None) -> dict:
        """Put these states in place, none at all for None; returns those that were there. Counts stay."""
        held = {(owner, name): vars(owner)[name] for owner, name in self._owners()}
        for owner, name in held:
            setattr(owner, name, {} if other is None else other[owner, name])
        return held

    def clear(self) -> None:
        """Forget all states but the present ones, and what was found about passes."""
        self._most = self.most
        self._kept.clear()
        self._finders.clear()
        self._now = (self._names, 0)

    def state_bytes(self) -> int:
        """Bytes of the states kept here."""
        total = 0
        for other in self._kept.values():
            present = self._exchange(other)
            total += self._run.held_bytes()
            self._exchange(present)
        return total
