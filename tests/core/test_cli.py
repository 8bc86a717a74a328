"""The command line: what it prints are the library's numbers, and what it refuses it refuses in one line."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import parsed, run

import modiff_sim as ms
from modiff_sim import bounds, cli, commands, parsing, recommendation
from modiff_sim.sweeps.store import Store

# -- help and version ----------------------------------------


@pytest.mark.parametrize(("module", "ours"), [(cli, {"parsing"}), (parsing, set())])
def test_help_needs_the_standard_library_only(module, ours):
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            known = ours if node.level else sys.stdlib_module_names
            assert node.module.split(".")[0] in known


@pytest.mark.parametrize("command", [[], *([name] for name in commands.COMMANDS)], ids=str)
def test_help(capsys, command):
    code, out, err = run(capsys, *command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['modiff-sim', *command])}")
    if not command:
        assert all(name in out for name in commands.COMMANDS)


def test_help_leaves_the_commands_and_heavy_libraries_out():
    code = (
        "import sys; from modiff_sim.cli import main\n"
        "try: main(['simulate', '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'modiff_sim.commands', 'numpy', 'scipy', 'pandas', 'matplotlib', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version_is_the_installed_one(capsys):
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, f"modiff-sim {ms.__version__}\n")
    assert importlib.metadata.version("modiff-sim") == ms.__version__


def test_the_entry_point_is_main():
    (point,) = importlib.metadata.entry_points(group="console_scripts", name="modiff-sim")
    assert point.load() is cli.main


def test_the_package_is_the_command():
    """``python -m modiff_sim`` runs where the script is not on the path."""
    done = subprocess.run([sys.executable, "-m", "modiff_sim", "bounds", "--stepz"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "modiff-sim bounds: error: unrecognized arguments: --stepz; did you mean '--steps'?\n"


def test_a_reader_that_leaves_is_no_error():
    """``modiff-sim ... | head -1``: exit code 0, nothing on stderr."""
    many = [sys.executable, "-m", "modiff_sim.cli", "bounds", "--steps", "3000"]  # more than a pipe holds
    with subprocess.Popen(many, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


# -- bounds, contraction, quantizers ----------------------------------------


@pytest.mark.parametrize("profile", ["constant", "impulse", "geometric"])
def test_bounds_prints_the_librarys_bounds(capsys, profile):
    ratio = ("--ratio", 0.5) if profile == "geometric" else ()
    found = parsed(capsys, "bounds", "--profile", profile, "--c", 0.1, "--kappa", 0.2, "--steps", 5, *ratio)
    d = {"constant": [1] * 5, "impulse": [0, 0, 0, 0, 1], "geometric": [1, 0.5, 0.25, 0.125, 0.0625]}[profile]
    for loop in ("open_loop", "closed_loop"):
        rows = [row for row in found["rows"] if row["recursion"] == loop]
        assert [row["difference"] for row in rows] == d
        for name, bound in bounds.BOUNDS.items():
            short, gain = name.removesuffix(f"_{loop}"), 0.2 if "max_norm" in name else 0.1
            if short == name:
                continue
            if name.startswith("printed"):
                for index in bounds.INDICES:
                    assert [row[f"{short}/{index}"] for row in rows] == bound(d, gain, index=index).tolist()
            else:
                assert [row[short] for row in rows] == bound(d, gain).tolist()


def test_bounds_of_a_quantizer(capsys):
    code, out, _ = run(capsys, "bounds", "--bits", 2, "--d", 4096, "--steps", 3, "--at", 0, "--profile", "impulse")
    assert code == 0
    assert "c = 0.999 (c < 1: yes, 2c ≤ 1: no), kappa = 0.5 (kappa < 1: yes)\n" in out
    assert "c = 0.5 (c < 1: yes, 2c ≤ 1: yes)" in run(capsys, "bounds", "--c", 0.5)[1]
    lines = out.splitlines()
    closed = [line.split() for line in lines[lines.index("closed_loop") + 2 :]]
    assert [row[1] for row in closed] == ["1.000", "0", "0"]
    assert [float(row[-1]) for row in closed] == [0.5, 0.25, 0.125]


def test_contraction_orders_measured_searched_declared(capsys):
    where = ("--bits", 2, 4, "--d", 8, 16, "--distribution", "normal", "laplace", "t5", "uniform", "--trials", 16)
    rows = parsed(capsys, "contraction", *where)["rows"]
    assert len(rows) == 2 * 2 * 2 * 4
    for row in rows:
        Q = ms.AbsMax(row["bits"])
        assert row["declared"] == getattr(Q, row["norm"])(row["d"])
        assert row["low"] <= row["mean"] <= row["high"] <= row["largest"]
        # the search attains the supremum, or comes within its own 1e-6 of a tie
        assert row["largest"] <= row["searched"] * (1 + 1e-4)
        assert row["searched"] == pytest.approx(row["declared"], rel=1e-4)


def test_contraction_does_not_search_what_is_random(capsys):
    rows = parsed(capsys, "contraction", "--quantizer", "stochastic", "--d", 8, "--trials", 4)["rows"]
    assert all(row["searched"] is None for row in rows)
    code, out, _ = run(capsys, "contraction", "--quantizer", "stochastic", "--d", 64, "--trials", 4)
    assert code == 0
    head, line = (text.split() for text in out.splitlines()[-2:])
    assert line[head.index("searched")] == "-"


def test_contraction_compares_quantizers_granularities_and_a_recording(capsys, tmp_path):
    np.save(tmp_path / "run.npy", np.random.default_rng(0).standard_normal((4, 3, 64)))
    options = (
        "--quantizer",
        "absmax",
        "mxint8",
        "--bits",
        3,
        "--d",
        64,
        "--granularity",
        "sample",
        "group:16",
        "group",
    )
    rows = parsed(capsys, "contraction", *options, "--recorded", tmp_path / "run.npy", "--trials", 8)["rows"]
    seen = {(r["quantizer"], r["bits"], r["granularity"], r["distribution"]) for r in rows}
    assert {("absmax", 3, "sample", "recorded"), ("mxint8", 8, "sample", "normal")} <= seen
    assert {("absmax", 3, "group:32", "recorded"), ("absmax", 3, "group:16", "recorded")} <= seen
    direct = [r for r in rows if r["distribution"] == "recorded"]
    assert all(r["mean"] <= r["declared"] for r in direct)


def test_quantizers_lists_the_registry(capsys):
    rows = parsed(capsys, "quantizers", "--bits", 3, "--d", 10)["rows"]
    assert [row["quantizer"] for row in rows] == list(ms.QUANTIZERS)
    by_name = {row["quantizer"]: row for row in rows}
    assert by_name["absmax"]["c"] == ms.AbsMax(3).c(10)
    assert by_name["mxint8"]["c"] == ms.MXINT8().c(10)
    for d, block in ((64, 32), (33, 32), (4096, 32), (5, 5)):
        rows = {row["quantizer"]: row for row in parsed(capsys, "quantizers", "--d", d)["rows"]}
        for name, row in rows.items():
            mx = name.startswith("mx")
            assert (row["granularity"], row["entries_per_scale"]) == (("group:32", block) if mx else ("sample", d))
            assert row["d"] == d
            assert row["c"] == ms.quantizers.make(name).c(row["entries_per_scale"])
    assert rows["mxfp4_e2m1"]["c"] < ms.MXFP4E2M1().c(32) < 0.11
    rows = parsed(capsys, "quantizers", "--d", 256, "--granularity", "group:64")["rows"]
    assert {(row["granularity"], row["entries_per_scale"]) for row in rows} == {("group:64", 64)}
    assert all(by_name["stochastic"][law] for law in ("unbiased", "randomised"))
    assert not any(by_name["absmax"][law] for law in ("unbiased", "randomised"))
    code, out, _ = run(capsys, "quantizers")
    assert code == 0
    assert all(name in out for name in ms.QUANTIZERS)
    assert max(map(len, out.splitlines())) <= 110


def test_the_random_profile_has_a_seed(capsys):
    first, again, other = (parsed(capsys, "bounds", "--profile", "random", "--seed", seed) for seed in (0, 0, 1))
    assert first == again
    assert first["rows"][0]["difference"] != other["rows"][0]["difference"]


# -- worst-case ----------------------------------------


@pytest.mark.parametrize("profile", ["constant", "impulse", "geometric", "random"])
def test_worst_case_is_certified_and_equals_the_sharp_bound(capsys, profile):
    pytest.importorskip("PEPit")
    rows = parsed(capsys, "worst-case", "--c", 0.3, "--n", 3, 1, "--profile", profile)["rows"]
    assert [(row["recursion"], row["n"]) for row in rows] == [
        ("open_loop", 1), ("open_loop", 3), ("closed_loop", 1), ("closed_loop", 3),
    ]  # fmt: skip
    for row in rows:
        assert row["certified"] == pytest.approx(row["sharp"], rel=1e-3)
        assert row["young"] >= row["sharp"] * (1 - 1e-12)
        assert "found" not in row  # there is no quantizer to search


def test_worst_case_of_a_quantizer(capsys):
    found = parsed(capsys, "worst-case", "--bits", 3, "--d", 16, "--n", 1, 2, "--recursion", "closed_loop")
    assert found["constants"]["c"] == ms.AbsMax(3).c(16)
    first, second = found["rows"]
    assert first["found"] == pytest.approx(first["sharp"], rel=1e-6)  # a single step's worst case is known
    assert 0 < second["found"] <= second["sharp"]
    rows = parsed(capsys, "worst-case", "--quantizer", "stochastic", "--n", 1)["rows"]
    assert "found" not in rows[0]


def test_worst_case_without_the_solver_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PEPit", None)
    code, out, _ = run(capsys, "worst-case", "--c", 0.25, "--n", 2)
    assert code == 0
    assert "needs PEPit: pip install 'modiff-sim[theory]'" in out
    assert out.splitlines()[-1].split()[:3] == ["2", "-", "0.7500"]


# -- recommend ----------------------------------------


def test_recommend_prints_the_librarys_recommendation(capsys, recording):
    found = parsed(capsys, "recommend", recording, "--tolerance", 0.05)
    expected = recommendation.recommend(recommendation.read_recording(recording), tolerance=0.05)
    assert [(r["layer"], r["scheme"], r["bits"], r["why"]) for r in found["rows"]] == [
        (r.layer, r.scheme, r.bits, r.why) for r in expected
    ]
    code, out, _ = run(capsys, "recommend", recording)
    assert code == 0
    assert all(f"\n{name}: differences are" in out for name in ("still", "slow", "wild"))
    assert max(map(len, out.splitlines())) <= 110


def test_recommend_shortens_long_names_in_the_table_only(capsys, tmp_path):
    names = [f"down.{i}.blocks.1.{'very_' * 12}long.linear" for i in range(2)]
    np.savez(tmp_path / "long.npz", **{name: np.arange(24.0).reshape(3, 2, 4) + 9 for name in names})
    code, out, _ = run(capsys, "recommend", tmp_path / "long.npz")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 110
    assert all(f"{name}:" in out for name in names)


def test_a_recommended_granularity_is_one_that_commands_take(capsys, tmp_path):
    inputs = (
        np.random.default_rng(0).standard_normal((1, 2, 8, 4, 4)) + 0.01 * np.arange(12.0)[:, None, None, None, None]
    )
    np.savez(tmp_path / "x.npz", conv=inputs * np.where(np.arange(8) == 3, 30.0, 1.0)[:, None, None])
    (row,) = parsed(capsys, "recommend", tmp_path / "x.npz", "--judged", "channel")["rows"]
    assert row["granularity"] == "channel:axis=0,1"
    text = f"{row['quantizer']}:{row['bits']}@{row['granularity']}"
    (setting,) = parsed(capsys, "simulate", "--quantizer", text, "--steps", 2, "--trials", 2)["settings"]
    assert setting["granularity"] == row["granularity"]


def test_recommend_takes_some_layers_and_some_trials(capsys, recording):
    one = ("recommend", recording, "--layer", "slow", "--trials", 3, "--criterion", "typical")
    first, again, other = (parsed(capsys, *one, "--seed", seed) for seed in (1, 1, 2))
    assert [r["layer"] for r in first["rows"]] == ["slow"]
    assert first == again
    assert first["rows"][0]["measured"] != other["rows"][0]["measured"]


# -- verify ----------------------------------------


def test_verify(capsys, tmp_path):
    path = Store(tmp_path).save("run", {"seed": 0}, {"x": np.ones(3)}).path
    assert run(capsys, "verify", tmp_path) == (0, "1 result checked, no problems\n", "")
    Store(tmp_path).save("run", {"seed": 1}, {"x": np.ones(3)})
    (path / "arrays.npz").write_bytes(b"")
    code, out, _ = run(capsys, "verify", tmp_path)
    assert code == 1
    assert out == f"{path / 'arrays.npz'}: sha256 differs from the manifest\n2 results checked, 1 problem\n"


# -- errors ----------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["walk"], "choose from"),
        (["simulate", "--bits", "x"], "invalid int value"),
        (["simulate", "--bits", "1"], "AbsMax needs 2 <= bits <= 32, got 1"),
        (["simulate", "--bits", "-3"], "got -3"),
        (["simulate", "--process", "walk"], "unknown process 'walk'; known: random_walk, ar1"),
        (["simulate", "--quantizer", "log"], "unknown quantizer 'log'; known: absmax, half_away"),
        (["simulate", "--recursion", "half"], "known: direct, open_loop, closed_loop"),
        (["simulate", "--steps", "0"], "steps must be an int >= 1"),
        (["simulate", "--trials", "-1"], "trials must be an int >= 1"),
        (["simulate", "--d", "0"], "dimension d"),
        (["simulate", "--warmup", "hot"], "warmup must be"),
        (["simulate", "--warmup", "-1"], "warmup must be"),
        (["simulate", "--refresh", "often"], "--refresh takes never"),
        (["simulate", "--refresh", "0"], "k >= 1"),
        (["simulate", "--option", "sigma"], "random_walk takes sigma=, start="),
        (["simulate", "--option", "ratio=2"], "random_walk takes sigma=, start="),
        (["simulate", "--option", "sigma=two"], "'two' is not a number"),
        (["simulate", "--option", "sigma=nan"], "sigma must be finite"),
        (["simulate", "--process", "burst", "--option", "at=0"], "calls of a difference are >= 1"),
        (["simulate", "--process", "recorded"], "--option source=FILE"),
        (["simulate", "--process", "recorded", "--option", "source=absent.npy"], "No such file"),
        (["simulate", "--process", "adversarial", "--quantizer", "stochastic"], "deterministic"),
        (["bounds", "--profile", "step"], "known: constant, impulse, geometric, random"),
        (
            ["bounds", "--profile", "geometric", "--ratio", "1e200"],
            "--ratio 1e+200: the 12 differences must all be finite",
        ),
        (["bounds", "--seed", "-1"], "argument --seed: an int >= 0, got '-1'"),
        (["bounds", "--c", "0.1", "--kappa", "nan"], "kappa is a ratio of norms"),
        (["simulate", "--refresh", ","], "--refresh takes never"),
        (["bounds", "--plot", "x.gif"], "must end in .png, .pdf, .svg"),
        (["bounds", "--plot", "absent/x.png"], "there is no folder"),
        (["worst-case", "--n", "0"], "--n must lie in 1..30, got 0"),
        (["worst-case", "--n", "31"], "got 31"),
        (["worst-case", "--c", "-1"], "must be finite and >= 0, got -1"),
        (["worst-case", "--d", "0"], "at least one entry, got d=0"),
        (["worst-case", "--recursion", "direct"], "known: open_loop, closed_loop"),
        (["recommend", "absent.npz"], "No such file"),
        (["recommend", "layers.txt"], "recordings are .npz"),
        (["bounds", "--steps", "0"], "at least 1"),
        (["bounds", "--profile", "impulse", "--at", "99"], "differences 0..11, got 99"),
        (["bounds", "--c", "-1"], "must be"),
        (["contraction", "--d", "0"], "--d must be an int >= 1, got 0"),
        (["contraction", "--trials", "1"], "--trials must be an int >= 2, got 1"),
        (["contraction", "--quantizer", "fp9"], "unknown quantizer 'fp9'; known: absmax"),
        (["contraction", "--granularity", "row"], "unknown granularity 'row'; known: batch"),
        (["contraction", "--granularity", "group:"], "the size of a group is an int >= 1"),
        (["contraction", "--granularity", "channel:2"], "only group takes a size"),
        (["contraction", "--quantizer", "mxint8", "--d", "33"], "mxint8 at d = 33: the runs of 32 entries that share"),
        (["simulate", "--granularity", "row"], f"known: {', '.join(ms.GRANULARITIES)}, and group:SIZE"),
        (["simulate", "--quantizer", "mxfp4_e2m1", "--d", "1"], "d=1 is not a multiple of 32: pass --d 32, or"),
        (["simulate", "--d", "0"], "the dimension d must be an int >= 1, got 0"),
        (["bounds", "--quantizer", "mxint8", "--d", "100"], "--granularity group:SIZE with a SIZE that divides 100"),
        (["bounds", "--granularity", "batch"], "samples would share scales, but this command is about a single sample"),
        (["worst-case", "--granularity", "channel"], "--granularity sample and, as --d, how many entries share"),
        (["quantizers", "--granularity", "batch"], "samples would share scales"),
        (["quantizers", "--d", "0"], "at least one entry, got d=0"),
        (["bounds", "--d", "0"], "at least one entry, got d=0"),
        (["contraction", "--recorded", "absent.npy"], "No such file"),
        (["contraction", "--distribution", "cauchy"], "known: normal, laplace, t5, uniform"),
        (["quantizers", "--bits", "33"], "got 33"),
        (["verify", "absent"], "absent is not a folder"),
        (["verify", "."], "nothing was checked"),
    ],
    ids=" ".join,
)
def test_errors_are_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("modiff-sim")
    assert ": error: " in err
    assert message in err


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupted(chosen):
        raise KeyboardInterrupt

    monkeypatch.setattr("modiff_sim.commands.bounds.run", interrupted)
    assert run(capsys, "bounds") == (130, "", "modiff-sim bounds: interrupted\n")
