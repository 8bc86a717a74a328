"""Tables: cells survive being written down, rows are measured again to the same bytes, numbers are the seeds' means."""

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from analysis.experiments import arms
from analysis.experiments.arms import FULL, Arm
from analysis.metrics import EXTRACTORS, outside
from analysis.running import workspace
from analysis.tables import __main__ as program
from analysis.tables import command, layouts, measure, rows, sampling, write
from analysis.tables.cells import Cell, flat, from_flat
from analysis.tables.layouts import TABLES, Table
from modiff_sim import AbsMax, Identity
from modiff_sim.nn import sample, zoo
from modiff_sim.nn.layers import find
from modiff_sim.nn.plans.plan import as_plan
from modiff_sim.sweeps.store import StoreError, write_files

TINY = Table(
    "tiny",
    "digits",
    {("W8A4", name): Cell(Arm(recursion, 4, 8), steps=3) for name, recursion in layouts.SHORT.items()},
    images=192,
    printed={("W8A4", "direct"): "24.09"},
    of="FID on CIFAR-10",
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(layouts.TABLES, "tiny", TINY)
    monkeypatch.setitem(measure.BATCH, "digits", 64)
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("MODIFF_WORKERS", "1")
    return tmp_path


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The output folder of one run that has measured the tiny table; tests change a copy of it."""
    out = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layouts.TABLES, "tiny", TINY)
        patch.setitem(measure.BATCH, "digits", 64)
        patch.setenv("MODIFF_OUT", str(out / "unused"))
        assert program.main(["tiny", "--rerun", "--out", str(out), "--workers", "1"]) == 0
        assert workspace.folder() == out
    return out


@pytest.fixture
def rerun(tiny, measured):
    """A copy of what ``--rerun`` has written."""
    shutil.copytree(measured, tiny, dirs_exist_ok=True)
    return tiny


def made_up(pseudo, images=192):
    """Rows in which cells have these pseudo-values of their Fréchet distance, after a bias of 2 was taken away."""
    found, left_out = [], {"names": np.array(["frechet"])}
    for i, (cell, values) in enumerate(pseudo.items()):
        p = np.asarray(values, float)
        groups, value = len(p), p.mean() + 2.0
        found.append({"model": "digits", **flat(cell), "seed": 0, "images": images, "frechet": value})
        left_out[str(i)] = (groups * value - p)[None] / (groups - 1)
    return rows.Rows(measure.MeasuredRows(found, [], {}, left_out), {"features": "made up"})


# layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_survives_being_written_down(name):
    for cell in TABLES[name].measured:
        written = {k: str(v) for k, v in flat(cell).items()}
        assert from_flat({k: rows._parsed(k, v) for k, v in written.items()}) == cell


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_full_precision_and_quantized_weights_alone_and_enough_groups(name):
    table = TABLES[name]
    for cell in table.cells.values():
        assert cell.full in table.measured
        assert cell.weights_only in table.measured
        assert cell.full.arm == FULL
        assert cell.weights_only.arm == Arm(weight_bits=cell.arm.weight_bits)
    assert table.images % measure.BATCH[table.model] == 0
    assert table.images // measure.BATCH[table.model] >= 3
    assert len(table.measured) == len(set(table.measured))


def test_the_printed_numbers_stand_where_ours_do():
    with_printed = [t for t in TABLES.values() if t.printed]
    assert len(with_printed) == 7
    for table in with_printed:
        assert set(table.printed) <= set(table.cells)
        assert table.of


@pytest.mark.parametrize("scale", arms.SCALES)
@pytest.mark.parametrize("recursion", arms.RECURSIONS)
def test_every_scale_runs_on_the_model_and_quantizes_it(scale, recursion):
    cell = Cell(Arm(recursion, 4, 8, scale), steps=2)
    point = measure.points("digits", [measure.Wanted(cell, 8, 0)])[0] | {"batch": 8}
    out = measure.compute(point)
    assert out.arrays["images"].shape == (8, 1, 8, 8)
    # direct quantizes every call, the others all but the first of two
    assert out.row["mac_share"] == pytest.approx(1.0 if recursion == "direct" else 0.5)
    assert out.row["rms"] == pytest.approx(np.sqrt((out.arrays["images"].astype(float) ** 2).mean()), rel=1e-6)


def test_channel_scales_leave_no_linear_input_exact():
    """One scale per sample and channel would be one per entry of (n, features): quantization without any error."""
    model = zoo.load("digits")
    plan = Arm("direct", 4, 8, "channel").options(model)["activations"]
    for name, module in model.named_modules():
        if type(module).__name__ == "Linear":
            assert str(plan.quantizer(name, 0).granularity) == "PerSample()"
        if type(module).__name__ == "Conv2d":
            assert plan.quantizer(name, 0).granularity.axis == (0, 1)


@pytest.mark.parametrize("scale", ["sample", "channel"])
@pytest.mark.parametrize("layers", arms.LAYERS)
def test_layers_that_are_not_chosen_keep_their_activations(layers, scale):
    """Their weights are quantized all the same: only what is compared differs."""
    model = zoo.load("digits")
    options = Arm("open_loop", 4, 8, scale, layers=layers).options(model)
    plan = as_plan(options["activations"])
    for name, module in find(model, None).items():
        time = name.startswith("time_embedding") or name.endswith("time_emb_proj")
        chosen = {"all": True, "no time path": not time, "convolutions": type(module).__name__ == "Conv2d"}[layers]
        assert isinstance(plan.quantizer(name, 3), AbsMax if chosen else Identity), name
    with Arm("open_loop", 4, 8, scale, layers=layers).on(model) as run:
        sample(model, images=2, steps=2, batch=2, run=run)
        assert {row["weight_bits"] for row in run.audit().rows()} == {8}


@pytest.mark.parametrize(("recursion", "share"), [("direct", 0.5), ("closed_loop", 0.5)])
def test_every_arm_can_start_exactly(recursion, share):
    """Direct quantization has no state, so its first call is in full precision by the plan."""
    model = zoo.load("digits")
    with Arm(recursion, 4, 8, warmup="exact for all").on(model) as run:
        sample(model, images=2, steps=2, batch=2, run=run)
        assert run.audit().mac_share == pytest.approx(share)
    with Arm("direct", 4, 8).on(model) as run:
        sample(model, images=2, steps=2, batch=2, run=run)
        assert run.audit().mac_share == 1.0


def test_arms_say_what_they_are():
    assert Arm("closed_loop", 4, 8, "batch", 2, "feb_2025").label == (
        "W8A4 closed loop, batch scales, warm-up 2, refresh feb_2025"
    )
    assert Arm(weight_bits=8).label == "W8A32"
    assert Arm("open_loop", 4, 8, layers="no time path").label == "W8A4 open loop, no time path"
    with pytest.raises(ValueError, match="unknown scale 'x'; known: sample"):
        Arm(scale="x")
    for axis in ("refresh", "layers", "warmup"):
        with pytest.raises(ValueError, match=f"unknown {axis} 'x'; known: "):
            Arm(**{axis: "x"})
    with pytest.raises(ValueError, match="unknown sampler"):
        Cell(sampler="x")
    with pytest.raises(ValueError, match="have to be calibrated"):
        Arm("direct", 4, 8, "static").options(zoo.load("digits"))


# measuring -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rerun_gives_the_same_bytes_and_the_committed_rows_are_read_back(tiny, capsys):
    for run in ("a", "b"):
        assert program.main(["tiny", "--rerun", "--out", str(tiny / run), "--workers", "1"]) == 0
    assert "Table tiny" in capsys.readouterr().out
    for name in (*rows.FILES, "manifest.json"):
        assert (tiny / "a/tables/digits" / name).read_bytes() == (tiny / "b/tables/digits" / name).read_bytes()
    found = rows.committed("digits", tiny / "a/tables")
    assert len(found.measured.rows) == 4  # two cells, full precision, and quantized weights alone
    assert len(found.measured.micro_batches) == 12
    for cell in TINY.measured:
        kept = found.jackknife(cell, 192, 0, "frechet")
        assert kept.value == found.value(cell, 192, 0, "frechet") > 0
        assert kept.left_out.shape == (3,)
        assert len(set(kept.left_out)) == 3
        assert found.pictures(cell).shape == (16, 1, 8, 8)
    assert found.value(TINY.measured[0], 193, 0, "frechet") is None
    with pytest.raises(StoreError, match="hold no 'brightness': measure them with --rerun"):
        found.value(TINY.measured[0], 192, 0, "brightness")
    with pytest.raises(StoreError, match="'mac_share' is no metric of images"):
        found.jackknife(TINY.measured[0], 192, 0, "mac_share")
    assert found.value(Cell(Arm("direct", 2, 8)), 192, 0, "frechet") is None
    assert np.isnan(found.value(Cell(steps=3), 192, 0, "psnr"))  # full precision is not compared with itself


def test_damaged_or_foreign_rows_are_refused(rerun):
    tiny, folder = rerun, rerun / "tables" / "digits"
    before = (folder / "rows.csv").read_bytes()
    (folder / "rows.csv").write_bytes(before.replace(b"0", b"1", 1))
    rows.committed.cache_clear()
    with pytest.raises(StoreError, match=r"rows\.csv: sha256 differs"):
        rows.committed("digits", tiny / "tables")
    (folder / "rows.csv").write_bytes(before)
    about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    contents = {name: (folder / name).read_bytes() for name in about["sha256"]}
    write_files(folder, contents, about | {"model_sha256": "other"})
    with pytest.raises(StoreError, match="other weights"):
        rows.committed("digits", tiny / "tables")
    with pytest.raises(StoreError, match="measure them with --rerun"):
        rows.committed("digits", tiny / "nowhere")
    assert program.main(["tiny", "--rows", str(tiny / "nowhere")]) == 2


def rewritten(folder, about=(), **contents):
    """Change committed rows as their owner would, with right checksums."""
    before = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_files(folder, contents, before | dict(about))
    rows.committed.cache_clear()


def test_rows_of_other_code_are_rekeyed_where_the_images_agree(rerun, monkeypatch, capsys):
    tiny = rerun
    monkeypatch.setattr(layouts, "TABLES", {"tiny": TINY})
    monkeypatch.setattr(command, "TABLES", {"tiny": TINY})
    place, folder = ["--rows", str(tiny / "tables")], tiny / "tables" / "digits"
    assert program.main(["--rekey", *place, "--out", str(tiny)]) == 0
    assert "digits: the rows were already made with this code" in capsys.readouterr().out
    mine = rows.source()
    rewritten(folder, {"source": "old"})
    before = {name: (folder / name).read_bytes() for name in rows.FILES}
    assert program.main(["--rekey", *place, "--out", str(tiny / "anew"), "--workers", "1"]) == 0
    assert "digits: 4 cells agree, the largest difference" in capsys.readouterr().out
    about = rows.committed("digits", tiny / "tables").manifest
    assert about["source"] == mine
    (note,) = about["rekeyed"]
    assert (note["from"], note["to"], note["micro_batches"]) == ("old", mine, 4)
    assert note["largest_difference"] <= 5e-8  # as many digits as are committed
    assert {name: (folder / name).read_bytes() for name in rows.FILES} == before
    assert len([*(tiny / "anew" / "results").glob("cells-*")]) == 4  # one micro-batch of every cell was sampled


def test_rows_are_not_rekeyed_where_an_image_or_what_decides_it_is_another(rerun, monkeypatch, capsys):
    tiny = rerun
    monkeypatch.setattr(command, "TABLES", {"tiny": TINY})
    again, folder = ["--rekey", "--rows", str(tiny / "tables"), "--out", str(tiny)], tiny / "tables" / "digits"
    table = list(csv.DictReader(io.StringIO((folder / "micro_batches.csv").read_text(encoding="utf-8"))))
    first = next(row for row in table if row["recursion"] == "closed_loop")
    text = (folder / "micro_batches.csv").read_text(encoding="utf-8")
    other = text.replace(first["mean"], f"{float(first['mean']) + 3e-6:.8g}", 1)
    rewritten(folder, {"source": "old"}, **{"micro_batches.csv": other})
    before = (folder / "manifest.json").read_bytes()
    assert program.main(again) == 2
    said = capsys.readouterr().err
    assert "1 of 4 cells give other images than the committed ones: " in said
    assert "closed loop" in said
    assert "by 3e-06" in said
    rewritten(folder, {"batch": 32, "versions": {"torch": "1.0"}}, **{"micro_batches.csv": text})
    assert program.main(again) == 2
    assert "made with other batch and versions" in capsys.readouterr().err
    assert json.loads(before)["source"] == json.loads((folder / "manifest.json").read_bytes())["source"] == "old"
    with pytest.raises(SystemExit, match="2"):
        program.main(["1", "--rekey"])


def test_rows_of_one_table_are_put_among_the_others(rerun, monkeypatch, capsys):
    tiny, folder = rerun, rerun / "tables" / "digits"
    three = Table("three bits", "digits", {("W8A3", "closed"): Cell(Arm("closed_loop", 3, 8), steps=3)}, images=192)
    monkeypatch.setitem(layouts.TABLES, "three", three)
    add = ["three", "--rerun", "--keep", "--rows", str(tiny / "tables"), "--out", str(tiny), "--workers", "1"]
    before = rows.committed("digits", tiny / "tables")
    mine = before.manifest["source"]
    text = (folder / "micro_batches.csv").read_text(encoding="utf-8")
    rewritten(folder, {"source": "old"}, **{"micro_batches.csv": text.splitlines(keepends=True)[0]})
    assert program.main(add) == 2  # what stays could not be compared
    assert "no first micro-batch is kept of " in capsys.readouterr().err
    rewritten(folder, {}, **{"micro_batches.csv": text})
    assert program.main(add) == 0
    shown = capsys.readouterr()
    assert "digits: 3 rows are new, 2 stay" in shown.err
    assert "Table three" in shown.out
    after = rows.committed("digits", tiny / "tables")
    assert len(after.measured.rows) == 5
    assert len(after.measured.micro_batches) == 15
    for cell in TINY.measured:
        kept, was = (found.jackknife(cell, 192, 0, "frechet") for found in (after, before))
        assert kept.value == was.value
        assert np.array_equal(kept.left_out, was.left_out)
        assert np.array_equal(after.pictures(cell), before.pictures(cell))
    # what was not measured now was sampled again, since other code had made it
    assert after.manifest["source"] == mine
    (note,) = after.manifest["rekeyed"]
    assert (note["from"], note["to"], note["micro_batches"]) == ("old", mine, 2)
    # the same once more changes no byte, and a table that is gone takes its rows along
    contents = {name: (folder / name).read_bytes() for name in (*rows.FILES, "manifest.json")}
    assert program.main(add) == 0
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    assert program.main([*add, "--missing"]) == 0
    assert "digits: no row is missing" in capsys.readouterr().err
    more = Table("more images", "digits", three.cells, images=192, closer={256: three.measured})
    monkeypatch.setitem(layouts.TABLES, "three", more)
    assert program.main([*add, "--missing"]) == 0
    assert "digits: 3 rows are new, 5 stay" in capsys.readouterr().err  # those of 256 images
    monkeypatch.setitem(layouts.TABLES, "three", three)
    monkeypatch.delitem(layouts.TABLES, "tiny")
    assert program.main(add) == 0
    assert "3 rows are new, 0 stay" in capsys.readouterr().err
    assert len(rows.committed("digits", tiny / "tables").measured.micro_batches) == 9


def test_bits_that_a_table_does_not_have_are_refused_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(command, "measure", lambda *_, **__: pytest.fail("it was measured"))
    assert program.main(["fashion32", "--bits", "1", "--rerun", "--keep"]) == 2
    assert "table fashion32 has no rows of 1 bits; it has 4 3." in capsys.readouterr().err


def test_the_same_images_are_judged_by_a_classifier_of_other_people(rerun, monkeypatch, capsys):
    """Here it is the classifier itself under another name: the same numbers, and nothing is sampled."""
    tiny, judge = rerun, dataclasses.replace(EXTRACTORS["digits"], kind="other")
    monkeypatch.setattr(rows, "OUTSIDE", tiny / "outside")
    monkeypatch.setattr(outside, "load", lambda path: judge)
    monkeypatch.setattr(sampling, "sample", lambda *_, **__: pytest.fail("it was sampled"))
    assert program.main(["tiny", "--rerun", "--keep", "--judge", "FILE", "--out", str(tiny), "--workers", "1"]) == 0
    assert "features: other b7f2967b" in capsys.readouterr().out
    here, there = rows.committed("digits", tiny / "tables"), rows.committed("digits", tiny / "outside")
    assert there.manifest["features"] == judge.name
    assert there.measured.rows == here.measured.rows
    assert all(there.pictures(cell) is None for cell in TINY.measured)
    assert program.main(["tiny", "--rows", str(tiny / "outside")]) == 0
    # they are of the same images, whose micro-batches show that other code gives them as well
    monkeypatch.setattr(command, "TABLES", {"tiny": TINY})
    again, folder = ["--rekey", "--rows", str(tiny / "outside"), "--out", str(tiny)], tiny / "outside" / "digits"
    rewritten(folder, {"source": "old"})
    assert program.main(again) == 0
    assert "digits: 4 cells agree" in capsys.readouterr().out
    assert rows.committed("digits", tiny / "outside").manifest["source"] == here.manifest["source"]


def test_rows_are_not_rekeyed_without_anything_to_compare(rerun, monkeypatch, capsys):
    tiny, folder = rerun, rerun / "tables" / "digits"
    monkeypatch.setattr(command, "TABLES", {"tiny": TINY})
    text = (folder / "micro_batches.csv").read_text(encoding="utf-8")
    header = text.splitlines(keepends=True)[0]
    rewritten(folder, {"source": "old"}, **{"micro_batches.csv": header})
    assert program.main(["--rekey", "--rows", str(tiny / "tables"), "--out", str(tiny)]) == 2
    assert "no first micro-batch is kept of " in capsys.readouterr().err
    # nor where only one cell has none
    table = list(csv.DictReader(io.StringIO(text)))
    lines = text.splitlines(keepends=True)
    one = [header, *(line for line, row in zip(lines[1:], table, strict=True) if row["recursion"] != "closed_loop")]
    rewritten(folder, {}, **{"micro_batches.csv": "".join(one)})
    assert program.main(["--rekey", "--rows", str(tiny / "tables"), "--out", str(tiny)]) == 2
    said = capsys.readouterr().err
    assert "closed loop" in said
    assert "direct" not in said
    assert json.loads((folder / "manifest.json").read_bytes())["source"] == "old"
    assert program.main(["--rekey", "--rows", str(tiny / "nowhere"), "--out", str(tiny)]) == 2
    assert "nowhere: it has rows of none of digits" in capsys.readouterr().err


def test_a_judge_needs_rows_that_are_measured(capsys):
    for options, said in (
        (["--judge", "FILE"], "--judge is for rows that --rerun measures"),
        (["--rerun", "--keep", "--missing", "--judge", "FILE"], "all of a table's"),
        (["--rerun", "--data", "PATH"], "--data is for rows that --judge judges"),
    ):
        with pytest.raises(SystemExit, match="2"):
            program.main(["tiny", *options])
        assert said in capsys.readouterr().err
    assert program.main(["1", "fashion32", "--rerun", "--judge", "FILE"]) == 2
    assert "--judge is for tables of one model, not of digits and fashion32" in capsys.readouterr().err


def test_rows_are_not_put_among_those_of_other_images(rerun, monkeypatch, capsys):
    tiny, folder = rerun, rerun / "tables" / "digits"
    three = Table("three bits", "digits", {("W8A3", "closed"): Cell(Arm("closed_loop", 3, 8), steps=3)}, images=192)
    monkeypatch.setitem(layouts.TABLES, "three", three)
    add = ["three", "--rerun", "--keep", "--rows", str(tiny / "tables"), "--out", str(tiny), "--workers", "1"]
    table = list(csv.DictReader(io.StringIO((folder / "micro_batches.csv").read_text(encoding="utf-8"))))
    first = next(row for row in table if row["recursion"] == "closed_loop")
    text = (folder / "micro_batches.csv").read_text(encoding="utf-8")
    other = text.replace(first["mean"], f"{float(first['mean']) + 3e-6:.8g}", 1)
    rewritten(folder, {"source": "old"}, **{"micro_batches.csv": other})
    before = (folder / "manifest.json").read_bytes()
    assert program.main(add) == 2
    assert "1 of 2 cells give other images than the committed ones: " in capsys.readouterr().err
    rewritten(folder, {"batch": 32}, **{"micro_batches.csv": text})
    assert program.main(add) == 2
    assert "made with other batch" in capsys.readouterr().err
    assert len(rows.committed("digits", tiny / "tables").measured.rows) == 4
    assert json.loads(before)["source"] == json.loads((folder / "manifest.json").read_bytes())["source"] == "old"
    with pytest.raises(SystemExit, match="2"):
        program.main(["three", "--keep"])
    with pytest.raises(SystemExit, match="2"):
        program.main(["three", "--rerun", "--missing"])


# writing -------------------------------------------------------------------------------------------------------


DIRECT = TINY.cells["W8A4", "direct"]
PSEUDO = {DIRECT: [3.0, 4.5, 3.9], DIRECT.full: [2.0, 3.1, 3.0]}


def test_a_number_is_without_bias_with_half_of_the_t_interval():
    found = write.number(made_up(PSEUDO), TINY, DIRECT, "frechet")
    low, high = stats.t.interval(0.95, 2, loc=np.mean(PSEUDO[DIRECT]), scale=stats.sem(PSEUDO[DIRECT]))
    assert found.mean == pytest.approx(3.8)
    assert found.half == pytest.approx((high - low) / 2)
    assert found.text() == "3.8 ± 1.9"


def test_an_excess_is_taken_in_pairs_from_the_same_noise():
    apart = np.subtract(PSEUDO[DIRECT], PSEUDO[DIRECT.full])
    found = write.number(made_up(PSEUDO), TINY, DIRECT, "excess")
    assert found.mean == pytest.approx(apart.mean())
    assert found.half == pytest.approx(4.302653 * stats.sem(apart), rel=1e-6)  # t of 2 degrees, from a printed table
    # full precision itself is shown as its distance
    assert write.number(made_up(PSEUDO), TINY, DIRECT.full, "excess").mean == pytest.approx(2.7)
    with pytest.raises(StoreError, match=r"no rows of full precision .* with 192 images"):
        write.number(made_up({DIRECT: PSEUDO[DIRECT]}), TINY, DIRECT, "excess")


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [(0.0123, 0.0017, "0.0123 ± 0.0017"), (12.3, 5.6, "12.3 ± 5.6"), (1234.5, 68, "1234 ± 68"),
     (0, np.nan, "0.00"), (-0.02, 0.8, "-0.02 ± 0.80"), (-0.001, 3.0, "0.0 ± 3.0"), (5.125, np.nan, "5.12")],
)  # fmt: skip
def test_numbers_keep_two_digits_of_the_interval_or_three_of_their_own(mean, half, text):
    assert write.Number(mean, half).text() == text


def test_a_page_has_ours_what_it_is_compared_with_and_the_papers_apart():
    made = write.page("tiny", TINY, made_up(PSEUDO), "frechet")
    assert made.header[1:] == ["direct", "closed"]
    assert made.lines == [
        ["W8A4", "3.8 ± 1.9", "–"],
        ["full precision (ddim, 3 steps, quad)", "2.7 ± 1.5", "2.7 ± 1.5"],
        ["W8A32 (ddim, 3 steps, quad)", "–", "–"],
        ["paper W8A4", "24.09", ""],
    ]
    assert any("never FID" in note for note in made.notes)
    with pytest.raises(ValueError, match="unknown value"):
        write.page("tiny", TINY, made_up(PSEUDO), "fid")


def test_every_format_has_every_cell():
    made = write.page("tiny", TINY, made_up(PSEUDO), "frechet")
    markdown = [line for line in write.as_markdown(made).splitlines() if line.startswith("|")]
    assert len(markdown) == 2 + len(made.lines)
    assert {line.count("|") for line in markdown} == {len(made.header) + 1}
    assert list(csv.reader(io.StringIO(write.as_csv(made)))) == [made.header, *made.lines]
    latex = write.as_latex(made)
    assert latex.count(r" \\") == 1 + len(made.lines)
    assert {line.count(" & ") for line in latex.splitlines() if line.endswith(r"\\")} == {2}
    assert r"3.8 $\pm$ 1.9" in latex
    assert r"\label{tab:tiny}" in latex
    assert r"\caption{Tiny: " in latex  # LaTeX numbers it itself
    assert r"\toprule" in latex
    assert write._latex("-0.4 ± 2.0") == r"$-$0.4 $\pm$ 2.0"
    assert not set("±–×") & set(latex)
    text = write.as_text(made).splitlines()
    assert text[2].index("direct") + len("direct") == text[4].index("3.8 ± 1.9") + len("3.8 ± 1.9")


@pytest.mark.parametrize("name", TABLES)
def test_every_committed_table_is_complete(name):
    """All numbers that a table shows are there: nothing is drawn from rows that were never measured."""
    table = TABLES[name]
    found = rows.committed(table.model)
    for cell in table.measured:
        for value in ("frechet", "recognised", "mac_share"):
            measured = found.value(cell, table.images, table.seed, value)
            assert measured is not None, cell.label
            assert np.isfinite(measured)
    shown = write.page(name, table, found, write.EXCESS)
    assert not any("–" in text for line in shown.lines for text in line[1:])


def test_the_command_writes_every_format(tmp_path, capsys):
    assert program.main(["16", "--save", str(tmp_path), "--format", "markdown"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"table_16.{e}" for e in ("csv", "md", "tex", "txt")]
    assert "| W8A4 |" in capsys.readouterr().out
    assert program.main(["99"]) == 2
    assert "unknown table '99'; known: 1, 4, 4-ddpm, 4-refresh, 5" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        program.main(["1", "--value", "pnsr"])
    assert capsys.readouterr().err.endswith("; did you mean 'psnr'?\n")


def test_the_help_lists_all_and_imports_little(capsys):
    assert sorted(program.tables()) == sorted(layouts.TABLES)
    assert sorted(program.values()) == sorted(write.VALUES)
    assert (program.values()[0], program._parser().parse_args([]).value) == (write.EXCESS, write.EXCESS)
    code = (
        "import sys; from analysis.tables.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'scipy', 'torch', 'analysis.tables.command', 'modiff_sim.metrics'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in shown.partition("examples:")[2].splitlines() if line]
    assert len(lines) == 3
    for line in lines:
        assert line[:3] == ["python", "-m", "analysis.tables"]
        arguments = program._parser().parse_args(line[3:])
        assert {*arguments.tables} <= {*layouts.TABLES}


def test_rows_of_some_bits_are_chosen_and_others_are_told_how_to_measure(capsys):
    assert program.main(["1", "--bits", "4", "3", "--format", "csv"]) == 0
    rows = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"W8A4", "W4A4", "W8A3", "paper W8A4"} < {*rows}
    assert not any("A8" in row or "A6" in row for row in rows)
    assert [row for row in rows if "A32" in row or "full precision" in row]
    assert program.main(["1", "--bits", "4", "5"]) == 2
    said = capsys.readouterr().err
    assert "table 1 has no rows of 5 bits; it has 8 6 4 3." in said
    assert "latex()" in said


def test_the_audit_of_an_arm_is_in_its_row():
    found = rows.committed("digits")
    closed = Cell(Arm("closed_loop", 4, 8), steps=20)
    direct = dataclasses.replace(closed, arm=Arm("direct", 4, 8))
    table = TABLES["16"]
    assert found.value(direct, table.images, table.seed, "activation_bits") == 4
    # its first of 20 calls is in full precision
    expected = (19 * 4 + 32) / 20
    assert found.value(closed, table.images, table.seed, "activation_bits") == pytest.approx(expected)


def test_results_lie_in_the_folder_asked_for(measured):
    """That the folder is made the process's own is asserted where the rows are measured."""
    assert (measured / "tables" / "digits" / "manifest.json").is_file()
    assert sorted(path.name for path in measured.iterdir()) == ["results", "tables"]
