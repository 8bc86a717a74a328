"""The input of ``modiff-sim simulate``: processes as text, their options, warm-up and refresh."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..names import meant
from ..quantizers.base import Quantizer
from ..simulation import processes


def process(chosen: Namespace, text: str, Q: Quantizer) -> processes.Process:
    """Return the process that is meant by "NAME", "NAME:D" or a file, with those of the options that it takes."""
    given = _options(chosen)
    options = {key: given[key] for key in _accepted(text) if key in given}
    if text == "recorded" and not options:
        raise ValueError("recorded needs --option source=FILE, a .npy or .npz of shape (steps, trials, d)")
    return processes.get(text, Q, d=chosen.d, **options)


def options(chosen: Namespace, text: str) -> tuple[str, ...]:
    """Return those of ``--option`` that the process of this text takes, as they were typed."""
    return tuple(item for item in chosen.option if item.partition("=")[0] in _accepted(text))


def said(process: processes.Process) -> str:
    """Return the text by which a process can be named, without its options, as in "ar1:256"."""
    source = process.params.get("source")
    return f"{process.name}:{process.d}" if source is None else str(source)


def _accepted(text: str) -> tuple[str, ...]:
    """Return the options that a process takes."""
    return () if processes.is_file(text) else processes.options(processes.parts(text)[0])


def _options(chosen: Namespace) -> dict[str, Any]:
    """Return the options of all processes, each of which one of them has to take."""
    taken = {text.partition(":")[0]: _accepted(text) for text in chosen.process if not processes.is_file(text)}
    known = [key for keys in taken.values() for key in keys]
    options: dict[str, Any] = {}
    for item in chosen.option:
        key, found, value = item.partition("=")
        if key in options:
            raise ValueError(f"--option {item}: {key} is given twice")
        if not found or key not in known:
            takes = "; ".join(f"{name} takes {', '.join(f'{k}=' for k in keys)}" for name, keys in taken.items())
            near = meant(key, known) if key not in known else ""
            raise ValueError(f"--option {item}: {takes or 'a recording takes none'}{near}")
        options[key] = value if key == "source" else _number(value, key)
    return options


def _number(text: str, key: str) -> Any:
    try:
        if key == "at":
            return [int(part) for part in text.split(",")]
        return int(text) if key == "candidates" else float(text)
    except ValueError:
        raise ValueError(f"--option {key}: {text!r} is not a number") from None


def warmup(text: str) -> Any:
    """Return the warm-up: a number, or a name, which ``simulate`` checks."""
    try:
        return int(text)
    except ValueError:
        return text


def refresh(text: str) -> Any:
    """Return the refresh: "never", a number of calls, or calls."""
    if text == "never":
        return text
    try:
        return [int(part) for part in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise ValueError(f"--refresh takes never, a number of calls, or calls such as 10,20; got {text!r}") from None
