"""The pictures of recommendations: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..shown import Plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RecommendationPlots(Plots):
    """The pictures of ``Recommendations``."""

    def bits(self, ax: Axes | None = None) -> Axes:
        """Effective bits per layer, in the colour of the scheme.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top. ValueError where there are no layers.
        """
        from ..plot import layers, panels

        with panels.panel(ax, size=self._size()) as axes:
            layers.recommended_bits(axes, self._of)
        return axes

    def errors(self, ax: Axes | None = None) -> Axes:
        """The foreseen and the measured error per layer, over the norm of the input, and the tolerance.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top. ValueError where there are no layers.
        """
        from ..plot import layers, panels

        with panels.panel(ax, size=self._size()) as axes:
            layers.recommended_errors(axes, self._of)
        return axes

    def _size(self) -> tuple[Any, Any]:
        from ..plot import layers

        if not self._of:
            raise ValueError("there are no layers to draw")
        return 6.4, layers.height(len(self._of))
