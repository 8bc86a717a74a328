"""The files of ``--plot FILE``: in the format of the file's suffix, written atomically (extra [plot])."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import written

SUFFIXES = (".png", ".pdf", ".svg")
WIDTH = 4.4  # inches, of a panel


def check(path: str) -> None:
    """Raise ValueError unless a picture can be written there, RuntimeError where matplotlib is missing."""
    written.check("--plot", path, SUFFIXES)
    try:
        import matplotlib.figure  # noqa: F401 - all that is needed
    except ImportError:
        raise RuntimeError("--plot needs matplotlib: pip install 'modiff-sim[plot]'") from None


@contextmanager
def picture(
    path: str, titles: Sequence[str], *, about: str = "", height: float = 3.4, columns: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Yield the figure and its panels, row by row. On leaving, write the picture and show its name on stderr.

    ``about`` is the title of the whole picture, which says what was run. ``height`` is that of a row of panels in
    inches. ``columns`` is the number of panels per row; None puts all into one row.
    """
    from ..plot import style

    with style.applied():
        columns = columns or len(titles)
        rows = -(-len(titles) // columns)
        figure, made = style.grid(rows, columns, height=height * rows, width=WIDTH * columns)
        panels = made.ravel()[: len(titles)]
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title)
        if about:
            figure.suptitle(about)
        yield figure, panels
        out = io.BytesIO()
        suffix = Path(path).suffix.lower()[1:]
        date = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
        figure.savefig(out, format=suffix, dpi=150, metadata=date)
    written.write(path, out.getvalue())
