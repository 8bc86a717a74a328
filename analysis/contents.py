"""``python -m analysis.contents``: write docs/contents.md anew, the page of what there is to choose from by name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modiff_sim as ms
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.metrics import METRICS, Metric
from modiff_sim.sweeps.store import write_atomic

from .running import interrupts
from .running.limits import Parser

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "contents.md"
INTRODUCTION = """# What there is to choose from

Everything that can be named in a call or on a command line, with the file that adds it. A new file adds a new line:
[extending.md](extending.md) shows how. Claims are in [claims.md](claims.md), figures in [figures.md](figures.md).

This page is made by `make pages` (a test compares the two).
"""


@dataclass(frozen=True)
class Registry:
    """A kind of thing: how it is called, how one is chosen, and its entries."""

    title: str
    chosen: str
    entries: Mapping[str, Any]


REGISTRIES = (
    Registry("Quantizers", "`quantizers.make(NAME, bits)`; `--quantizer NAME`", ms.QUANTIZERS),
    Registry("Granularities", "`granularity.parse(NAME)`; `--granularity NAME`", ms.GRANULARITIES),
    Registry("Recursions", "`recursion=NAME`; `--recursion NAME`", ms.RECURSIONS),
    Registry("Processes", "`processes.NAME(d)`; `--process NAME`", ms.processes.PROCESSES),
    Registry("Samplers", "`sample(model, sampler=NAME)`; `--sampler NAME`", SAMPLERS),
    Registry("Metrics", "`analysis.metrics.Judge`; `python -m analysis.tables --value NAME`", METRICS),
)


def described(entry: Any) -> str:
    """The first paragraph of an entry's docstring, or the title of a metric, in one line of a Markdown table."""
    if isinstance(entry, Metric):
        return entry.title
    text = inspect.getdoc(_code(entry)) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def place(entry: Any) -> str:
    """The file that defines an entry, from the checkout's root."""
    code = _code(entry)
    return Path(inspect.getfile(code)).relative_to(ROOT).as_posix()


def _code(entry: Any) -> Any:
    """The class or function that an entry is, or is made of."""
    inner = entry.of if isinstance(entry, Metric) else getattr(entry, "function", entry)
    return inner if inspect.isclass(inner) or inspect.isfunction(inner) else type(inner)


def document() -> str:
    """The text of docs/contents.md."""
    parts = [INTRODUCTION]
    for kind in REGISTRIES:
        lines = ["| name | what it is | file |", "|---|---|---|"]
        for name, entry in kind.entries.items():
            lines.append(f"| `{name}` | {described(entry)} | `{place(entry)}` |")
        parts.append("\n".join([f"## {kind.title}", "", f"{kind.chosen}.", "", *lines, ""]))
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    Parser(prog="python -m analysis.contents", description=__doc__).parse_args(arguments)
    write_atomic(PAGE, document())
    print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.contents"))
