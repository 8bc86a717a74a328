"""Claim, Evidence, Verdict: a verdict is computed from what was claimed and what was measured, never written by hand.

HOLDS          the relation holds in every case, with its whole interval if it has one
VIOLATED       it fails in some case: the worst one is the counter-example
PREMISE_FAILS  a premise of the statement does not hold where it is applied (which, where)
VACUOUS        true, but without content: the claimed bound is no better than the trivial one
NOT_RUN        not decided, and why (a missing extra, too few samples, an interval that straddles the claim)
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arguments import reals
from .names import one_of
from .typing import ArrayLike


class Verdict(enum.StrEnum):
    """What a check decided about a claim; ``modiff_sim.evidence`` says what each member means.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.Verdict("VACUOUS") is ms.Verdict.VACUOUS
    True
    """

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    PREMISE_FAILS = "PREMISE_FAILS"
    VACUOUS = "VACUOUS"
    NOT_RUN = "NOT_RUN"


#: relation of measured to claimed -> its text. The *kind* of statement decides what is asserted:
#: <= for an upper bound, <= and attained for a tight bound, >= for a lower bound, == for an identity.
RELATIONS = {"upper": "measured ≤ claimed", "tight": "measured ≤ claimed, and attained",
             "lower": "measured ≥ claimed", "equal": "measured = claimed"}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One statement that a check decides.

    Parameters
    ----------
    id : str
        The name of the file that checks it.
    statement : str
        What is claimed, in words.
    source : str
        Who states it: theorem, equation or section.
    relation : {"upper", "tight", "lower", "equal"}
        What must hold between measured and claimed values: <=, <= and attained, >=, or =.
    topic : str, default "theory"
        The chapter of the report.
    printed : bool, default False
        Whether this is a statement of the paper as printed. Its VIOLATED is then a finding rather than a defect of
        ours.
    expected : Verdict, default Verdict.HOLDS
        The verdict that this project has found so far, with which tests and the report compare.
    quote : str, default ""
        The paper's own words, shortened; every printed claim has some.
    reading : str, default ""
        How they are read, where more than one reading is possible, and what is ours in it, such as a tolerance.
    instead : sequence of str, default ()
        The claims, by id, that correct or sharpen this one, or that test another reading of the same words.
    elsewhere : sequence of str, default ()
        The claims, by id, that test the same words on another model.

    Raises
    ------
    ValueError
        For an unknown relation.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.Claim(id="sum", statement="the sum is at most 1", source="ours", relation="upper").expected
    <Verdict.HOLDS: 'HOLDS'>
    """

    id: str
    statement: str
    source: str
    relation: str
    topic: str = "theory"
    printed: bool = False
    expected: Verdict = Verdict.HOLDS
    quote: str = ""
    reading: str = ""
    instead: Sequence[str] = ()
    elsewhere: Sequence[str] = ()

    def __post_init__(self) -> None:
        one_of(f"relation of claim {self.id}", self.relation, RELATIONS)


@dataclass(frozen=True)
class Premise:
    """A condition of the statement, as measured: its name, whether it holds, and a detail such as where it fails."""

    name: str
    holds: bool
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a check measured.

    Parameters
    ----------
    claimed, measured : array_like of float
        Values over the cases; they are broadcast against each other.
    premises : sequence of Premise
        The conditions of the statement, as measured.
    params : mapping
        What the check was run with.
    seed : int, optional
        The seed of its random numbers.
    low, high : array_like of float, optional
        The interval of ``measured`` where it is a statistic; the verdict needs the whole interval on one side.
    atol : array_like of float, default 0.0
        Absolute slack of the comparison, k·eps(dtype), with its reason at the place where it is computed.
    attained : float, default 1e-6
        Relative gap below which a "tight" bound counts as attained, in one case at least.
    everywhere : bool, default False
        Whether a "tight" bound must be attained in every case, within ``atol``: each is a supremum of its own.
    trivial : array_like of float, optional
        What is known without the claim; a claimed bound that is nowhere better is VACUOUS.
    cases : sequence of str or str
        A description of each case, for the counter-example, or one for all.
    not_run : str
        The reason, where the check could not be run.
    deferred : bool, default False
        Whether the check was not run because the effort was too small or an optional library is missing. This is as
        expected: other runs decide it.
    note : str
        What to say beside HOLDS.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.evidence import judge
    >>> claim = ms.Claim(id="sum", statement="the sum is at most 1", source="ours", relation="upper")
    >>> print(judge(claim, ms.Evidence(claimed=1.0, measured=[0.5, 1.5], cases=["first", "second"])).verdict)
    VIOLATED
    """

    claimed: ArrayLike = np.nan
    measured: ArrayLike = np.nan
    premises: Sequence[Premise] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    atol: ArrayLike = 0.0
    attained: float = 1e-6
    everywhere: bool = False
    trivial: ArrayLike | None = None
    cases: Sequence[str] | str = ""
    not_run: str = ""
    deferred: bool = False  # not run for want of effort or of an optional library
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict of one claim with the numbers that made it: the extreme case's claimed and measured value."""

    claim: Claim
    evidence: Evidence
    verdict: Verdict
    detail: str
    claimed: float
    measured: float

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one found so far, or a NOT_RUN that belongs to this effort or installation."""
        return self.verdict == self.claim.expected or (self.verdict == Verdict.NOT_RUN and self.evidence.deferred)


def judge(claim: Claim, evidence: Evidence) -> Judgement:
    """Compute the verdict of a claim.

    Parameters
    ----------
    claim : Claim
        The statement.
    evidence : Evidence
        What was measured.

    Returns
    -------
    Judgement
        The verdict, with the counter-example or the reason in ``detail``.

    Raises
    ------
    ValueError
        If the numbers are empty or NaN, or claimed and measured are both infinite, which is a defect of the check
        itself.
    TypeError
        If they are not real numbers.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.evidence import judge
    >>> claim = ms.Claim(id="sum", statement="the sum is at most 1", source="ours", relation="upper")
    >>> print(judge(claim, ms.Evidence(claimed=1.0, measured=0.5, trivial=1.0)).verdict)
    VACUOUS
    """
    if evidence.not_run:
        return Judgement(claim, evidence, Verdict.NOT_RUN, evidence.not_run, np.nan, np.nan)
    values = _values(claim, evidence)
    over, under = _distances(claim, evidence, values)
    worst = int(np.argmax(over if np.any(over > 0) else under))
    verdict, detail = _decided(claim, evidence, values, over, under, worst)
    claimed, measured = float(values.claimed.flat[worst]), float(values.measured.flat[worst])
    return Judgement(claim, evidence, verdict, detail, claimed, measured)


@dataclass(frozen=True)
class _Values:
    """The numbers of an evidence as arrays of one shape, an entry per case."""

    claimed: np.ndarray
    measured: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slack: np.ndarray


def _values(claim: Claim, evidence: Evidence) -> _Values:
    """The checked numbers of an evidence; the ends of an interval that was not given are the measured values."""
    claimed, measured = np.broadcast_arrays(
        reals(f"claim {claim.id}: claimed", evidence.claimed), reals(f"claim {claim.id}: measured", evidence.measured)
    )
    if claimed.size == 0 or np.isnan(claimed).any() or np.isnan(measured).any():
        raise ValueError(
            f"claim {claim.id}: claimed or measured is empty or NaN; use not_run where nothing was measured"
        )
    ends = {"low": evidence.low, "high": evidence.high, "atol": evidence.atol}
    low, high, slack = (
        measured if value is None else np.broadcast_to(reals(f"claim {claim.id}: {name}", value), measured.shape)
        for name, value in ends.items()
    )
    if np.isnan(low).any() or np.isnan(high).any() or np.isnan(slack).any() or np.any(low > high):
        raise ValueError(f"claim {claim.id}: low, high and atol must not be NaN, and low <= high")
    if np.any(np.isinf(claimed) & (np.isinf(low) | np.isinf(high))):
        raise ValueError(f"claim {claim.id}: claimed and measured are both infinite, which decides nothing")
    return _Values(claimed, measured, low, high, slack)


def _distances(claim: Claim, evidence: Evidence, values: _Values) -> tuple[np.ndarray, np.ndarray]:
    """(over, under), how far the ends of each interval lie beyond what is claimed.

    over > 0: even the friendliest end of the interval is on the wrong side; under <= 0: even the worst end is right.
    """
    claimed, low, high, slack = values.claimed, values.low, values.high, values.slack
    if evidence.everywhere and claim.relation != "tight":
        raise ValueError(f'claim {claim.id}: everywhere is for a "tight" bound, not for relation {claim.relation!r}')
    if claim.relation in ("upper", "tight") and not evidence.everywhere:
        return low - claimed - slack, high - claimed - slack
    if claim.relation == "lower":
        return claimed - high - slack, claimed - low - slack
    # an identity, or a bound that every case must attain: off on either side
    over = np.maximum(low - claimed, claimed - high) - slack
    if evidence.low is not None:  # an identity within an interval: the interval covers the claimed value
        return over, over
    return over, np.maximum(np.abs(low - claimed), np.abs(high - claimed)) - slack


def _decided(
    claim: Claim, evidence: Evidence, values: _Values, over: np.ndarray, under: np.ndarray, worst: int
) -> tuple[Verdict, str]:
    """The verdict, and the counter-example or the reason."""
    case = evidence.cases if isinstance(evidence.cases, str) else evidence.cases[worst]
    failed = [p for p in evidence.premises if not p.holds]
    if failed:
        return Verdict.PREMISE_FAILS, "; ".join(f"{p.name}: {p.detail}" if p.detail else p.name for p in failed)
    if np.any(over > 0):
        return Verdict.VIOLATED, case or f"case {worst}"
    if np.any(under > 0):
        interval = f"[{values.low.flat[worst]:.4g}, {values.high.flat[worst]:.4g}]"
        text = f"undecided: the interval {interval} straddles {values.claimed.flat[worst]:.4g}; {case}"
        return Verdict.NOT_RUN, text.rstrip("; ")
    if claim.relation == "tight" and not evidence.everywhere and (gap := _gap(values)) > evidence.attained:
        return Verdict.VIOLATED, f"not attained: relative gap {gap:.3g}"
    if evidence.trivial is not None:
        trivial = np.broadcast_to(reals(f"claim {claim.id}: trivial", evidence.trivial), values.claimed.shape)
        empty = values.claimed <= trivial if claim.relation == "lower" else values.claimed >= trivial
        if np.all(empty):
            return Verdict.VACUOUS, f"true, but known without it: trivial {float(trivial.flat[worst]):.4g}"
    return Verdict.HOLDS, evidence.note or case


def _gap(values: _Values) -> float:
    """The smallest relative gap between a bound and what was measured; a bound of 0 is attained whenever it holds."""
    says = values.claimed != 0
    gap = (values.claimed - values.measured - values.slack)[says] / np.abs(values.claimed[says])
    return float(np.min(gap, initial=np.inf))
