"""The grid-aligned closed loop: every layer's â is its base step S times an exact small integer, so nothing drifts.

    base = calibrate(model, sampling, bits=8, target="input", symmetric=True)       # S = max|a|/127 of every layer
    with modulated(model, **aligned(base, bits=4)) as run: ...

Residuals are quantized with scales 2^j·S (``GridAligned``), so â stays on the layer's grid. It is kept exactly, as
integers of ``base.bits`` bits and one number S per layer. Where an input leaves the calibrated range, â stops at the
end of the grid, and follows again when the input returns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from ...quantizers import GridAligned, Static
from ...quantizers.base import Quantizer
from ...quantizers.granularity import Granularity, PerBatch, PerSample
from ...recursion.storage import Spec, Storage


class BaseGrid(Protocol):
    """Protocol of what names a ``Static`` grid per layer.

    Such are a ``calibrate.Calibration``, a ``plan.ByLayer`` and a ``plan.Constant``.
    """

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The grid of a layer's inputs; it is asked for call 0."""
        ...  # pragma: no cover - protocol


@dataclass(frozen=True)
class Aligned:
    """A plan, and how the states of its layers are kept; see ``aligned``."""

    base: BaseGrid
    bits: int
    o_hat: Spec
    granularity: Granularity
    _grids: dict[str, Static] = field(default_factory=dict, init=False, repr=False, compare=False)

    def grid(self, name: str) -> Static:
        """The base grid of a layer."""
        if name not in self._grids:
            found = self.base.quantizer(name, 0)
            if not isinstance(found, Static):
                raise ValueError(
                    f"layer '{name}': the base grid is {found}; a state of integers needs Static, one scale per layer: "
                    'calibrate(..., target="input", symmetric=True) without splits'
                )
            self._grids[name] = Static(found.bits, scale=found.scale, granularity=PerBatch())
        return self._grids[name]

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The quantizer of the layer's residuals, whose scales are powers of two times the base step."""
        return GridAligned(self.bits, base=self.grid(name).scale, granularity=self.granularity)

    def storage(self, name: str) -> Storage:
        """How this layer's state is kept."""
        return Storage(ref=self.grid(name), o_hat=self.o_hat)


def aligned(
    base: BaseGrid, *, bits: int = 4, o_hat: Spec = "float16", granularity: Granularity | None = None
) -> dict[str, Any]:
    """The options ``activations`` and ``storage`` of ``modulated`` for the grid-aligned closed loop.

    A layer whose base grid is not ``Static`` raises ValueError on entering ``modulated``.

    Parameters
    ----------
    base : BaseGrid
        The grid of every layer's input: its bits are those of â, its scale is S. A ``Calibration``, or a plan.
    bits : int, default 4
        Bits of the residuals.
    o_hat : str or Quantizer, default "float16"
        How ô is kept (see ``recursion.storage``); "recompute" makes the whole loop exact in its integers.
    granularity : Granularity, optional
        Which entries of a residual share a power j; default one per sample.

    Returns
    -------
    dict
        For ``modulated(model, **options)``.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import ByLayer, aligned, modulated
    >>> base = ByLayer({}, default=ms.Static(8, scale=1 / 64))
    >>> model, x = torch.nn.Linear(8, 4), torch.ones(2, 8)
    >>> with modulated(model, **aligned(base, bits=4)) as run:
    ...     outputs = [model(x), model(0.9 * x)]
    >>> run.audit().layers[0].activation_bits
    4.0
    """
    plan = Aligned(base, bits, o_hat, granularity or PerSample())
    return {"activations": plan, "storage": plan.storage}
