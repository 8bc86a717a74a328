"""Whatever ``modiff-sim contraction`` was asked for has rows, or is listed with the reason why it has none."""

import numpy as np
import pytest
from command_line import parsed, rows_of_csv, run

import modiff_sim as ms
from modiff_sim import contraction
from modiff_sim.contraction.left_out import said

RUNS = "the runs of 32 entries that share a scale do not divide d: take another d, or one scale per sample"
FEW = "samples that share scales are measured in batches of 8, a mean needs 2 of them, and {} trials are too few: "
#: options -> quantizer, bits, granularity, d and reason of what has no rows, and (quantizer, granularity) of what has
LEFT_OUT = [
    (("--quantizer", "absmax:3", "mxfp4_e2m1", "--d", 48), [("mxfp4_e2m1", 4, "group:32", 48, RUNS)],
     {("absmax", 3, "sample")}),
    (("--quantizer", "absmax:3", "absmax:3@group:32", "--d", 48), [("absmax", 3, "group:32", 48, RUNS)],
     {("absmax", 3, "sample")}),
    (("--quantizer", "absmax", "minmax", "--bits", 1, 2, "--d", 8),
     [("absmax", 1, "sample", 8, "AbsMax needs 2 <= bits <= 32, got 1")],
     {("absmax", 2, "sample"), ("minmax", 1, "sample"), ("minmax", 2, "sample")}),
    (("--quantizer", "absmax", "--bits", 33, 4, "--d", 8, 9),
     [("absmax", 33, "sample", d, "AbsMax needs 2 <= bits <= 32, got 33") for d in (8, 9)],
     {("absmax", 4, "sample")}),
    (("--granularity", "batch", "sample", "--trials", 15, "--d", 8),
     [("absmax", 4, "batch", 8, FEW.format(15) + "take 16")], {("absmax", 4, "sample")}),
    (("--granularity", "batch", "sample", "--trials", 16, "--d", 8), [],
     {("absmax", 4, "batch"), ("absmax", 4, "sample")}),
    (("--granularity", "channel:axis=2", "sample", "--d", 8),
     [("absmax", 4, "channel:axis=2", 8, "PerChannel(axis=2): the array has no axis 2, its shape is (8, 8)")],
     {("absmax", 4, "sample")}),
]  # fmt: skip


@pytest.fixture
def unsearched(monkeypatch):
    """Stands in for the search of worst cases, which what is left out does not depend on."""
    found = contraction.WorstCase(0.5, None)
    monkeypatch.setattr(contraction, "search", lambda Q, d, *, norm, seed: found)


@pytest.mark.usefixtures("unsearched")
@pytest.mark.parametrize(
    ("options", "missing", "there"), LEFT_OUT, ids=[" ".join(map(str, options))[:60] for options, _, _ in LEFT_OUT]
)
def test_what_has_no_rows_is_listed_with_its_reason(capsys, options, missing, there):
    options = options if "--trials" in options else (*options, "--trials", 4)
    found = parsed(capsys, "contraction", *options)
    keys = ("quantizer", "bits", "granularity", "d", "reason")
    assert [tuple(row[key] for key in keys) for row in found["left_out"]] == missing
    assert {row["distribution"] for row in found["left_out"]} <= {None}
    assert {tuple(row[key] for key in keys[:3]) for row in found["rows"]} == there
    code, out, err = run(capsys, "contraction", *options, "--csv")
    assert code == 0
    assert [row["quantizer"] for row in rows_of_csv(out)] == [row["quantizer"] for row in found["rows"]]
    lines = said(found["left_out"])
    assert err == "".join(f"left out: {line}\n" for line in lines)
    assert len(lines) == len({(row[0], row[-1]) for row in missing})  # dimensions of one reason stand in one line
    text = " ".join(run(capsys, "contraction", *options)[1].split())
    assert all(f"Left out: {line}" in text for line in lines)
    assert text.count("Left out") == len(lines)


def test_what_is_left_out_is_called_by_its_shortest_name(capsys):
    error = run(capsys, "contraction", "--quantizer", "mxint8", "absmax:3@group:32", "--d", 33, 40)[2]
    assert error == (
        f"modiff-sim contraction: error: nothing to show: mxint8 at d = 33, 40: {RUNS}; "
        f"absmax:3@group:32 at d = 33, 40: {RUNS}\n"
    )
    assert "batch at d = 8: samples" in run(capsys, "contraction", "--granularity", "batch", "--trials", 8, "--d", 8)[2]
    large = run(capsys, "contraction", "--granularity", "batch", "--d", 2**20)[2]
    assert "only 8 samples are drawn of so many entries: take a smaller d" in large


@pytest.mark.usefixtures("unsearched")
def test_a_recording_that_is_too_short_is_said(capsys, tmp_path):
    np.save(tmp_path / "run.npy", np.random.default_rng(0).standard_normal((3, 2, 8)))
    where = ("--recorded", tmp_path / "run.npy", "--d", 8, 16, "--granularity", "sample", "batch", "--trials", 16)
    found = parsed(capsys, "contraction", *where)
    missing = [(row["granularity"], row["d"], row["distribution"], row["reason"]) for row in found["left_out"]]
    reason = "the recording has fewer than {} runs of so many entries that are not all 0"
    assert missing == [
        ("sample", 16, "recorded", reason.format(2)), ("batch", 8, "recorded", reason.format(16)),
        ("batch", 16, "recorded", reason.format(16)),
    ]  # fmt: skip
    rows = {(row["granularity"], row["d"]) for row in found["rows"] if row["distribution"] == "recorded"}
    assert rows == {("sample", 8)}


@pytest.mark.usefixtures("unsearched")
def test_everything_asked_for_has_rows_or_a_reason(capsys):
    names, bits, scales, dims = tuple(ms.QUANTIZERS), (1, 4), ("sample", "group:32", "batch"), (32, 40)
    where = ("--bits", *bits, "--granularity", *scales, "--d", *dims, "--trials", 4)
    found = parsed(capsys, "contraction", "--quantizer", *names, *where)
    wanted = set()
    for name in names:
        own = ms.QUANTIZERS[name].fixed_bits
        wanted |= {(name, b, g, d) for b in (bits if own is None else (own,)) for g in scales for d in dims}
    keys = ("quantizer", "bits", "granularity", "d")
    there, missing = ({tuple(row[key] for key in keys) for row in found[part]} for part in ("rows", "left_out"))
    assert there | missing == wanted
    assert not there & missing
    assert all(row["reason"] for row in found["left_out"])
