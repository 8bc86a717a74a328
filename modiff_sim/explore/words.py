"""What the page says: labels for what can be chosen, what the bounds are, and a view as pictures and as tables."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

from ..recursion import RECURSIONS
from .saving import NORMS, drawn
from .settings import DRIFT
from .view import View

INTRODUCTION = """# What a quantizer does to a modulated layer

One linear layer is called again and again, and its inputs change a little from call to call. Choose how they are
quantized, and how they move: the curves show the error of the layer's output after every call, and the tables which
assumptions and which bounds hold. Everything is simulated in NumPy on this machine.
"""
#: label -> value of a choice
LOOPS = {
    "direct": "direct quantization",
    "open_loop": "open loop: no compensation",
    "closed_loop": "closed loop: MoDiff",
}
RECURSION = {LOOPS.get(name, name.replace("_", " ")): name for name in RECURSIONS}
WARMUP = {"in full precision": "exact", "quantized": "quantized", "quantized, fed 3 times": 3}
REFRESH = {"never": "never", "every 5 calls": 5, "every 10 calls": 10, "every 20 calls": 20}
GRANULARITY = {"sample": "sample", "batch": "batch", "channel": "channel", "token": "token",
               "16 entries": "group:16", "32 entries": "group:32"}  # fmt: skip
INPUTS = {DRIFT: "drift by ρ", "ar1": "AR(1)", "recorded": "recorded layer"}
#: bound -> what it is
BOUNDS = {
    "sharp": "the best one in the 2-norm, for the declared c",
    "max norm": "the best one in the max norm, for κ",
    "printed (30)": "as the paper prints it",
    "printed (31)": "as the paper prints it",
    "printed (30), sampling order": "the charitable reading",
    "printed (31), sampling order": "the charitable reading",
    "Young, corrected": "what the paper's proof gives",
}
CONSTANTS = {"c": "c, of the squared 2-norm", "kappa": "κ, of the max norm"}
#: the two columns stand below each other on narrow screens, and what is still too wide scrolls in its place
STYLE = """<style>
.explore { display: grid; grid-template-columns: 17rem minmax(0, 1fr); gap: 1.5rem; align-items: start; }
.explore .panels { display: flex; flex-wrap: wrap; gap: 1rem; }
.explore .panels img { flex: 1 1 20rem; min-width: 0; max-width: 100%; }
.explore table { display: block; overflow-x: auto; }
.explore :is(th, td) { text-align: left !important; vertical-align: top; }
@media (max-width: 50rem) { .explore { grid-template-columns: minmax(0, 1fr); } }
</style>"""


def pictures(view: View) -> str:
    """Return the errors of a view against its bounds as HTML, a picture for each norm (extra [plot])."""
    from ..plot import style

    shown = []
    for norm, title in NORMS.items():
        curves = {f"{norm} {name}": y for name, y in view.curves[norm].items()}
        out = io.BytesIO()
        with style.applied():
            drawn(curves, view.settings.recursion, {norm: title}, width=4.6).savefig(out, format="png", dpi=150)
        last = "; ".join(f"{name} {_number(float(y[-1]))}" for name, y in view.curves[norm].items())
        alt = f"Errors per model call in the {title}, logarithmic, with their bounds. At the last call: {last}."
        shown.append(f'<img src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}" alt="{alt}">')
    return f'<div class="panels">{"".join(shown)}</div>'


def tables(view: View) -> str:
    """Return the numbers of a view as Markdown: what it costs, the constants, and the verdicts."""
    last = {norm: _number(float(curves["mean"][-1])) for norm, curves in view.curves.items()}
    spent, saved, ratio = (_number(view.bits[key]) for key in ("effective", "saved", "ratio"))
    constants = "\n".join(
        f"| {CONSTANTS[row['constant']]} | "
        + " | ".join(_number(row[key]) for key in ("declared", "measured", "largest", "found"))
        + " |"
        for row in view.constants
    )
    verdicts = "\n".join(
        f"| **{row['bound']}**: {BOUNDS[row['bound']]} | **{row['verdict']}** | "
        f"{'; '.join(filter(None, (row['detail'], row['premise'])))} |"
        for row in view.verdicts
    )
    return f"""
**Mean error at the last call: {last["2"]} in the 2-norm, {last["inf"]} in the max norm.**
{spent} bits per call on average, calls in full precision counted as 32. Inputs are {ratio} times as large as their
changes (max norm): for an equal bound, a closed loop needs {saved} bits fewer than direct quantization.

What quantizing may lose of $x$: $\\lVert x-Q(x)\\rVert^2\\le c\\lVert x\\rVert^2$ in the 2-norm and
$\\lVert x-Q(x)\\rVert_\\infty\\le\\kappa\\lVert x\\rVert_\\infty$ in the max norm.

| constant | worst case (declared) | mean here | largest here | worst input found |
|:--|:--|:--|:--|:--|
{constants}

| bound on the error | verdict | where it is nearest, or what is missing |
|:--|:--|:--|
{verdicts}

(29) to (31) are equations of the paper; docs/theory.md proves the other bounds.
"""


def _number(value: Any) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"
