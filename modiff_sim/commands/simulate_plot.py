"""The picture of ``modiff-sim simulate --plot``: four panels per process, errors above and their ratios below.

One quantizer: as ``plot.errors.against_bounds`` draws it. Several quantizers: a colour is a quantizer, a line style a
recursion, and of the errors only the means are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import inputs, taken
from .plotting import picture
from .sections import NORMS, Section

LINES = ("-", "--", ":", "-.")
MOST = 6  # processes


def fits(sections: Sequence[Section], recursions: Sequence[str]) -> None:
    """Raise ValueError where there are more of something than a picture can tell apart."""
    from ..plot import style

    counts = {
        "process": ({inputs.said(one.process) for one in sections}, MOST),
        "quantizer": (quantizers := {taken.said(one.Q) for one in sections}, len(style.PALETTE)),
        "recursion": (recursions, len(LINES) if len(quantizers) > 1 else len(style.PALETTE)),
    }
    for option, (given, most) in counts.items():
        if len(given) > most:
            raise ValueError(f"--plot can show {most} of --{option}, but there are {len(given)}: pass at most {most}")


def plot(path: str, sections: Sequence[Section], ran: str) -> None:
    """Draw the sections. ``ran`` says how they were run, for the title."""
    from ..plot import errors, style

    processes: dict[str, list[Section]] = {}
    for one in sections:
        processes.setdefault(inputs.said(one.process), []).append(one)
    quantizers = list(dict.fromkeys(taken.said(one.Q) for one in sections))
    several = len(quantizers) > 1
    upper = [f"{norm}: mean error" if several else norm for norm in NORMS.values()]
    lower = [f"{norm}: worst error / bound" for norm in NORMS.values()]
    titles = [f"{t}, {name}" if len(processes) > 1 else t for name in processes for t in (*upper, *lower)]
    about = [*(() if several else quantizers), *(() if len(processes) > 1 else [sections[0].title.partition(", ")[2]])]
    with picture(path, titles, columns=2, about=", ".join([*about, ran])) as (figure, drawn):
        for i, of in enumerate(processes.values()):
            four = drawn[4 * i : 4 * i + 4]
            if several:
                _means(four, of)
            else:
                errors.against_bounds(figure, four, of[0].runs)
        if several:
            handles = _handles(quantizers, sections)
            style.legend(figure, handles, columns=4, where="outside lower center")
        for again in figure.legends[1:]:  # that of another process is the same
            again.remove()


def _means(four: Sequence[Any], of: Sequence[Section]) -> None:
    """Draw the mean errors of several quantizers on one process in both norms, and below them the worst ratios."""
    from ..plot import errors, panels, style

    for above, below, norm in zip(four[:2], four[2:], NORMS, strict=True):
        for colour, one in zip(style.PALETTE, of, strict=False):
            for line, norms in zip(LINES, one.runs.values(), strict=False):
                found = norms[norm]
                calls = len(found["mean"])
                style.curve(above, range(calls), panels.positive(found["mean"]), color=colour, ls=line, mfc="none")
                if found["ratio"] is not None:
                    errors.ratios(below, found["ratio"], style.Look("", colour, line), outside=found["outside"])
                for panel in (above, below):
                    errors.outside(panel, errors.fails_from(found), calls, found["why"])
        errors.error_axes(above)
        errors.ratio_axes(below)


def _handles(quantizers: Sequence[str], sections: Sequence[Section]) -> Iterator[Any]:
    """Yield the entries of the legend where there are several quantizers."""
    from ..plot import errors, style

    for colour, name in zip(style.PALETTE, quantizers, strict=False):
        yield style.key(style.Look(name, colour))
    for line, name in zip(LINES, sections[0].runs, strict=False):
        yield style.key(style.Look(name.replace("_", " "), "black", line))
    yield style.key(style.Look("error = bound (below)", "black"), lw=0.8)
    every = (found for one in sections for norms in one.runs.values() for found in norms.values())
    yield from map(errors.shade, sorted({found["why"] for found in every if errors.fails_from(found) is not None}))
