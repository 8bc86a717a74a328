"""The pictures of ``--plot FILE``: written as the file's suffix says, atomically (extra [plot])."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import store

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
        import matplotlib  # noqa: F401
    except ImportError:
        raise RuntimeError("--plot needs matplotlib: pip install 'modiff-sim[plot]'") from None


@contextmanager
def picture(path: str, titles: Sequence[str], *, height: float = 3.4) -> Iterator[tuple[Any, Any]]:
    """(figure, its panels side by side); on leaving, the picture is written and named on stderr."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rc: Any = {"axes.grid": True, "grid.color": "#dddddd", "axes.spines.top": False, "axes.spines.right": False,
          "font.size": 9, "legend.fontsize": 8, "legend.frameon": False, "svg.hashsalt": "modiff-sim"}  # fmt: skip
    with mpl.rc_context(rc):
        figure = Figure(figsize=(4.4 * len(titles), height), layout="constrained")
        panels = figure.subplots(1, len(titles), squeeze=False)[0]
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title, fontsize=10)
        yield figure, panels
        out = io.BytesIO()
        suffix = Path(path).suffix.lower()[1:]
        date = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
        figure.savefig(out, format=suffix, dpi=150, metadata=date)
    store.write_atomic(Path(path), out.getvalue())
    print(f"wrote {path}", file=sys.stderr)


def legend_below(figure: Any, handles: Sequence[Any], *, columns: int = 5) -> None:
    """One legend under the panels, covering nothing."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=min(columns, len(handles)))
