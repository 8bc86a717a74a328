"""The paper's Fig. 1a and more: the error of caching per step, and of each way of computing less."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.experiments import caching, schemes
from analysis.experiments.sizes import Effort
from modiff_sim.plot import style

from .practice import MANY, described, params

BITS_TAKEN = MANY
TITLE = "Caching, thresholds, dead zones and fewer bits"
TEXT = (
    "Top: relative l2 distance of the middle block's output to full precision's, from the same noise, per model "
    "call; outputs are computed anew every 2, 3 or 5 calls (the paper's Fig. 1a; median, and 5–95 % of the images "
    "for all layers cached). Bottom left: the distance of the middle block's output for residuals skipped below "
    "τ||â|| (2-norm, full precision otherwise), beside the closed loop at few bits. Bottom middle: error of the "
    "finished images (median) against effective activation bits, full precision counted as 32 and what is not "
    "computed as 0. Bottom right: error of the finished images against the share of MACs that meet a zero code. "
    "Weights in full precision."
)
CAPTION = described(TEXT)
ALT = (
    "Six panels. Cached layers make the error rise and fall like a saw, higher the less often they are computed. "
    "Thresholds hold the error at their tolerance. Against bits, the closed loop has the smallest error at every "
    "cost; against zero codes, it is below the dead zone and direct quantization."
)
CLAIMS = (
    "caching_every_n_equals_hooks", "modulation_beats_caching", "threshold_loses_more_than_caching",
    "dead_zone_against_fewer_bits",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {
    "Top: ": "abc", "Bottom left: ": "d", "Bottom middle: ": "e", "Bottom right: ": "f",
    "Weights in full": "",
}  # fmt: skip
PARAMS = {effort: values | {"n_cached": schemes.IMAGES[effort]} for effort, values in params().items()}
LOOKS = style.SCHEME | {name: style.RECURSION[name] for name in ("closed_loop", "direct")}
THRESHOLDS = {0.05: (0, (1, 1)), 0.1: (0, (4, 1.5)), 0.2: "-"}
FEW = 4  # bits of the closed loop beside the thresholds, or the most below them
SPENT = ("cached", "deepcache", "shallow", "threshold", "closed_loop", "direct")  # by effective bits
ZEROS = ("closed_loop", "direct", "dead_zone")


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return kind, value, bits and zeros per scheme (S,), "middle" (S, step, image) and "error" (S, image)."""
    return columns(caching.measure(effort))


def columns(rows: list) -> dict[str, np.ndarray]:
    """Return the rows of ``analysis.experiments.caching.measure`` as arrays."""
    out = {key: np.array([getattr(row["scheme"], key) for row in rows]) for key in ("kind", "value")}
    return out | {key: np.array([row[key] for row in rows]) for key in ("bits", "zeros", "middle", "error")}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw errors per call above, and errors against cost and zeros below."""
    figure, axes = style.grid(2, 3, height=6.6)
    steps = np.arange(data["middle"].shape[1])

    def place(kind: str, value: float) -> int:
        (found,) = np.flatnonzero((data["kind"] == kind) & np.isclose(data["value"], value))
        return int(found)

    for panel, every in zip(axes[0], schemes.EVERY, strict=True):
        style.spread(panel, steps, data["middle"][place("cached", every)], _bare(LOOKS["cached"]), lw=2.4)
        middle = np.median(data["middle"][place("deepcache", every)], axis=1)
        panel.plot(steps, middle, color=LOOKS["deepcache"].colour, lw=1.1)
        panel.set_title(f"computed every {every} calls", loc="left")
    corner = axes[1, 0]
    for tau, line in THRESHOLDS.items():
        middle = np.median(data["middle"][place("threshold", tau)], axis=1)
        corner.plot(steps, middle, color=LOOKS["threshold"].colour, ls=line, label=rf"$\tau$ = {tau:g}")
    style.spread(corner, steps, data["middle"][place("closed_loop", _few(data))], _bare(LOOKS["closed_loop"]))
    corner.set_title(f"threshold, and closed loop at {_few(data)} bits", loc="left")
    corner.legend(loc="upper left", handlelength=2.2)
    for panel in (*axes[0], corner):
        panel.set_xlim(0, steps[-1])
        panel.set_xlabel("model call")
        panel.set_ylim(0, _top(data, *(("threshold", "closed_loop") if panel is corner else ("cached", "deepcache"))))
    for panel in (axes[0, 0], corner):
        panel.set_ylabel("relative l2, middle block")
    for panel, kinds, key in ((axes[1, 1], SPENT, "bits"), (axes[1, 2], ZEROS, "zeros")):
        for kind in kinds:
            _curve(panel, data, kind, key)
        style.logarithmic(panel)
        panel.set_ylim(_limits(data["error"]))
    axes[1, 1].set_title("error against cost", loc="left")
    axes[1, 1].set_xlabel("effective activation bits")
    axes[1, 1].set_ylabel("relative l2, images")
    axes[1, 1].set_xlim(0, 32.5)
    axes[1, 2].set_title("error against zeros", loc="left")
    axes[1, 2].set_xlabel("share of MACs on zero codes")
    axes[1, 2].set_xlim(0, 1)
    style.legend(figure, [style.key(look) for look in LOOKS.values()], columns=4)
    return figure


def _few(data: dict[str, np.ndarray]) -> int:
    """Return the bits of the closed loop that is drawn per call."""
    known = np.sort(data["value"][data["kind"] == "closed_loop"])
    return int(known[known <= FEW].max(initial=known[0]))


def _bare(look: style.Look) -> style.Look:
    """Return the look without markers, since the curves of a run have a point at every call."""
    return style.Look(look.label, look.colour, look.line)


def _curve(panel: Axes, data: dict[str, np.ndarray], kind: str, key: str) -> None:
    rows = np.flatnonzero(data["kind"] == kind)
    x, y = data[key][rows], np.median(data["error"][rows], axis=1)
    order, look = np.argsort(x), LOOKS[kind]
    panel.plot(x[order], y[order], color=look.colour, ls=look.line, marker=look.marker, lw=1.2)


def _top(data: dict[str, np.ndarray], *kinds: str) -> float:
    """Return an upper limit above every median that is drawn over the calls; the bands may be cut."""
    drawn = np.isin(data["kind"], kinds)
    drawn &= (data["kind"] != "threshold") | np.isin(np.round(data["value"], 6), list(THRESHOLDS))
    drawn &= (data["kind"] != "closed_loop") | (data["value"] == _few(data))
    return 1.3 * float(np.median(data["middle"][drawn], axis=2).max())


def _limits(error: np.ndarray) -> tuple[float, float]:
    """Return limits from below the smallest median to an error as large as the image, beyond which nothing is left."""
    middle = np.median(error, axis=1)
    return 0.5 * float(middle[middle > 0].min()), 1.5
