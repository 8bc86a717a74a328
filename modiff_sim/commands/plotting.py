"""The pictures of ``--plot FILE``: in the format of the file's suffix, written atomically (extra [plot])."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..console import complain
from ..sweeps import store

SUFFIXES = (".png", ".pdf", ".svg")
#: colours that survive greyscale and colour blindness (seaborn's "colorblind")
COLOURS = ("#0173b2", "#d55e00", "#029e73", "#cc78bc", "#ca9161", "#56b4e9", "#949494", "#ece133")


def check(path: str) -> None:
    """Raise ValueError unless a picture can be written there, RuntimeError where matplotlib is missing."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--plot {path}: the name must end in {', '.join(SUFFIXES)}")
    if not target.absolute().parent.is_dir():
        raise ValueError(f"--plot {path}: there is no folder {target.absolute().parent}")
    try:
        import matplotlib.figure  # noqa: F401 - all that is needed
    except ImportError:
        raise RuntimeError("--plot needs matplotlib: pip install 'modiff-sim[plot]'") from None


@contextmanager
def picture(
    path: str, titles: Sequence[str], *, height: float = 3.4, columns: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Yield the figure and its panels, row by row. On leaving, write the picture and show its name on stderr.

    ``height`` is that of a row of panels in inches. ``columns`` is the number of panels per row; None puts all into
    one row.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rc: Any = {"axes.grid": True, "grid.color": "#dddddd", "axes.spines.top": False, "axes.spines.right": False,
          "font.size": 9, "legend.fontsize": 8, "legend.frameon": False, "svg.hashsalt": "modiff-sim"}  # fmt: skip
    with mpl.rc_context(rc):
        columns = columns or len(titles)
        rows = -(-len(titles) // columns)
        figure = Figure(figsize=(4.4 * columns, height * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()[: len(titles)]
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title, fontsize=10)
        yield figure, panels
        out = io.BytesIO()
        suffix = Path(path).suffix.lower()[1:]
        date = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
        figure.savefig(out, format=suffix, dpi=150, metadata=date)
    store.write_atomic(Path(path), out.getvalue())
    complain(f"wrote {path}")


def legend_below(figure: Any, handles: Sequence[Any], *, columns: int = 5) -> None:
    """Put one legend under the panels, where it covers nothing."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=min(columns, len(handles)))


def whole_numbers(axes: Any) -> None:
    """Put the ticks of the x axis at whole numbers only, since calls are counted."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def doublings(axes: Any, values: Sequence[int], most: int = 9) -> None:
    """Make the x axis log2 with these numbers as ticks. Numbers too close to others are left out."""
    from matplotlib.ticker import NullLocator

    shown = sorted(set(values))
    apart = (shown[-1] / shown[0]) ** (1 / most)
    ticks = [shown[-1]]
    for value in shown[-2::-1]:
        if ticks[-1] >= apart * value:
            ticks.append(value)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(v) for v in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def nested(i: int, n: int) -> dict[str, Any]:
    """Return the look of curve i of n that may coincide: in this order each leaves a rim of those below visible."""
    return {
        "color": COLOURS[i],
        "lw": 1.2 + 0.8 * (n - 1 - i),
        "marker": "o",
        "ms": 3.5 + 2 * (n - 1 - i),
        "mfc": "none",
    }


def decade(axes: Any) -> None:
    """Show at least a factor of 10 on a log y axis, so that its ticks are readable numbers."""
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)
