"""What is seen of some settings: errors against all bounds, constants, bits, and verdicts with their premises.

It takes little more time than the simulation behind it: bounds are evaluated on what that measured, and the search for
worst inputs, which takes longer, is done once per quantizer and dimension and can be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import bounds
from ..advice.regimes import effective_bits
from ..contraction import search
from ..contraction.atlas import shared_by_samples
from ..evidence import Claim, Evidence, Premise, Verdict, judge
from ..quantizers.base import Quantizer
from ..simulation.against_bounds import allowance, compared, extremes, outside, unbounded, why_outside
from ..simulation.driver import simulate
from ..simulation.results import Result
from .settings import Settings

#: norm -> the bound of this project
OURS = {"2": "sharp", "inf": "max norm"}
LONGEST_SEARCH = 4096  # entries that share a scale, beyond which no worst input is looked for


@dataclass(frozen=True, eq=False)
class View:
    """What is seen.

    Parameters
    ----------
    settings : Settings
        What it is a view of.
    result : Result
        The simulation.
    curves : dict
        norm ("2", "inf") -> name -> value per call, shape (steps,): "mean", "largest", and every bound that applies,
        the largest over the trials.
    constants : list of dict
        Rows "c" and "kappa" with "declared", "measured" (mean), "largest" (of all trials and calls) and "found" (worst
        input of a search; None where it was left out).
    verdicts : list of dict
        Rows with "bound", "verdict", "detail", "premise".
    bits : dict
        "effective" bits per call, and "saved": how many bits fewer the closed loop needs for the error bound of direct
        quantization, at the largest change per call that was seen.
    """

    settings: Settings
    result: Result
    curves: dict[str, dict[str, np.ndarray]]
    constants: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    bits: dict[str, float]


def look(settings: Settings, *, find_worst: bool = False) -> View:
    """Simulate, and compare with everything that is known.

    Parameters
    ----------
    settings : Settings
        What to look at.
    find_worst : bool, default False
        Whether to search for worst inputs, up to 4,096 entries that share a scale.

    Returns
    -------
    View
        What is seen.

    Raises
    ------
    ValueError
        For settings that cannot be simulated, such as a granularity that does not divide the input.

    Examples
    --------
    >>> from modiff_sim.explore import Settings, look
    >>> view = look(Settings(bits=3, d=64, steps=20, trials=4))
    >>> sorted(view.curves["inf"]), round(view.constants[1]["declared"], 4)
    (['largest', 'max norm', 'mean'], 0.1667)
    """
    Q, process = settings.Q, settings.process
    trials = settings.trials if process.values is None else process.values.shape[1]
    steps = settings.steps if process.values is None else min(settings.steps, process.values.shape[0])
    r = simulate(process, Q, settings.recursion, steps=steps, trials=trials, seed=settings.seed,
                 warmup=settings.warmup, refresh=settings.refresh)  # fmt: skip
    curves = {norm: _curves(r, norm) for norm in OURS}
    return View(settings, r, curves, _constants(r, find_worst), _verdicts(r), _bits(r))


def _block(r: Result) -> int:
    """Return how many entries share a scale."""
    return int(r.params["quantizer"].granularity.block_size((r.a.shape[1], r.params["d"])))


def _theorems(r: Result) -> dict[str, np.ndarray]:
    """Return name -> bound of the 2-norm after every difference and by trial, as printed and by Young's inequality.

    They are about single trials, an exact start without refreshes, and a quantizer that draws nothing.
    """
    loop, Q = r.params["recursion"], r.params["quantizer"]
    exact = r.params["warmup"] == "exact" and r.params["refresh"] == "never"
    of_trials = not (Q.laws.randomised or shared_by_samples(Q.granularity, r.params["d"]))
    if loop not in ("open_loop", "closed_loop") or not exact or not of_trials or unbounded(r, "2"):
        return {}
    printed, number = getattr(bounds, f"printed_{loop}"), "(31)" if loop == "closed_loop" else "(30)"
    d, c = r.d[1:], Q.c(_block(r))
    return {
        f"printed {number}": printed(d, c, index="paper"),
        f"printed {number}, sampling order": printed(d, c, index="sampling"),
        "Young, corrected": getattr(bounds, f"young_{loop}")(d, c),
    }


def _curves(r: Result, norm: str) -> dict[str, np.ndarray]:
    curves = {OURS[norm] if name == "bound" else name: values for name, values in extremes(r, norm).items()}
    if norm == "2":
        curves |= {name: np.append(np.nan, bound.max(axis=1)) for name, bound in _theorems(r).items()}
    return curves


@lru_cache(maxsize=256)
def _worst(Q: Quantizer, d: int, norm: str) -> float:
    return float(search(Q, d, norm=norm).value)


def _constants(r: Result, find_worst: bool) -> list[dict[str, Any]]:
    Q, block, rows = r.params["quantizer"], _block(r), []
    for norm, seen in (("c", r.c), ("kappa", r.kappa)):
        there = seen[np.isfinite(seen) & (seen > 0)]
        searched = find_worst and not Q.laws.randomised and block <= LONGEST_SEARCH
        rows.append({
            "constant": norm, "declared": float(getattr(Q, norm)(block)),
            "measured": float(there.mean()) if there.size else None,
            "largest": float(there.max()) if there.size else None,
            "found": _worst(Q, block, norm) if searched else None,
        })  # fmt: skip
    return rows


def against(r: Result, bound: str, *, factor: float = 1.0, **about: Any) -> Evidence:
    """The errors of a simulation against one bound, by call, and by trial where they are judged one by one.

    Trials are left out from the call on at which more is lost than the quantizer declares.

    ``factor`` scales the bound, and ``about`` is passed to ``Evidence``. Raises ValueError where the bound does not
    apply; the message lists those that do.
    """
    theorems, here = _theorems(r), {name: norm for norm, name in OURS.items() if not unbounded(r, norm)}
    if bound in theorems:
        c, block = r.params["quantizer"].c(_block(r)), _block(r)
        half = Premise("(29) with c < 1/2 for every input", c < 0.5, f"c = {c:.3g} at {block} entries per scale")
        premises: tuple[Premise, ...] = (half,) if bound.startswith("printed") else ()
        slack, within = allowance(r.a_inf, r.params["d"], r.params["dtype"])[1:], ~outside(r, "2")[1:]
        if not within.any():
            premises += (Premise("no more is lost than is declared", False, why_outside(r, "2")),)
            within[:] = True
        claimed, measured, slack = (sizes[within] for sizes in (factor * theorems[bound], r.error[1:], slack))
        return Evidence(claimed, measured, atol=slack, premises=premises, **about)
    if bound not in here:
        known = ", ".join(sorted([*theorems, *here])) or "none"
        raise ValueError(f"the bound {bound!r} does not apply here; those that do: {known}")
    found = compared(r, here[bound])
    claimed, measured, slack = (np.asarray(found[key])[~found["outside"]] for key in ("bound", "error", "slack"))
    return Evidence(factor * claimed, measured, atol=slack, **about)


def _verdicts(r: Result) -> list[dict[str, Any]]:
    """Judge every bound on every trial and call."""
    rows = []
    for norm, name in OURS.items():
        if why := unbounded(r, norm):
            rows.append({"bound": name, "verdict": str(Verdict.NOT_RUN), "detail": why, "premise": ""})
            continue
        found = compared(r, norm)
        worst = found["worst"]
        fails, holds = worst["premise_fails_from"], worst["holds"]
        verdict = Verdict.NOT_RUN if holds is None else Verdict.HOLDS if holds else Verdict.VIOLATED
        detail = f"largest error over bound {worst['ratio']:.3g}, at call {worst['call']}"
        premise = "" if fails is None else f"{found['why']} from call {fails} on"
        if fails is not None and holds is None:
            verdict = Verdict.PREMISE_FAILS
        rows.append({"bound": name, "verdict": str(verdict), "detail": detail, "premise": premise})
    for name in _theorems(r):
        claim = Claim(name, f"the error is at most the bound '{name}'", "explored", "upper")
        judged = judge(claim, against(r, name))
        premises = judged.evidence.premises
        shown = [f"{p.name}: {'yes' if p.holds else 'no'}, {p.detail}" for p in premises]
        if (fails := outside(r, "2").any(axis=1)).any():
            shown.append(f"{why_outside(r, '2')} from call {int(np.argmax(fails))} on")
        numbers = f"error {judged.measured:.3g} where the bound is {judged.claimed:.3g}"
        detail = numbers if all(p.holds for p in premises) else ""
        rows.append({"bound": name, "verdict": str(judged.verdict), "detail": detail, "premise": "; ".join(shown)})
    return rows


def _bits(r: Result) -> dict[str, float]:
    Q, steps, refresh = r.params["quantizer"], len(r.a), r.params["refresh"]
    every = refresh if isinstance(refresh, int) else 0
    exact = r.params["warmup"] == "exact" and r.params["recursion"] != "direct"
    spent = float(effective_bits(Q.bits, steps, every)) if exact else float(Q.bits)
    largest = float(np.max(r.d_inf[1:])) if steps > 1 else 0.0
    ratio = float(np.max(r.a_inf)) / largest if largest > 0 else np.inf
    saved = float(bounds.bits_saved(Q.bits, ratio)) if Q.bits >= 2 and np.isfinite(ratio) else np.nan
    return {"effective": spent, "saved": saved, "ratio": ratio}
