"""Command lines to fuzz a program with, made from its own parser, and the files that they name.

New options are fuzzed as soon as the parser has them: what an option takes is derived from its ``type``, its choices
and the words of its help.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SMALL = ("1", "2", "3")
COUNTS = ("0", "-1", "4", "17", "2147483648", "9223372036854775808", f"{10**30}", "9" * 5000, "1e3", "2.5", "nan", "x",
          "", " 3 ", "٣", "0x10", "1_000", "1000000000000")  # fmt: skip
FRACTIONS = ("0.5", "0.9", "1")
NUMBERS = ("0", "-0.0", "-1", "1e-300", "1e300", "1e400", "nan", "inf", "-inf", "x", "", "0,5", "1e", "٣", "5e-324")
WORDS = ("", " ", "x", "-", "--", "?", "*", "[", "ü", "☃", "\udcff\udcfe", "a\nb", "%s", "{}", "$HOME", "../..", "None",
         "true", "a" * 300, "'; --", "\u202e", "=", "a=b", "a=", "=b", "1,2", "1,,2", "tcp://127.0.0.1:9", "group:0",
         "group:8", f"group:{10**12}", "group:x")  # fmt: skip
OUTPUTS = ("new.png", "new.npz", "new.json", "new.csv", "new", "deep/er/new.png", "new.pdf", "new.svg")
NOWHERE = ("missing.npz", "missing", "empty", "folder", "folder.npz", "text.npz/x", "text.npz/x.png", "broken.npz",
           "cut.npz", "broken.npy", "text.npz", "broken.json", "pipe", "n" * 300, "\udcff.png", "objects.npz",
           "half", "lie.npy", "nan.npz", "empty.npz", "strings.npy", "scalar.npy", "weights.safetensors", "loop", "",
           ".", "..", "folder/", "a\nb.png", "new.xyz")  # fmt: skip
GIVEN = ("layers.npz", "layers.npz", "one.npy", "pixels.npz", "pixels.npz", "store", "model")
MODELS = ("digits", "digits", "digits", "fashion32", "model")


def given(folder: Path) -> None:
    """Make the files that command lines name, good ones and others, in ``folder``, which is new."""
    rng = np.random.default_rng(0)
    np.savez(folder / "layers.npz", a=rng.normal(size=(6, 4, 8)), b=rng.normal(size=(6, 4, 3)))
    np.save(folder / "one.npy", rng.normal(size=(6, 4, 8)))
    np.savez(folder / "pixels.npz", images=rng.integers(0, 256, (4, 32, 32), np.uint8), labels=np.arange(4))
    (folder / "store").mkdir()
    (folder / "folder").mkdir()
    (folder / "folder.npz").mkdir()
    _model(folder / "model")
    (folder / "half").mkdir()
    shutil.copy(folder / "model" / "config.json", folder / "half")
    whole = (folder / "layers.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "broken.npz").write_bytes(whole[:99] + bytes(60) + whole[159:])
    (folder / "broken.npy").write_bytes((folder / "one.npy").read_bytes()[:200])
    (folder / "text.npz").write_text("no archive", encoding="utf-8")
    (folder / "broken.json").write_text('{"a": ', encoding="utf-8")
    (folder / "weights.safetensors").write_bytes(b"\xff" * 64)
    (folder / "empty").touch()
    np.savez(folder / "objects.npz", a=np.array([{}, []], dtype=object))
    np.savez(folder / "nan.npz", a=np.full((6, 4, 8), np.nan))
    np.savez(folder / "empty.npz", a=np.empty((0, 4, 8)))
    np.save(folder / "strings.npy", np.array(["a", "b"]))
    np.save(folder / "scalar.npy", np.float64(1))
    with open(folder / "lie.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": (2**40, 4, 8), "fortran_order": False, "descr": "<f8"})
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")


def _model(folder: Path) -> None:
    """Write a network of 2,000 parameters as diffusers saves it."""
    from diffusers import UNet2DModel

    UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=[4],
        norm_num_groups=2,
        down_block_types=["DownBlock2D"],
        up_block_types=["UpBlock2D"],
        attention_head_dim=4,
    ).save_pretrained(folder)


def renew(master: Path, folder: Path) -> None:
    """Make the folder again, with a copy of what ``given`` has made."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in master.iterdir():
        if path.is_symlink():
            (folder / path.name).symlink_to(os.readlink(path))
        elif path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.is_fifo():
            os.mkfifo(folder / path.name)
        else:
            shutil.copy(path, folder / path.name)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of its commands by name; empty where it has no commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def line(parser: argparse.ArgumentParser, rng: np.random.Generator) -> list[str]:
    """Draw arguments: all of them are good in two lines out of five, otherwise each is with probability 3/4."""
    good = 1.0 if rng.random() < 0.4 else 0.75
    often = float(rng.choice([0.05, 0.1, 0.2, 0.5]))
    made: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._VersionAction | argparse._SubParsersAction):
            continue
        needed = action.required or not action.option_strings
        if rng.random() < (0.97 if needed else often):
            made += _given(action, rng, good)
    if rng.random() < 0.03:
        made.insert(int(rng.integers(len(made) + 1)), str(rng.choice(["--nonsense", "-x", "--", "stray", "--help"])))
    return made


def _given(action: argparse.Action, rng: np.random.Generator, good: float) -> list[str]:
    """Return an option with its values, or a positional argument."""
    name = [str(rng.choice(action.option_strings))] if action.option_strings else []
    if action.nargs == 0:
        return name
    several = action.nargs in ("+", "*") or isinstance(action.nargs, int)
    count = 1 if not several else int(rng.choice([1, 1, 2, 3] if rng.random() < good else [0, 1, 12]))
    values = [_value(action, rng, rng.random() < good) for _ in range(count)]
    if name and len(values) == 1 and rng.random() < 0.5:
        return [f"{name[0]}={values[0]}"]
    return [*name, *values]


def _value(action: argparse.Action, rng: np.random.Generator, good: bool) -> str:
    pool = good_values(action) if good else (*COUNTS, *NUMBERS, *WORDS, *NOWHERE)
    return pool[int(rng.integers(len(pool)))]


def good_values(action: argparse.Action) -> Sequence[str]:
    """Return plausible values of an option, some of which are in range, and some of which name existing files."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    made = _parsed(action.type, "2")
    if isinstance(made, int):
        return SMALL
    if isinstance(_parsed(action.type, "0.5"), float):
        return (*FRACTIONS, *SMALL)
    about = f"{action.dest} {action.metavar}".lower()
    if isinstance(made, Path) or re.search(r"file|dir|path|plot|folder|json|out", about):
        return OUTPUTS if re.search(r"plot|json|csv|out|grid|save", about) else GIVEN
    if "model" in about:
        return MODELS
    words = re.findall(r"[a-z0-9_]+(?:[:=][\w.]+)?", f"{action.help or ''} {action.metavar or ''}".lower())
    default = [str(v) for v in (action.default if isinstance(action.default, list) else [action.default]) if v]
    return [*words, *default, *SMALL, *default]


def _parsed(kind: Any, text: str) -> Any:
    try:
        return kind(text) if kind is not None else None
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return None
