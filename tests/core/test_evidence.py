"""Every verdict is reached by numbers, and every way to fool the judge is an error."""

import numpy as np
import pytest

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.evidence import RELATIONS, Premise, judge


def claim(relation: str, expected: Verdict = Verdict.HOLDS) -> Claim:
    return Claim(id="x", statement="a statement", source="here", relation=relation, expected=expected)


def verdict(relation: str, **evidence) -> Verdict:
    return judge(claim(relation), Evidence(**evidence)).verdict


@pytest.mark.parametrize(
    ("relation", "claimed", "measured", "expected"),
    [
        ("upper", [1, 2], [1, 1.5], Verdict.HOLDS),
        ("upper", [1, 2], [1, 2.1], Verdict.VIOLATED),
        ("upper", 1, [0.1, 0.2, 0.3], Verdict.HOLDS),
        ("lower", [1, 2], [1, 2.5], Verdict.HOLDS),
        ("lower", [1, 2], [0.9, 2.5], Verdict.VIOLATED),
        ("equal", [1, 2], [1, 2], Verdict.HOLDS),
        ("equal", [1, 2], [1, 1.9], Verdict.VIOLATED),
        ("equal", [1, 2], [1, 2.1], Verdict.VIOLATED),
        ("tight", [1, 2], [0.5, 2], Verdict.HOLDS),
        ("tight", [1, 2], [0.5, 1.9], Verdict.VIOLATED),  # holds, but is nowhere attained
        ("tight", [1, 2], [1, 2.1], Verdict.VIOLATED),
        ("tight", [-1, -2], [-1, -3], Verdict.HOLDS),
        ("tight", [-1, -2], [-2, -3], Verdict.VIOLATED),
        ("tight", [0, 2], [0, 1], Verdict.VIOLATED),  # a bound of 0 is attained by anything: it does not count
    ],
)
def test_relations(relation, claimed, measured, expected):
    assert verdict(relation, claimed=claimed, measured=measured) == expected


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_slack_is_what_decides_on_the_edge(relation):
    off = {"upper": 1 + 1e-9, "tight": 1 + 1e-9, "lower": 1 - 1e-9, "equal": 1 + 1e-9}[relation]
    assert verdict(relation, claimed=1, measured=off) == Verdict.VIOLATED
    assert verdict(relation, claimed=1, measured=off, atol=2e-9) == Verdict.HOLDS


def test_attained_is_relative_and_can_be_loosened():
    assert verdict("tight", claimed=1000, measured=999.9995) == Verdict.HOLDS
    assert verdict("tight", claimed=1000, measured=999) == Verdict.VIOLATED
    assert verdict("tight", claimed=1000, measured=999, attained=2e-3) == Verdict.HOLDS


@pytest.mark.parametrize(
    ("measured", "expected", "detail"),
    [([1, 2], Verdict.HOLDS, "both"), ([1, 1.9], Verdict.VIOLATED, "b"), ([1.1, 2], Verdict.VIOLATED, "a")],
)
def test_a_bound_that_every_case_attains(measured, expected, detail):
    """Where each case is a supremum of its own, one that falls short is found among others that do not."""
    evidence = Evidence(claimed=[1, 2], measured=measured, cases=["a", "b"], everywhere=True, note="both")
    judged = judge(claim("tight"), evidence)
    assert (judged.verdict, judged.detail) == (expected, detail)
    with pytest.raises(ValueError, match="everywhere is for a \"tight\" bound, not for relation 'equal'"):
        judge(claim("equal"), evidence)


@pytest.mark.parametrize(
    ("relation", "low", "high", "expected"),
    [
        ("upper", 0.8, 0.9, Verdict.HOLDS),
        ("upper", 0.8, 1.1, Verdict.NOT_RUN),
        ("upper", 1.05, 1.1, Verdict.VIOLATED),
        ("lower", 1.05, 1.1, Verdict.HOLDS),
        ("lower", 0.8, 1.1, Verdict.NOT_RUN),
        ("lower", 0.8, 0.9, Verdict.VIOLATED),
        ("equal", 0.9, 1.1, Verdict.HOLDS),  # an identity holds where the interval covers it
        ("equal", 1.05, 1.1, Verdict.VIOLATED),
    ],
)
def test_intervals(relation, low, high, expected):
    judged = judge(claim(relation), Evidence(claimed=1, measured=(low + high) / 2, low=low, high=high, cases="one"))
    assert judged.verdict == expected
    if expected == Verdict.NOT_RUN:
        assert "straddles 1" in judged.detail
        assert judged.detail.endswith("one")


def test_one_straddling_case_leaves_it_undecided_and_one_failing_case_decides():
    straddling = {"claimed": 1, "measured": [0.5, 1], "low": [0.4, 0.9], "high": [0.6, 1.1]}
    assert verdict("upper", **straddling) == Verdict.NOT_RUN
    assert verdict("upper", **straddling | {"low": [0.4, 1.05]}) == Verdict.VIOLATED


def test_where_nothing_is_wrong_the_case_that_is_shown_is_the_closest_to_it():
    """The second interval reaches nearest to what is claimed, though the first begins higher."""
    intervals = {"claimed": 1.0, "measured": [0.5, 0.6], "low": [0.4, 0.1], "cases": ["a", "b"]}
    holds = judge(claim("upper"), Evidence(**intervals, high=[0.7, 0.9]))
    assert (holds.verdict, holds.measured, holds.detail) == (Verdict.HOLDS, 0.6, "b")
    undecided = judge(claim("upper"), Evidence(**intervals, high=[0.7, 1.5]))
    assert (undecided.verdict, undecided.detail) == (
        Verdict.NOT_RUN, "undecided: the interval [0.1, 1.5] straddles 1; b",
    )  # fmt: skip


def test_the_counter_example_is_the_worst_case():
    judged = judge(claim("upper"), Evidence(claimed=[1, 1, 1], measured=[0, 3, 2], cases=["a", "b", "c"]))
    assert (judged.verdict, judged.detail, judged.claimed, judged.measured) == (Verdict.VIOLATED, "b", 1, 3)
    assert judge(claim("upper"), Evidence(claimed=[1, 1], measured=[0, 3])).detail == "case 1"


def test_a_failed_premise_comes_before_the_numbers():
    premises = [Premise("2c ≤ 1", False, "c = 0.7"), Premise("d ≥ 1", True)]
    judged = judge(claim("upper"), Evidence(claimed=1, measured=5, premises=premises))
    assert judged.verdict == Verdict.PREMISE_FAILS
    assert judged.detail == "2c ≤ 1: c = 0.7"
    assert verdict("upper", claimed=1, measured=5, premises=[Premise("d ≥ 1", True)]) == Verdict.VIOLATED


@pytest.mark.parametrize(
    ("relation", "claimed", "measured", "expected"),
    [
        ("upper", [2, 3], [0.5, 0.5], Verdict.VACUOUS),
        ("upper", [2, 0.9], [0.5, 0.5], Verdict.HOLDS),  # says something in one case
        ("upper", [2, 3], [0.5, 4], Verdict.VIOLATED),  # false comes before empty
        ("lower", [0.5, 1], [2, 2], Verdict.VACUOUS),
        ("lower", [0.5, 1.5], [2, 2], Verdict.HOLDS),
    ],
)
def test_vacuous(relation, claimed, measured, expected):
    assert verdict(relation, claimed=claimed, measured=measured, trivial=1.0) == expected


def test_not_run_needs_no_numbers():
    judged = judge(claim("upper"), Evidence(not_run="torch is not installed"))
    assert (judged.verdict, judged.detail) == (Verdict.NOT_RUN, "torch is not installed")
    assert not judged.as_expected
    assert judge(claim("upper"), Evidence(not_run="only at full effort", deferred=True)).as_expected


@pytest.mark.parametrize(
    "evidence",
    [
        {"claimed": np.nan, "measured": 1},
        {"claimed": 1, "measured": [0.5, np.nan]},
        {"claimed": [], "measured": []},
        {},
        {"claimed": 1, "measured": 0.5, "low": np.nan},
        {"claimed": 1, "measured": 0.5, "high": np.nan},
        {"claimed": 1, "measured": 0.5, "atol": np.nan},
        {"claimed": 1, "measured": 0.5, "low": 0.9, "high": 0.1},
        {"claimed": np.inf, "measured": np.inf},
    ],
)
@pytest.mark.parametrize("relation", RELATIONS)
def test_numbers_that_decide_nothing_are_an_error(relation, evidence):
    with pytest.raises(ValueError, match="claim x: "):
        judge(claim(relation), Evidence(**evidence))


def test_an_infinite_error_violates_any_bound():
    assert verdict("upper", claimed=1e300, measured=np.inf) == Verdict.VIOLATED
    assert verdict("upper", claimed=np.inf, measured=1) == Verdict.HOLDS


def test_expected_verdicts_are_compared_with_the_computed_one():
    false = claim("upper", expected=Verdict.VIOLATED)
    assert judge(false, Evidence(claimed=1, measured=2)).as_expected
    assert not judge(false, Evidence(claimed=1, measured=1)).as_expected


def test_a_claim_is_our_own_and_run_unless_it_says_otherwise():
    made = Claim(id="x", statement="a statement", source="here", relation="upper")
    assert (made.topic, made.printed, made.expected) == ("theory", False, Verdict.HOLDS)
    evidence = Evidence()
    assert (evidence.everywhere, evidence.deferred, evidence.not_run, evidence.seed) == (False, False, "", None)
    assert (evidence.atol, evidence.attained) == (0.0, 1e-6)


def test_an_unknown_relation_lists_the_known():
    with pytest.raises(ValueError, match="known: upper, tight, lower, equal"):
        claim("about")
