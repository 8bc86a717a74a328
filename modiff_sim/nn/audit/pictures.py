"""The pictures of an audit: which there are, and of which numbers. ``modiff_sim.plot`` draws them."""

from __future__ import annotations

from typing import Any

from ...cost import FULL_BITS
from ...shown import Plots


class AuditPlots(Plots):
    """The pictures of an ``Audit``."""

    def layers(self) -> Any:
        """Per layer, the share of its MACs on quantized values, and the bits of its activations and weight.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes, shape (2,)
            The Axes of the shares and of the bits, the first layer at the top.

        Raises
        ------
        ValueError
            Where there are no layers.
        """
        from ...plot import layers, panels, style

        rows = self._of.rows()
        if not rows:
            raise ValueError("there are no layers to draw")
        size = (8.8, layers.height(len(rows)))
        with panels.panels(1, 2, size=size, sharey=True, gridspec_kw={"width_ratios": [1, 1.4]}) as drawn:
            shares, bits = drawn[0]
            layers.audited_shares(shares, rows)
            layers.audited_bits(bits, rows, FULL_BITS)
            style.legend(shares.figure, layers.audit_keys(rows), columns=4)
        return drawn[0]
