"""The pictures of a recording: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...names import one_of
from ...shown import Plots
from ..layers import not_supported
from .quantities import VALUES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = (
    0.0,
    0.001,
    0.01,
    0.05,
    0.25,
    0.5,
    0.75,
    0.95,
    0.99,
    0.999,
    1.0,
)  # of the quantiles that violins are drawn from
FEW = 3  # layers of violins, where none are chosen


class RecorderPlots(Plots):
    """The pictures of a ``Recorder``."""

    def violins(self, layers: Sequence[str] | str | None = None) -> Any:
        """Violins of the inputs a and the differences d of layers, and the largest values of a, d and r, per call.

        Parameters
        ----------
        layers : str or sequence of str, optional
            Names of layers; three of them, evenly spaced, by default.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes, shape (layers, 2)
            The Axes of the violins and of the largest values.

        Raises
        ------
        ValueError
            For a name that is not recorded, which gives the nearest one, for no names, and where nothing was recorded.
        """
        from ...plot import panels, style, violins

        data = self._distributions(self._chosen(layers))
        rows = len(data["layers"])
        with panels.panels(rows, 2, size=(9.0, 0.8 + violins.EACH * rows), **violins.GRID) as drawn:
            figure = drawn[0, 0].figure
            violins.violins(figure, drawn, data)
            if "r" not in self._of.quantities:  # no key of what is not there
                (whole,) = figure.legends
                whole.remove()
                shown = [key for key in whole.legend_handles if key.get_label() != style.QUANTITY["r"].label]
                style.legend(figure, shown, columns=len(shown))
        return drawn

    def sizes(self, ax: Axes | None = None, *, layer: str | None = None) -> Axes:
        """The 2-norms of a, d and r per call: median and 5-95 % of the samples of a layer, or of all layers.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.
        layer : str, optional
            The name of a layer. By default the medians over samples of all layers take the place of its samples.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, with a logarithmic scale.

        Raises
        ------
        ValueError
            For a name that is not recorded, and where nothing was recorded.
        """
        from ...plot import panels, style

        log = self._of
        (name,) = self._chosen(layer) if layer is not None else [None]
        self._chosen(None)
        with panels.panel(ax) as axes:
            for quantity, look in ((q, style.QUANTITY[q]) for q in style.QUANTITY if q in log.quantities):
                if name is None:
                    found = log.table(quantity, "norm").T
                    levels = np.array([_quantiles(row[np.isfinite(row)]) for row in found])
                else:
                    entries = [log.stats.get((name, call, quantity)) for call in range(log.calls)]
                    levels = np.array([_quantiles(np.zeros(0) if e is None else e.norm) for e in entries])
                shown = panels.positive(levels.T)
                alone = look.marker or "o"
                look = replace(look, line="--" if quantity == "r" else "-", marker="")
                style.band(axes, np.arange(log.calls), shown, look, alpha=0.12, label=look.label, alone=alone)
            of = "all layers" if name is None else name
            axes.set(xlabel="model call", ylabel=f"2-norm, {of}")
            panels.logarithmic(axes)
            panels.whole_numbers(axes)
        return axes

    def table(self, quantity: str = "r", value: str = "c", ax: Axes | None = None) -> Axes:
        """One value of every layer at every call, as colours.

        Parameters
        ----------
        quantity : {"r", "d", "a"}
            Of what.
        value : str, default "c"
            A value as of ``Recorder.table``: "c", "kappa" and "norm" (medians), "absmax", "mean", "variance",
            "kurtosis".
        ax : matplotlib.axes.Axes, optional
            Where to draw; new Axes of pyplot by default.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes, the first layer at the top; grey where there is nothing. Colours are logarithmic, but for means,
            so that values that are exactly 0 (c and kappa where nothing is lost) are grey as well.

        Raises
        ------
        ValueError
            For an unknown quantity or value, and where nothing was recorded.
        """
        from ...plot import heat, panels, style

        layers = self._of.layers
        self._chosen(None)
        found = self._of.table(quantity, value)
        norm = None if value == "mean" else heat.logarithmic(found)
        if norm is not None:
            found = np.where(found > 0, found, np.nan)
        size = (8.0, min(max(3.0, 0.18 * min(len(layers), heat.NAMED) + 1.4), 9.0))
        with panels.panel(ax, size=size) as axes:
            image = heat.table(axes, found, layers, norm)
            heat.bar(image, axes, VALUES[value], extend="neither" if norm is None else "min")
            axes.set_title(style.QUANTITY[quantity].label)
            axes.set_xlabel("model call")
            panels.whole_numbers(axes)
        return axes

    def _chosen(self, layers: Sequence[str] | str | None) -> list[str]:
        """Return names of recorded layers. Raises ValueError for others, for none, and where there are none."""
        known = self._of.layers
        if not known:
            raise ValueError("nothing was recorded yet: call the model inside the context")
        if layers is None:
            return [known[i] for i in np.unique(np.linspace(0, len(known) - 1, FEW).round().astype(int))]
        chosen = [layers] if isinstance(layers, str) else list(layers)
        for name in chosen:
            if name not in known and (why := not_supported(name, self._of.unsupported)):
                raise ValueError(f"layer {name!r} is not recorded{why}")
            one_of("layer", name, known)
        if not chosen:
            raise ValueError(f"name at least one of the {len(known)} layers, such as {known[0]!r}, or None for {FEW}")
        return chosen

    def _distributions(self, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return what ``plot.violins`` draws of these layers."""
        log = self._of
        steps = np.arange(log.calls)
        out = {"layers": np.array(layers), "levels": np.array(LEVELS), "steps": steps}
        for quantity in "adr":
            quantiles = np.full((len(layers), log.calls, len(LEVELS)), np.nan)
            for i, name in enumerate(layers):
                for call in steps:
                    if (entry := log.stats.get((name, int(call), quantity))) is not None:
                        quantiles[i, call] = entry.values.quantiles(LEVELS)
            out[f"quantiles_{quantity}"] = quantiles
            out[f"absmax_{quantity}"] = np.abs(quantiles).max(axis=-1)
        return out


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return the 5 %, 50 % and 95 % quantiles; NaN of nothing."""
    return np.quantile(values, [0.05, 0.5, 0.95]) if values.size else np.full(3, np.nan)
