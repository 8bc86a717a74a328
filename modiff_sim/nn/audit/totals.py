"""The totals of a run over its layers, as a table in text, in a notebook, and as a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...cost import FULL_BITS as FULL
from ...shown import Said, Shown, frame, pictures, text
from .counts import LayerCount

if TYPE_CHECKING:
    from .pictures import AuditPlots

#: the lists of names at the end of an audit, and what each is called there
SAYS = {
    "unsupported": "unsupported",
    "excluded": "excluded",
    "uncalled": "uncalled",
    "undercalled": "called less often than the model",
}


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """The audit of a run: one row per layer, and the totals. ``print(audit)`` is a table, notebooks show one as well.

    In the table, W and A are the bits of weights and activations. What a name begins with ``total_`` is of all MACs of
    the model, as in ``nn.compare``; ``mac_share``, ``activation_bits`` and ``bops`` are of the rows alone. Made by
    ``Run.audit``.

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
    samples : int
        Samples of the model, summed over its calls.
    whole_macs : float
        All MACs of all model calls, of whatever kind, had everything been computed in full precision: those of the
        first call per sample, times ``samples``. NaN where no call was watched.
    on_floats : mapping of str to str
        With an engine on integers: layers of which quantized calls were simulated, and why.
    outside_macs : float
        Those of ``whole_macs`` that ran in full precision outside of the layers above. In a branch that was used again
        they are those of the calls in which it was computed.

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
    samples: int = 0
    whole_macs: float = float("nan")
    outside_macs: float = float("nan")
    on_floats: Mapping[str, str] = field(default_factory=dict)

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
    def integer_share(self) -> float:
        """Share of the quantized MACs of the layers that ran on integers."""
        quantized = sum(x.quantized_macs * x.integer_calls / x.quantized_calls for x in self.layers if x.integer_calls)
        return quantized / total if (total := self._sum("quantized_macs")) else 0.0

    @property
    def activation_bits(self) -> float:
        """Effective bits: the mean over MACs, with 32 for full-precision calls and 0 for skipped MACs."""
        total = self._sum("macs")
        spent = self._sum("bit_macs") + FULL * (total - self._sum("quantized_macs"))
        return spent / total if total else 0.0

    @property
    def total_bits(self) -> float:
        """Effective bits of *all* MACs: as ``activation_bits``, with 32 for those outside of the rows.

        What was skipped there, in a branch that was used again, has 0. NaN where no call was watched.
        """
        every = (macs := self._sum("macs")) + self.whole_macs * (1 - self.covered_share)
        return float(self.activation_bits * macs + FULL * self.outside_macs) / every if every else float("nan")

    @property
    def bops(self) -> float:
        """Bit operations of the supported layers, with 32 activation bits at first-step and refresh calls."""
        return float(self._sum("bops"))

    @property
    def total_bops(self) -> float:
        """Bit operations of *all* MACs, those outside of the rows at 32 × 32 bits. NaN where no call was watched."""
        return self.bops + FULL**2 * self.outside_macs

    @property
    def bops_per_sample(self) -> float:
        """``total_bops`` of one model call for one sample, the mean over all calls."""
        return self.total_bops / max(self.samples, 1)

    @property
    def relative_bops(self) -> float:
        """``total_bops`` over those of 32-bit weights and activations; NaN where no call was watched."""
        return self.total_bops / (FULL**2 * self.whole_macs) if self.whole_macs else float("nan")

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
            "total_bits": self.total_bits, "total_bops": self.total_bops,
            "passes": self.passes, "uncounted": list(self.uncounted),
            "saturated_share": self._sum("saturated") / max(self._sum("values"), 1),
            "zero_range_share": self._sum("zero_range") / max(self._sum("blocks"), 1),
            "unsupported": list(self.unsupported), "excluded": list(self.excluded), "uncalled": list(self.uncalled),
            "undercalled": list(self.undercalled),
            "borrowed": [f"{layer} in {where}" for layer, where in self.borrowed],
        }  # fmt: skip

    def _share_of_all(self) -> str:
        """``total_share`` in words."""
        share = "an unknown share" if self.total_share != self.total_share else f"{self.total_share:.1%}"
        return f"{'at most ' * bool(self.uncounted)}{share} of all MACs"

    def _said(self) -> Said:
        facts: dict[str, Any] = {
            "on quantized values": f"{self._share_of_all()}, {self.mac_share:.1%} of those in the rows",
            "effective bits": f"{text(self.total_bits)} over all MACs, {text(self.activation_bits)} over the rows",
            "GBOPs": f"{text(self.bops_per_sample / 1e9)} of all MACs, per model call and sample",
            "GBOPs of the rows": f"{text(self.bops / 1e9)} over all calls and samples",
        }
        facts |= {says: names for what, says in SAYS.items() if (names := getattr(self, what))}
        head = ["layer", "kind", "W", "A", "calls", "quantized", "MACs", "MACs quantized"]
        rows = (
            [x.name, x.kind, x.weight_bits, x.activation_bits, x.calls, x.quantized_calls, x.macs, x.quantized_macs]
            for x in self.layers
        )
        calls = f"{len(self.layers)} layers, {self.model_calls} model calls, {self.resets} resets"
        return Said(f"Audit: {calls}", facts, head, rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer, with the columns of ``LayerCount.row``.

        They are "layer" and "kind"; "weight_bits" and "activation_bits", the latter as means over the MACs of quantized
        calls; "calls", "quantized_calls" and "integer_calls"; "macs", "quantized_macs" and "skipped_macs" of whole
        batches, summed over calls; "bops", bit operations; "saturated_share" of the values; "zero_range_share" of the
        scales; and "scales_per_sample".
        """
        rows = self.rows()
        return frame({name: [row[name] for row in rows] for name in LayerCount("", "").row()})

    @property
    def plot(self) -> AuditPlots:
        """Pictures (extra [plot]): ``layers``."""
        found: AuditPlots = pictures(self, f"{__package__}.pictures", "AuditPlots")
        return found

    def _engine_lines(self) -> list[str]:
        """What ran on integers, and what not; nothing where nothing was to."""
        if not (self.integer_share or self.on_floats):
            return []
        said = [f"on integers: {self.integer_share:.1%} of the quantized MACs"]
        by_reason: dict[str, list[str]] = {}
        for name, why in self.on_floats.items():
            by_reason.setdefault(why, []).append(name)
        for why, names in by_reason.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"simulated, since {why}: {', '.join(names[:3])}{more}")
        return said

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
        lines.append(
            f"total: {self._share_of_all()} on quantized activations "
            f"({self.mac_share:.1%} of those in the rows above, {self.call_share:.1%} of their calls), "
            f"{text(self.total_bits)} effective bits over all MACs ({text(self.activation_bits)} over the rows above), "
            f"{text(self.bops_per_sample / 1e9)} GBOPs per model call and sample ({text(self.bops / 1e9)} in the rows "
            f"above, over all calls and samples), {self.model_calls} model calls, {self.resets} resets"
        )
        lines += self._engine_lines()
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
