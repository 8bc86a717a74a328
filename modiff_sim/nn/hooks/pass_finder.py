"""Which pass a model call belongs to, found from the calls themselves.

* Two calls at the same x and t that differ in another argument belong to two passes, and so do two calls at the same t
  with other conditions; in a pipeline whose scheduler is watched, so do any two calls at the same t within one step.
* Two calls at different t are one pass (Heun and DPM-Solver-2 make them within one step), and so are two calls at the
  same t that differ in x alone, and repetitions of the same call (a warm-up).
* Later calls belong to the pass with the nearest conditions. Conditions that stood still and then jump are another
  pass, and so are those that a pass seems to have left, once they return.
* What is denoised is the array whose name says so, or the first one. If that stands still while the time moves on, or
  for some calls where there is no time, it is the array that moves, as in ``forward(condition, x, t)``.
* Calls that cannot be told apart are refused: an x that goes back and forth between two sequences, the same arguments
  twice at every step, or a pass for every call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ...typing import Array
from .call_arguments import DENOISED, CallArguments, differing, far, same, same_time, size
from .calling import CONDITIONS

#: more passes than this are not guidance
MOST_PASSES = 64
#: after so many calls at several times some pass must have been called twice
ALL_NEW = 16
#: without a time, what is denoised moves at least every so many calls
STANDING = 4
#: conditions nearer than this to those of a pass may have moved there; further ones have jumped
JUMP = 0.25
#: a sequence goes back and forth if x is nearer to the call before the last than to the last by this factor, or if this
#: share of its entries is back at its value
NEARER, BACK = 0.25, 0.1
#: another view of a picture is at least this far from the last, relative to its size
VIEW = 0.9
#: this many steps in a row with the same call twice are not a warm-up
REPEATED = 3
BACK_AND_FORTH = (
    "the model's input goes back and forth: it is much nearer to the input of the call before the last than to the "
    "last one's, as in guidance with one call per prompt. Such calls would share one state. Put each kind of call into "
    'its own `with run.apart("name"):` (record: `log.apart`)'
)


class _Pass:
    """One pass: its conditions when last seen, and for how many calls each of them has stood still."""

    def __init__(self, call: CallArguments) -> None:
        self.conditions, self.calls, self.shape = call.conditions, 0, call.x.shape
        self.seen = 0  # the group in which it was called last
        self.left_behind: dict[str, Any] | None = None  # conditions that it seemed to leave with its last call
        self.still: dict[str, int] = {}

    def copy(self) -> _Pass:
        other = object.__new__(_Pass)
        vars(other).update(vars(self) | {"still": dict(self.still)})
        return other

    def see(self, call: CallArguments, group: int) -> None:
        self.seen = group
        differ = differing(call.conditions, self.conditions) if self.calls else set()
        self.still = {k: 0 if k in differ else self.still.get(k, -1) + 1 for k in call.conditions}
        self.conditions, self.calls = call.conditions, self.calls + 1

    def tells(self, k: str, *calls: CallArguments) -> bool:
        """Whether a condition that differs at the same time indicates another pass, where x differs as well.

        It does not for a number, which may count calls, and for one that changes from call to call anyway, as an
        estimate of the clean image does (self-conditioning).
        """
        values = (c.conditions.get(k) for c in calls)
        numbers = any(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        return not numbers and "self_cond" not in k and (self.calls < 2 or self.still.get(k, 0) > 0)

    def changed(self, call: CallArguments) -> set[str]:
        """Conditions in which a call differs; a number in the second place is one if it has stood still so far."""
        moving = {k for k in call.second if self.still.get(k, 0) < 1}
        return differing(call.conditions, self.conditions) - moving

    def apart(self, call: CallArguments) -> float:
        """The distance of the conditions of a call: 0 for equal ones, up to 1 for each that differs."""
        return sum(far(call.conditions.get(k), self.conditions.get(k)) for k in self.changed(call))

    def denoises(self, call: CallArguments, old: str, x: Array) -> None:
        """Another array than the old one, which was x at every call, is what is denoised."""
        self.conditions = {k: v for k, v in self.conditions.items() if k != call.denoised} | {old: x}
        self.still = {k: v for k, v in self.still.items() if k != call.denoised} | {old: self.calls - 1}
        self.shape = call.x.shape

    def jumped(self, call: CallArguments) -> bool:
        return self.apart(call) > JUMP

    def stood(self, call: CallArguments) -> bool:
        """Whether what differs had stood still."""
        return all(self.still.get(k, self.calls - 1) > 0 for k in self.changed(call))


@dataclass
class Finder:
    """Finds which pass each model call belongs to, 0 for the first; see the docstring of the module.

    watched: ``step`` is called after every step of a scheduler.
    """

    watched: bool = False
    denoised: str | None = None  # the path of what is denoised, where it is not the likeliest array
    fixed: str | None = None  # the path of the likeliest array, if it must no longer move
    standing: int = 0  # for how many calls what is denoised has not moved
    now: int = 0
    last: CallArguments | None = None
    before: CallArguments | None = None  # the call before the last
    first: CallArguments | None = None
    known: list[_Pass] = field(default_factory=list)
    group: tuple[int, ...] = ()  # passes that have been called since x or t moved on
    groups: int = 0
    jumped: set[str] = field(default_factory=set)  # conditions in which a pass has jumped since then
    stepped: bool = False  # the scheduler has made a step since the last call
    steps: int = 0
    nearer: int = 0  # how often in a row x went back to where it was two calls before
    again: int = 0  # in how many steps in a row the same call came twice
    twice: bool = False

    def copy(self) -> Finder:
        """A copy that later calls do not change."""
        return replace(self, known=[p.copy() for p in self.known])

    def step(self) -> None:
        """The scheduler has made a step."""
        self.stepped, self.steps = True, self.steps + 1

    def find(self, arguments: Mapping[str, Any]) -> int:
        """The pass of a call. Raises RuntimeError for calls that cannot be told apart, which are then forgotten."""
        before = self.copy()
        try:
            return self._find(arguments)
        except BaseException:
            vars(self).update(vars(before))
            raise

    def _find(self, arguments: Mapping[str, Any]) -> int:
        call = self._read(arguments)
        if call.x is None:  # without an array that is denoised, passes cannot be told apart
            return self.now
        if self.last is None:
            self.now, self.known, self.group = 0, [_Pass(call)], (0,)
        elif self._goes_on(call, self.last):
            self._next_in_group(call, self.last)
        else:
            self.again, self.twice = (self.again + 1 if self.twice else 0), False
            self._new_group(call)
        self._refuse_back_and_forth(call)
        self.known[self.now].see(call, self.groups)
        self._refuse_all_new(call)
        self.before, self.last, self.stepped = self.last, call, False
        return self.now

    def _read(self, arguments: Mapping[str, Any]) -> CallArguments:
        """The arguments. Another array is what is denoised where the present one stands still and the other one moves.

        It stands still if the time has moved on; without a time, if it has not moved for some calls.
        """
        call, last = CallArguments.of(arguments, self.denoised), self.last
        if last is None or call.denoised is None or call.denoised != last.denoised:
            return call
        if not same(call.x, last.x):
            self.standing = 0
            self._refuse_if_mistaken(call, last)
            return call
        self.standing += 1
        if same_time(call.t, last.t) if call.t else self.standing < STANDING:
            return call
        for k in call.arrays:
            if self._may_be_denoised(call, last, k):
                self._denoise(k, call.denoised, timed=bool(call.t))
                return call.about(k)
        return call

    def _may_be_denoised(self, call: CallArguments, last: CallArguments, k: str) -> bool:
        """Whether another array may be what is denoised, by its name and axes, and has a new value."""
        old = str(call.denoised)
        if k == old or k not in last.arrays or call.arrays[k].ndim < call.x.ndim:
            return False
        if call.t:
            likely = call.names[k] in DENOISED or call.names[old] not in DENOISED
        else:
            likely = call.names[k] not in CONDITIONS
        return likely and not any(same(call.arrays[k], p.conditions.get(k)) for p in self.known)

    def _denoise(self, k: str, old: str, timed: bool) -> None:
        """From now on, the array k is what is denoised, and the old one is a condition."""
        assert self.last is not None
        x, self.last = self.last.x, self.last.about(k)
        self.before = None if self.before is None else self.before.about(k)
        self.denoised, self.fixed = k, None if timed else old
        for p in self.known:
            p.denoises(self.last, old, x)

    def _refuse_if_mistaken(self, call: CallArguments, last: CallArguments) -> None:
        """Raise where what was taken for the moving array is a condition of several passes after all."""
        if self.denoised is None:
            return
        returned = self.before is not None and same(call.x, self.before.x)
        if returned or (self.fixed is not None and not same(call.arrays.get(self.fixed), last.arrays.get(self.fixed))):
            raise RuntimeError(BACK_AND_FORTH)

    @property
    def _told(self) -> bool:
        """Whether the scheduler tells where a step ends; some pipelines never call its ``step``."""
        return self.watched and (self.steps > 0 or self.groups == 0)

    def _goes_on(self, call: CallArguments, last: CallArguments) -> bool:
        """Whether this call belongs to the same step as the last."""
        if same(call.x, last.x) and differing(call.rest, last.rest):  # no step has been made of it
            return True
        if not same_time(call.t, last.t):
            return False
        same_second = same_time(call.second, last.second)
        if self._told:  # after a step at the same time: another view of the picture, if x is entirely different
            return same_second and (not self.stepped or _another_view(call.x, last.x))
        return same(call.x, last.x) or (bool(call.when) and same_second)

    def _next_in_group(self, call: CallArguments, last: CallArguments) -> None:
        """A further call at the same time."""
        same_x = same(call.x, last.x)
        if not self._told:
            differ = differing(call.conditions, last.conditions)
            if not same_x:
                differ = {k for k in differ if self.known[self.now].tells(k, call, last)}
            if not differ:  # the same call again, or the same prompt at another x
                self.twice |= same_x
                if self.twice and self.again >= REPEATED - 1:
                    raise RuntimeError(
                        "the model is called with the same arguments more than once at every step: if a condition "
                        "that is set elsewhere tells these calls apart, each needs a state of its own. Put each kind "
                        'of call into its own `with run.apart("name"):` (record: `log.apart`)'
                    )
                return
        apart = [p.apart(call) for p in self.known]
        free = [k for k in range(len(self.known)) if k not in self.group]
        back = [k for k in self.group if not differing(call.conditions, self.known[k].conditions)]
        if not (free or same_x or back):  # the same time again, with conditions that move along with x
            back = [k for k in self.group if self._agree(call, k)]
        if back and not self._told:  # a pass that was called already: the same time at another x, as in Heun's method
            self.now = min(back, key=lambda k: apart[k])
            self.group = self.group if same_x else (self.now,)
            return
        if not free and len(self.known) >= MOST_PASSES:
            raise RuntimeError(
                f"the model was called with more than {MOST_PASSES} sets of conditions at one time step, and each "
                "would have a state of its own. Say which calls belong together: "
                '`with run.apart("name"):` (record: `log.apart`) around each'
            )
        self.now = min(free, key=lambda k: apart[k], default=-1)
        if self.now < 0 or (self.known[self.now].jumped(call) and not self._moved_along(call)):
            self.now = self._new(call)
        self.group = (*self.group, self.now)

    def _new_group(self, call: CallArguments) -> None:
        """The first call at another time or x: whose conditions are nearest, unless they have jumped there."""
        own: Sequence[int] = range(len(self.known))
        if self.watched:  # what comes in another shape is another pass; elsewhere it is another batch
            own = [k for k in own if self.known[k].shape == call.x.shape]
        apart = {k: (self.known[k].apart(call), not same_time(call.second, self._second(k))) for k in own}
        self.now, self.jumped = min(own, key=lambda k: (apart[k], -self.known[k].seen), default=-1), set()
        known = self.known[self.now]
        if self.now < 0 or (known.jumped(call) and self._is_new(call)):
            self.now = self._new(call)
        elif known.jumped(call):  # has it moved there, or is it another pass?
            known.left_behind, self.jumped = known.conditions, known.changed(call)
        self.group, self.groups = (self.now,), self.groups + 1

    def _is_new(self, call: CallArguments) -> bool:
        """Whether conditions that have jumped are those of another pass: not in another batch, and not while they move.

        They are not where a scheduler tells the steps, because another pass is then a further call in the same step.
        """
        if len(self.known) >= MOST_PASSES or call.x.shape not in {p.shape for p in self.known}:
            return False
        if self._told or (len(self.group) > 1 and self._agree(call, self.now)):
            return False
        back = any(p.left_behind is not None and not differing(p.left_behind, call.conditions) for p in self.known)
        # after one permanent jump, the next is not another pass
        given_up = any(p.seen < self.groups - 1 for p in self.known)
        return back or (not given_up and all(p.stood(call) for p in self.known))

    def _moved_along(self, call: CallArguments) -> bool:
        """Whether conditions change from call to call, or have jumped for the first pass of this step as well."""
        changed = self.known[self.now].changed(call)
        return bool(changed & self._on_the_move()) or changed <= self.jumped

    def _agree(self, call: CallArguments, k: int) -> bool:
        """Whether a call shares with a pass one of the conditions that distinguish it from another pass."""
        own = self.known[k].conditions
        telling = set[str]().union(*(differing(own, self.known[j].conditions) for j in self.group if j != k))
        return bool(telling - differing(call.conditions, own) - self._on_the_move())

    def _on_the_move(self) -> set[str]:
        """Conditions that change from call to call in some pass."""
        return {k for p in self.known for k, still in p.still.items() if p.calls > 1 and still == 0}

    def _second(self, k: int) -> dict[str, Any]:
        conditions = self.known[k].conditions
        return {name: v for name, v in conditions.items() if self.last is not None and name in self.last.second}

    def _new(self, call: CallArguments) -> int:
        self.known.append(_Pass(call))
        return len(self.known) - 1

    def _refuse_all_new(self, call: CallArguments) -> None:
        """Raise where every call so far was taken for a pass of its own, although the time has moved on."""
        self.first = self.first or call
        if len(self.known) < ALL_NEW or self._told or same_time(call.t, self.first.t):
            return
        if all(p.calls == 1 for p in self.known):
            raise RuntimeError(
                f"each of the first {len(self.known)} model calls came with other conditions, so that each would have "
                "a state of its own and nothing would be quantized. Call run.reset() before another sampling, or say "
                'which calls belong together: `with run.apart("name"):` (record: `log.apart`) around each'
            )

    def _refuse_back_and_forth(self, call: CallArguments) -> None:
        """Raise for an x that alternates between two sequences within what was taken for one pass."""
        last, before = self.last, self.before
        if last is None or before is None or len(self.known) > 1 or self._told:
            self.nearer = 0
            return
        if not _comparable(xs := [c.x for c in (call, last, before)]):
            self.nearer = 0
            return
        if not same_time(call.when, last.when) and not same_time(last.when, before.when):
            self.nearer = 0  # one call per time step
            return
        x, x_last, x_before = (v.double() for v in xs)
        near = size(x - x_before) < NEARER * size(x - x_last)
        back = float(((x == x_before) & (x != x_last)).double().mean()) > BACK
        self.nearer = self.nearer + 1 if near or back else 0
        if self.nearer >= 2:
            raise RuntimeError(BACK_AND_FORTH)


def _another_view(x: Tensor, last: Tensor) -> bool:
    return x.shape == last.shape and size(x.double() - last.double()) > VIEW * size(last)


def _comparable(xs: list[Any]) -> bool:
    return all(isinstance(x, Tensor) and x.is_floating_point() and not x.is_meta and x.shape == xs[0].shape for x in xs)
