"""The pictures of a comparison: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...names import one_of
from ...shown import Plots
from . import notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: column -> (label of its axis, whether the axis is logarithmic)
COSTS = {
    "relative_bops": ("bit operations, of full precision", True),
    "gbops": ("GBOPs per step and sample", True),
    "total_bits": ("effective bits of activations", False),
}
#: column -> (label of its axis, whether the axis is logarithmic, whether more is better)
QUALITIES = {
    "psnr": ("PSNR to full precision, dB", False, True),
    "ssim": ("SSIM to full precision", False, True),
    "relative_l2": ("relative l2 to full precision", True, False),
    "kernel_distance": ("kernel distance to real images", False, False),
}


class ComparisonPlots(Plots):
    """The pictures of a ``Comparison``."""

    def pareto(self, ax: Axes | None = None, *, cost: str = "relative_bops", quality: str = "psnr") -> Axes:
        """Quality against cost, an arm a point with its name; those that no other arm beats in both are joined.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.
        cost : {"relative_bops", "gbops", "total_bits"}
            The column along x.
        quality : {"psnr", "ssim", "relative_l2", "kernel_distance"}
            The column along y.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes. Full precision is a line where its quality is finite, and is left out otherwise. An arm that is
            equal to it in the median (infinite PSNR, no error) is an arrow at the edge, double where all of its images
            are equal; one that costs nothing is an arrow, too.

        Raises
        ------
        ValueError
            For other columns, for a kernel distance that was not measured, and for costs that nobody could count.
        """
        from ...plot import panels, pareto

        x_label, x_log = COSTS[one_of("cost", cost, COSTS)]
        y_label, y_log, more = QUALITIES[one_of("quality", quality, QUALITIES)]
        full, *arms = self._of.rows
        if quality not in full:
            raise ValueError("kernel_distance was not measured: compare with reference= and features=")
        if any(row[cost] != row[cost] for row in arms):
            raise ValueError(f"{cost} is unknown: no call was entered through the model itself; call it as model(...)")
        with panels.panel(ax) as axes:
            axes.set(xlabel=x_label, ylabel=y_label)
            axes.set(**({"xscale": "log"} if x_log else {}), **({"yscale": "log"} if y_log else {}))
            points = [
                pareto.Point(row["arm"], row[cost], row[quality], row["recursion"], notes.equal(row)) for row in arms
            ]
            pareto.full_precision(axes, full[quality])
            pareto.arms(axes, points, more_is_better=more)
            if x_log:
                pareto.few(axes.xaxis, percent=cost == "relative_bops")
            if y_log:
                pareto.few(axes.yaxis)
        return axes
