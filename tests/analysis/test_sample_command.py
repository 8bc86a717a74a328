"""``python -m analysis.sample``: what cannot be done is refused at once, and only own work is counted."""

import os
import re
from pathlib import Path

import pytest
import torch

from analysis import sample as command
from analysis.running import limits
from modiff_sim import arguments

OPTIONS = ["--model", "digits", "--images", "6", "--batch", "2", "--steps", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["--images", f"{10**12}"],
            r"1000000000000 images of \(1, 8, 8\) in float32 would take 2.5 PiB, and this machine has",
        ),
        (["--images", f"{10**30}"], "argument --images: must be at most 1000000000000000, got 1000000"),
        (["--images", "0"], "argument --images: must be at least 1, got 0"),
        (["--warmup", f"{10**21}"], "--warmup feeds the first input at most 1000 times, got 1000000000000000000000"),
        (["--warmup", "9" * 5000], "integer string conversion"),
        (["--steps", f"{10**12}"], "argument --steps: must be at most 100000"),
        (["--seed", f"{10**30}"], "argument --seed: must be at most"),
        (["--seed", "-1"], "argument --seed: must be at least 0"),
        (["--batch", f"{10**12}"], "argument --batch: must be at most 1048576"),
        (["--batch", f"{2**20}"], "1048576 images per micro-batch would take .* GiB, and this machine has"),
        (["--threads", f"{10**9}"], "argument --threads: must be at most 256"),
        (["--workers", f"{10**9}"], "--workers must be at least 1 and at most 256, got 1000000000"),
        (["--images", "2048", "--workers", "256"], "256 workers would take 100 GiB, and this machine has"),
        (["--memory-budget", "nan"], "argument --memory-budget: must be a number above 0, got nan"),
        (["--memory-budget", "inf"], "argument --memory-budget: must be a number above 0, got inf"),
        (["--memory-budget", "-5"], "argument --memory-budget: must be a number above 0, got -5"),
        (["--grid", "FOLDER"], "FOLDER: is a folder, and a file is needed"),
        (["--grid", "FILE/grid.png"], "FILE: is a file, and a folder is needed"),
        (["--grid", "x" * 300 + "/grid.png"], "File name too long"),
        (["--out", "FILE"], "FILE: is a file, and a folder is needed"),
        (["--out", "LOOP"], "LOOP: is a file, and a folder is needed"),
        (["--bits", f"{10**30}"], "AbsMax needs 2 <= bits <= 32"),
        (["--seed=--"], "argument --seed: expected an argument, got '--'"),
        (["--model", "FILE"], "FILE"),
        (["--model", "a\nb"], "a b"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once_in_one_line(tmp_path, monkeypatch, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arguments, "memory", lambda: 2**34)
    Path("FOLDER").mkdir()
    Path("FILE").touch()
    Path("LOOP").symlink_to("LOOP")
    with pytest.raises(SystemExit, match="2"):
        command.main([*OPTIONS, "--out", "out", *more])
    *usage, line = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: ")
    assert all(text.startswith(" ") for text in usage[1:])
    assert re.search(said, line)
    assert sorted(os.listdir()) == ["FILE", "FOLDER", "LOOP"]


def test_images_that_fit_in_memory_and_not_on_the_disk_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1072}))
    with pytest.raises(ValueError, match=r"^6 images of \(1, 8, 8\) in float32 take 3 KiB, .* has 1\.05 KiB free$"):
        limits.check_images(6, (1, 8, 8), 2, tmp_path)  # 256 bytes each, and each twice
    (tmp_path / "store" / "key").mkdir(parents=True)
    (tmp_path / "store" / "key" / "arrays.npz").write_bytes(bytes(2000))  # of an earlier run of the same command
    limits.check_images(6, (1, 8, 8), 2, tmp_path)
    with pytest.raises(ValueError, match="7 images"):
        limits.check_images(7, (1, 8, 8), 2, tmp_path)


def test_nothing_can_be_written_into_a_read_only_place(tmp_path, monkeypatch):
    monkeypatch.setattr(limits.os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(PermissionError, match="nothing can be written there"):
        limits.writable(tmp_path / "a" / "b")


def test_only_what_this_run_made_is_counted(tmp_path, monkeypatch, capsys):
    """Between the look at the store and the sweep, another process makes a micro-batch."""
    run, others = command.sweep.run, []

    def shared(points, compute, store, **options):
        if not others:
            others.append(run(points[:1], command.compute, store, name=options["name"], workers=1))
        return run(points, compute, store, **options)

    monkeypatch.setattr(command.sweep, "run", shared)
    assert command.main([*OPTIONS, "--out", str(tmp_path)]) == 0
    assert "6 images, full precision; 4 of them made now" in capsys.readouterr().out


def test_a_prediction_that_fails_does_not_spoil_what_is_done(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise KeyError("a layer")

    monkeypatch.setattr(command, "memory", broken)
    assert command.main([*OPTIONS, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "6 of them made now" in said
    assert "predicted" not in said


def test_ctrl_c_while_the_grid_is_drawn_is_one_line(tmp_path, monkeypatch, capsys):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "save_grid", pressed)
    assert command.main([*OPTIONS, "--out", str(tmp_path), "--grid", str(tmp_path / "g.png")]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"interrupted: what is finished is kept in {tmp_path / 'store'}, and the same command goes on"
    )
    assert (tmp_path / "images.npz").exists()


def test_channels_that_no_picture_has_are_refused_before_the_sampling(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "model_of", lambda *_: type("S", (), {"shape": (4, 8, 8), "spacing": "quad"}))
    monkeypatch.setattr(command, "_predicted", lambda plan: None)
    with pytest.raises(SystemExit, match="2"):
        command.main([*OPTIONS, "--out", str(tmp_path), "--grid", str(tmp_path / "g.png")])
    assert "--grid draws images of 1 or 3 channels, and those of digits have 4" in capsys.readouterr().err
