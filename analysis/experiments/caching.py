"""Ways to compute less on a trained model: caching, branch reuse, thresholds, dead zones, fewer bits.

    python -m analysis.experiments.caching                  a table: MACs left out, effective bits, error of the images
    python -m analysis.experiments.caching --effort full

Each scheme is sampled from the same noise as the full-precision model. Results are stored by content, as those of all
experiments are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from modiff_sim.metrics import relative_l2

from ..running import interrupts
from ..running.limits import Parser
from ..running.workspace import spread, store
from .arms import BITS
from .schemes import FULL, IMAGES, CachingScheme, key, sample_scheme
from .schemes import schemes as all_schemes
from .sizes import Effort, effort_of


def measure(effort: str | Effort, schemes: Sequence[CachingScheme] | None = None) -> list[dict[str, Any]]:
    """Return one row per scheme (None: all of them), all from the same noise. What is not stored yet is sampled now.

    The keys are scheme and label; error (n,), the relative l2 distance of each image to that of full precision; middle
    (steps, n), the same for the output of the middle block per model call; skipped, the share of MACs that were not
    computed; bits, the effective activation bits (full precision 32, skipped 0); and zeros, blocks16 and pairs: the
    share of the quantized MACs that a kernel could leave out by element, by 1×16 blocks and under 2:4 per run (NaN
    where nothing is quantized).
    """
    schemes = all_schemes(effort_of(effort).widths(BITS)) if schemes is None else schemes
    wanted = [s for s in (FULL, *schemes) if not store().has("caching", key(effort, s))]
    spread([partial(sample_scheme, effort, s) for s in wanted], f"sampling {len(wanted)} schemes")
    full = store().load("caching", key(effort, FULL)).arrays
    base = full["middle"].astype(np.float64)
    rows = []
    for scheme in schemes:
        found = store().load("caching", key(effort, scheme))
        off = found.arrays["middle"] - base
        audit = found.rows[0]
        zeros = audit.get("sparsity", {})
        rows.append({
            "scheme": scheme, "label": scheme.label,
            "error": relative_l2(found.arrays["images"], full["images"]),
            "middle": np.linalg.norm(off, axis=-1) / np.linalg.norm(base, axis=-1),
            "skipped": audit["skipped_macs"] / audit["macs"], "bits": audit["activation_bits"],
            "zeros": zeros.get("saved_element", np.nan), "blocks16": zeros.get("saved_block16", np.nan),
            "pairs": zeros.get("saved_group24", np.nan),
        })  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as text, with medians over images."""
    width = max(len(row["label"]) for row in rows)
    lines = [f"{'scheme':<{width}}  MACs skipped   bits  zeros  1×16   2:4  error (median rel. l2)"]
    for row in rows:
        zeros = "  ".join("    -" if np.isnan(row[k]) else f"{row[k]:>5.1%}" for k in ("zeros", "blocks16", "pairs"))
        lines.append(
            f"{row['label']:<{width}}  {row['skipped']:>12.1%}  {row['bits']:>5.2f}  {zeros}  "
            f"{np.median(row['error']):.4f}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.experiments.caching", description=__doc__.splitlines()[0])
    parser.add_argument("--effort", default="quick", choices=sorted(IMAGES))
    print(table(measure(parser.parse_args(argv).effort)))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.experiments.caching"))
