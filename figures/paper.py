"""A figure as a paper needs it: as wide as a column or a page, some of its panels, PDF, and its caption as text."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from modiff_sim.console import one_line

from . import Made, Unfit, load
from .captions import of_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
WIDEST = 30.0  # inches that a figure may be wide
#: what would make two files of the same data differ
DATES = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None}, "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}  # fmt: skip


def fits(module: ModuleType, data: Mapping[str, Any], width: float | None, panels: Sequence[str] | None) -> None:
    """Raise ``Unfit`` where a figure of this data has no such panels, or is too tall at this width."""
    from modiff_sim.plot import style

    with style.applied():
        _fitted(module, data, width, panels)


def _fitted(module: ModuleType, data: Mapping[str, Any], width: float | None, panels: Sequence[str] | None) -> Figure:
    """Return the figure of this data, fitted onto the page."""
    from modiff_sim.plot.page import fitted

    figure: Figure = module.plot(data)
    if width or panels:
        try:
            fitted(figure, width or figure.get_figwidth(), panels)
        except ValueError as error:
            raise Unfit(one_line(error)) from None
    return figure


def for_paper(
    made: Made, width: float | None = None, panels: Sequence[str] | None = None, formats: Sequence[str] = ("pdf",)
) -> list[Path]:
    """Write a finished figure in these formats beside its data, and its caption with the parameters as text.

    Parameters
    ----------
    made : Made
        What ``make`` gave.
    width : float, optional
        Inches, with all text at 8 points; by default as it is.
    panels : sequence of str, optional
        Letters of the panels to show; by default all.
    formats : sequence of {"pdf", "svg", "png"}
        The formats.

    Returns
    -------
    list of Path
        NAME_WIDTHin_PANELS.FORMAT, or NAME_paper.FORMAT where neither was chosen, and then the caption, without what
        it says of panels that are not shown.

    Raises
    ------
    Unfit
        A ValueError, for a letter that no panel has, a width below that of one panel, or a figure taller than a page.
    """
    from modiff_sim.plot import style
    from modiff_sim.sweeps.store import write_atomic

    with np.load(made.data, allow_pickle=False) as archive:
        data = {name: archive[name] for name in archive.files}
    parts = [made.name, *([f"{width:g}in"] if width else []), *(["".join(panels)] if panels else [])]
    stem, written = "_".join(parts if len(parts) > 1 else [made.name, "paper"]), []
    about = json.loads(made.manifest.read_text(encoding="utf-8"))
    module = load(about["name"])
    with style.applied():
        figure = _fitted(module, data, width, panels)
        for kind in formats:
            out = io.BytesIO()
            figure.savefig(out, format=kind, dpi=300, metadata=DATES[kind])
            written.append(made.data.with_name(f"{stem}.{kind}"))
            write_atomic(written[-1], out.getvalue())
    caption = made.data.with_name(f"{stem}.txt")
    said = json.dumps(about["params"], ensure_ascii=False, sort_keys=True)
    text = made.caption if panels is None else of_panels(made.caption, getattr(module, "PARTS", {}), panels)
    write_atomic(caption, f"{made.title}. {text}\n\nEffort {about['effort']}; parameters: {said}\n")
    return [*written, caption]
