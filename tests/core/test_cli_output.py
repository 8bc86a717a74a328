"""What all commands have in common: texts that name things, CSV and JSON of one form, widths, examples, suggestions."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import parsed, rows_of_csv, run

import modiff_sim as ms
from modiff_sim import cli, commands
from modiff_sim.commands import printing, taken
from modiff_sim.sweeps.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
#: command -> arguments that are quick; "RECORDING" stands for a file of recorded layers
QUICK = {
    "simulate": ("--steps", 4, "--trials", 3, "--d", 6),
    "bounds": ("--steps", 3),
    "contraction": ("--d", 8, "--trials", 4),
    "worst-case": ("--n", 1, 2, "--d", 8),
    "recommend": ("RECORDING",),
    "quantizers": (),
}


def quick(command, recording):
    return (command, *(recording if a == "RECORDING" else a for a in QUICK[command]))


# rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", QUICK)
def test_json_has_one_form_and_csv_the_same_rows(capsys, recording, command):
    found = parsed(capsys, *quick(command, recording))
    assert list(found)[:3] == ["command", "params", "rows"]
    assert found["command"] == command
    assert not {"json", "csv", "plot", "parser", "command", "version"} & set(found["params"])
    assert all(isinstance(v, (str, int, float, bool, type(None))) for row in found["rows"] for v in row.values())
    code, out, err = run(capsys, *quick(command, recording), "--csv")
    assert (code, err) == (0, "")
    rows = rows_of_csv(out)
    assert [list(row) for row in rows] == [list(row) for row in found["rows"]]
    for text, value in zip(rows, found["rows"], strict=True):
        for name, v in value.items():
            same = text[name] == "" if v is None else text[name] == str(v) if isinstance(v, (str, bool)) else None
            assert same if same is not None else float(text[name]) == v


@pytest.mark.parametrize("command", QUICK)
def test_the_page_names_every_column(capsys, recording, command):
    columns = list(parsed(capsys, *quick(command, recording))["rows"][0])
    (section,) = re.findall(rf"^\*\*`{command}`\*\*, .*?\n\n(.*?)\n\n", PAGE, re.S | re.M)
    cells = re.findall(r"^\| (`.*?) \|", section, re.M)
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(named) == sorted(columns)


def test_the_page_names_every_command_and_key(capsys, recording):
    assert re.findall(r"^\| `([\w-]+)` \| (?!`)", PAGE.split("\n## ")[0], re.M) == list(commands.COMMANDS)
    told = re.findall(r"^\| (`\w.*`) \| `(\w+)` \|", PAGE, re.M)
    keys = {(command, key) for cell, key in told for command in re.findall(r"`([\w-]+)`", cell)}
    found = {(c, key) for c in QUICK for key in list(parsed(capsys, *quick(c, recording)))[3:]}
    assert keys == found


@pytest.mark.parametrize("command", QUICK)
def test_csv_and_json_go_into_files_beside_the_table(capsys, recording, monkeypatch, command):
    monkeypatch.chdir(recording.parent)
    arguments = quick(command, recording)
    table, as_json, as_csv = (run(capsys, *arguments, *form)[1] for form in ((), ("--json",), ("--csv",)))
    assert run(capsys, *arguments, "--csv", "a.csv")[:2] == (0, table)
    assert run(capsys, *arguments, "--json", "a.json", "--csv") == (0, as_csv, "wrote a.json\n")
    assert Path("a.csv").read_text(encoding="utf-8") == as_csv
    assert Path("a.json").read_text(encoding="utf-8") == as_json
    code, out, err = run(capsys, *arguments, "--json=b.json", "--csv=b.csv")
    assert (code, out, err) == (0, table, "wrote b.json\nwrote b.csv\n")
    assert [path.read_text(encoding="utf-8") for path in (Path("b.json"), Path("b.csv"))] == [as_json, as_csv]
    assert run(capsys, command, "--json", *arguments[1:])[1] == as_json  # a recording is no file for the rows


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--csv", "--json"], "--json and --csv cannot both be printed: name a file for one of them"),
        (["--csv", "a.txt"], "--csv a.txt: the name must end in .csv"),
        (["--json", "a.csv"], "--json a.csv: the name must end in .json"),
        (["--json", "absent/a.json"], "--json absent/a.json: there is no folder"),
        (["--csv", "folder.csv"], "--csv folder.csv: this is not a file"),
    ],
)
def test_files_of_rows_are_looked_at_before_anything_is_run(capsys, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    monkeypatch.setattr("modiff_sim.commands.bounds.run", None)
    code, out, err = run(capsys, "bounds", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("simulate --pdf a.pdf", "--plot a.pdf"), ("bounds --svg=a.svg", "--plot a.svg"),
        ("bounds --png", "--plot FILE"),
        ("bounds --out a.csv", "--csv a.csv"), ("bounds -o a.json", "--json a.json"),
        ("bounds --output a.png", "--plot a.png"),
    ],
)  # fmt: skip
def test_options_of_other_programs_for_files_are_answered_with_ours(capsys, arguments, meant):
    code, _, err = run(capsys, *arguments.split())
    assert code == 2
    assert err.endswith(f"; did you mean {meant!r}?\n")


def test_no_picture_is_suggested_where_none_is_drawn(capsys):
    assert "did you mean" not in run(capsys, "quantizers", "--pdf", "a.pdf")[2]


def test_what_is_not_finite_is_written_so_that_it_can_be_read():
    rows = [{"a": float("inf"), "b": float("nan"), "c": None}, {"a": -float("inf"), "d": np.bool_(True)}]
    assert printing.as_csv(rows) == "a,b,c,d\ninf,,,\n-inf,,,True\n"
    assert json.loads(printing.as_json(rows))[0] == {"a": "inf", "b": None, "c": None}


# names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["simulate", "bounds", "worst-case", "quantizers", "contraction"])
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("minmax:3", ("--quantizer", "minmax", "--bits", 3)),
        ("minmax@group:4", ("--quantizer", "minmax", "--granularity", "group:4")),
        ("minmax:5@group:4", ("--quantizer", "minmax", "--bits", 5, "--granularity", "group:4")),
        ("mxint8@sample", ("--quantizer", "mxint8", "--granularity", "sample")),
    ],
    ids=str,
)
def test_a_text_says_what_options_say(capsys, command, text, options):
    where = ("--d", 8, *{"simulate": ("--steps", 3, "--trials", 2), "worst-case": ("--n", 1)}.get(command, ()))
    one, other = parsed(capsys, command, "--quantizer", text, *where), parsed(capsys, command, *options, *where)
    for each in (one, other):
        del each["params"]
    assert one == other
    # what the text says counts, whatever the options say
    others = ("--bits", 7, "--granularity", "group:2", *where)
    if command in ("bounds", "worst-case"):  # there is nothing else that the options could be for
        code, out, err = run(capsys, command, "--quantizer", "absmax:3@sample", *others)
        assert (code, out) == (2, "")
        assert "--bits has no effect here" in err
        return
    again = parsed(capsys, command, "--quantizer", "absmax:3@sample", "floor", *others)["rows"]
    alone = parsed(capsys, command, "--quantizer", "absmax", "--bits", 3, *where)["rows"]
    assert [row for row in again if row["quantizer"] == "absmax"] == alone
    assert {(row["bits"], row["granularity"]) for row in again if row["quantizer"] == "floor"} == {(7, "group:2")}


@pytest.mark.parametrize("name", ms.QUANTIZERS)
@pytest.mark.parametrize("shared", [None, "sample", "channel", "group:8"])
def test_the_text_of_a_quantizer_names_it(name, shared):
    Q = taken.quantizer(name, 5, shared)
    assert taken.quantizer(taken.said(Q), 4, None) == Q
    assert taken.name(Q) == name


def test_quantizers_lists_those_that_are_named(capsys):
    rows = parsed(
        capsys, "quantizers", "--quantizer", "floor:3", "absmax:4@group:16", "floor:3", "floor@sample", "--bits", 3
    )
    said = [(row["quantizer"], row["bits"], row["granularity"], row["entries_per_scale"]) for row in rows["rows"]]
    assert said == [("floor", 3, "sample", 64), ("absmax", 4, "group:16", 16)]


def test_contraction_measures_each_quantizer_once_and_as_it_says(capsys):
    where = ("--d", 32, "--trials", 4, "--bits", 3, 4)
    rows = parsed(capsys, "contraction", "--quantizer", "absmax:3", "absmax", "minmax:2@group:8", *where)["rows"]
    seen = [(row["quantizer"], row["bits"], row["granularity"]) for row in rows if row["norm"] == "c"]
    assert seen == [("absmax", 3, "sample"), ("absmax", 4, "sample"), ("minmax", 2, "group:8")]
    alone = parsed(capsys, "contraction", "--quantizer", "minmax:2@group:8", *where[:4])["rows"]
    assert alone == [row for row in rows if row["quantizer"] == "minmax"]


# several at once ------------------------------------------------------------------------------------------------------

SEVERAL = ("--quantizer", "absmax:3", "stochastic:4", "--process", "random_walk", "ar1:9", "--option", "phi=0.5",
           "--recursion", "closed_loop", "direct", "--steps", "5", "--trials", "9", "--d", "6")  # fmt: skip


def test_simulate_meets_every_quantizer_with_every_process(capsys):
    found = parsed(capsys, "simulate", *SEVERAL)
    pairs = [(q, p) for q in (("absmax", 3), ("stochastic", 4)) for p in (("random_walk", 6), ("ar1", 9))]
    settings = [((s["quantizer"], s["bits"]), (s["process"], s["d"])) for s in found["settings"]]
    assert settings == pairs
    assert [s["process_params"].get("phi") for s in found["settings"]] == [None, 0.5, None, 0.5]
    for (q, bits), (p, d) in pairs:
        phi = ("--option", "phi=0.5") if p == "ar1" else ()
        same = ("--quantizer", q, "--bits", bits, "--process", p, "--d", d, *phi)
        alone = parsed(capsys, "simulate", *SEVERAL[8:], *same)
        for key in ("rows", "comparison"):
            assert alone[key] == [r for r in found[key] if (r["quantizer"], r["process"]) == (q, p)]
    last = {
        (r["quantizer"], r["process"], r["recursion"], r["norm"]): r["mean"] for r in found["rows"] if r["call"] == 4
    }
    for row in found["comparison"]:
        key = tuple(row[name] for name in ("quantizer", "process", "recursion"))
        assert (row["last_mean_2"], row["last_mean_inf"]) == (last[*key, "2"], last[*key, "inf"])
        ratios = [r["ratio"] for r in found["rows"] if key == (r["quantizer"], r["process"], r["recursion"])]
        assert max(row["worst_ratio_2"], row["worst_ratio_inf"]) == max(ratios)
        assert row["verdict"] == "holds"


def test_simulate_prints_a_comparison_and_then_the_sections(capsys):
    code, out, _ = run(capsys, "simulate", *SEVERAL)
    assert code == 0
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("quantizer "))
    assert lines[head].split()[:3] == ["quantizer", "process", "recursion"]
    table = [line.split() for line in lines[head + 1 : head + 9]]
    assert [row[:3] for row in table] == [
        [q, p, r]
        for q in ("absmax:3", "stochastic:4")
        for p in ("random_walk:6", "ar1:9")
        for r in ("closed_loop", "direct")
    ]
    assert {row[-1] for row in table} == {"holds"}
    titles = [line for line in lines if re.match(r"\w+:\d, \w+, d = \d", line)]
    assert titles == [
        f"{q}, {p}" for q in ("absmax:3", "stochastic:4") for p in ("random_walk, d = 6", "ar1, d = 9; phi=0.5")
    ]
    assert lines.index(titles[0]) > head + 9
    assert lines.count("closed_loop") == lines.count("direct") == 4


def test_the_same_pair_is_run_once(capsys):
    where = ("--process", "random_walk", "random_walk:6", "--d", 6, "--steps", 2, "--trials", 2)
    found = parsed(capsys, "simulate", "--quantizer", "absmax", "absmax:4", "absmax:4@sample", *where)
    assert len(found["settings"]) == 1


@pytest.mark.parametrize(
    ("holds", "fails_from", "verdict"),
    [
        ((True, True), None, "holds"), ((True, False), None, "DOES NOT HOLD"), ((None, True), None, "not decided"),
        ((None, False), None, "DOES NOT HOLD"), ((True, True), 3, "premise fails"), ((False, True), 3, "DOES NOT HOLD"),
    ],
)  # fmt: skip
def test_one_verdict_of_both_norms(holds, fails_from, verdict):
    from modiff_sim.commands.sections import _verdict

    worst = [{"holds": each, "premise_fails_from": fails_from} for each in holds]
    assert _verdict(worst) == verdict
    assert _verdict([None, None]) == "no bound"


# what the constants mean for the theory -------------------------------------------------------------------------------


@pytest.mark.parametrize(("c", "sharp", "paper"), [(0.5, True, True), (0.51, True, False), (1.0, False, False)])
def test_conditions_are_said_in_words_and_as_booleans(capsys, c, sharp, paper):
    words = [{True: "yes", False: "no"}[met] for met in (sharp, paper)]
    for command in (("bounds", "--steps", 3), ("worst-case", "--n", 1)):
        constants = parsed(capsys, *command, "--c", c)["constants"]
        assert (constants["c"], constants["c_below_1"], constants["c_at_most_half"]) == (c, sharp, paper)
        assert f"(c < 1: {words[0]}, 2c ≤ 1: {words[1]})" in run(capsys, *command, "--c", c)[1]
        assert "2c ≤ 1: that of the paper's (31)" in run(capsys, *command, "--c", c)[1]


def test_conditions_of_quantizers(capsys):
    for row in parsed(capsys, "quantizers", "--d", 64, "--bits", 3)["rows"]:
        assert (row["c_below_1"], row["c_at_most_half"]) == (row["c"] < 1, row["c"] <= 0.5)
        assert row["kappa_below_1"] == (row["kappa"] < 1)
    for row in parsed(capsys, "contraction", "--bits", 3, "--d", 16, 4096, "--trials", 2)["rows"]:
        if row["norm"] == "c":
            assert (row["c_below_1"], row["c_at_most_half"]) == (row["declared"] < 1, row["declared"] <= 0.5)
            assert row["kappa_below_1"] is None
        else:
            assert (row["c_below_1"], row["c_at_most_half"], row["kappa_below_1"]) == (None, None, True)
    (setting,) = parsed(capsys, "simulate", "--bits", 3, *QUICK["simulate"])["settings"]
    assert (setting["c_below_1"], setting["c_at_most_half"]) == (setting["c"] < 1, setting["c"] <= 0.5)


def test_a_constant_just_below_1_is_not_shown_as_1():
    assert taken.verdicts(0.99999, 1 - 2**-53) == (
        "c = 0.99999 (c < 1: yes, 2c ≤ 1: no), kappa = 0.9999999999999999 (kappa < 1: yes)"
    )


# widths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [72, 80, 110, 200])
@pytest.mark.parametrize("command", QUICK)
def test_output_fits_into_the_terminal(capsys, recording, command, columns):
    code, out, _ = run(capsys, *quick(command, recording), columns=columns)
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    wide = run(capsys, *quick(command, recording), columns=200)[1]
    assert set(re.findall(r"\d\.\d{2,}", out)) == set(re.findall(r"\d\.\d{2,}", wide))  # no number is lost
    assert not re.search(r" +$", out, re.M)
    assert "\n\n\n" not in out


def test_a_wide_table_has_its_keys_in_every_part(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    printing.table(
        ["quantizer", "one", "two", "three"], [["absmax", 1.0, 2.5, None], ["minmax", 0.0, 1e-9, True]], keys=1
    )
    assert capsys.readouterr().out == (
        "quantizer    one        two  three\nabsmax     1.000      2.500      -\nminmax         0  1.000e-09    yes\n"
    )
    printing.table(["quantizer", "one", "two", "three"], [["absmax" * 4, 1.0, 2.5, None]], keys=1)
    assert capsys.readouterr().out == (
        "quantizer                   one    two\nabsmaxabsmaxabsmaxabsmax  1.000  2.500\n\n"
        "quantizer                 three\nabsmaxabsmaxabsmaxabsmax      -\n"
    )
    printing.table(["quantizer", "one"], [["absmax" * 9, 1.0]])  # the keys alone are too wide
    assert capsys.readouterr().out.splitlines()[1] == "absmax" * 9 + "  1.000"


# examples -------------------------------------------------------------------------------------------------------------


def examples():
    found = re.findall(r"^  (modiff-sim .*)$", "\n".join(cli._examples(name) for name in commands.COMMANDS), re.M)
    return [*found, *re.findall(r"^(modiff-sim .*)$", PAGE, re.M)]


@pytest.mark.parametrize("line", examples())
def test_examples_run(capsys, recording, monkeypatch, line):
    if "completion" in line:
        pytest.importorskip("shtab")
    if "explore" in line:
        pytest.importorskip("marimo")
        monkeypatch.setattr("modiff_sim.commands.explore.serve", lambda command: 0)  # it waits for Ctrl-C
    monkeypatch.chdir(recording.parent)
    Store(recording.parent / "out" / "results").save("run", {"seed": 0}, {"x": np.ones(3)})
    arguments = shlex.split(line.partition(" >")[0])[1:]
    code, out, err = run(capsys, *arguments)
    assert (code, err.replace("wrote", "").split()) == (
        0,
        [a for a in arguments if a.endswith((".png", ".csv", ".json"))],
    )
    assert out


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_help_shows_two_or_three_examples_in_80_columns(capsys, command):
    out = run(capsys, command, "--help", columns=80)[1]
    lines = re.findall(r"^  modiff-sim (.*)$", out, re.M)
    assert len(lines) in (2, 3)
    for line in lines:
        chosen = cli._parser().parse_args(shlex.split(line.partition(" >")[0]))
        assert chosen.command == command
    assert max(map(len, out.splitlines())) <= 80


# suggestions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "who", "near"),
    [
        ("simulat", "", "simulate"), ("worst_case", "", "worst-case"), ("Bounds", "", "bounds"),
        ("simulate --bitz 3", " simulate", "--bits"), ("bounds --jsno", " bounds", "--json"),
        ("recommend x.npz --tolerence=0.1", " recommend", "--tolerance"), ("completion bsh", " completion", "bash"),
        ("simulate --quantizer absmx:3", " simulate", "absmax"), ("bounds --quantizer min-max", " bounds", "minmax"),
        ("worst-case --quantizer absmax:3@chanel", " worst-case", "channel"),
        ("contraction --quantizer abs_max", " contraction", "absmax"),
        ("quantizers --quantizer stochastics", " quantizers", "stochastic"),
        ("simulate --process arr1:3", " simulate", "ar1"), ("simulate --recursion Direct", " simulate", "direct"),
        ("simulate --process geometric --option ratoi=1", " simulate", "ratio"),
        ("bounds --profile constnt", " bounds", "constant"), ("bounds --granularity batsh", " bounds", "batch"),
        ("contraction --distribution norml", " contraction", "normal"),
    ],
)  # fmt: skip
def test_the_nearest_known_name_is_suggested(capsys, arguments, who, near):
    code, out, err = run(capsys, *arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"modiff-sim{who}: error: ")
    assert err.endswith(f"; did you mean {near!r}?\n")


@pytest.mark.parametrize("arguments", ["xyzzy", "simulate --xyzzy", "bounds stray", "simulate --process xyzzy"])
def test_nothing_is_suggested_where_nothing_is_near(capsys, arguments):
    code, _, err = run(capsys, *arguments.split())
    assert code == 2
    assert "did you mean" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--quantizer", "absmax:"], "after the colon comes a number of bits"),
        (["--quantizer", "absmax:1"], "AbsMax needs 2 <= bits <= 32, got 1"),
        (["--quantizer", "mxint8:4"], "MXINT8 has 8 bits, got 4"),
        (["--quantizer", "absmax@"], "unknown granularity ''"),
        (["--process", "ar1:many"], "after the colon come the entries"),
        (["--process", "recorded:3", "--option", "source=x.npy"], "process 'recorded': pass the file"),
        (["--process", "absent.npy"], "absent.npy: No such file"),
        (["--process", "ar1", "burst", "--option", "ratio=2"], "ar1 takes phi=, sigma=; burst takes at=, sigma="),
        (["--process", "x.npy", "--option", "ratio=2"], "a recording takes none"),
        (["--process", "geometric", "--option", "ratio=0.8", "--option", "ratio=0.9"], "ratio is given twice"),
        (["--process", "random_walk", "short.npy", "--trials", 4, "--steps", 3], "recorded with 2 steps × 4 trials"),
        (["--plot", "x.png", "--process", *(f"ar1:{d}" for d in range(1, 8))], "--plot can show 6 of --process"),
        (["--plot", "x.png", "--quantizer", *(f"absmax:{b}" for b in range(2, 11))], "can show 8 of --quantizer"),
    ],
    ids=lambda v: " ".join(map(str, v))[:40] if isinstance(v, list) else "",
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_before_anything_is_run(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    np.save("short.npy", np.zeros((2, 4, 64)))
    monkeypatch.setattr("modiff_sim.commands.simulate.simulate", None)
    code, out, err = run(capsys, "simulate", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err
