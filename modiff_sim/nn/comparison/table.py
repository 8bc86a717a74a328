"""What ``compare`` gives: a row per arm, as text, as HTML, as a frame, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...shown import Said, Shown, aligned, frame, latex, pictures
from ..audit import Audit
from .notes import FULL as FULL
from .notes import RANGE, Uncovered, equal, notes

if TYPE_CHECKING:
    from .pictures import ComparisonPlots

#: column -> (heading, format)
COLUMNS = {
    "arm": ("arm", "{}"), "images": ("images", "{}"), "psnr": ("PSNR dB", "{:.1f}"), "ssim": ("SSIM", "{:.4f}"),
    "relative_l2": ("rel. l2", "{:.4f}"), "kernel_distance": ("kernel dist.", "{:.4g}"),
    "gbops": ("GBOPs/step", "{:.4g}"), "relative_bops": ("of full", "{:.2%}"), "total_bits": ("bits", "{:.2f}"),
    "state_mib": ("state MiB", "{:.3g}"), "total_share": ("quantized", "{:.1%}"),
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """Arms side by side, full precision first. Its text is a table, a row per arm, and below it the ``notes``.

    Parameters
    ----------
    rows : sequence of dict
        One per arm, with the columns of ``frame``.
    images : mapping of str to numpy.ndarray
        The images of every arm, float32 (n, C, H, W) in [-1, 1], under its name; those of full precision under
        "full precision".
    audits : mapping of str to Audit
        What was really quantized, by arm.
    uncovered : mapping of str to mapping
        By arm, what its patterns left in full precision: "activations" or "weights" -> names of layers that none fits.
    value_range : tuple of float, default (-1, 1)
        The range in which the images were drawn, before they were mapped to [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim.nn import Comparison
    >>> row = {"arm": "W8A8", "images": 1, "psnr": 40.0, "ssim": 0.99, "relative_l2": 0.01, "gbops": 2.0,
    ...        "relative_bops": 0.0625, "total_bits": 8.0, "state_mib": 0.0, "total_share": 1.0}
    >>> Comparison([row], {"W8A8": np.zeros((1, 1, 8, 8))}, {})
    arm   images  PSNR dB    SSIM  rel. l2  GBOPs/step  of full  bits  state MiB  quantized
    W8A8       1     40.0  0.9900   0.0100           2    6.25%  8.00          0     100.0%
    """

    rows: Sequence[Mapping[str, Any]]
    images: Mapping[str, np.ndarray]
    audits: Mapping[str, Audit]
    uncovered: Mapping[str, Uncovered] = field(default_factory=dict)
    value_range: tuple[float, float] = RANGE

    @property
    def notes(self) -> list[str]:
        """What the table cannot tell, in sentences.

        Layers that an arm left out or gave other bits than most, images that are equal, their range, no ranking.
        """
        return notes(self.rows, self.audits, self.uncovered, self.images.get(FULL), self.value_range)

    def frame(self) -> Any:
        """Return the rows as a pandas DataFrame (extra [plot]).

        Returns
        -------
        pandas.DataFrame
            arm; recursion, "full_precision" in the row of full precision; images, how many, and equal, how many of them
            are equal to full precision's; against full precision from the same noise, medians over images (the worse of
            two in the middle): psnr in dB (inf for equal images),
            ssim, relative_l2; kernel_distance, MMD² of features to real images; gbops, 10⁹ bit operations (MACs ·
            weight bits · activation bits) of a model call per sample, exact first calls included; relative_bops, over
            those of 32-bit weights and activations; total_bits, the mean over MACs with exact calls as 32;
            state_mib, MiB kept between calls per sample of a model call (guidance that doubles the batch has two per
            image); total_share, the share of all MACs on quantized activations. Costs are of all MACs of a model call
            in every arm (``Audit.whole_macs``), as those of an ``Audit`` whose names begin with ``total_``: what an arm
            leaves in full precision counts at 32 × 32 bits. They are NaN where no call was entered through the model
            itself, so that nobody could count.
        """
        return frame([dict(row) for row in self.rows])

    def latex(self, *, caption: str | None = None, label: str = "tab:comparison") -> str:
        """Return the table as a LaTeX environment for booktabs.

        Parameters
        ----------
        caption : str, optional
            The caption, as plain text; by default what is compared, with the ``notes``.
        label : str, default "tab:comparison"
            The label.
        """
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.notes)
        even = any(row["images"] % 2 == 0 for row in self.rows)
        medians = "medians over images" + " (of two in the middle, the worse)" * even
        usual = f"Arms against full precision from the same noise, {medians}.{notes}"
        return latex(*self._table(), caption=usual if caption is None else caption, label=label)

    @property
    def plot(self) -> ComparisonPlots:
        """Pictures (extra [plot]): the ``pareto`` front of quality against cost."""
        found: ComparisonPlots = pictures(self, f"{__package__}.pictures", "ComparisonPlots")
        return found

    def _said(self) -> Said:
        facts = {"notes": "; ".join(self.notes)} if self.notes else {}
        return Said(f"Comparison of {len(self.rows) - 1} arms with full precision", facts, *self._table())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = [name for name in COLUMNS if any(name in row for row in self.rows)]
        shown = [[self._cell(row, name) for name in columns] for row in self.rows]
        return [COLUMNS[name][0] for name in columns], shown

    @staticmethod
    def _cell(row: Mapping[str, Any], name: str) -> str:
        """The text of a value. The PSNR of an arm is infinite in the median where half of the images are equal."""
        return "equal" if name == "psnr" and equal(row) else COLUMNS[name][1].format(row[name])

    def __repr__(self) -> str:
        return "\n".join([*aligned(*self._table()), *self.notes])
