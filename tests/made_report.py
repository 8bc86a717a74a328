"""A small report: a few claims, one figure, one arm."""

import json

import figures
import paper_checks
from analysis.report import build
from paper_checks.__main__ import as_json

CLAIMS = ("printed_31_paper_index", "printed_31_sampling_order", "corrected_31", "sharp_closed_loop", "corollary_a3",
          "reconstruction", "assumption_29_typical", "three_bits_all_layers", "table_2_churches")  # fmt: skip
FIGURE = "error_growth_short"
ROWS = [{"label": "W8A4", "n": 2, "recognised": 1.0, "psnr": 30.0, "relative_l2": 0.1, "audit_share": 1.0,
         "activation_bits": 4.0}]  # fmt: skip


def made(out):
    """Write what a run would have left in a folder, and return the path of the report."""
    (out / "results").mkdir()
    judged = paper_checks.run(only=CLAIMS)
    (out / "results" / "checks.json").write_text(json.dumps(as_json(judged, "quick")), encoding="utf-8")
    (out / "results" / "arms.csv").write_text("label\nW8A4\n", encoding="utf-8")
    figures.make([FIGURE], "quick", out / "figures")
    return build(out, "quick", ROWS)
