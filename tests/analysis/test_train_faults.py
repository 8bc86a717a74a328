"""Training that is interrupted, runs out of disk, or is given junk: one line, and what was kept stays as it was."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from analysis import train as command
from analysis.datasets import load
from analysis.running import interrupts
from analysis.training import loop
from analysis.training.loop import Settings, Training
from analysis.training.recipes import RECIPES
from modiff_sim.sweeps.store import sha256

TINY = Settings(steps=6, batch=4, warmup=2, seed=1)
#: the digits model with few channels
UNET = RECIPES["digits"].config | {"block_out_channels": [8, 16], "norm_num_groups": 4, "attention_head_dim": 8}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, as it does in a program of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def train_digits(out, **options):
    return loop.train("digits", UNET, load("digits"), TINY, out, loop.Course(**options))


def complained(capsys, *arguments):
    """The one line that the command ends with, after the usage."""
    with pytest.raises(SystemExit, match="2"):
        command.main([*map(str, arguments)])
    said = [text for text in capsys.readouterr().err.splitlines() if not text.startswith("step ")]
    *usage, line = said
    assert usage[0].startswith("usage: ")
    assert all(text.startswith(" ") for text in usage[1:])
    return line.removeprefix("python -m analysis.train: error: ")


# Ctrl-C --------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_a_step_waits_for_it_and_keeps_it(tmp_path, monkeypatch, ctrl_c):
    expected = train_digits(tmp_path / "whole").read_bytes()
    one_step, pressed = Training.one_step, []

    def interrupted(run):
        if run.step == 3 and not pressed:
            pressed.append(True)
            ctrl_c()
        one_step(run)

    monkeypatch.setattr(Training, "one_step", interrupted)
    with pytest.raises(interrupts.Stopped, match=r"^interrupted: step 4 of 6 is kept in .*checkpoint\.pt; go on with"):
        train_digits(tmp_path / "a")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train_digits(tmp_path / "a", resume=True).read_bytes() == expected


def test_a_second_ctrl_c_does_not_wait_and_keeps_no_half_made_step(tmp_path, monkeypatch, ctrl_c):
    one_step = Training.one_step

    def interrupted(run):
        one_step(run)
        if run.step == 3:
            ctrl_c()
            ctrl_c()

    monkeypatch.setattr(Training, "one_step", interrupted)
    with pytest.raises(interrupts.Stopped, match="step 2 of 6 is kept"):
        train_digits(tmp_path, save_every=0.0)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


@pytest.mark.parametrize("place", ["_save_samples", "progress"])
def test_ctrl_c_between_two_steps_keeps_the_last_one(tmp_path, monkeypatch, ctrl_c, place):
    def pressed(*_):
        ctrl_c()
        return iter(())

    monkeypatch.setattr(loop, place, pressed)
    kept = "step 3 of 6 is kept" if place == "_save_samples" else "^interrupted: no step is kept$"
    with pytest.raises(interrupts.Stopped, match=kept):
        train_digits(tmp_path, grid_every=3)
    assert (tmp_path / "checkpoint.pt").exists() == (place == "_save_samples")


def test_ctrl_c_ends_the_command_with_one_line(tmp_path, monkeypatch, capsys, ctrl_c):
    for name, said in (("load", "interrupted before the first step"), ("save", "interrupted: no step is kept")):
        where = command.datasets if name == "load" else Training
        monkeypatch.setattr(where, name, lambda *_: ctrl_c())
        assert command.main(["digits", "--steps", "1", "--threads", "1", "--out", str(tmp_path)]) == 130
        assert capsys.readouterr().err.splitlines()[-1] == said
        monkeypatch.undo()


@pytest.mark.parametrize("module", ["train", "sample"])
def test_ctrl_c_while_a_command_imports_is_one_line(tmp_path, module):
    process = subprocess.Popen(
        [sys.executable, "-v", "-m", f"analysis.{module}", "--help"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    said = []
    with process:
        for line in process.stderr:
            said.append(line)
            if line.startswith("import 'torch._C'"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert not any("Traceback" in line for line in said)
    assert f"python -m analysis.{module}: interrupted before anything was begun\n" in said


def test_a_block_that_is_finished_first(ctrl_c):
    done = []

    def block():
        with interrupts.finished_first():
            ctrl_c()
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a program in the background
    with interrupts.finished_first():
        ctrl_c()
    signal.signal(signal.SIGINT, signal.default_int_handler)


# the disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "kept"), [(1, "no step is kept"), (3, "step 2 of 6 is kept in .*checkpoint.pt; go on with --resume")]
)
def test_a_full_disk_is_one_line_and_the_old_checkpoint_stands(tmp_path, monkeypatch, at, kept):
    write, count, before = loop.write_atomic, [], []

    def full(path, content):
        count.append(path)
        if len(count) == at:
            before.append({p.name: p.read_bytes() for p in tmp_path.iterdir()})
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(loop, "write_atomic", full)
    with pytest.raises(OSError, match=rf"could not write .*checkpoint\.pt \(No space left on device\): {kept}"):
        train_digits(tmp_path, save_every=0.0)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before[0]


def test_weights_that_cannot_be_written_leave_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    (tmp_path / "digits.safetensors").mkdir()
    said = complained(capsys, "digits", "--steps", 1, "--threads", 1, "--out", tmp_path)
    assert re.search(r"could not write the weights in .*: step 1 of 1 is kept in .*; go on with --resume$", said)
    (tmp_path / "digits.safetensors").rmdir()
    assert command.main(["digits", "--steps", "1", "--threads", "1", "--out", str(tmp_path), "--resume"]) == 0


# checkpoints ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    out = tmp_path_factory.mktemp("kept")
    assert train_digits(out, minutes=0.0) is None
    return (out / "checkpoint.pt").read_bytes()


def zipped():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("a.txt", "text")
    return made.getvalue()


def saved(value):
    made = io.BytesIO()
    torch.save(value, made)
    return made.getvalue()


def changed(**changes):
    def change(whole):
        return saved(torch.load(io.BytesIO(whole), weights_only=True) | changes)

    return change


def begun_from(first, **changes):
    return changed(begun_from={"sha256": "0" * 64, "step": first}, **changes)


def edited(edit):
    def change(whole):
        state = torch.load(io.BytesIO(whole), weights_only=True)
        edit(state)
        return saved(state)

    return change


class Anything:
    def __reduce__(self):
        return (os.mkdir, ("run",))


JUNK = {
    "empty": (lambda whole: b"", "is damaged, or not a checkpoint of analysis.train: restore an intact one, or start"),
    "text": (lambda whole: b"text", "is damaged, or not a checkpoint"),
    "a zip": (lambda whole: zipped(), "is damaged, or not a checkpoint"),
    "cut short": (lambda whole: whole[: len(whole) // 2], "is damaged, or not a checkpoint"),
    "a pickle that runs something": (lambda whole: saved(Anything()), "is damaged, or not a checkpoint"),
    "of another program": (lambda whole: saved({"state_dict": {}}), "not a checkpoint of .*, it lacks config"),
    "a tensor": (lambda whole: saved(torch.zeros(2)), "is not a checkpoint of analysis.train"),
    "without its random state": (edited(lambda s: s.pop("rng")), "it lacks rng: restore"),
    "of other settings": (edited(lambda s: s["settings"].update(lr=1.0)), r"made with settings lr=1\.0 \(now 0\.001\)"),
    "of settings of another kind": (changed(settings=torch.zeros(2)), "made with settings of another kind"),
    "of another network": (edited(lambda s: s["config"].update(act_fn="gelu")), "was made with config act_fn='gelu'"),
    "of other data": (changed(data="0" * 64), "was made with data 000"),
    "weights of another network": (edited(lambda s: s["model"].popitem()), "the weights of another network: restore"),
    "weights of another shape": (edited(lambda s: s["ema"].update(dict.fromkeys(s["ema"], torch.zeros(1)))), "shape"),
    "weights of another dtype": (edited(lambda s: s.update(ema={k: v.half() for k, v in s["ema"].items()})), "float16"),
    "NaN": (edited(lambda s: s["model"]["conv_in.weight"].fill_(np.nan)), "conv_in.weight holds NaN or Inf: restore"),
    "weights that are a list": (changed(ema=[1, 2]), "the weights of another network"),
    "a step of words": (changed(step="four"), "its step is 'four' of 6"),
    "a step beyond the end": (changed(step=7), "its step is 7 of 6"),
    "a step before the beginning": (changed(step=-1), "its step is -1 of 6"),
    "a time that is none": (changed(seconds=float("nan")), "its time is nan s"),
    "losses that are none": (changed(losses=[float("nan")]), "its losses are not a list of finite numbers"),
    "another random state": (changed(rng=torch.zeros(3)), "its random state is invalid"),
    "a random state of zeros": (edited(lambda s: s["rng"].fill_(255)), "its random state is invalid"),
    "no optimizer": (changed(opt={}), "its optimizer is of another network or program"),
    "another optimizer": (edited(lambda s: s["opt"]["param_groups"][0].update(betas=(0.5, 0.5))), "its optimizer is"),
    "half an optimizer": (edited(lambda s: s["opt"]["state"].popitem()), "its optimizer is of another network"),
    "an optimizer with NaN": (edited(lambda s: s["opt"]["state"][0]["exp_avg"].fill_(np.nan)), "exp_avg holds NaN or"),
    "an optimizer with negative squares": (edited(lambda s: s["opt"]["state"][1]["exp_avg_sq"].fill_(-1)),
        r"exp_avg_sq is below 0 in its optimizer, for conv_in\.bias"),
    "an optimizer of other steps": (edited(lambda s: s["opt"]["state"][1]["step"].fill_(-5)),
        r"step is -5 in its optimizer, for conv_in\.bias, instead of 1"),
    "an optimizer that was begun elsewhere": (begun_from(1, step=4),
        r"step is 1 in its optimizer, for conv_in\.weight, instead of 3"),
    "an optimizer whose steps are one": (edited(lambda s: s["opt"]["state"][1].update(s["opt"]["state"][0], **{
        k: v for k, v in s["opt"]["state"][1].items() if k != "step"})),
        r"step of conv_in\.bias in its optimizer shares its memory with step of conv_in\.weight in its optimizer"),
    "an average that is the model": (edited(lambda s: s.update(ema=dict(s["model"]))),
        r"conv_in\.weight in its ema shares its memory with conv_in\.weight in its model"),
    "an average that is another": (edited(lambda s: s["ema"].update({"conv_out.bias": s["ema"]["conv_in.bias"][:1]})),
        r"conv_out\.bias in its ema shares its memory with conv_in\.bias in its ema"),
    "an average of one number": (edited(lambda s: s["ema"].update({
        "conv_in.bias": torch.zeros(1).expand_as(s["ema"]["conv_in.bias"])})),
        r"entries of conv_in\.bias in its ema share their memory"),
    "begun from a number": (changed(begun_from=3), "begun_from is 3, which does not say what the run was begun from"),
    "begun from no file": (changed(begun_from={"sha256": 5, "step": 1}), r"begun_from is .*'sha256': 5"),
    "begun from no step": (begun_from("x"), "begun_from is .*'step': 'x'}, which does not"),
    "begun from the step that is done": (begun_from(1), "begun_from is .*'step': 1}, which does not"),
    "begun from a truth": (begun_from(True, step=4), "begun_from is .*'step': True}, which does not"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), JUNK.values(), ids=JUNK)
def test_a_junk_checkpoint_is_refused_in_one_line_and_left_alone(
    tmp_path, checkpoint, change, said, monkeypatch, recwarn
):
    monkeypatch.chdir(tmp_path)
    content = change(checkpoint)
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ValueError, match=said) as told:
        train_digits(tmp_path, resume=True)
    assert "checkpoint.pt" in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600
    assert not recwarn
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is not a regular file"):
        train_digits(tmp_path, resume=True)


def test_the_command_refuses_a_junk_checkpoint(tmp_path, capsys):
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    said = complained(capsys, "digits", "--threads", 1, "--out", tmp_path, "--resume")
    assert said.startswith(f"{tmp_path / 'checkpoint.pt'} is damaged, or not a checkpoint of analysis.train: restore")


def manifest(path, **changes):
    about = {"sha256": sha256(path), "config": RECIPES["digits"].config, "training": {"steps_done": 1}} | changes
    path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "about", "said"),
    [
        (b"text", {}, "is damaged, or not a .safetensors: restore that of w.json"),
        (
            safetensors.torch.save({"a": torch.zeros(2)}),
            {},
            "can begin from: it holds the weights of another",
        ),
        (b"text", {"sha256": "0"}, "w.safetensors is not the file that w.json beside it describes"),
        (b"text", {"config": 3}, "is of another network: of another kind"),
        (b"text", {"config": RECIPES["digits"].config | {"act_fn": "gelu"}}, "is of another network: act_fn='gelu'"),
        (b"text", {"training": {}}, "w.json is not a manifest of analysis.train"),
        (b"text", {"training": {"steps_done": "one"}}, "w.json says that step 'one' is done, and this run has only 6"),
        (b"text", {"training": {"steps_done": 6}}, "w.json says that step 6 is done, and this run has only 6 steps"),
        (b"text", None, "w.json is not a manifest of analysis.train"),
    ],
)
def test_junk_to_begin_from_is_refused_in_one_line(tmp_path, content, about, said, capsys):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(content)
    manifest(weights, **(about or {}))
    if about is None:
        weights.with_suffix(".json").write_text("[" * 100_000, encoding="utf-8")
    out = tmp_path / "out"
    found = complained(capsys, "digits", "--steps", 6, "--threads", 1, "--out", out, "--begin-from", weights)
    assert re.search(said, found)
    assert not out.exists()


def test_weights_with_nan_are_not_begun_from(tmp_path):
    weights = tmp_path / "w.safetensors"
    values = Training(RECIPES["digits"].config, load("digits"), TINY).ema
    values["conv_in.weight"].fill_(np.nan)
    weights.write_bytes(safetensors.torch.save(values))
    manifest(weights)
    with pytest.raises(ValueError, match=r"training can begin from: conv_in\.weight holds NaN or Inf"):
        loop.train(
            "digits", RECIPES["digits"].config, load("digits"), TINY, tmp_path / "out", loop.Course(begin_from=weights)
        )


# arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "12"], r"unknown device '12'; known: cpu, cuda, cuda:NUMBER"),
        (["--device", "meta"], "unknown device 'meta'"),
        (["--device", "cuda:99999"], "unknown device"),
        (["--seed", f"{10**30}"], "argument --seed: must be at most 9223372036854775807, got 1000000"),
        (["--seed", "-1"], "argument --seed: must be at least 0, got -1"),
        (["--seed", "9" * 5000], "argument --seed: must be a whole number, got 9999"),
        (["--steps", f"{10**12}"], "argument --steps: must be at most 10000000, got 1000000000000"),
        (["--threads", f"{10**9}"], "argument --threads: must be at most 256"),
        (["--minutes", "nan"], "argument --minutes: must be a number from 0, got nan"),
        (["--minutes", "-1"], "argument --minutes: must be a number from 0, got -1"),
        (["--grid", "-5"], "argument --grid: must be at least 0, got -5"),
        (["--grid", "a\nb"], "argument --grid: must be a whole number, got a b"),
        (["--data", "x"], "digits come with scikit-learn and take no path"),
        (["--out", "FILE"], "FILE: is a file, and a folder is needed"),
        (["--out", "FILE/below"], "FILE: is a file, and a folder is needed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    assert re.search(said, complained(capsys, "digits", *arguments))
    assert os.listdir() == ["FILE"]


@pytest.mark.parametrize("name", ["a.npz", "data_batch_1", "train-images-idx3-ubyte.gz"])
def test_broken_data_are_one_line(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 \x80\x02 junk")
    where = tmp_path / name if name == "a.npz" else tmp_path
    said = complained(capsys, "cifar10_small", "--data", where, "--out", tmp_path / "out")
    assert name in said


def test_a_loss_that_is_no_number_is_one_line(tmp_path, monkeypatch, capsys):
    def broken(run):
        raise FloatingPointError("the loss is nan at step 0; the last checkpoint is kept")

    monkeypatch.setattr(Training, "one_step", broken)
    assert command.main(["digits", "--threads", "1", "--out", str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err == "python -m analysis.train: the loss is nan at step 0; the last checkpoint is kept\n"
    )
