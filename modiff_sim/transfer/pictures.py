"""The pictures of transfers and predictions: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import count
from ..shown import Plots

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
            gains = np.sqrt(self._of.output.mean(axis=1))
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
        return _upstream(ax, np.sqrt(self._of.upstream.mean(axis=-1)), self._of.names)


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
            gains = np.sqrt(self._of.output.mean(axis=-1))
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
            gains = panels.positive(np.sqrt(self._of.impulse[:, -1]))
            style.spread(axes, np.arange(len(gains)), gains, style.Look("", style.NEUTRAL[2], "-", "o"))
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
        return _upstream(ax, np.sqrt(self._of.upstream[call].mean(axis=-1)), self._of.layers)


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
        from ..plot import panels, style, transfer

        name = self._of.recursion or "error"
        look = style.recursions([name])[name]
        with panels.panel(ax) as axes:
            low, middle, high = np.quantile(self._of.relative, [0.05, 0.5, 0.95], axis=1)
            calls = np.arange(len(middle))
            axes.fill_between(calls, panels.positive(low), panels.positive(high), color=look.colour, alpha=0.25, lw=0)
            transfer.predicted(axes, middle, look, label=f"{style.short(name)}, predicted")
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
