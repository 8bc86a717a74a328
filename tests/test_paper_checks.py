"""Every theory claim has its expected verdict, and every broken variant of what it checks is noticed.

Claims with topic "practice" sample a model for minutes: ``make reproduce`` runs them, not this file.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from controls import CONTROLS

import paper_checks
from modiff_sim import Evidence, Verdict, bounds
from modiff_sim.evidence import Premise, judge
from paper_checks import __main__ as command
from paper_checks import _search, _shared

THEORY = {m.CLAIM.id: m for m in paper_checks.claims("theory")}


@pytest.mark.parametrize("name", THEORY)
def test_verdict_is_as_expected(name):
    module = THEORY[name]
    judged = judge(module.CLAIM, module.check("quick"))
    assert judged.as_expected, f"{judged.verdict}: {judged.detail}"


# -- broken variants --------------------------------------------------------------------------------------------------


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
    (tmp_path / "not_a_claim.py").write_text(content, encoding="utf-8")
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
    table = (tmp_path / "out" / "paper_checks.txt").read_text(encoding="utf-8")
    assert table in shown
    written = json.loads((tmp_path / "a" / "b.json").read_text(encoding="utf-8"))
    assert written == json.loads((tmp_path / "out" / "paper_checks.json").read_text(encoding="utf-8"))
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
