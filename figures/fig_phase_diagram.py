"""Where each scheme wins, over the size of the differences, the number of calls and the bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

import modiff_sim as ms
from analysis.experiments import trained
from analysis.experiments.sizes import Effort, effort_of
from modiff_sim import recursion, regimes
from modiff_sim.plot import style

from .practice import MANY, described, params

BITS_TAKEN = MANY
TITLE = "Where each scheme wins: the closed loop, unless the input changes by a large part of its size per call"
TEXT = (
    "Horizontally, for how many calls a loop goes on after its full-precision start; vertically, ρ, the change of the "
    "input from one call to the next over its own size (2-norm). Colours are simulated: RMS errors on stationary "
    "normal inputs (AR(1), d = 256), absmax. Black lines are the formulas. Upper row, equal bits: which schemes have a "
    "smaller error than direct quantization; where any has, the closed loop's is the smallest. Solid: random inputs, "
    "√(c/n), 1/√n and √((1-c)/(1-cⁿ)) from below; dashed: worst case, κ/n, 1/n and (1-κ)/(1-κⁿ). Lower row: the scheme "
    "with the fewest bits per call (first call and refreshes counted as 32) whose error stays within a tolerance, and "
    "the bits of its quantized calls; a cache computes nothing between refreshes. Points: layers, medians over steps. "
    "The more persistently a layer drifts, the nearer its open loop and its cache come to the worst case."
)
CAPTION = described(TEXT)
ALT = (
    "Seven maps of calls against change per call. At equal bits the closed loop is better than direct quantization "
    "below a change of about the size of the input; the open loop and caches are better, too, in triangles that "
    "shrink with the calls. Within a tolerance the closed loop is the cheapest in a broad band, caches below it and "
    "direct above. Points mark the layers of the model, most of them in the closed loop's band."
)
CLAIMS = (
    "regimes_closed_beats_direct", "regimes_open_and_cache", "regimes_typical_boundaries",
    "caching_is_zero_bits_regime",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Upper row, ": "abcd", "Lower row: ": "efg", "Points: ": ""}
BITS = BITS_KNOWN = (2, 3, 4, 5, 6, 7, 8)
SHOWN = (2, 3, 4, 8)
TOLERANCES = (0.02, 0.05, 0.2)
_OWN = {
    "quick": {"ratios": 28, "lengths": 16, "trials": 4, "d": 256},
    "full": {"ratios": 56, "lengths": 32, "trials": 12, "d": 256},
}
PARAMS: dict[str, dict[str, Any]] = {effort: known | _OWN[effort] for effort, known in params().items()}
RANGE, CALLS = (0.005, 1.6), (5, 200)

#: the colour of a region: the simplest scheme that suffices, or the cheapest
LOOKS = {
    "direct": style.RECURSION["direct"],
    "closed_loop": style.RECURSION["closed_loop"],
    "open_loop": style.RECURSION["open_loop"],
    "cache": style.Look("cache (0 bits)", style.NEUTRAL[1]),
}
_NAMES = tuple(LOOKS)


def _errors(p: dict[str, Any], rho: np.ndarray, shown: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return RMS errors over ||a||: "direct" (bits, ρ), the loops (bits, difference, ρ), "cache" (difference, ρ)."""
    rng, rows = np.random.default_rng(p["seed"]), np.repeat(1 - rho**2 / 2, p["trials"])[:, None]
    a = rng.standard_normal((len(rows), p["d"]))
    inputs = [a]
    for _ in range(CALLS[1]):  # with a row per ρ and trial
        a = rows * a + np.sqrt(1 - rows**2) * rng.standard_normal(a.shape)
        inputs.append(a.astype(np.float32))
    inputs[0] = inputs[0].astype(np.float32)

    def rms(x: np.ndarray) -> np.ndarray:
        return np.sqrt((x.astype(np.float64) ** 2).reshape(len(rho), -1).mean(axis=1))

    def run(name: str, bits: int, calls: int) -> np.ndarray:
        calls = recursion.run(name, inputs[:calls], ms.AbsMax(bits))
        return np.stack([rms(x - info.output) for x, (_, info) in zip(inputs, calls, strict=False)])

    out = {"direct": np.stack([np.sqrt((run("direct", b, 16) ** 2).mean(axis=0)) for b in BITS])}
    for name, bits in (("closed_loop", BITS), ("open_loop", shown)):
        out[name] = np.stack([run(name, b, len(inputs))[1:] for b in bits])
    return out | {"cache": np.stack([rms(x - inputs[0]) for x in inputs[1:]])}


def _beats(errors: dict[str, np.ndarray], n: np.ndarray, shown: tuple[int, ...]) -> np.ndarray:
    """Return indices into _NAMES, (shown bits, n, ρ): the simplest scheme whose error is below that of direct."""
    out = np.zeros((len(shown), len(n), errors["cache"].shape[1]), int)
    for i, bits in enumerate(shown):
        direct = errors["direct"][BITS.index(bits)]
        loops = {
            "closed_loop": errors["closed_loop"][BITS.index(bits)], "open_loop": errors["open_loop"][i],
            "cache": errors["cache"],
        }  # fmt: skip
        for name, error in loops.items():
            out[i] = np.where(error[n - 1] < direct, _NAMES.index(name), out[i])
    return out


def _cheapest(errors: dict[str, np.ndarray], calls: np.ndarray, tolerance: float) -> np.ndarray:
    """Return indices into _NAMES, (calls, ρ): the cheapest scheme whose measured error is within the tolerance."""
    best = np.full((len(calls), errors["cache"].shape[1]), 32.0)
    out = np.full(best.shape, _NAMES.index("direct"))
    options = [("direct", b, errors["direct"][i]) for i, b in enumerate(BITS)] + [("cache", 0, errors["cache"])]
    for name, bits, error in options + [("closed_loop", b, errors["closed_loop"][i]) for i, b in enumerate(BITS)]:
        if name == "direct":
            cost = np.where(error <= tolerance, bits, np.inf) + np.zeros(best.shape)
        else:
            run = np.logical_and.accumulate(error <= tolerance, axis=0).sum(axis=0)
            n = calls[:, None]
            cost = np.where(run == 0, np.inf, regimes.effective_bits(bits, n, np.where(run >= n - 1, 0, run + 1)))
        out = np.where(cost < best, _NAMES.index(name), out)
        best = np.minimum(cost, best)
    return out


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return regions over "calls" × "rho", c per number of bits, and ρ per layer with the number of recorded steps.

    "shown" are the bits of the upper row.
    """
    chosen = effort_of(effort)
    p, shown = PARAMS[chosen.name], chosen.widths(SHOWN)
    rho = np.geomspace(*RANGE, p["ratios"])
    calls = np.unique(np.geomspace(*CALLS, p["lengths"]).astype(int))
    errors = _errors(p, rho, shown)
    found = trained.distributions(replace(chosen, bits=()))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = found["norm_d"][:, 1:] / found["norm_a"][:, 1:]
    alive = np.isfinite(ratio).all(axis=1) & (ratio > 0).any(axis=1)
    return {
        "rho": rho, "calls": calls, "shown": np.array(shown), "beats": _beats(errors, calls, shown),
        "cheapest": np.stack([_cheapest(errors, calls, t) for t in TOLERANCES]),
        "c": np.mean(errors["direct"] ** 2, axis=1), "kappa": np.array([ms.AbsMax(b).kappa(p["d"]) for b in BITS]),
        "layers": found["layers"][alive], "layer_rho": np.median(ratio[alive], axis=1),
        "layer_calls": np.array(ratio.shape[1] + 1),
    }  # fmt: skip


def outline(effort: str | Effort, committed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return data of the same layout: a panel of the upper row for every number of bits."""
    shown = effort_of(effort).widths(SHOWN)
    return committed | {"shown": np.array(shown), "beats": np.zeros((len(shown), *committed["beats"].shape[1:]))}


# -- drawing ----------------------------------------------------------------------------------------------------------


def _pale(colour: str) -> tuple[float, ...]:
    return tuple(1 - 0.45 * (1 - v) for v in to_rgb(colour))


def _region(panel: Axes, data: dict[str, np.ndarray], table: np.ndarray) -> None:
    colours = ListedColormap([_pale(LOOKS[name].colour) for name in _NAMES])
    panel.pcolormesh(
        data["calls"],
        data["rho"],
        table.T,
        cmap=colours,
        vmin=-0.5,
        vmax=len(_NAMES) - 0.5,
        shading="nearest",
        rasterized=True,
    )
    style.logarithmic(panel, which="x")
    style.logarithmic(panel)
    panel.set(xlim=CALLS, ylim=RANGE)
    panel.grid(visible=False)
    panel.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200]))
    panel.xaxis.set_major_formatter("{x:.0f}")
    panel.yaxis.set_major_locator(FixedLocator([0.01, 0.1, 1]))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())


def _is_time(name: str) -> bool:
    return "time_emb" in name


_LAYER: dict[bool, dict[str, Any]] = {
    False: {"marker": "o", "label": "layer of the model"},
    True: {"marker": "^", "label": "its time embedding"},
}


def _layers(panel: Axes, data: dict[str, np.ndarray]) -> None:
    """Draw the layers as points at the number of recorded calls, spread a little so that all can be seen."""
    order = np.argsort(data["layer_rho"])
    spread = np.exp(0.09 * ((np.arange(len(order)) % 5) - 2))
    for time, look in _LAYER.items():
        chosen = [i for i, k in enumerate(order) if _is_time(str(data["layers"][k])) == time]
        panel.plot(
            data["layer_calls"] * spread[chosen],
            data["layer_rho"][order[chosen]],
            ls="",
            ms=3.4,
            mfc="white",
            mec="black",
            mew=0.7,
            marker=look["marker"],
            zorder=5,
        )


def _boundaries(panel: Axes, c: float, kappa: float) -> None:
    n = np.arange(CALLS[0], CALLS[1] + 1)
    for reading, x, line in (("typical", c, "-"), ("worst", kappa, (0, (3, 2)))):
        for scheme in ("cache", "open_loop", "closed_loop"):
            panel.plot(n, regimes.boundary(scheme, "direct", n, x, reading=reading), color="black", ls=line, lw=1.0)


def _edges(x: np.ndarray, y: np.ndarray, field: np.ndarray, **options: Any) -> LineCollection:
    """Return lines between the cells around (x, y) that differ. ``field`` has shape (y, x)."""

    def cuts(at: np.ndarray) -> np.ndarray:
        between = np.sqrt(at[:-1] * at[1:])
        return np.concatenate([at[:1], between, at[-1:]])

    def runs(differs: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """Yield (row, first, end) of every run of True in a row, which becomes one line rather than one per cell."""
        turns = np.diff(np.pad(differs, ((0, 0), (1, 1))).astype(int), axis=1)
        for i, row in enumerate(turns):
            yield from zip(repeat(i), np.flatnonzero(row == 1), np.flatnonzero(row == -1), strict=False)

    across, up = cuts(x.astype(float)), cuts(y)
    lines = [[(across[j], up[i + 1]), (across[k], up[i + 1])] for i, j, k in runs(field[:-1] != field[1:])]
    lines += [[(across[i + 1], up[j]), (across[i + 1], up[k])] for i, j, k in runs((field[:, :-1] != field[:, 1:]).T)]
    return LineCollection(lines, capstyle="projecting", **options)


def _bands(panel: Axes, c: np.ndarray, tolerance: float) -> None:
    """Draw the cheapest scheme by the formula: thick lines between schemes, thin ones between bits."""
    calls = np.unique(np.geomspace(*CALLS, 200).astype(int))
    rho = np.geomspace(*RANGE, 200)
    table = dict(zip(BITS, c.tolist(), strict=True))
    found = regimes.cheapest(rho[:, None], calls, tolerance, table, reading="typical")
    scheme = np.vectorize((*_NAMES, "full_precision").index)(found.scheme)
    for field, width in ((scheme, 1.3), (100 * scheme + found.bits, 0.5)):
        panel.add_collection(_edges(calls, rho, field, colors="black", linewidths=width, zorder=3))
    for name in ("direct", "closed_loop"):
        for bits in BITS:
            inside = (found.scheme == name) & (found.bits == bits)
            if inside.mean() < 0.03:  # too small for a label
                continue
            columns = np.flatnonzero(inside.any(axis=0))
            column = columns[max(len(columns) - len(calls) // 6, 0)]  # towards the right edge
            row = int(np.median(np.flatnonzero(inside[:, column])))
            panel.text(calls[column], rho[row], f"{bits} bits", ha="center", va="center", fontsize=style.SMALLEST)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw where each scheme wins at equal bits, and which is cheapest within a tolerance."""
    figure = Figure(figsize=(style.WIDTH, 8.0), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1])
    shown = data["shown"].tolist()
    top = upper.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for i, (bits, panel) in enumerate(zip(shown, top, strict=True)):
        _region(panel, data, data["beats"][i])
        k = BITS.index(bits)
        _boundaries(panel, float(data["c"][k]), float(data["kappa"][k]))
        _layers(panel, data)
        panel.set_title(f"{bits} bits")
    bottom = lower.subplots(1, len(TOLERANCES), sharey=True)
    for i, (tolerance, panel) in enumerate(zip(TOLERANCES, bottom, strict=True)):
        _region(panel, data, data["cheapest"][i])
        _bands(panel, data["c"], tolerance)
        _layers(panel, data)
        panel.set_title(f"error within {tolerance:.0%} of the input")
    for row in (top, bottom):
        row[0].set_ylabel("ρ = change per call / size of the input")
        for panel in row:
            panel.set_xlabel("calls since the start")
    points = [
        Line2D([], [], ls="", ms=4, mfc="white", mec="black", mew=0.7, marker=look["marker"], label=look["label"])
        for look in _LAYER.values()
    ]
    lines = [
        Line2D([], [], color="black", lw=1.0, label="formula, random"),
        Line2D([], [], color="black", lw=1.0, ls=(0, (3, 2)), label="formula, worst"),
    ]
    beaten = {
        "direct": "direct is best", "closed_loop": "only the closed loop is better",
        "open_loop": "the open loop is better, too", "cache": "even a cache (0 bits) is better",
    }  # fmt: skip
    patches = [Patch(facecolor=_pale(LOOKS[name].colour), label=text) for name, text in beaten.items()]
    box = style.legend(upper, [*patches, *lines, *points], columns=4)
    box.set_title("At equal bits, which error is smaller than that of direct quantization?")
    cheap = ("direct", "closed_loop", "cache")
    patches = [Patch(facecolor=_pale(LOOKS[name].colour), label=f"cheapest: {LOOKS[name].label}") for name in cheap]
    style.legend(lower, patches, columns=3).set_title(
        "Within a tolerance, which scheme takes the fewest bits per call?"
    )
    return figure
