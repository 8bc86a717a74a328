"""Evidence and figure data that were measured at effort full and committed: read back, refused, and still valid."""

import json
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdicts import MODULES

import figures
import paper_checks
from analysis.running import measured
from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.evidence import Premise, judge
from modiff_sim.sweeps.store import StoreError, plain
from paper_checks import __main__ as command
from paper_checks import _measured

COMMITTED = [name for name, module in MODULES.items() if not _measured.is_live(module)]
MODULE = "paper_checks.images.closed_loop_four_bits"  # one whose code is hashed in these tests

numbers = st.lists(st.floats(allow_nan=False), min_size=3, max_size=3)


@given(numbers, numbers, st.none() | numbers, st.floats(0, 1), st.booleans(), st.text(), st.none() | st.integers(0, 9))
def test_evidence_is_read_back_as_it_was_written(claimed, found, low, atol, holds, text, seed):
    evidence = Evidence(
        claimed, np.array(found), low=low, atol=atol, seed=seed, note=text, cases=["a", text, "c"],
        premises=(Premise("first", np.bool_(holds), text),), params={"n": np.int64(3), "bits": (8, 4)},
    )  # fmt: skip
    kept = json.loads(json.dumps(_measured.encoded(evidence), allow_nan=False))
    read = _measured.decoded(kept)
    assert plain(read) == plain(evidence) | {"cases": ["a", text, "c"], "premises": plain(list(read.premises))}
    assert read.premises == (Premise("first", holds, text),)


def claim(name="closed_loop_four_bits"):
    return types.SimpleNamespace(
        CLAIM=Claim(id=name, statement="", source="", relation="upper", topic="practice"), __name__=MODULE
    )


def test_what_is_kept_gives_the_same_verdict(tmp_path):
    good, bad = Evidence(1.0, [0.5, 0.9]), Evidence(1.0, [0.5, 1.5], cases=["first", "second"])
    for evidence, verdict in ((good, Verdict.HOLDS), (bad, Verdict.VIOLATED)):
        _measured.save(claim(), evidence, 3.0, tmp_path)
        judged = judge(claim().CLAIM, _measured.evidence(claim(), tmp_path))
        assert judged.verdict == verdict
        assert judged.evidence.params["measured"] == "at effort full, by this source"
    assert judged.detail == "second"
    with pytest.raises(ValueError, match="was not measured: too few"):
        _measured.save(claim(), Evidence(not_run="too few"), 0.0, tmp_path)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda kept: kept["result"]["measured"].append(0.1), "is damaged"),
        (lambda kept: kept["manifest"].pop("check"), "cannot be read"),
        (lambda kept: kept["manifest"].update(check="0"), "was measured by another"),
    ],
)
def test_what_does_not_belong_to_the_check_decides_nothing(tmp_path, edit, reason):
    path = _measured.save(claim(), Evidence(1.0, [0.5]), 3.0, tmp_path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    edit(kept)
    path.write_text(json.dumps(kept), encoding="utf-8")
    judged = judge(claim().CLAIM, _measured.evidence(claim(), tmp_path))
    assert judged.verdict == Verdict.NOT_RUN
    assert not judged.as_expected
    assert reason in judged.detail
    assert "--effort full --keep --only closed_loop_four_bits" in judged.detail


def test_code_below_the_check_that_has_changed_is_told(tmp_path, monkeypatch):
    _measured.save(claim(), Evidence(1.0, [0.5]), 3.0, tmp_path)
    real = measured.source_of
    monkeypatch.setattr(measured, "source_of", lambda *m, within="": real(*m, within=within) if within else "new")
    assert _measured.evidence(claim(), tmp_path).params["measured"] == "at effort full, by an older source"


def test_quick_runs_judge_what_is_committed_and_full_ones_measure(tmp_path, monkeypatch, capsys):
    name = "accumulation_three_bits"
    calls = []
    monkeypatch.setattr(MODULES[name], "check", lambda effort: calls.append(effort) or Evidence(1.1, [1.3]))
    monkeypatch.setattr(_measured, "FOLDER", tmp_path)
    (missing,) = paper_checks.run("quick", only=[name])
    assert missing.verdict == Verdict.NOT_RUN
    assert command.main(["--effort", "full", "--keep", "--only", name]) == 1  # violated is not expected
    (kept,) = paper_checks.run("quick", only=[name])
    assert (kept.verdict, kept.measured) == (Verdict.VIOLATED, 1.3)
    assert calls == ["full"]
    assert command.main(["--only", name]) == 1
    said = capsys.readouterr()
    assert f"{name}: VIOLATED (committed)" in said.err
    assert "1 verdicts judge what was measured at effort full, by this source." in said.out
    with pytest.raises(ValueError, match="at effort full, not at effort quick"):
        paper_checks.run("quick", only=[name], keep=True)


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_evidence_is_of_this_check_and_as_expected(name):
    judged = judge(MODULES[name].CLAIM, _measured.evidence(MODULES[name]))
    assert judged.as_expected, judged.detail
    assert judged.verdict == judged.claim.expected


def test_nothing_is_committed_that_is_measured_in_every_run():
    assert {path.stem for path in _measured.FOLDER.iterdir()} == {*COMMITTED}
    shown = {name for name in figures.names() if not figures.is_live(figures.load(name))}
    assert {path.name for path in figures.MEASURED.iterdir()} == {
        f"{n}.{end}" for n in shown for end in ("npz", "json")
    }


@pytest.mark.parametrize("name", [n for n in figures.names() if not figures.is_live(figures.load(n))])
def test_committed_data_of_figures_is_whole_and_of_these_parameters(name):
    key, content = figures.kept(name, figures.load(name))
    assert (key["name"], key["effort"]) == (name, "full")
    assert content.startswith(b"PK")


def test_committed_data_that_is_damaged_or_of_other_parameters_is_refused(tmp_path, monkeypatch):
    name = "middle_block"
    module = figures.load(name)
    for end in ("npz", "json"):
        (tmp_path / f"{name}.{end}").write_bytes((figures.MEASURED / f"{name}.{end}").read_bytes())
    monkeypatch.setattr(figures, "MEASURED", tmp_path)
    assert figures.kept(name, module)[0]["effort"] == "full"
    other = types.SimpleNamespace(PARAMS={"full": {**module.PARAMS["full"], "seed": 7}})
    with pytest.raises(StoreError, match="other parameters: measure it again"):
        figures.kept(name, other)
    with open(tmp_path / f"{name}.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match="another sha256"):
        figures.kept(name, module)
    (tmp_path / f"{name}.npz").unlink()
    with pytest.raises(StoreError, match="no committed data"):
        figures.kept(name, module)
