"""What the choice in Young's inequality costs, and what stochastic rounding gains: bounds, and runs that attain them.

The upper row shows the same inequality with β = 1 (the paper's proof), with the best constant, and with the best β per
call, which is the sharp bound. The lower row shows unbiased rounding, whose squares add up in expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim import Laws, bounds
from modiff_sim.plot import style

from .fig_error_growth import Shrink

TITLE = "A better constant ends the proof's exponential growth; stochastic rounding adds squares"
CAPTION = (
    "Bounds on the 2-norm error of one layer (A = 1) per model call; differences of norm 1, q = √c. Upper row: no sure "
    "bound can be below the circles, the error of Q(x) = (1-q)x on collinear differences. The proof's "
    "‖x+y‖² ≤ 2‖x‖² + 2‖y‖² (Young's inequality with β = 1) diverges where 2c > 1; EF21's constant reaches the true "
    "steady state, but forgets an impulse at half the rate; chosen per call it is the sharp bound. The printed bound, "
    "in its own index, starts too low after the impulse. Without compensation the best constant for the last call is "
    "linear, 1.24 times the sharp one. Lower row: stochastic absmax at d = 64 (median, 5–95 % of runs), with "
    "E‖x-Q(x)‖² ≤ ω‖x‖², ω declared. Circles: root mean square error of the unbiased Q(x) = (1±√ω)x, which attains the "
    "bound in expectation. At 2 bits ω > 1 and that bound diverges, as its circles do; absmax settles all the same. "
    "Grey: what 95 % of the runs stay below at each call, whatever ω."
)
ALT = (
    "Six panels of bounds per call. Top: the bound of the proof grows exponentially or decays too slowly, the best "
    "constant comes near the circles of the worst case, and the best choice per call lies on them. Bottom, stochastic "
    "rounding: the runs lie well below the bound in expectation, whose circles diverge at 2 bits, where the runs "
    "settle; a dashed curve above the runs marks what 95 % of them stay below."
)
CLAIMS = (
    "young_best_beta", "young_ef21_constants", "young_per_step_is_sharp", "young_open_loop_constant",
    "stochastic_two_bits", "stochastic_expectation_closed", "stochastic_expectation_open", "stochastic_band",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about
PARTS = {
    "Upper row: ": "abc",
    "Without compensation the best": "c",
    "Lower row: ": "def",
    "At 2 bits": "e",
    "Grey: ": "def",
}
_COMMON = {
    "seed": 0,
    "calls": 24,
    "impulse": 5,
    "c_equal": 0.64,
    "c_other": 0.36,
    "d": 64,
    "bits": [4, 2, 4],
    "delta": 0.05,
}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "trials": 200, "coins": 2000},
    "full": {**_COMMON, "trials": 1000, "coins": 20_000},
}
LOOPS = ("closed_loop", "closed_loop", "open_loop")


@dataclass(frozen=True, kw_only=True)
class Coin(ms.Identity):
    """Q(x) = (1 ± √omega)x with equal chances: unbiased, and ||x - Q(x)||² = omega||x||²."""

    laws = Laws(error=None, unbiased=True, randomised=True)
    omega: float

    def quantize(self, blocks: Any, qparams: Any, *, random: Any = None) -> Any:
        """Return (1 ± √omega)x, with the sign from the random bits."""
        return (1 + np.sqrt(self.omega) * np.where(random[..., :1] < 0.5, -1.0, 1.0)) * blocks


def _units(d: int) -> ms.processes.Process:
    """Make a process of random directions, whose differences have norm 1."""

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        a = np.zeros((trials, d))
        for _ in range(steps):
            yield a
            step = rng.standard_normal((trials, d))
            a = a + step / np.linalg.norm(step, axis=1, keepdims=True)

    return ms.processes.Process("unit_differences", d, {}, draw)


def data(effort: str) -> dict[str, np.ndarray]:
    """Return differences, bounds and the worst run of the upper row, and errors and two bounds of the lower row."""
    p = PARAMS[effort]
    n = p["calls"]
    impulse = np.eye(n)[p["impulse"] - 1]
    out: dict[str, np.ndarray] = {"calls": np.arange(1, n + 1)}
    upper = ((np.ones(n), p["c_equal"]), (impulse, p["c_other"]), (np.ones(n), p["c_other"]))
    for i, (loop, (d, c)) in enumerate(zip(LOOPS, upper, strict=True)):
        closed = loop == "closed_loop"
        young = bounds.young_closed_loop if closed else bounds.young_open_loop
        printed = bounds.printed_closed_loop if closed else bounds.printed_open_loop
        line = np.concatenate([[0.0], np.cumsum(d)])[:, None, None]
        worst = ms.simulate(ms.processes.recorded(line), Shrink(q=np.sqrt(c)), loop, steps=n + 1, trials=1)
        out |= {
            f"{i}_c": np.array(c), f"{i}_worst": worst.error[1:, 0],
            f"{i}_printed_paper": printed(d, c, index="paper"), f"{i}_young": young(d, c),
            f"{i}_constant": young(d, c, beta="ef21" if closed else "horizon"), f"{i}_sharp": young(d, c, beta="best"),
        }  # fmt: skip
    for i, (loop, bits) in enumerate(zip(LOOPS, p["bits"], strict=True)):
        Q = ms.Stochastic(bits)
        omega, process = Q.c(p["d"]), _units(p["d"])
        r = ms.simulate(process, Q, loop, steps=n + 1, trials=p["trials"], seed=p["seed"])
        coin = ms.simulate(_units(2), Coin(omega=omega), loop, steps=n + 1, trials=p["coins"], seed=p["seed"])
        closed = loop == "closed_loop"
        expected = bounds.stochastic_closed_loop if closed else bounds.stochastic_open_loop
        band = bounds.stochastic_closed_loop_band if closed else bounds.stochastic_open_loop_band
        limit = band(r.d_inf[1:], Q.kappa(p["d"]), delta=p["delta"], size=p["d"], norm=2)
        out |= {
            f"{i}_omega": np.array(omega), f"{i}_bits": np.array(bits), f"{i}_errors": r.error[1:],
            f"{i}_coin": np.sqrt((coin.error[1:] ** 2).mean(axis=1)),
            f"{i}_expected": expected(np.ones(n), omega), f"{i}_band": np.median(limit, axis=1),
            f"{i}_inside": (r.error[1:] <= limit).mean(axis=1),
        }  # fmt: skip
    return out


CONSTANT = replace(style.BOUND["young"], label="Young, best constant (closed loop: EF21's)", line=(0, (1, 1)))
BETA_1 = replace(style.BOUND["young"], label="Young, β = 1, as in the proof")
SHARP = replace(style.BOUND["sharp"], label="Young, best β per call = sharp")
EXPECTED = replace(style.BOUND["sharp"], label="stochastic, in expectation", line=(0, (6, 1.5)))
BAND = replace(style.BOUND["max_norm"], label="stochastic, at least 95 % are below", line=(0, (3, 1.5)))
_WORST: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.8, "ms": 3.6, "zorder": 4}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the bounds by Young's inequality above, and stochastic rounding below."""
    calls = data["calls"]
    figure, axes = style.grid(2, 3, height=6.4, sharex=True)
    style.logarithmic(*axes.flat)
    shapes = ("equal ‖d‖", "an impulse", "equal ‖d‖")
    for i, (panel, shape) in enumerate(zip(axes[0], shapes, strict=True)):
        looks = (style.BOUND["printed_paper"], BETA_1, CONSTANT, SHARP)
        for name, look in zip(("printed_paper", "young", "constant", "sharp"), looks, strict=True):
            style.bound(panel, calls, _visible(data[f"{i}_{name}"]), look)
        panel.plot(calls[::2], _visible(data[f"{i}_worst"])[::2], **_WORST)
        panel.set_title(f"{style.SHORT[LOOPS[i]]}, {shape}, c = {float(data[f'{i}_c']):g}")
    for i, panel in enumerate(axes[1]):
        style.spread(panel, calls, data[f"{i}_errors"], style.RECURSION[LOOPS[i]], every=3)
        style.bound(panel, calls, data[f"{i}_expected"], EXPECTED)
        style.bound(panel, calls, data[f"{i}_band"], BAND)
        panel.plot(calls[::2], data[f"{i}_coin"][::2], **_WORST)
        bits, omega = int(data[f"{i}_bits"]), float(data[f"{i}_omega"])
        panel.set_title(f"{style.SHORT[LOOPS[i]]}, {bits} bits, ω = {omega:.2g}")
        panel.set_xlabel("model call")
    for panel, limits in zip(axes.flat, _LIMITS, strict=True):
        panel.set_ylim(limits)
    axes[0, 0].set_xlim(0, calls[-1] + 1)
    for row in axes:
        row[0].set_ylabel("error, 2-norm")
    style.legend(figure, _keys(), columns=3)
    return figure


_LIMITS = ((3e-1, 1e2), (1e-5, 3e0), (3e-1, 1e4), (5e-2, 2e0), (3e-1, 1e7), (5e-2, 1e1))


def _visible(values: np.ndarray) -> np.ndarray:
    """Replace zeros by gaps, since a logarithmic axis cannot show them."""
    return np.where(values > 0, values, np.nan)


def _keys() -> list[Any]:
    return [
        *(style.key(look) for look in (BETA_1, CONSTANT, SHARP, style.BOUND["printed_paper"], EXPECTED, BAND)),
        Line2D([], [], label="worst case of the premise", **_WORST),
        *(style.key(style.RECURSION[name]) for name in ("closed_loop", "open_loop")),
    ]
