"""Every theory claim has its expected verdict, and every broken variant of what it checks is noticed.

Claims with topic "practice" sample a model for minutes: ``make reproduce`` runs them, not this file.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

import modiff_sim as ms
import paper_checks
from modiff_sim import bounds
from modiff_sim import recursion as rec
from modiff_sim.evidence import Evidence, Premise, Verdict, judge
from paper_checks import __main__ as command
from paper_checks import _search, _shared

THEORY = {m.CLAIM.id: m for m in paper_checks.claims("theory")}
HOLDS, VIOLATED, PREMISE_FAILS = Verdict.HOLDS, Verdict.VIOLATED, Verdict.PREMISE_FAILS


@pytest.mark.parametrize("name", THEORY)
def test_verdict_is_as_expected(name):
    module = THEORY[name]
    judged = judge(module.CLAIM, module.check("quick"))
    assert judged.as_expected, f"{judged.verdict}: {judged.detail}"


# -- broken variants --------------------------------------------------------------------------------------------------


class Reset(rec.ClosedLoop):
    """The cache is reset at every call: nothing is ever quantized."""

    def step(self, state, a, Q, A, *, random=None):
        return self.exact(a, A, state.call)


class Growing(rec.ClosedLoop):
    """The error is fed back 1.5-fold: what the printed factor 2c would describe."""

    def next_ref(self, ref, a, residual_hat):
        return a - 1.5 * (a - ref - residual_hat)


class Echo(rec.OpenLoop):
    """The error made so far is multiplied by 1.5 at every call: what (30)'s 2^k would describe (A the identity)."""

    def step(self, state, a, Q, A, *, random=None):
        after = super().step(state, a, Q, A, random=random)
        return rec.State(after.ref, after.o_hat + 0.5 * (state.o_hat - state.ref), after.call, after.residual,
                         after.residual_hat, after.qparams)  # fmt: skip


class FloorAbsMax(ms.AbsMax):
    """Floor for round, declared as if it were round."""

    def quantize(self, blocks, qparams, *, random=None):
        return np.floor(blocks / qparams.scale)


class Coarse(ms.MinMaxRaw):
    """One bit less than it says."""

    def choose_qparams(self, a):
        return ms.MinMaxRaw(max(self.bits - 1, 1)).choose_qparams(a)


class Careless(ms.MinMaxRaw):
    """A worst case far above what Corollary A.3 guarantees."""

    def c(self, d):
        return 1e6


class Biased(ms.Stochastic):
    """Rounds to nearest half of the time."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=0.25 + 0.5 * random)


class Wide(ms.Stochastic):
    """Random bits from twice the range."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=2 * random - 0.5)


def halved(bound):
    """The bound with half of its contraction."""
    return lambda d, c, **options: bound(d, c / 2, **options)


def shifted(bound, by):
    """Exponents off by one: the bound divided (by = 1) or multiplied (by = -1) by one factor of its recursion."""
    factors = {"sharp_closed_loop": lambda c: c**0.5, "max_norm_closed_loop": lambda kappa: kappa,
               "young_closed_loop": lambda c: (2 * c) ** 0.5}  # fmt: skip
    factor = factors.get(bound.__name__, lambda c: 0.5)  # the open loops have none: half or twice the bound
    return lambda d, c, **options: bound(d, c, **options) * (factor(c) ** by if c else 1.0)


def scaled(bound, factor):
    return lambda *args, **options: factor * bound(*args, **options)


CLOSED = {"corrected_31": bounds.young_closed_loop, "sharp_closed_loop": bounds.sharp_closed_loop,
          "max_norm_closed_loop": bounds.max_norm_closed_loop}  # fmt: skip
OPEN = {"corrected_30": bounds.young_open_loop, "sharp_open_loop": bounds.sharp_open_loop,
        "max_norm_open_loop": bounds.max_norm_open_loop}  # fmt: skip

CONTROLS = [
    # single steps
    ("theorem_4_3_floor", {"bound": scaled(bounds.theorem_4_3, 0.5)}, VIOLATED),
    ("theorem_4_3_floor", {"quantizer": Coarse}, PREMISE_FAILS),
    ("theorem_4_3_nearest", {"quantizer": ms.Floor}, VIOLATED),
    ("theorem_4_3_nearest", {"bound": scaled(bounds.theorem_4_3, 2.0)}, VIOLATED),  # true, and not attained
    ("theorem_4_3_nearest", {"quantizer": ms.MinMax}, PREMISE_FAILS),
    ("three_bits_dropped", {"bits": (6, 7, 8)}, HOLDS),
    ("three_bits_dropped", {"bits": (5,)}, VIOLATED),
    ("three_bits_dropped_corrected", {"bound": lambda s, d: bounds.theorem_4_3(s, d) ** 0.5}, VIOLATED),
    ("corollary_a3", {"bits": (8,), "dimensions": (128,)}, HOLDS),  # says something at 8 bits
    ("corollary_a3", {"quantizer": Careless}, VIOLATED),
    ("absmax_worst_case_c", {"quantizer": FloorAbsMax}, VIOLATED),
    ("assumption_29_real_dimension", {"dimensions": (36,)}, PREMISE_FAILS),
    ("assumption_29_real_dimension", {"bits": 6, "dimensions": (4096,)}, VIOLATED),
    ("assumption_29_typical", {"bits": 6}, HOLDS),
    ("kappa_any_dimension", {"quantizers": (FloorAbsMax,)}, VIOLATED),
    ("stochastic_rounding_c", {"quantizer": Biased}, VIOLATED),
    ("stochastic_rounding_kappa", {"quantizer": Wide}, VIOLATED),
    ("stochastic_rounding_kappa", {"quantizer": Biased}, VIOLATED),
    # the printed bounds: with a bound that is true the same search finds nothing
    ("printed_30_paper_index", {"bound": bounds.young_open_loop}, HOLDS),
    ("printed_30_sampling_order", {"bound": bounds.young_open_loop}, HOLDS),
    ("printed_31_paper_index", {"bound": bounds.young_closed_loop}, HOLDS),
    ("printed_31_paper_index", {"bound": partial(bounds.printed_closed_loop, index="sampling")}, HOLDS),
    ("printed_31_sampling_order", {"bound": partial(bounds.printed_closed_loop, index="paper")}, VIOLATED),
    ("printed_31_sampling_order", {"bound": halved(partial(bounds.printed_closed_loop, index="sampling"))}, VIOLATED),
    ("printed_31_sampling_order", {"contractions": (0.6,)}, PREMISE_FAILS),
    ("printed_31_sampling_order", {"recursion": "open_loop"}, VIOLATED),
    ("printed_31_condition", {"bound": partial(bounds.printed_closed_loop, index="paper")}, VIOLATED),
    ("printed_31_condition", {"recursion": "open_loop"}, VIOLATED),
    # the loops: too small, too large (not attained), and the wrong recursion
    *((name, {"bound": halved(bound)}, VIOLATED) for name, bound in (CLOSED | OPEN).items()),
    *((name, {"bound": shifted(bound, by)}, VIOLATED) for name, bound in (CLOSED | OPEN).items() for by in (1, -1)),
    *((name, {"recursion": "open_loop"}, VIOLATED) for name in CLOSED),
    *((name, {"recursion": "closed_loop"}, VIOLATED) for name in OPEN),
    *((name, {"recursion": broken()}, VIOLATED) for name in CLOSED for broken in (Dropped, Flipped, Reset)),
    ("max_norm_closed_loop", {"quantizer": FloorAbsMax}, VIOLATED),
    ("max_norm_open_loop", {"quantizer": FloorAbsMax}, VIOLATED),
    ("reconstruction", {"recursion": "open_loop"}, VIOLATED),
    ("reconstruction", {"recursion": Dropped()}, VIOLATED),
    ("reconstruction", {"recursion": Flipped()}, VIOLATED),
    ("closed_loop_steady_state", {"recursion": "open_loop"}, VIOLATED),
    ("closed_loop_steady_state", {"recursion": Flipped()}, VIOLATED),
    ("closed_loop_steady_state", {"bound": halved(bounds.sharp_closed_loop)}, VIOLATED),
    ("c_below_half_needed", {"recursion": Growing(), "contractions": (0.55,)}, HOLDS),
    ("c_below_half_needed", {"contractions": (0.4,)}, PREMISE_FAILS),
    ("young_best_beta", {"bound": bounds.young_closed_loop, "contractions": (0.2, 0.4)}, VIOLATED),
    ("open_loop_exponential", {"recursion": Echo()}, HOLDS),
    ("open_loop_linear", {"recursion": Echo()}, VIOLATED),
    ("bits_saved", {"formula": lambda bits, ratio: bounds.bits_saved(bits, ratio) + 0.1}, VIOLATED),
    ("warm_up", {"quantizer": ms.Static}, VIOLATED),
    ("warm_up", {"quantizer": FloorAbsMax}, VIOLATED),
    ("warm_up", {"recursion": Dropped()}, VIOLATED),
    ("stochastic_two_bits", {"recursion": "open_loop", "d": 256}, VIOLATED),
    ("stochastic_two_bits", {"bits": 3, "d": 64}, PREMISE_FAILS),
]


@pytest.mark.parametrize(("name", "broken", "expected"), CONTROLS, ids=[f"{c[0]}-{'-'.join(c[1])}" for c in CONTROLS])
def test_negative_controls(name, broken, expected):
    module = THEORY[name]
    judged = judge(module.CLAIM, module.check("quick", **broken))
    assert judged.verdict == expected, judged.detail


def test_every_theory_claim_has_a_negative_control():
    assert {name for name, _, _ in CONTROLS} == set(THEORY)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("recursion", "bound", "least"),
    [
        ("open_loop", partial(bounds.printed_open_loop, index="paper"), 1.2),
        ("open_loop", partial(bounds.printed_open_loop, index="sampling"), 1.2),
        ("closed_loop", partial(bounds.printed_closed_loop, index="paper"), 5.0),
    ],
)
def test_the_search_finds_a_counter_example_from_any_start(recursion, bound, least, seed):
    found = _search.search(recursion, bound, restarts=1, seed=seed)
    assert found.ratio > least
    done = _shared.run(recursion, found.d[:, None, None], _shared.Shrink(contraction=found.c))
    assert done.error[-1, 0] ** 2 == found.true  # what is reported is what a run gives
    assert bound(done.d, found.c)[-1, 0] ** 2 == found.printed


def test_the_counter_examples_can_be_read():
    detail = judge(THEORY["printed_31_paper_index"].CLAIM, THEORY["printed_31_paper_index"].check()).detail
    assert detail.startswith("A = 1, d = (0, ")
    assert len(detail) < 110


# -- the runner ------------------------------------------------------------------------------------------------------


def broken_check(effort="quick"):
    raise RuntimeError("no such model")


def test_a_check_that_raises_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr(THEORY["bits_saved"], "check", broken_check)
    judged = {j.claim.id: j for j in paper_checks.run(only=["bits_saved", "three_bits_dropped"])}
    assert judged["bits_saved"].verdict == Verdict.NOT_RUN
    assert judged["bits_saved"].detail == "the check raised RuntimeError: no such model"
    assert judged["three_bits_dropped"].as_expected

    monkeypatch.setattr(THEORY["bits_saved"], "check", lambda effort: Evidence(claimed=1, measured=np.nan))
    (judged,) = paper_checks.run(only=["bits_saved"])
    assert judged.verdict == Verdict.NOT_RUN
    assert "NaN" in judged.detail


def test_claims_are_found_and_ordered():
    names = [m.CLAIM.id for m in paper_checks.claims()]
    assert set(names) == {p.stem for folder in paper_checks.__path__ for p in Path(folder).glob("[!_]*.py")}
    assert names[0] == "reconstruction"
    topics = [m.CLAIM.topic for m in paper_checks.claims()]
    assert topics == sorted(topics, key=paper_checks.TOPICS.index)


@pytest.mark.parametrize("content", ["x = 1\n", "from paper_checks.bits_saved import CLAIM, check\n"])
def test_a_file_that_is_no_claim_is_an_error(tmp_path, monkeypatch, content):
    (tmp_path / "not_a_claim.py").write_text(content)
    monkeypatch.setattr(paper_checks, "__path__", [*paper_checks.__path__, str(tmp_path)])
    with pytest.raises(TypeError, match=r"not_a_claim.py must define check\(\) and CLAIM with id='not_a_claim'"):
        paper_checks.claims()
    sys.modules.pop("paper_checks.not_a_claim")


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="known: theory, practice, all"):
        paper_checks.claims("physics")
    with pytest.raises(ValueError, match="known: quick, full"):
        paper_checks.run("fast")
    with pytest.raises(ValueError, match=r"unknown claim sharp; known: .*sharp_closed_loop"):
        paper_checks.run(only=["sharp"])


def test_command_writes_table_and_json(tmp_path, capsys):
    wanted = ["--only", "three_bits_dropped", "corollary_a3", "theorem_4_3_nearest"]
    assert command.main([*wanted, "--json", str(tmp_path / "a" / "b.json"), "--out", str(tmp_path / "out")]) == 0
    shown, progress = capsys.readouterr()
    assert "\x1b" not in shown  # colours are for terminals
    assert max(map(len, shown.splitlines())) <= 110
    assert "all 3 verdicts are as expected" in shown
    assert progress.count("\n") == 3  # a line per claim where stderr is no terminal
    table = (tmp_path / "out" / "paper_checks.txt").read_text()
    assert table in shown
    written = json.loads((tmp_path / "a" / "b.json").read_text())
    assert written == json.loads((tmp_path / "out" / "paper_checks.json").read_text())
    rows = {row["id"]: row for row in written["claims"]}
    assert rows["corollary_a3"]["verdict"] == "VACUOUS"
    assert rows["corollary_a3"]["params"]["bits for c = 1/2"]["1024"] == 6.52
    assert rows["three_bits_dropped"]["printed"]
    assert rows["three_bits_dropped"]["measured"] > rows["three_bits_dropped"]["claimed"] == 1
    assert [p for p in tmp_path.rglob("*") if p.name.startswith(".")] == []  # nothing half written is left


def test_command_fails_where_a_verdict_is_a_surprise(monkeypatch, capsys):
    monkeypatch.setattr(THEORY["bits_saved"], "check", broken_check)
    assert command.main(["--only", "bits_saved", "three_bits_dropped"]) == 1
    shown = capsys.readouterr().out
    assert "! expected HOLDS" in shown
    assert "bits_saved: NOT_RUN, expected HOLDS" in shown
    assert "three_bits_dropped: " not in shown


def test_command_lists_claims_and_refuses_unknown_ones(capsys):
    assert command.main(["--list", "--topic", "theory"]) == 0
    assert capsys.readouterr().out.count("\n") == len(THEORY)
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "sharp"])
    assert "known: reconstruction" in capsys.readouterr().err


def test_colours_and_failed_premises_are_shown():
    claim = THEORY["bits_saved"].CLAIM
    judged = [judge(claim, Evidence(claimed=1, measured=1, premises=[Premise("d ≥ 2", False, "d = 1")]))]
    assert "\x1b[33mPREMISE_FAILS" in command.table(judged, colour=True)
    assert "→ d ≥ 2: d = 1" in command.table(judged)
