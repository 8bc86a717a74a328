"""Tables: cells survive being written down, rows are measured again to the same bytes, numbers are the seeds' means."""

import csv
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from scipy import stats

from analysis.experiments import arms
from analysis.experiments.arms import FULL, Arm
from analysis.running import workspace
from analysis.tables import __main__ as command
from analysis.tables import layouts, measure, rows, write
from analysis.tables.cells import Cell, flat, from_flat
from analysis.tables.layouts import TABLES, Table
from modiff_sim.nn import zoo
from modiff_sim.sweeps.store import StoreError, write_files

TINY = Table(
    "tiny",
    "digits",
    {("W8A4", name): Cell(Arm(recursion, 4, 8), steps=3) for name, recursion in layouts.DIRECT_AND_CLOSED.items()},
    images=64,
    seeds=(0, 1, 2),
    printed={("W8A4", "direct"): "24.09"},
    of="FID on CIFAR-10",
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(layouts.TABLES, "tiny", TINY)
    monkeypatch.setitem(measure.BATCH, "digits", 32)
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("MODIFF_WORKERS", "1")
    return tmp_path


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The output folder of one run that has measured the tiny table; tests change a copy of it."""
    out = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layouts.TABLES, "tiny", TINY)
        patch.setitem(measure.BATCH, "digits", 32)
        patch.setenv("MODIFF_OUT", str(out / "unused"))
        assert command.main(["tiny", "--rerun", "--out", str(out), "--workers", "1"]) == 0
        assert workspace.folder() == out
    return out


@pytest.fixture
def rerun(tiny, measured):
    """A copy of what ``--rerun`` has written."""
    shutil.copytree(measured, tiny, dirs_exist_ok=True)
    return tiny


def made_up(seed_values, cell, images=64):
    """Rows that say these values for the seeds 0, 1, ..."""
    found = [
        {"model": "digits", **flat(cell), "seed": s, "images": images, "frechet": v} for s, v in enumerate(seed_values)
    ]
    return rows.Rows(measure.MeasuredRows(found, [], {}, {}), {"features": "made up"})


# layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_survives_being_written_down(name):
    for cell in TABLES[name].measured:
        written = {k: str(v) for k, v in flat(cell).items()}
        assert from_flat({k: rows._parsed(k, v) for k, v in written.items()}) == cell


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_full_precision_of_every_sampler_and_intervals_over_three_seeds(name):
    table = TABLES[name]
    for cell in table.cells.values():
        assert cell.full in table.measured
        assert cell.full.arm == FULL
    assert len(set(table.seeds)) >= 3
    assert len(table.measured) == len(set(table.measured))


def test_the_printed_numbers_stand_where_ours_do():
    with_printed = [t for t in TABLES.values() if t.printed]
    assert len(with_printed) == 7
    for table in with_printed:
        assert set(table.printed) <= set(table.cells)
        assert table.of


def test_at_32_there_are_at_most_twelve_cells():
    assert len(TABLES["fashion32"].measured) <= 12


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


def test_arms_say_what_they_are():
    assert Arm("closed_loop", 4, 8, "batch", 2, "feb_2025").label == (
        "W8A4 closed loop, batch scales, warm-up 2, refresh feb_2025"
    )
    assert Arm(weight_bits=8).label == "W8A32"
    with pytest.raises(ValueError, match="unknown scale 'x'; known: sample"):
        Arm(scale="x")
    with pytest.raises(ValueError, match="unknown refresh"):
        Arm(refresh="x")
    with pytest.raises(ValueError, match="unknown sampler"):
        Cell(sampler="x")
    with pytest.raises(ValueError, match="have to be calibrated"):
        Arm("direct", 4, 8, "static").options(zoo.load("digits"))


# measuring -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rerun_gives_the_same_bytes_and_the_committed_rows_are_read_back(tiny, capsys):
    for run in ("a", "b"):
        assert command.main(["tiny", "--rerun", "--out", str(tiny / run), "--workers", "1"]) == 0
    assert "Table tiny" in capsys.readouterr().out
    for name in (*rows.FILES, "manifest.json"):
        assert (tiny / "a/tables/digits" / name).read_bytes() == (tiny / "b/tables/digits" / name).read_bytes()
    found = rows.committed("digits", tiny / "a/tables")
    assert len(found.measured.rows) == 9  # two cells and full precision, three seeds
    assert len(found.measured.micro_batches) == 18
    for cell in TINY.measured:
        values = found.values(cell, 64, (0, 1, 2), "frechet")
        assert values.shape == (3,)
        assert len(set(values)) == 3
        assert found.pictures(cell).shape == (16, 1, 8, 8)
    assert found.values(TINY.measured[0], 65, (0,), "frechet") is None
    with pytest.raises(StoreError, match="hold no 'brightness': measure them with --rerun"):
        found.values(TINY.measured[0], 64, (0,), "brightness")
    assert found.values(Cell(Arm("direct", 2, 8)), 64, (0,), "frechet") is None
    full = found.values(Cell(steps=3), 64, (0,), "psnr")
    assert np.isnan(full).all()  # full precision is not compared with itself


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
    assert command.main(["tiny", "--rows", str(tiny / "nowhere")]) == 2


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
    assert command.main(["--rekey", *place, "--out", str(tiny)]) == 0
    assert "digits: the rows were already made with this code" in capsys.readouterr().out
    mine = rows.source()
    rewritten(folder, {"source": "old"})
    before = {name: (folder / name).read_bytes() for name in rows.FILES}
    assert command.main(["--rekey", *place, "--out", str(tiny / "anew"), "--workers", "1"]) == 0
    assert "digits: 3 cells agree, the largest difference" in capsys.readouterr().out
    about = rows.committed("digits", tiny / "tables").manifest
    assert about["source"] == mine
    (note,) = about["rekeyed"]
    assert (note["from"], note["to"], note["micro_batches"]) == ("old", mine, 3)
    assert note["largest_difference"] <= 5e-8  # as many digits as are committed
    assert {name: (folder / name).read_bytes() for name in rows.FILES} == before
    assert len([*(tiny / "anew" / "results").glob("cells-*")]) == 3  # one micro-batch of every cell was sampled


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
    assert command.main(again) == 2
    said = capsys.readouterr().err
    assert "1 of 3 cells give other images than the committed ones: " in said
    assert "closed loop" in said
    assert "by 3e-06" in said
    rewritten(folder, {"batch": 64, "versions": {"torch": "1.0"}}, **{"micro_batches.csv": text})
    assert command.main(again) == 2
    assert "made with other batch and versions" in capsys.readouterr().err
    assert json.loads(before)["source"] == json.loads((folder / "manifest.json").read_bytes())["source"] == "old"
    with pytest.raises(SystemExit, match="2"):
        command.main(["1", "--rekey"])


# writing -------------------------------------------------------------------------------------------------------


def test_a_number_is_the_mean_with_half_of_the_t_interval():
    cell = TINY.cells["W8A4", "direct"]
    values = [3.0, 4.5, 3.9]
    found = write.number(made_up(values, cell), TINY, cell, "frechet")
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.half == pytest.approx((high - low) / 2)
    assert found.text() == "3.80 ± 1.88"


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [(0.0123, 0.0017, "0.0123 ± 0.0017"), (12.3, 5.6, "12.3 ± 5.6"), (1234.5, 68, "1234 ± 68"), (0, 0, "0.00 ± 0.00")],
)
def test_numbers_keep_three_digits(mean, half, text):
    assert write.Number(mean, half).text() == text


def test_a_page_has_ours_full_precision_and_the_papers_apart():
    direct = TINY.cells["W8A4", "direct"]
    made = write.page("tiny", TINY, made_up([3.0, 4.5, 3.9], direct), "frechet")
    assert made.header[1:] == ["direct", "closed loop"]
    assert made.lines == [
        ["W8A4", "3.80 ± 1.88", "–"],
        ["full precision (ddim, 3 steps, quad)", "–", "–"],
        ["paper W8A4", "24.09", ""],
    ]
    assert any("never FID" in note for note in made.notes)
    with pytest.raises(ValueError, match="unknown value"):
        write.page("tiny", TINY, made_up([1.0], direct), "fid")


def test_every_format_has_every_cell():
    direct = TINY.cells["W8A4", "direct"]
    made = write.page("tiny", TINY, made_up([3.0, 4.5, 3.9], direct), "frechet")
    markdown = [line for line in write.as_markdown(made).splitlines() if line.startswith("|")]
    assert len(markdown) == 2 + len(made.lines)
    assert {line.count("|") for line in markdown} == {len(made.header) + 1}
    assert list(csv.reader(io.StringIO(write.as_csv(made)))) == [made.header, *made.lines]
    latex = write.as_latex(made)
    assert latex.count(r" \\") == 1 + len(made.lines)
    assert {line.count(" & ") for line in latex.splitlines() if line.endswith(r"\\")} == {2}
    assert r"3.80 $\pm$ 1.88" in latex
    assert not set("±–×") & set(latex)
    text = write.as_text(made).splitlines()
    assert text[2].index("direct") + len("direct") == text[4].index("3.80 ± 1.88") + len("3.80 ± 1.88")


@pytest.mark.parametrize("name", TABLES)
def test_every_committed_table_is_complete(name):
    """All numbers that a table shows are there: nothing is drawn from rows that were never measured."""
    table = TABLES[name]
    found = rows.committed(table.model)
    for cell in table.measured:
        for value in ("frechet", "recognised", "mac_share"):
            values = found.values(cell, table.images, table.seeds, value)
            assert values is not None, cell.label
            assert np.isfinite(values).all()
    shown = write.page(name, table, found, "frechet")
    assert not any("–" in text for line in shown.lines for text in line[1:])


def test_the_command_writes_every_format(tmp_path, capsys):
    assert command.main(["16", "--save", str(tmp_path), "--format", "markdown"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"table_16.{e}" for e in ("csv", "md", "tex", "txt")]
    assert "| W8A4 |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["99"])
    assert "no table 99; known: 1, 4, 5" in capsys.readouterr().err


def test_the_audit_of_an_arm_is_in_its_row():
    found = rows.committed("digits")
    closed = Cell(Arm("closed_loop", 4, 8), steps=20)
    direct = dataclasses.replace(closed, arm=Arm("direct", 4, 8))
    table = TABLES["16"]
    assert (found.values(direct, table.images, table.seeds, "activation_bits") == 4).all()
    # its first of 20 calls is in full precision
    expected = (19 * 4 + 32) / 20
    assert found.values(closed, table.images, table.seeds, "activation_bits") == pytest.approx([expected] * 3)


def test_results_lie_in_the_folder_asked_for(measured):
    """That the folder is made the process's own is asserted where the rows are measured."""
    assert (measured / "tables" / "digits" / "manifest.json").is_file()
    assert sorted(path.name for path in measured.iterdir()) == ["results", "tables"]
