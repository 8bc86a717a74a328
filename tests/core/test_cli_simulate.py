"""``modiff-sim simulate``: what it prints are the library's numbers, and each error is judged by its own bound."""

import itertools

import numpy as np
import pytest
from command_line import parsed, run, runs
from reference import PAPER

import modiff_sim as ms
from modiff_sim import bounds


def bounded(found):
    """(name, norms) of the recursions that a bound is known for."""
    return [(name, runs(found)[name]) for name in PAPER]


def test_simulate_prints_the_librarys_numbers(capsys):
    options = ("--process", "geometric", "--option", "ratio=0.8", "--quantizer", "minmax", "--bits", 3)
    found = parsed(capsys, "simulate", *options, "--steps", 7, "--trials", 5, "--d", 6, "--seed", 2)
    assert list(runs(found)) == list(ms.RECURSIONS)
    assert [name for name, norms in runs(found).items() if norms["inf"]["bound"] is not None] == list(PAPER)
    Q, process = ms.MinMax(3), ms.processes.geometric(6, ratio=0.8)
    for name, norms in bounded(found):
        r = ms.simulate(process, Q, name, steps=7, trials=5, seed=2)
        for norm, error in (("2", r.error), ("inf", r.error_inf)):
            assert norms[norm]["mean"] == error.mean(axis=1).tolist()
            assert norms[norm]["max"] == error.max(axis=1).tolist()
    r = ms.simulate(process, Q, steps=7, trials=5, seed=2)
    closed = runs(found)["closed_loop"]
    for norm, error, limit in (
        ("2", r.error, bounds.sharp_closed_loop(r.d[1:], Q.c(6))),
        ("inf", r.error_inf, bounds.max_norm_closed_loop(r.d_inf[1:], Q.kappa(6))),
    ):
        ratio = error[1:] / limit  # trial by trial: a mean over them says nothing about any
        worst = np.argmax(ratio, axis=1)
        calls = np.arange(6)
        assert closed[norm]["trial"][1:] == worst.tolist()
        assert closed[norm]["error"][1:] == error[1:][calls, worst].tolist()
        assert closed[norm]["bound"][1:] == limit[calls, worst].tolist()
        assert closed[norm]["ratio"] == [0, *ratio.max(axis=1).tolist()]
        call = 1 + int(np.argmax(ratio.max(axis=1)))
        assert closed[norm]["worst"] == {
            "ratio": ratio.max(), "call": call, "trial": worst[call - 1], "holds": True,
            "premise_fails_from": None,
        }  # fmt: skip
    assert found["settings"][0]["process_params"] == {"d": 6, "ratio": 0.8, "sigma": 1.0, "start": 10.0}


def quantizers_and_schemes():
    """All schemes with three quantizers and all quantizers with two schemes; the others in the long tail."""
    for name, *scheme in itertools.product(ms.QUANTIZERS, ["exact", "quantized", "3"], ["never", "4", "2,3"]):
        few = name in ("absmax", "minmax", "mxfp4_e2m1") or scheme in (["exact", "never"], ["3", "2,3"])
        yield pytest.param(name, *scheme, marks=[] if few else [pytest.mark.slow])


@pytest.mark.parametrize(("quantizer", "warmup", "refresh"), [*quantizers_and_schemes()])
def test_every_bound_that_is_shown_holds(capsys, quantizer, warmup, refresh):
    where = ("--d", 5, "--trials", 8, "--steps", 9, "--warmup", warmup, "--refresh", refresh)
    if quantizer.startswith("mx"):
        where = ("--d", 64, *where[2:])  # two runs of 32
    text = quantizer if ms.QUANTIZERS[quantizer].fixed_bits is not None else f"{quantizer}:3"
    found = parsed(capsys, "simulate", "--quantizer", text, *where)
    for name, norms in bounded(found):
        for found_in in norms.values():
            assert all(found_in["holds"]), name
            assert found_in["worst"]["holds"]
            assert found_in["worst"]["ratio"] == max(found_in["ratio"]) <= 1 + 1e-6
        for call in {"never": (), "4": (4, 8), "2,3": (2, 3)}[refresh]:
            assert norms["2"]["bound"][call] == norms["inf"]["bound"][call] == 0


@pytest.mark.parametrize("process", sorted(set(ms.processes.PROCESSES) - {"recorded"}))
def test_every_process_can_be_named(capsys, process):
    found = parsed(capsys, "simulate", "--process", process, "--steps", 6, "--trials", 2, "--d", 3, "--bits", 3)
    assert {row["process"] for row in found["rows"]} == {process}
    inf = runs(found)["closed_loop"]["inf"]
    assert all(inf["holds"])
    if process == "alternating":
        assert np.allclose(inf["max"], inf["bound"], rtol=1e-12, atol=0)  # attained at every call
        assert inf["worst"]["ratio"] == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("quantizer", "bits"), [("absmax:3", 3), ("fp8_e4m3", 8), ("mxint8@sample", 8), ("identity", 32), ("zero", 4)]
)
def test_alternating_means_the_same_on_the_command_line_and_in_the_library(capsys, quantizer, bits):
    """It takes the bits of the quantizer, however the entries of an input are said; --bits is for quantizers."""
    where = ("--steps", 4, "--trials", 1, "--recursion", "closed_loop")
    r = ms.simulate("alternating:8", quantizer, "closed_loop", steps=4, trials=1)
    assert r.params["process_params"]["bits"] == bits
    for said in (("--process", "alternating:8"), ("--process", "alternating", "--d", 8)):
        found = parsed(capsys, "simulate", "--quantizer", quantizer, *said, *where)
        assert found["settings"][0]["process_params"] == r.params["process_params"]
        assert runs(found)["closed_loop"]["2"]["mean"] == r.error[:, 0].tolist()


def test_a_recorded_process(capsys, tmp_path):
    inputs = np.random.default_rng(0).standard_normal((4, 3, 5))
    np.save(tmp_path / "run.npy", inputs)
    where = ("--process", "recorded", "--option", f"source={tmp_path / 'run.npy'}", "--steps", 4, "--trials", 3)
    found = parsed(capsys, "simulate", *where)
    assert found["settings"][0]["process_params"]["shape"] == [4, 3, 5]
    same = parsed(capsys, "simulate", "--process", tmp_path / "run.npy", *where[4:])
    assert same["rows"] == found["rows"]


def test_a_bound_that_fails_is_shown_as_such(capsys, monkeypatch):
    """Negative control: the worst case exceeds half of its bound, and the table says NO."""
    from modiff_sim.simulation import against_bounds

    limit = against_bounds._limit
    monkeypatch.setattr(
        against_bounds, "_limit", lambda r, norm, *a, **k: limit(r, norm, *a, **k) / (2 if norm == "inf" else 1)
    )
    where = ("--process", "alternating", "--d", 2, "--steps", 4, "--recursion", "closed_loop")
    code, out, _ = run(capsys, "simulate", *where)
    assert code == 0
    *rows, two, inf = out.splitlines()[-6:]
    rows = [line.split() for line in rows]
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert [row[-1] for row in rows] == ["yes", "NO", "NO", "NO"]
    assert two.endswith("): holds")  # of the 2-norm, which was left alone
    assert inf == "max norm: worst ratio 2 (call 1, trial 0): DOES NOT HOLD"
    comparison = parsed(capsys, "simulate", *where)["comparison"]
    assert [(row["holds_2"], row["holds_inf"], row["verdict"]) for row in comparison] == [
        (True, False, "DOES NOT HOLD")
    ]


def test_a_quantizer_outside_of_its_domain_is_not_judged_by_a_bound_that_was_not_promised(capsys):
    """Residuals below the floor of its scale are lost whole by a quantizer that declares a 1/2 step of the range."""
    where = ("--quantizer", "minmax_raw", "--process", "geometric", "--option", "ratio=0.1", "--steps", 14, "--d", 8)
    found = runs(parsed(capsys, "simulate", *where, "--recursion", "closed_loop"))["closed_loop"]["inf"]
    start = found["worst"]["premise_fails_from"]
    assert 0 < start < 13
    assert found["worst"]["holds"]
    assert found["holds"][:start] == [True] * start
    assert found["holds"][-1] is None
    code, out, _ = run(capsys, "simulate", *where, "--recursion", "closed_loop")
    assert code == 0
    lines = out.splitlines()
    assert lines[-1].startswith("max norm: ")
    assert lines[-1].endswith(f"PREMISE FAILS from call {start} on in some trials")
    assert lines[-3].split()[-1] == "-"
    assert out.count("PREMISE FAILS: the quantizer lost more than it declares") == 1


def test_json_says_where_a_number_is_infinite():
    from modiff_sim.commands.printing import as_json

    assert as_json({"a": [float("inf"), -float("inf"), float("nan"), 1.5]}) == '{"a": ["inf", "-inf", null, 1.5]}\n'


def test_one_trial_above_its_bound_is_seen_among_many_below(capsys, monkeypatch):
    """The mean of the bounds is far above that one error: only trial by trial does it show."""
    import modiff_sim.commands.simulate as command

    def run_with_one_bad_trial(*args, **options):
        r = ms.simulate(*args, **options)
        r.error_inf[3, 5] = 1.001 * bounds.max_norm_closed_loop(r.d_inf[1:], ms.AbsMax(4).kappa(64))[2, 5]
        return r

    monkeypatch.setattr(command, "simulate", run_with_one_bad_trial)
    found = parsed(capsys, "simulate", "--steps", 6, "--recursion", "closed_loop")
    found = runs(found)["closed_loop"]["inf"]
    assert found["holds"] == [True] * 3 + [False] + [True] * 2
    worst = {"ratio": pytest.approx(1.001), "call": 3, "trial": 5, "holds": False}
    assert found["worst"] == worst | {"premise_fails_from": None}


def test_a_bound_in_expectation_is_judged_by_the_mean_square(capsys, monkeypatch):
    """Single trials may exceed it. One that is too small is found out, and so is a c; too few trials decide nothing."""
    where = ("--quantizer", "stochastic", "--bits", 2, "--d", 2, "--steps", 4, "--recursion", "closed_loop")
    draw = ("--process", "burst", "--option", "at=1,2,3", "--trials", 2000)
    found = runs(parsed(capsys, "simulate", *where, *draw))["closed_loop"]["2"]
    Q, process = ms.Stochastic(2), ms.processes.burst(2, at=(1, 2, 3))
    r = ms.simulate(process, Q, steps=4, trials=2000)
    limit = bounds.stochastic_closed_loop(r.d[1:], Q.c(2))
    assert np.any(r.error[1:] > limit)  # in single trials
    assert all(found["holds"])
    assert found["trial"] is None
    assert found["bound"][1:] == pytest.approx(np.sqrt(np.mean(limit**2, axis=1)), rel=1e-12)
    assert found["error"][1:] == pytest.approx(np.sqrt(np.mean(r.error[1:] ** 2, axis=1)), rel=1e-12)
    few = runs(parsed(capsys, "simulate", *where, "--trials", 7))["closed_loop"]["2"]
    assert few["holds"] is None
    assert few["worst"]["holds"] is None
    with monkeypatch.context() as patched:
        patched.setattr(bounds, "stochastic_closed_loop", lambda *args, **options: limit / 4)
        small = runs(parsed(capsys, "simulate", *where, *draw))["closed_loop"]["2"]
        assert small["holds"] == [True, False, False, False]
    monkeypatch.setattr(ms.Stochastic, "c", lambda self, d: 0.01)
    false = runs(parsed(capsys, "simulate", *where, *draw))["closed_loop"]["2"]
    assert false["holds"] == [True, None, None, None]
    assert false["worst"]["premise_fails_from"] == 1
    assert "the mean loss over trials is 4 standard errors above c" in run(capsys, "simulate", *where, *draw)[
        1
    ].replace("\n", " ")


@pytest.mark.parametrize(
    "granularity", ["batch", "channel", "token", "sample", "group:4", "group:3:axis=0", "channel:axis=0,1"]
)
@pytest.mark.parametrize("quantizer", ["absmax", "stochastic", "floor"])
def test_bounds_hold_at_every_granularity(capsys, granularity, quantizer):
    where = ("--granularity", granularity, "--quantizer", quantizer, "--d", 8, "--trials", 9, "--steps", 8)
    found = parsed(capsys, "simulate", *where)
    block = {"batch": 72, "channel": 9, "token": 8, "sample": 8, "group:4": 4}.get(granularity)
    block = block or {"group:3:axis=0": 3, "channel:axis=0,1": 1}[granularity]
    assert found["settings"][0]["entries_per_scale"] == block
    assert found["settings"][0]["c"] == ms.quantizers.make(quantizer).c(block)
    shared = granularity in ("batch", "channel", "group:3:axis=0")
    for _, norms in bounded(found):
        assert norms["inf"]["worst"]["holds"]
        assert (norms["inf"]["trial"] is None) == shared
        assert norms["2"]["worst"]["holds"] is (None if shared and quantizer == "stochastic" else True)


def test_a_scale_shared_by_trials_is_judged_for_all_of_them_together(capsys):
    """A small trial beside large ones loses more than kappa of *its* size: only the bound of all together holds."""
    found = parsed(capsys, "simulate", "--granularity", "batch", "--d", 4, "--trials", 9, "--steps", 6)
    Q = ms.AbsMax(4, granularity=ms.PerBatch())
    r = ms.simulate(ms.processes.random_walk(4), Q, "open_loop", steps=6, trials=9)
    assert np.any(r.error_inf[1:] > bounds.max_norm_open_loop(r.d_inf[1:], Q.kappa(36)) * (1 + 1e-6))
    together = bounds.max_norm_open_loop(r.d_inf[1:].max(axis=1), Q.kappa(36))
    inf = runs(found)["open_loop"]["inf"]
    assert inf["bound"][1:] == pytest.approx(together, rel=1e-12)
    assert inf["error"] == r.error_inf.max(axis=1).tolist()


@pytest.mark.parametrize("quantizer", ["absmax@sample", "absmax@batch", "stochastic@sample", "stochastic@batch"])
@pytest.mark.parametrize("known", [True, False])
def test_whose_error_is_shown(capsys, monkeypatch, quantizer, known):
    """The four cases of docs/commands.md, each by its own formula."""
    if not known:
        monkeypatch.setattr("modiff_sim.simulation.against_bounds.unbounded", lambda r, norm: "no bound is known")
    where = ("--quantizer", quantizer, "--recursion", "closed_loop", "--d", 4, "--trials", 9, "--steps", 5)
    found = runs(parsed(capsys, "simulate", *where))["closed_loop"]
    r = ms.simulate("random_walk:4", quantizer.replace("@", ":4@"), "closed_loop", steps=5, trials=9)
    for norm, errors in (("2", r.error), ("inf", r.error_inf)):
        order = 2 if norm == "2" else np.inf
        if not known:
            error = errors.max(axis=1)
            assert found[norm]["trial"] == errors.argmax(axis=1).tolist()
            assert found[norm]["bound"] is None
        elif norm == "2" and "stochastic" in quantizer:
            error = np.sqrt(np.mean(errors**2, axis=1))
        elif "batch" in quantizer:
            error = np.linalg.norm(errors, axis=1, ord=order)
        else:
            error = errors[np.arange(5), found[norm]["trial"]]
        assert found[norm]["error"] == pytest.approx(error.tolist(), rel=1e-12, abs=0)
        if known:
            ratio = np.divide(found[norm]["error"][1:], found[norm]["bound"][1:])
            assert found[norm]["ratio"][1:] == pytest.approx(ratio.tolist(), rel=1e-12)


def test_simulate_prints_a_table(capsys):
    code, out, err = run(capsys, "simulate", "--steps", 12, "--trials", 4, "--recursion", "closed_loop", "direct")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "absmax:4, random_walk, d = 64"
    assert lines.count("closed_loop") == lines.count("direct") == 1
    assert "open_loop" not in out
    head = lines[lines.index("closed_loop") + 1].split()
    columns = ("mean", "error", "bound", "ratio")
    assert head == ["call", *(f"{c}_2" for c in columns), "holds", *(f"{c}_inf" for c in columns), "holds"]
    *calls, two, inf = lines[lines.index("closed_loop") + 2 : lines.index("direct") - 1]
    assert [line.split()[0] for line in calls] == ["0", "1", "2", "5", "10", "11"]
    assert two.startswith("2-norm: worst ratio 0.")
    assert inf.startswith("max norm: worst ratio 0.")
    for line in calls[1:]:
        numbers = [float(v) for v in line.split() if v != "yes"]
        for error, bound, ratio in (numbers[2:5], numbers[6:9]):
            assert ratio == pytest.approx(error / bound, rel=2e-3)  # what is printed agrees with itself: 4 digits
            assert error <= bound
    assert len({len(line) for line in lines[lines.index("direct") + 1 : -2]}) == 1  # aligned
    assert max(map(len, lines)) <= 110
