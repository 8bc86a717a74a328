"""The pictures of simulations: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..names import one_of
from ..shown import LEVELS, Plots
from .against_bounds import compared, extremes, outside, unbounded, why_outside
from .params import facts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAIN = ("quantizer", "process", "trials")  # what was run, as titles say it
#: norm -> the quantity of the errors, and what it is called
NORMS = {"2": ("error", "2-norm"), "inf": ("error_inf", "max norm")}


class SummaryPlots(Plots):
    """The pictures of a ``Summary``."""

    def errors(self, ax: Axes | None = None, *, norm: str = "2") -> Axes:
        """Errors per call: the median over trials with a band from the 5 to the 95 % quantile, the mean, the largest.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default, whose title says what was run. Results on the same Axes have
            markers that tell them apart, and labels that say in what they differ.
        norm : {"2", "inf"}
            Which norm the errors have.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, with a logarithmic scale.

        Raises
        ------
        ValueError
            For an unknown norm, or where these errors were not measured.
        """
        from ..plot import errors, panels

        quantity, words = _measured(self._of.mean, norm)
        found = {
            "quantiles": [self._of.quantile(quantity, level) for level in LEVELS],
            "mean": self._of.mean[quantity], "largest": self._of.max[quantity],
        }  # fmt: skip
        look, name = _look(self._of.params)
        with panels.panel(ax) as axes, _apart(axes, name, self._of.params, ax) as marker:
            errors.quantiles(axes, found, look, named=name, marker=marker)
            errors.error_axes(axes, f"error |o - ô|, {words}")
        return axes


class ResultPlots(Plots):
    """The pictures of a ``Result``."""

    def errors(self, ax: Axes | None = None, *, norm: str = "2") -> Axes:
        """Errors per call: their mean over trials, the largest, and the largest bound of the recursion.

        The bound of every trial is the sharp one in the 2-norm, or that in the max norm (``bounds``), from the trial's
        own differences. For a randomised quantizer, in the 2-norm, root mean squares take the place of the largest
        values, and where trials share scales, norms of all trials together. There is no bound for a recursion of your
        own, for a quantizer of your own that was loaded from a file or declares no constant, with an ``operator``, and
        where ``measure=`` left out what it needs. Calls from which on no bound was promised, since a trial, or the mean
        of a randomised quantizer, lost more than is declared, are shaded. Of a result that is a summary, what
        ``Summary.plot.errors`` draws.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default, whose title says what was run. Results on the same Axes have
            markers that tell them apart, and labels that say in what they differ.
        norm : {"2", "inf"}
            Which norm the errors have.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, with a logarithmic scale.

        Raises
        ------
        ValueError
            For an unknown norm, or where these errors were not measured.
        """
        from ..plot import errors, panels

        if self._of.tallied is not None:
            return SummaryPlots(self._of.tallied).errors(ax, norm=norm)
        _, words = _measured(self._of.arrays, norm)
        look, name = _look(self._of.params)
        with panels.panel(ax) as axes, _apart(axes, name, self._of.params, ax) as marker:
            errors.errors(axes, extremes(self._of, norm), look, named=name, marker=marker)
            fails = np.any(outside(self._of, norm), axis=1)
            start, why = (int(np.argmax(fails)), why_outside(self._of, norm)) if fails.any() else (None, "")
            errors.outside(axes, start, fails.size, why, named=name)
            errors.error_axes(axes, f"error |o - ô|, {words}")
        return axes

    def ratios(self, ax: Axes | None = None, *, norm: str = "2") -> Axes:
        """The largest ratio of an error to the bound of its own trial, per call.

        For a randomised quantizer, in the 2-norm, it is the ratio of the root mean squares over trials, and where
        trials share scales, that of all trials together. A ratio counts as 0 where rounding is not small beside the
        bound and explains the error. Trials are left out from the call on at which the quantizer lost more than it
        declares, as their input was outside of its domain or what is declared is false; these calls are shaded.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default, whose title says what was run. Results on the same Axes have
            markers that tell them apart, and labels that say in what they differ.
        norm : {"2", "inf"}
            Which norm the errors have.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes. A triangle at the upper edge is an error beyond bound and rounding together, where the bound is 0
            or rounding is not small beside it.

        Raises
        ------
        ValueError
            Where no bound is known, and for a result that is a summary; the message says why. And as ``errors``.
        """
        from ..plot import errors, panels

        if self._of.tallied is not None:
            raise ValueError('the trials were summarised, and ratios need every trial: simulate with keep="trials"')
        _measured(self._of.arrays, norm)
        if why := unbounded(self._of, norm):
            raise ValueError(f"no ratios: {why}")
        look, name = _look(self._of.params)
        found, named = compared(self._of, norm), f"{name}, {NORMS[norm][1]}"
        with panels.panel(ax) as axes, _apart(axes, name, self._of.params, ax) as marker:
            errors.ratios(axes, found["ratio"], look, named=named, outside=found["outside"], marker=marker)
            errors.outside(axes, errors.fails_from(found), len(found["ratio"]), found["why"], named=named)
            errors.ratio_axes(axes)
        return axes


def _measured(found: Any, norm: str) -> tuple[str, str]:
    """Return the quantity of this norm, and what it is called. Raises ValueError where it is not among those found."""
    quantity, words = NORMS[one_of("norm", str(norm), NORMS)]
    if quantity not in found:
        raise ValueError(f"{quantity} was not measured, only {', '.join(found)}")
    return quantity, words


def _apart(axes: Axes, name: str, params: Any, ax: Axes | None) -> AbstractContextManager[str]:
    """Tell what is drawn of a result from others on the Axes, and give Axes of our own a title of what was run."""
    from ..plot import overlay

    return overlay.result(axes, name, facts(params), MAIN, titled=ax is None)


def _look(params: Any) -> tuple[Any, str]:
    """Return the look of the recursion that was run, and its name."""
    from ..plot import style

    name = str(params.get("recursion", "error"))
    return style.recursions([name])[name], style.short(name)
