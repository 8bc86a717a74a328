"""The audit of a run: how many calls and MACs of every layer were quantized, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .. import cost
from ..cost import FULL_BITS as FULL
from ..quantizers.base import QParams, Quantizer
from ..typing import Array


def _clipped(Q: Quantizer, residual: Array, qparams: QParams) -> int:
    """Return how many entries lie beyond the ends of the grid.

    The extremes tell where none does, which is so for most layers. That takes one scale, and a quantizer that goes by
    its ``limits``.
    """
    scale = qparams.scale
    if type(Q).clipped is Quantizer.clipped and isinstance(scale, torch.Tensor) and scale.numel() == 1:
        (low, high), ends = Q.limits, torch.stack(torch.aminmax(residual)) / scale.reshape(())
        if low <= float(ends[0]) and float(ends[1]) <= high:
            return 0
    return int(Q.clipped(residual, qparams).sum())


@dataclass
class LayerCount:
    """What one layer did since the run began. MACs are those of the whole batch, summed over calls.

    Parameters
    ----------
    name : str
        Qualified name of the layer.
    kind : str
        "Conv1d", "Conv2d" or "Linear"; "qk" or "sv" for a product of two activations.
    weight_bits : int, default 32
        Bits of the weight; for a product of two activations, those of the right operand.
    calls, quantized_calls : int
        Calls, and those of them on quantized values.
    macs, quantized_macs : int
        MACs, and those of them in quantized calls, skipped ones included.
    bit_macs : float
        The sum of MACs times activation bits over the quantized calls.
    bops : float
        Bit operations.
    skipped_macs : int
        MACs that were not computed: at 0 bits, below a threshold, or in a branch whose output is used again.
    saturated : float
        How many values lay beyond the last level (static scales only).
    values : int
        How many values were looked at for ``saturated``.
    zero_range : int
        Blocks whose scale was 0: they hold exact zeros, so there is nothing to quantize.
    blocks : int
        How many scales were taken.
    samples : int
        Samples of the model, summed over the calls in which scales were taken.

    Examples
    --------
    >>> from modiff_sim.nn import LayerCount
    >>> count = LayerCount("conv_in", "Conv2d", weight_bits=8)
    >>> count.full(macs=100)  # the first call
    >>> count.quantized(macs=100, bits=4)
    >>> count.calls, count.quantized_macs, count.activation_bits
    (2, 100, 4.0)
    """

    name: str
    kind: str
    weight_bits: int = FULL
    calls: int = 0
    quantized_calls: int = 0
    macs: int = 0
    quantized_macs: int = 0  # including those skipped
    bit_macs: float = 0.0  # Σ MACs · activation bits over quantized calls
    bops: float = 0.0
    skipped_macs: int = 0  # at 0 bits, below a threshold, or in a reused branch
    saturated: float = 0.0  # values beyond the last level (static scales only)
    values: int = 0
    zero_range: int = 0  # blocks whose scale was 0: exact zeros, nothing to quantize
    blocks: int = 0  # scales that were taken
    samples: int = 0  # of the model, summed over the calls in which scales were taken

    def full(self, macs: int, *, skipped: int = 0) -> None:
        """Count a call in full precision: a first call, a refresh, or Identity.

        ``skipped`` of its MACs lay below a threshold, which counts as 0 bits.
        """
        self.calls += 1
        self.macs += macs
        self.quantized_macs += skipped
        self.skipped_macs += skipped
        self.bops += cost.bops(macs - skipped, self.weight_bits, FULL)

    def quantized(self, macs: int, bits: float, *, skipped: int = 0, bops: float | None = None) -> None:
        """Count a call on quantized values, of whose MACs ``skipped`` were not needed.

        ``bops`` are its bit operations where they are not MACs times weight bits times activation bits.
        """
        self.calls += 1
        self.macs += macs
        self.quantized_calls += 1
        self.quantized_macs += macs
        self.skipped_macs += skipped
        self.bit_macs += bits * (macs - skipped)
        self.bops += cost.bops(macs - skipped, self.weight_bits, bits) if bops is None else bops

    def grid(self, Q: Quantizer, residual: Array, qparams: QParams | None, samples: int = 0) -> None:
        """Count what was found on the grid: blocks without range, and entries beyond the grid's ends.

        ``samples`` is the number of samples of the model call.
        """
        assert qparams is not None
        told = qparams.scale if qparams.zero_range is None else qparams.zero_range
        self.blocks += getattr(told, "numel", lambda: 1)()  # the scale of a foreign quantizer may be a plain number
        self.samples += samples
        if qparams.zero_range is not None:
            self.zero_range += int(qparams.zero_range.sum())
        if Q.saturates:
            self.values += residual.numel()
            self.saturated += _clipped(Q, residual, qparams)

    @property
    def activation_bits(self) -> float:
        """Mean bits of the quantized calls that were computed; NaN where there is none."""
        computed = self.quantized_macs - self.skipped_macs
        return self.bit_macs / computed if computed else (0.0 if self.quantized_macs else float("nan"))

    @property
    def scales_per_sample(self) -> float:
        """Scales per sample of the model; NaN where nothing was counted.

        It is 1 for one scale per sample if axis 0 of the layer's input is the sample axis, and the number of tokens or
        frames where those lie on axis 0.
        """
        return self.blocks / self.samples if self.samples else float("nan")

    def row(self) -> dict[str, Any]:
        """The counts and shares as a dict, which is one row of the audit's table."""
        return {
            "layer": self.name, "kind": self.kind, "weight_bits": self.weight_bits,
            "activation_bits": self.activation_bits, "calls": self.calls, "quantized_calls": self.quantized_calls,
            "macs": self.macs, "quantized_macs": self.quantized_macs, "skipped_macs": self.skipped_macs,
            "bops": self.bops,
            "saturated_share": self.saturated / self.values if self.values else 0.0,
            "zero_range_share": self.zero_range / self.blocks if self.blocks else 0.0,
            "scales_per_sample": self.scales_per_sample,
        }  # fmt: skip


#: the lists of names at the end of an audit, and what each is called there
SAYS = {
    "unsupported": "unsupported",
    "excluded": "excluded",
    "uncalled": "uncalled",
    "undercalled": "called less often than the model",
}


@dataclass(frozen=True)
class Audit:
    """The audit of a run: one row per layer, and the totals. ``str(audit)`` is a table.

    In the table, W and A are the bits of weights and activations. Made by ``Run.audit``.

    Parameters
    ----------
    layers : tuple of LayerCount
        One entry per layer, and per product of two activations that was quantized.
    model_calls : int
        Calls of the model.
    resets : int
        Calls of ``run.reset()`` that had a state to forget.
    unsupported : tuple of str
        "name (class)" of what has a weight matrix, or multiplies two activations, and cannot be quantized.
    excluded : tuple of str
        Layers that ``where`` left out.
    product_macs : int
        MACs of products of two activations (attention) that ran in full precision, over all calls.
    passes : int, default 1
        How many sets of states the model calls needed (guidance in separate passes); 1 without passes.
    watched_macs : int
        All MACs of the first model call, of whatever kind.
    elsewhere : mapping of str to int
        Those of ``watched_macs`` that ran in full precision outside of the layers above, by the module in which they
        ran, products of two activations included.
    borrowed : tuple of (str, str)
        (layer, module): the layer's weight was used in that module, not through the layer's own forward (tied weights).
    uncounted : tuple of str
        Operations that multiply, and whose MACs are in none of the numbers here, as "module: operation".
    undercalled : tuple of str
        Layers that were called, but less often than the model: something bypassed them.

    Examples
    --------
    >>> from modiff_sim.nn import Audit, LayerCount
    >>> count = LayerCount("proj", "Linear", weight_bits=8)
    >>> count.full(macs=100)
    >>> count.quantized(macs=100, bits=4)
    >>> audit = Audit((count,), model_calls=2, resets=0, watched_macs=200, elsewhere={"attn": 50})
    >>> audit.mac_share, audit.covered_share, audit.activation_bits
    (0.5, 0.75, 18.0)
    """

    layers: tuple[LayerCount, ...]
    model_calls: int
    resets: int
    unsupported: tuple[str, ...] = ()
    excluded: tuple[str, ...] = field(default=())
    product_macs: int = 0
    passes: int = 1
    watched_macs: int = 0
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    borrowed: tuple[tuple[str, str], ...] = ()
    uncounted: tuple[str, ...] = ()
    undercalled: tuple[str, ...] = ()

    def _sum(self, name: str) -> Any:
        return sum(getattr(layer, name) for layer in self.layers)

    @property
    def mac_share(self) -> float:
        """Share of the supported layers' MACs on quantized activations, skipped ones included."""
        return self._sum("quantized_macs") / total if (total := self._sum("macs")) else 0.0

    @property
    def covered_share(self) -> float:
        """Share of all MACs of the first model call that the rows account for; NaN where no call was watched.

        It is an upper bound where ``uncounted`` names operations.
        """
        return 1 - sum(self.elsewhere.values()) / self.watched_macs if self.watched_macs else float("nan")

    @property
    def total_share(self) -> float:
        """Share of *all* MACs of the model on quantized activations."""
        return self.mac_share * self.covered_share

    @property
    def call_share(self) -> float:
        """Share of the layer calls on quantized activations."""
        return self._sum("quantized_calls") / total if (total := self._sum("calls")) else 0.0

    @property
    def activation_bits(self) -> float:
        """Effective bits: the mean over MACs, with 32 for full-precision calls and 0 for skipped MACs."""
        total = self._sum("macs")
        spent = self._sum("bit_macs") + FULL * (total - self._sum("quantized_macs"))
        return spent / total if total else 0.0

    @property
    def bops(self) -> float:
        """Bit operations of the supported layers, with 32 activation bits at first-step and refresh calls."""
        return float(self._sum("bops"))

    @property
    def uncalled(self) -> tuple[str, ...]:
        """Layers that were patched and never called. Their weights may be used past the module's forward."""
        return tuple(x.name for x in self.layers if not x.calls)

    def rows(self) -> list[dict[str, Any]]:
        """One dict per layer; see ``LayerCount.row``."""
        return [x.row() for x in self.layers]

    def summary(self) -> dict[str, Any]:
        """The totals as plain numbers and lists of names, ready for JSON."""
        return {
            "layers": len(self.layers), "model_calls": self.model_calls, "resets": self.resets,
            "mac_share": self.mac_share, "call_share": self.call_share, "activation_bits": self.activation_bits,
            "macs": self._sum("macs"), "bops": self.bops, "skipped_macs": self._sum("skipped_macs"),
            "product_macs": self.product_macs, "covered_share": self.covered_share, "total_share": self.total_share,
            "passes": self.passes, "uncounted": list(self.uncounted),
            "saturated_share": self._sum("saturated") / max(self._sum("values"), 1),
            "zero_range_share": self._sum("zero_range") / max(self._sum("blocks"), 1),
            "unsupported": list(self.unsupported), "excluded": list(self.excluded), "uncalled": list(self.uncalled),
            "undercalled": list(self.undercalled),
            "borrowed": [f"{layer} in {where}" for layer, where in self.borrowed],
        }  # fmt: skip

    def __str__(self) -> str:
        width = max([len(x.name) for x in self.layers] + [5])
        head = (
            f"{'layer':<{width}}  kind     W     A  calls  quantized  MACs quantized  skipped  saturated  zero range  "
            "scales/sample"
        )
        lines = [head]
        for r in self.rows():
            calls = f"{r['calls']:>5}  {r['quantized_calls']:>9}"
            share, skipped = (r[k] / r["macs"] if r["macs"] else 0.0 for k in ("quantized_macs", "skipped_macs"))
            tail = f"{share:>14.1%}  {skipped:>7.1%}  {r['saturated_share']:>9.2%}  {r['zero_range_share']:>10.2%}"
            mean, scales = r["activation_bits"], r["scales_per_sample"]
            bits = f"{r['weight_bits']:>2}  {'  -' if mean != mean else f'{mean:>4.4g}':>4}"
            per_sample = "-" if scales != scales else f"{scales:.4g}"
            lines.append(f"{r['layer']:<{width}}  {r['kind']:<6}  {bits}  {calls}  {tail}  {per_sample:>13}")
        share = "an unknown share" if self.total_share != self.total_share else f"{self.total_share:.1%}"
        lines.append(
            f"total: {'at most ' * bool(self.uncounted)}{share} of all MACs on quantized activations "
            f"({self.mac_share:.1%} of those in the rows above, {self.call_share:.1%} of their calls), "
            f"{self.activation_bits:.2f} effective bits, {self.bops / 1e9:.4g} GBOPs, {self.model_calls} model calls, "
            f"{self.resets} resets"
        )
        if elsewhere := sum(self.elsewhere.values()):
            names = sorted(self.elsewhere, key=lambda k: -self.elsewhere[k])
            where = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            lines.append(
                f"in full precision outside of these rows: {elsewhere / self.watched_macs:.1%} of all MACs, in {where}"
            )
        if not self.watched_macs and self.model_calls:
            lines.append("what runs outside of these rows is unknown: no call was entered through the model itself")
        if self.uncounted:
            lines.append(f"multiply as well, and are counted nowhere: {', '.join(self.uncounted)}")
        if self.product_macs:
            share = self.product_macs / (self.product_macs + self._sum("macs"))
            lines.append(f"products of two activations in full precision: {share:.1%} of the MACs of rows and products")
        if self.passes > 1:
            lines.append(f"passes: {self.passes} kinds of model calls, each with states of its own")
        if self.borrowed:
            used = ", ".join(f"{layer} (in {where})" for layer, where in self.borrowed)
            lines.append(f"weights used in full precision outside of their layer: {used}")
        for what, says in SAYS.items():
            if names := getattr(self, what):
                lines.append(f"{says}: {', '.join(names)}")
        return "\n".join(lines)
