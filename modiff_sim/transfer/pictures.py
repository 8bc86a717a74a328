"""The pictures of transfers and predictions: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import count
from ..shown import LEVELS, Plots
from .energies import rms

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CallPlots(Plots):
    """The pictures of a ``CallTransfer``."""

    def gains(self, ax: Axes | None = None) -> Axes:
        """The RMS gain from each layer's output to that of the network, a bar per layer on a logarithmic scale.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top.
        """
        from ..plot import layers, panels, style

        names = self._of.names
        with panels.panel(ax, size=(6.4, layers.height(len(names)))) as axes:
            gains = rms(self._of.output)
            layers.bars(axes, names, gains, style.NEUTRAL[1])
            axes.set_xlabel("RMS gain to the network's output")
            if (gains > 0).any():
                axes.set_xscale("log")
                axes.set_xlim(left=gains[gains > 0].min() / 2)
        return axes

    def upstream(self, ax: Axes | None = None) -> Axes:
        """The RMS gain from each layer's output (rows) to the inputs of later layers (columns).

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top; grey where nothing arrives.
        """
        return _upstream(ax, rms(self._of.upstream), self._of.names)


class TransferPlots(Plots):
    """The pictures of a ``Transfer``."""

    def gains(self, ax: Axes | None = None) -> Axes:
        """The RMS gain from each layer's output to that of the network, layers by calls.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top; grey where nothing arrives.
        """
        from ..plot import panels, transfer

        with panels.panel(ax, size=_size(self._of.layers)) as axes:
            gains = rms(self._of.output)
            transfer.gains(axes, gains.T, self._of.layers, "RMS gain to the network's output")
            axes.set_xlabel("model call")
            panels.whole_numbers(axes)
        return axes

    def result(self, ax: Axes | None = None) -> Axes:
        """The RMS gain from the network's output at each call to the result: median and 5-95 % of the samples.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, with a logarithmic scale.
        """
        from ..plot import panels, style

        with panels.panel(ax) as axes:
            gains = np.quantile(np.sqrt(self._of.impulse[:, -1]), LEVELS, axis=1)
            look = style.Look("", style.NEUTRAL[2], "-", "o")
            style.band(axes, np.arange(gains.shape[1]), panels.positive(gains), look)
            axes.set(xlabel="model call", ylabel="RMS gain to the result")
            panels.logarithmic(axes)
            panels.whole_numbers(axes)
        return axes

    def upstream(self, ax: Axes | None = None, *, call: int = 0) -> Axes:
        """The RMS gain from each layer's output (rows) to the inputs of later layers (columns) within one call.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.
        call : int, default 0
            Which model call. ValueError for one that there is not.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top; grey where nothing arrives.
        """
        call = count("call", call, 0, most=len(self._of.a) - 1, why="the last call")
        return _upstream(ax, rms(self._of.upstream[call]), self._of.layers)


class PredictionPlots(Plots):
    """The pictures of a ``Prediction``."""

    def errors(self, ax: Axes | None = None) -> Axes:
        """The relative l2 error of the sampler's state after each call: median and 5-95 % of the samples.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, with a logarithmic scale.
        """
        from ..plot import panels, style

        name = self._of.recursion or "error"
        look = style.recursions([name])[name]
        with panels.panel(ax) as axes:
            found = np.quantile(self._of.relative, LEVELS, axis=1)
            bare, label = style.Look("", look.colour), f"{style.short(name)}, predicted"
            style.band(axes, np.arange(found.shape[1]), panels.positive(found), bare, label=label)
            axes.set(xlabel="model call", ylabel="relative l2 error of x")
            panels.logarithmic(axes)
            panels.whole_numbers(axes)
        return axes


def _size(layers: tuple[str, ...]) -> tuple[float, float]:
    """Return width and height, in inches, of a table of these layers."""
    return 7.2, min(max(3.0, 0.22 * len(layers) + 1.2), 9.0)


def _upstream(ax: Axes | None, gains: np.ndarray, layers: tuple[str, ...]) -> Axes:
    from ..plot import panels, transfer

    width, height = _size(layers)
    with panels.panel(ax, size=(max(width, height), height)) as axes:
        transfer.gains(axes, gains, layers, "RMS gain to a layer's input")
        axes.set(xlabel="layer reached, by its number", ylabel="layer with the noise")
        panels.whole_numbers(axes)
    return axes
