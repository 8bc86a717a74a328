"""Every theory claim has its expected verdict, and every broken variant of what it checks is noticed.

Claims with topic "practice" sample a model for minutes: ``make reproduce`` runs them, not this file.
"""

import importlib
import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from remembered import remembered

import paper_checks
from modiff_sim import Evidence, Verdict, bounds, contraction
from modiff_sim.bounds import certificates
from modiff_sim.evidence import Premise, judge
from paper_checks import __main__ as command
from paper_checks import _mixture, _shared
from paper_checks.printed import _search

THEORY = {m.CLAIM.id: m for m in paper_checks.claims("theory")}


def sampled(args, options):
    """What samples of the mixture depend on; a run that is listened to is made every time."""
    paired, *rest = args
    plain = all(isinstance(value, str | int | float) for value in options.values())
    return (paired.noise.start, rest, options) if plain else None


@pytest.fixture(scope="module", autouse=True)
def shared():
    """Searches, certificates, runs and samples that a claim and its control have in common are computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contraction, "search", remembered(contraction.search))
        patch.setattr(certificates, "_certificate", remembered(certificates._certificate))
        patch.setattr(_shared, "run_inputs", remembered(_shared.run_inputs))
        patch.setattr(_mixture.Paired, "run", remembered(_mixture.Paired.run, key=sampled))
        predicted = THEORY["predicted_error_mixture"]  # 16 arms, whose errors are far from the bound or far beyond
        patch.setattr(predicted, "off_by", partial(predicted.off_by, resamples=25))
        yield


def controls():
    """(module, overrides of its ``check``, verdict they must cause) of all claims; ids repeat for alike overrides.

    The first of each claim is checked in every run of the tests, the others in the long tail.
    """
    found = [(m, i, *control) for m in paper_checks.claims() for i, control in enumerate(getattr(m, "CONTROLS", ()))]
    return [
        pytest.param(m, *control, id=f"{m.CLAIM.id}-{'-'.join(control[0])}", marks=[pytest.mark.slow] if i else [])
        for m, i, *control in found
    ]


@pytest.mark.parametrize("name", THEORY)
def test_verdict_is_as_expected(name):
    module = THEORY[name]
    judged = judge(module.CLAIM, module.check("quick"))
    assert judged.as_expected, f"{judged.verdict}: {judged.detail}"


# -- broken variants --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "broken", "expected"), controls())
def test_negative_controls(module, broken, expected):
    judged = judge(module.CLAIM, module.check("quick", **broken))
    assert judged.verdict == expected, judged.detail


def test_every_theory_claim_has_a_negative_control():
    """Those of practice claims, whose checks sample a model, are in the tests that make up its images."""
    without = [name for name, module in THEORY.items() if not getattr(module, "CONTROLS", ())]
    assert not without, "give these files a list CONTROLS, as in paper_checks/_template.py"


def test_intervals_of_mixtures_resample_all_columns_together():
    """In proportion, two columns have a ratio without an interval; in another order they have one."""
    squares = np.random.default_rng(0).chisquare(3, 200)
    assert _mixture.rms_ratio(4 * squares, squares) == pytest.approx((2, 2, 2), rel=1e-12)
    value, low, high = _mixture.rms_ratio(4 * squares[::-1], squares)
    assert 1.7 < low < 1.9 < value < 2.1 < high < 2.3


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


def test_processes_change_neither_verdicts_nor_their_order():
    """Claims of one room stay together; every verdict is told of when it is known."""
    names = ["three_bits_dropped", "sharp_closed_loop", "bits_saved", "warm_up", "product_cost"]  # in reading order
    said = {}
    alone, together = (
        paper_checks.run(only=names, workers=n, report=lambda *args, n=n: said.setdefault(n, []).append(args))
        for n in (1, 2)
    )
    assert [j.claim.id for j in alone] == [j.claim.id for j in together] == names
    for a, b in zip(alone, together, strict=True):
        assert (a.verdict, a.measured, a.claimed, a.detail) == (b.verdict, b.measured, b.claimed, b.detail)
    for n, told in said.items():
        assert [args[:2] for args in told] == [(i + 1, len(names)) for i in range(len(names))], n
        assert {args[2]: str(args[3].verdict) for args in told} == {j.claim.id: str(j.verdict) for j in alone}
        assert all(seconds >= 0 for *_, seconds in told)


def test_verdicts_are_printed_as_they_are_known(capsys):
    assert command.main(["--only", "bits_saved", "three_bits_dropped", "--workers", "2"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"^\[1/2\] \w+: [A-Z_]+ \(\d+\.\d s\)(, about \d+ s left)?$", said, re.M)
    assert "[2/2] " in said


def test_claims_are_found_and_ordered():
    modules = paper_checks.claims()
    names = [m.CLAIM.id for m in modules]
    folder = Path(paper_checks.__file__).parent
    assert sorted(names) == sorted(p.stem for p in folder.glob("*/[!_]*.py"))
    assert names[0] == "reconstruction"
    topics = [m.CLAIM.topic for m in modules]
    assert topics == sorted(topics, key=paper_checks.TOPICS.index)
    for topic in paper_checks.TOPICS:
        rooms = [m.__name__.split(".")[1] for m in modules if topic == m.CLAIM.topic]
        assert rooms == sorted(rooms, key=paper_checks.ROOMS.index)


def test_every_room_is_named_and_says_what_it_is():
    folder = Path(paper_checks.__file__).parent
    assert sorted(paper_checks.ROOMS) == sorted(p.name for p in folder.glob("[!_]*") if any(p.glob("*.py")))
    for room in paper_checks.ROOMS:
        assert importlib.import_module(f"paper_checks.{room}").__doc__.endswith("."), room


@pytest.fixture
def room(tmp_path, monkeypatch):
    """An empty room besides those of the checkout, which is taken away again."""
    folder = tmp_path / "annex"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A room for what is tried."""\n', encoding="utf-8")
    monkeypatch.setattr(paper_checks, "__path__", [*paper_checks.__path__, str(tmp_path)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("paper_checks.annex")]:
        del sys.modules[name]
    vars(paper_checks).pop("annex", None)


@pytest.mark.parametrize("content", ["x = 1\n", "from paper_checks.bounds.bits_saved import CLAIM, check\n"])
def test_a_file_that_is_no_claim_is_an_error(room, content):
    (room / "not_a_claim.py").write_text(content, encoding="utf-8")
    message = r"paper_checks/annex/not_a_claim.py must define check\(\) and CLAIM with id='not_a_claim'"
    with pytest.raises(TypeError, match=message):
        paper_checks.claims()


def test_an_id_in_two_rooms_is_an_error(room):
    copied = Path(THEORY["bits_saved"].__file__).read_text(encoding="utf-8")
    (room / "bits_saved.py").write_text(copied, encoding="utf-8")
    with pytest.raises(TypeError, match=r"bounds/bits_saved.py and paper_checks/annex/bits_saved.py have the same id"):
        paper_checks.claims()


def test_a_claim_outside_of_the_rooms_is_an_error(room):
    (room.parent / "homeless.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(
        TypeError, match=r"paper_checks/homeless.py does not lie in a room: move it into one of printed, "
    ):
        paper_checks.claims()


def test_the_template_filled_in_is_a_claim_in_every_list(room, capsys):
    """A new claim is one new file: it is found, run, shown and controlled without a change elsewhere."""
    blank = Path(paper_checks.__file__).with_name("_template.py").read_text(encoding="utf-8")
    for old, new in (('id="_template"', 'id="filled_in"'), ("list[float] = []", "list[float] = [0.5] * n")):
        assert blank.count(old) == 1
        blank = blank.replace(old, new)
    assert "filled_in" not in [m.CLAIM.id for m in paper_checks.claims()]
    (room / "filled_in.py").write_text(blank, encoding="utf-8")
    importlib.invalidate_caches()
    module = [m for m in paper_checks.claims("theory") if m.CLAIM.id == "filled_in"][-1]
    assert paper_checks.claims("theory")[-1] is module  # a room that is not named comes last
    assert command.main(["--only", "filled_in"]) == 0
    shown = capsys.readouterr().out
    assert "filled_in" in shown
    assert "all 1 verdicts are as expected" in shown
    assert "</a>`filled_in` | The sentence that is checked" in command.markdown()
    (control,) = [c for c in controls() if c.values[0] is module]
    test_negative_controls(*control.values)


def test_the_blank_template_is_no_claim_and_measures_nothing():
    from paper_checks import _template

    assert _template.CLAIM.id not in [m.CLAIM.id for m in paper_checks.claims()]
    with pytest.raises(ValueError, match="use not_run where nothing was measured"):
        judge(_template.CLAIM, _template.check())


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
    assert rows["three_bits_dropped"]["claimed"] == 4 > rows["three_bits_dropped"]["measured"] > 1
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
