"""The pictures of an atlas: which there are, and of which rows. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..shown import Plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class AtlasPlots(Plots):
    """The pictures of an ``Atlas``."""

    def c(self, ax: Axes | None = None) -> Axes:
        """c against the dimension where there are several, else against bits: declared, searched, measured.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes. Measured values have their 95 % intervals. Grey lines are the conditions of the theory that lie
            near: c = 1 and ½, kappa = 1. Means far below all curves are arrows at the edge.

        Raises
        ------
        ValueError
            Where the rows do not fit into one panel, or their curves cannot be told apart: choose some with ``where``.
        """
        return self._panel(ax, "c")

    def kappa(self, ax: Axes | None = None) -> Axes:
        """kappa against the dimension where there are several, else against bits: declared, searched, measured.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes. Measured values have their 95 % intervals. Grey lines are the conditions of the theory that lie
            near: c = 1 and ½, kappa = 1. Means far below all curves are arrows at the edge.

        Raises
        ------
        ValueError
            Where the rows do not fit into one panel, or their curves cannot be told apart: choose some with ``where``.
        """
        return self._panel(ax, "kappa")

    def both(self) -> Any:
        """c and kappa of all rows, side by side, with a row of panels for each granularity and every six quantizers.

        Panels have letters, and say which quantizer or granularity they are of where there are several.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes, shape (rows, 2)
            The Axes.

        Raises
        ------
        ValueError
            Where there are no rows, or more curves than can be told apart.
        """
        from ..plot import contraction, panels

        rows = self._some(self._of)
        contraction.keys(rows)
        titles = contraction.titles(rows)
        with panels.panels(len(titles) // 2, 2, size=(8.8, 3.6 * (len(titles) // 2))) as drawn:
            for axes, title in zip(drawn.flat, titles, strict=True):
                axes.set_title(title)
            contraction.multiples(drawn[0, 0].figure, list(drawn.flat), rows)
        return drawn

    def _panel(self, ax: Axes | None, norm: str) -> Axes:
        from ..plot import contraction, panels

        rows = self._some(self._of.where(norm=norm))
        groups = contraction.groups(rows)
        if len(groups) > 1:
            scales = list(dict.fromkeys(row["granularity"] for row in rows))
            some = f"where(granularity={scales[0]!r})" if len(scales) > 1 else "where(quantizer=[...])"
            raise ValueError(
                f"these rows fill {len(groups)} panels, one for each granularity and every {contraction.ROW} "
                f"quantizers: choose some, as with {some}, or see plot.both()"
            )
        told = contraction.keys(rows)
        with panels.panel(ax, where="outside right upper", size=(7.2, 4.0)) as axes:
            contraction.panel(axes, rows, norm, told, rows)
            axes.set_ylabel(contraction.NORMS[norm])
            for key in [*told.named(rows), *told.marks(rows)]:
                axes.add_line(key)
            if ax is None:
                axes.set_title(contraction.title(rows, norm, which=True).partition("\n")[2])
        return axes

    def _some(self, rows: Any) -> Any:
        if not rows:
            raise ValueError("there are no such rows to draw")
        return rows
