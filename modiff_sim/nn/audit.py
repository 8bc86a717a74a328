"""Was it really quantized? The count of every layer's calls and MACs by how they were done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import cost


@dataclass
class LayerCount:
    """What one layer did since the run began. MACs are of the whole batch, summed over calls."""

    name: str
    kind: str
    activation_bits: int
    weight_bits: int
    calls: int = 0
    quantized_calls: int = 0
    macs: int = 0
    quantized_macs: int = 0
    skipped_macs: int = 0  # at 0 bits the product is not computed: the cached output is used again
    saturated: float = 0.0  # values beyond the last level (static scales only)
    values: int = 0
    zero_range: int = 0  # blocks whose scale was 0: exact zeros, nothing to quantize
    blocks: int = 0

    def row(self) -> dict[str, Any]:
        return {
            "layer": self.name, "kind": self.kind, "weight_bits": self.weight_bits,
            "activation_bits": self.activation_bits, "calls": self.calls, "quantized_calls": self.quantized_calls,
            "macs": self.macs, "quantized_macs": self.quantized_macs, "skipped_macs": self.skipped_macs,
            "saturated_share": self.saturated / self.values if self.values else 0.0,
            "zero_range_share": self.zero_range / self.blocks if self.blocks else 0.0,
        }  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """The audit of a run: rows per layer and the totals. ``str(audit)`` is a table."""

    layers: tuple[LayerCount, ...]
    model_calls: int
    resets: int
    unsupported: tuple[str, ...] = ()
    excluded: tuple[str, ...] = field(default=())

    def _sum(self, name: str) -> int:
        return sum(getattr(layer, name) for layer in self.layers)

    @property
    def mac_share(self) -> float:
        """Share of the supported layers' MACs that were done on quantized activations (skipped ones included)."""
        return self._sum("quantized_macs") / total if (total := self._sum("macs")) else 0.0

    @property
    def call_share(self) -> float:
        """Share of layer calls that were done on quantized activations."""
        return self._sum("quantized_calls") / total if (total := self._sum("calls")) else 0.0

    @property
    def activation_bits(self) -> float:
        """Effective bits: mean over MACs, full-precision calls counted as 32."""
        total = self._sum("macs")
        spent = sum(x.quantized_macs * x.activation_bits + (x.macs - x.quantized_macs) * 32 for x in self.layers)
        return spent / total if total else 0.0

    @property
    def bops(self) -> float:
        """Bit operations of the supported layers, first-step and refresh calls counted at 32 activation bits."""
        return sum(
            cost.bops(x.quantized_macs, x.weight_bits, x.activation_bits)
            + cost.bops(x.macs - x.quantized_macs, x.weight_bits, 32)
            for x in self.layers
        )

    @property
    def uncalled(self) -> tuple[str, ...]:
        """Layers that were patched and never called (their module's weights may be used past its forward)."""
        return tuple(x.name for x in self.layers if not x.calls)

    def rows(self) -> list[dict[str, Any]]:
        return [x.row() for x in self.layers]

    def summary(self) -> dict[str, Any]:
        """The totals as plain numbers."""
        return {
            "layers": len(self.layers), "model_calls": self.model_calls, "resets": self.resets,
            "mac_share": self.mac_share, "call_share": self.call_share, "activation_bits": self.activation_bits,
            "bops": self.bops, "skipped_macs": self._sum("skipped_macs"),
            "saturated_share": self._sum("saturated") / max(self._sum("values"), 1),
            "zero_range_share": self._sum("zero_range") / max(self._sum("blocks"), 1),
            "unsupported": list(self.unsupported), "excluded": list(self.excluded), "uncalled": list(self.uncalled),
        }  # fmt: skip

    def __str__(self) -> str:
        width = max([len(x.name) for x in self.layers] + [5])
        head = f"{'layer':<{width}}  kind     W  A  calls  quantized  MACs quantized  saturated  zero range"
        lines = [head]
        for r in self.rows():
            calls = f"{r['calls']:>5}  {r['quantized_calls']:>9}"
            share = r["quantized_macs"] / r["macs"] if r["macs"] else 0.0
            tail = f"{share:>14.1%}  {r['saturated_share']:>9.2%}  {r['zero_range_share']:>10.2%}"
            bits = f"{r['weight_bits']:>2} {r['activation_bits']:>2}"
            lines.append(f"{r['layer']:<{width}}  {r['kind']:<6}  {bits}  {calls}  {tail}")
        lines.append(
            f"total: {self.mac_share:.1%} of MACs and {self.call_share:.1%} of calls on quantized activations, "
            f"{self.activation_bits:.2f} effective bits, {self.model_calls} model calls, {self.resets} resets"
        )
        for what in ("unsupported", "excluded", "uncalled"):
            if names := getattr(self, what):
                lines.append(f"{what}: {', '.join(names)}")
        return "\n".join(lines)
