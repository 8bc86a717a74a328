"""Options that would do nothing are refused, and those that do something are not; what constants belong to."""

import numpy as np
import pytest
from command_line import parsed, run

import modiff_sim as ms
from modiff_sim.commands import effects

SMALL = {
    "simulate": ("--steps", 3, "--trials", 2), "bounds": ("--steps", 3), "worst-case": ("--n", 1, 2),
    "contraction": ("--d", 8, "--trials", 4), "recommend": ("RECORDING",), "quantizers": (),
}  # fmt: skip
GIVEN = ("--c", 0.3, "--kappa", 0.1)
#: command, the other options, the option that does nothing beside them and a value, what it is for
NOTHING = [
    ("bounds", (), ("--ratio", 0.8), "--profile geometric"),
    ("bounds", (), ("--ratio", 0.9), "--profile geometric"),  # its default, but typed
    ("bounds", ("--profile", "impulse"), ("--ratio", 0.8), "--profile geometric"),
    ("bounds", (), ("--at", 2), "--profile impulse"),
    ("bounds", ("--profile", "random"), ("--at", 2), "--profile impulse"),
    ("bounds", (), ("--seed", 5), "--profile random"),
    ("bounds", (), ("--seed", 0), "--profile random"),
    ("bounds", GIVEN, ("--quantizer", "minmax"), "c and kappa are given"),
    ("bounds", GIVEN, ("--bits", 3), "c and kappa are given"),
    ("bounds", GIVEN, ("--d", 48), "c and kappa are given"),
    ("bounds", GIVEN, ("--granularity", "group:8"), "c and kappa are given"),
    ("bounds", ("--quantizer", "absmax:3"), ("--bits", 5), "does not say how many bits"),
    ("bounds", ("--quantizer", "fp8_e4m3"), ("--bits", 3), "does not say how many bits"),
    ("bounds", ("--quantizer", "absmax@sample"), ("--granularity", "group:8"), "which entries share a scale"),
    ("worst-case", (), ("--at", 1), "--profile impulse"),
    ("worst-case", (), ("--ratio", 0.8), "--profile geometric"),
    ("worst-case", ("--c", 0.3), ("--seed", 5), "--profile random, and to search"),
    ("worst-case", ("--profile", "impulse"), ("--seed", 5), "--profile random, and to search"),
    ("worst-case", ("--quantizer", "stochastic"), ("--seed", 5), "--profile random, and to search"),
    ("worst-case", ("--c", 0.3), ("--bits", 3), "c is given"),
    ("worst-case", ("--c", 0.3), ("--d", 48), "c is given"),
    ("worst-case", ("--c", 0.3), ("--quantizer", "minmax"), "c is given"),
    ("recommend", (), ("--seed", 5), "--trials"),
    ("simulate", ("--process", "ar1:4", "burst:6"), ("--d", 8), "do not say how many entries"),
    ("simulate", ("--process", "RECORDED"), ("--d", 8), "do not say how many entries"),
    ("simulate", ("--recursion", "direct"), ("--warmup", "quantized"), "keep something from call to call"),
    ("simulate", ("--process", "alternating"), ("--seed", 5), "draw random numbers"),
    ("simulate", ("--process", "RECORDED"), ("--seed", 5), "draw random numbers"),
    ("simulate", ("--quantizer", "absmax:3", "mxint8", "--d", 32), ("--bits", 5), "does not say how many bits"),
    ("contraction", ("--quantizer", "absmax:3", "minmax:2"), ("--bits", 5), "does not say how many bits"),
    ("contraction", ("--quantizer", "absmax@sample"), ("--granularity", "group:8"), "which entries share a scale"),
    ("quantizers", ("--quantizer", "absmax:3", "mxint8"), ("--bits", 5), "does not say how many bits"),
    ("quantizers", ("--quantizer", "absmax@sample"), ("--granularity", "group:8"), "which entries share a scale"),
]
#: the same options beside what they are for, with two values of which each gives rows of its own
SOMETHING = [
    ("bounds", ("--profile", "geometric"), "--ratio", (0.8, 0.9)),
    ("bounds", ("--profile", "impulse"), "--at", (1, 2)),
    ("bounds", ("--profile", "random"), "--seed", (0, 5)),
    ("bounds", ("--c", 0.3), "--quantizer", ("absmax", "minmax")),
    ("bounds", ("--kappa", 0.3), "--bits", (3, 4)),
    ("bounds", ("--kappa", 0.3), "--d", (32, 64)),
    ("bounds", (), "--granularity", ("sample", "group:8")),
    ("worst-case", ("--profile", "random", "--c", 0.3), "--seed", (0, 5)),
    ("worst-case", ("--d", 8), "--seed", (0, 5)),
    ("worst-case", ("--profile", "geometric"), "--bits", (3, 4)),
    ("recommend", ("--trials", 2, "--criterion", "typical"), "--seed", (0, 2)),
    ("simulate", ("--process", "ar1:4", "burst"), "--d", (8, 9)),
    ("simulate", ("--recursion", "direct", "closed_loop"), "--warmup", ("exact", "quantized")),
    ("simulate", ("--process", "alternating", "random_walk"), "--seed", (0, 5)),
    ("simulate", ("--process", "alternating", "--quantizer", "stochastic"), "--seed", (0, 5)),
    ("simulate", ("--quantizer", "absmax:3", "minmax"), "--bits", (3, 4)),
    ("contraction", (), "--seed", (0, 5)),
    ("contraction", ("--quantizer", "absmax:3", "minmax"), "--bits", (3, 4)),
    ("quantizers", (), "--bits", (3, 4)),
    ("quantizers", ("--quantizer", "absmax@sample", "minmax"), "--granularity", ("sample", "group:8")),
]


def said(case):
    return " ".join(map(str, case)) if isinstance(case, tuple) else ""


@pytest.fixture
def call(recording, tmp_path):
    np.save(tmp_path / "inputs.npy", np.random.default_rng(0).standard_normal((3, 2, 32)))
    files = {"RECORDING": recording, "RECORDED": tmp_path / "inputs.npy"}
    return lambda command, *options: [command, *(files.get(a, a) for a in (*SMALL[command], *options))]


@pytest.mark.parametrize(("command", "others", "option", "purpose"), NOTHING, ids=said)
def test_an_option_that_would_do_nothing_is_refused(capsys, monkeypatch, call, command, others, option, purpose):
    code, out, err = run(capsys, *call(command, *others, *option))
    assert (code, out) == (2, "")
    assert err.startswith(f"modiff-sim {command}: error: {option[0]} has no effect here: it is for ")
    assert purpose in err
    plain = parsed(capsys, *call(command, *others))  # what is not typed does not count as given
    assert plain["params"][option[0][2:]] is None
    # and what the message says is true
    monkeypatch.setattr(effects, "settle", lambda chosen: setattr(chosen, "idle", set()) or chosen.given.clear())
    ignored = parsed(capsys, *call(command, *others, *option))
    assert {**ignored, "params": None} == {**plain, "params": None}


@pytest.mark.parametrize(("command", "others", "option", "values"), SOMETHING, ids=said)
def test_an_option_beside_what_it_is_for_does_something(capsys, call, command, others, option, values):
    one, other = (parsed(capsys, *call(command, *others, option, value)) for value in values)
    assert one["params"][option[2:]] in (values[0], [values[0]])
    assert one["rows"] != other["rows"]


def test_names_that_are_not_known_come_before_options_that_do_nothing(capsys):
    assert "unknown quantizer" in run(capsys, "bounds", "--quantizer", "absmx:3", "--bits", 3)[2]
    assert "unknown recursion" in run(capsys, "simulate", "--recursion", "direkt", "--warmup", 1)[2]
    assert "unknown process" in run(capsys, "simulate", "--process", "walk:3", "--d", 1)[2]


# what the constants belong to -----------------------------------------------------------------------------------------

WHOSE = ("quantizer", "bits", "granularity", "d", "entries_per_scale")


@pytest.mark.parametrize("quantizer", ["absmax:4", "mxfp4_e2m1"])
def test_constants_that_are_given_are_of_no_quantizer(capsys, quantizer):
    found = parsed(capsys, "bounds", "--c", 0.3, "--kappa", 0.1)["constants"]
    assert [found[name] for name in WHOSE] == [None] * 5
    assert (found["c"], found["kappa"], found["given"]) == (0.3, 0.1, ["c", "kappa"])
    found = parsed(capsys, "worst-case", "--c", 0.6, "--n", 1)["constants"]
    assert [found[name] for name in (*WHOSE, "kappa", "kappa_below_1")] == [None] * 7
    assert (found["c"], found["c_below_1"], found["given"]) == (0.6, True, ["c"])
    Q = ms.quantizers.parse(quantizer)
    for given, other in (("c", "kappa"), ("kappa", "c")):
        found = parsed(capsys, "bounds", "--quantizer", quantizer, "--d", 32, f"--{given}", 0.3)["constants"]
        assert [found[name] for name in WHOSE] == [*quantizer.partition(":")[:1], Q.bits, found["granularity"], 32, 32]
        assert (found[given], found[other], found["given"]) == (0.3, getattr(Q, other)(32), [given])
    for command in ("bounds", "worst-case"):
        found = parsed(capsys, command, "--quantizer", quantizer, "--d", 32, *SMALL[command])["constants"]
        assert (found["c"], found["kappa"], found["given"]) == (Q.c(32), Q.kappa(32), [])
