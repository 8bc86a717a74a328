"""States for a denoiser that is called several times within a step, once per prompt: each pass has its own.

Classifier-free guidance without a doubled batch calls the model in turns with and without the prompt. Its inputs change
slowly within each of these passes and not from one to the next, so the two share no state, as if they were two models.

``run.apart(name)`` says which pass a call belongs to. Where nobody says it, it is found from the calls themselves:

* two calls at the same x and t that differ in another argument belong to two passes, and so do two calls at the same t
  with other conditions; in a pipeline whose scheduler is watched, so do any two calls at the same t within one step;
* two calls at different t are one pass (Heun and DPM-Solver-2 make them within one step), and so are two calls at the
  same t that differ in x alone, and repetitions of the same call (a warm-up);
* calls whose x goes back and forth between two sequences, with nothing else to tell them apart, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
#: more passes than this are no guidance
MOST_PASSES = 16
#: a sequence goes back and forth if x is so much nearer to the call before the last than to the last
NEARER = 0.25


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
        leaves, _ = pytree.tree_flatten_with_path(dict(arguments))
        call = _Call(None, {}, {}, {})
        x = None
        for i, (path, leaf) in enumerate(leaves):
            name, kept = pytree.keystr(path), leaf.detach().clone() if isinstance(leaf, Tensor) else leaf
            top = str(getattr(path[0], "key", "")).lower()
            if x is None and isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim > 1:
                x = kept
            elif top in WHEN:
                if leaf is not None:
                    call.t[name] = kept
            elif i == 1 and len(path) == 1 and _a_number(leaf) and top not in CONDITIONS:
                call.second[name] = kept
            else:
                call.rest[name] = kept
        return replace(call, x=x)

    @property
    def when(self) -> dict[str, Any]:
        return {**self.t, **self.second}


def _a_number(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.ndim <= 1 and leaf.dtype != torch.bool
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        return a.is_meta or torch.equal(a, b)
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return False
    try:
        return a is b or (type(a) is type(b) and bool(a == b))
    except Exception:  # an object that cannot be compared is another one
        return False


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> set[str]:
    return {k for k in {*a, *b} if k not in a or k not in b or not _same(a[k], b[k])}


@dataclass
class Finder:
    """Finds which pass each model call belongs to, 0 for the first; see the module's head.

    watched: ``step`` is called after every step of a scheduler.
    """

    watched: bool = False
    now: int = 0
    last: _Call | None = None
    before: _Call | None = None  # the call before the last
    known: list[dict[str, Any]] = field(default_factory=list)  # the conditions of every pass, when last seen
    group: tuple[int, ...] = ()  # passes that have been called since x or t moved on
    groups: int = 0
    moving: frozenset[str] = frozenset()  # conditions that change from call to call within a pass
    stepped: bool = False  # the scheduler has made a step since the last call
    steps: int = 0
    nearer: int = 0  # how often in a row x went back to where it was two calls before

    def copy(self) -> Finder:
        return replace(self, known=list(self.known))

    def step(self) -> None:
        """The scheduler has made a step."""
        self.stepped, self.steps = True, self.steps + 1

    def find(self, arguments: Mapping[str, Any]) -> int:
        """The pass of the call with these arguments. Raises RuntimeError for calls that cannot be told apart."""
        call = _Call.of(arguments)
        if self.last is None:
            self.now, self.known, self.group = 0, [call.rest], (0,)
        elif self._goes_on(call, self.last):
            self._next_in_group(call, self.last)
        else:
            self._new_group(call)
        self._refuse_back_and_forth(call)
        self.known[self.now] = call.rest
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
        same_time = bool(call.when) and not _differing(call.second, last.second)
        return same_time and bool(_differing(call.rest, last.rest) - self.moving)

    def _next_in_group(self, call: _Call, last: _Call) -> None:
        differ, same_x = _differing(call.rest, last.rest), _same(call.x, last.x)
        if same_x:  # then any difference tells, of a label in the second place as well
            differ |= _differing(call.second, last.second)
        else:
            differ -= self.moving
        if not differ and not self._told:
            return  # the same call again, or the same prompt at another x
        free = [k for k in range(len(self.known)) if k not in self.group]
        exact = [k for k in range(len(self.known)) if not _differing(call.rest, self.known[k]) - self.moving]
        if exact and not set(exact) & set(free) and not self._told:
            # a pass that was called already: the same time again at another x, as Heun has it, or a repetition
            self.now = exact[0]
            self.group = self.group if same_x else (self.now,)
            return
        exact = [k for k in exact if k in free]
        if not free and len(self.known) >= MOST_PASSES:
            raise RuntimeError(
                f"the model was called with more than {MOST_PASSES} sets of conditions at one time step, and each "
                'would have a state of its own. Say which calls belong together: `with run.apart("name"):` around each'
            )
        self.now = (exact or free or [len(self.known)])[0]
        if self.now == len(self.known):
            self.known.append(call.rest)
        self.group = (*self.group, self.now)

    def _new_group(self, call: _Call) -> None:
        differences = [_differing(call.rest, rest) - self.moving for rest in self.known]
        self.now = min(range(len(self.known)), key=lambda k: len(differences[k]))
        self.moving |= differences[self.now]
        self.group, self.groups = (self.now,), self.groups + 1

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
        self.nearer = self.nearer + 1 if (x - x_before).norm() < NEARER * (x - x_last).norm() else 0
        if self.nearer >= 2:
            raise RuntimeError(
                "the model's input goes back and forth: twice in a row it is much nearer to the input of the call "
                "before the last than to the last one's, as in guidance with one call per prompt. Such calls would "
                'share one state. Put each kind of call into its own `with run.apart("name"):`'
            )


def _comparable(xs: list[Any]) -> bool:
    return all(isinstance(x, Tensor) and not x.is_meta and x.shape == xs[0].shape for x in xs)


class Passes:
    """The states of all passes of a run: those of the present one are the run's, the others are kept here by name."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kept: dict[tuple[tuple[str, ...], int], dict] = {}
        self._names: tuple[str, ...] = ()  # of the open ``apart`` contexts
        self._now: tuple[tuple[str, ...], int] = ((), 0)
        self._finders: dict[tuple[tuple[str, ...], int], Finder] = {}
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
        finder = self._finders.setdefault((self._names, root), Finder(watched=self._watched))
        self._go((self._names, finder.find(arguments)))

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
