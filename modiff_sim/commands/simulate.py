"""``modiff-sim simulate``: the recursions on a process, their errors, and the worst ratio of an error to its bound.

Every error is compared with the bound of *its own* trial and call, and the worst ratio decides. An error that
attains its bound may exceed it by rounding, which is allowed for: 16·eps·√d·max|a| per call so far, eps of float64.
Where the allowance is not a small part of the bound (1e-6), or the bound is 0, a ratio would be noise. There it
counts as 0 if the error is within bound + allowance, and as infinite if it is not. A quantizer that loses more than
it declares has an input outside of its domain, for which no bound was promised. Such trials are left out from that
call on, and the verdict says so.

Two cases are not decided trial by trial. Where trials share a scale (``--granularity batch`` or ``channel``), a bound
holds for all trials together. For a randomised quantizer, c bounds an expectation: the root mean square over the trials
is compared with that of the bounds (``bounds.stochastic_*``), and fails if the mean of error² - bound² is more than
``SIGMAS`` standard errors above 0.
"""

from __future__ import annotations

import inspect
import math
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import bounds, recursion
from ..arguments import affordable
from ..contraction.atlas import shared_by_samples
from ..names import one_of
from ..quantizers.base import Quantizer
from ..simulation import processes
from ..simulation.driver import Result, simulate
from . import granularities
from .printing import print_json, table

SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # calls in a table, besides the last
CLEAR = 1e-6  # a ratio is meaningful where the allowance for rounding is below this part of the bound
SIGMAS, FEWEST = 4.0, 8  # chance exceeds 4 in 1 of 30,000 calls; the standard error of fewer trials is not reliable


def run(chosen: Namespace) -> int:
    """Print the errors of the chosen recursions against their bounds."""
    Q = granularities.quantizer(chosen, chosen.quantizer, chosen.bits)
    process = _process(chosen, Q)
    block = granularities.block(Q, process.d, chosen.trials)
    warmup = _warmup(chosen.warmup)
    refresh = _refresh(chosen.refresh)
    # what is measured, and twice as much again where it is compared
    affordable(f"{chosen.steps:,} steps × {chosen.trials:,} trials", 24 * 8 * chosen.steps * chosen.trials)
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    for name in dict.fromkeys(chosen.recursion or recursion.RECURSIONS):
        options: dict[str, Any] = {"steps": chosen.steps, "trials": chosen.trials, "seed": chosen.seed}
        r = simulate(process, Q, name, warmup=warmup, refresh=refresh, **options)
        runs[name] = {norm: _compared(r, norm, Q, process.d, block) for norm in ("2", "inf")}
    c, kappa = Q.c(block), Q.kappa(block)
    if chosen.plot:
        _plot(chosen.plot, runs)
    if chosen.json:
        about = {"process": process.name, "process_params": process.params, "quantizer": str(Q), "c": c, "kappa": kappa}
        about |= {"entries_per_scale": block, "warmup": warmup, "refresh": refresh, **options}
        return print_json({"params": about, "runs": runs})
    print(f"{process.name}, d = {process.d}; {Q}")
    print(f"{granularities.words(Q, process.d, block)}: c = {c:.4g}, kappa = {kappa:.4g}")
    print(f"{chosen.trials} trials, seed {chosen.seed}, warm-up {warmup}, refresh {refresh}; A = 1, so error = |a - ô|")
    print("mean: over trials. error, bound, ratio: for the trial with the largest ratio of its error to its own bound")
    print("at this call; bounds: sharp (2-norm), max norm (inf). holds: ratio <= 1 up to rounding")
    if Q.laws.randomised:
        print("2-norm: c bounds an expectation; error and bound are root mean squares over trials, and NO means that")
        print(
            f"error exceeds bound by more than {SIGMAS:g} standard errors ('-': too few independent trials to decide)"
        )
    elif shared_by_samples(Q.granularity, process.d):
        print("trials share scales: error, bound and ratio are those of all trials together")
    calls = sorted({i for i in SHOWN if i < chosen.steps} | {chosen.steps - 1})
    names = ("mean", "error", "bound", "ratio")
    head = ["call", *(f"{n}_2" for n in names), "holds", *(f"{n}_inf" for n in names), "holds"]
    for name, norms in runs.items():
        print(f"\n{name}")
        columns = [values[key] for values in norms.values() for key in (*names, "holds")]
        table(head, ([call, *(None if v is None else v[call] for v in columns)] for call in calls))
        print("; ".join(f"{'2-norm' if n == '2' else 'max norm'}: {_verdict(v['worst'])}" for n, v in norms.items()))
    return 0


def _compared(r: Result, norm: str, Q: Quantizer, d: int, block: int) -> dict[str, Any]:
    """Return per call the mean and largest error, and the error, bound and ratio of the trial with the worst ratio."""
    error, a_inf = (r.error if norm == "2" else r.error_inf), r.a_inf
    found: dict[str, Any] = {"mean": error.mean(axis=1), "max": error.max(axis=1)}
    if recursion.standard(recursion.get(r.params["recursion"])) is None:  # a recursion of the user's own
        trial = np.argmax(error, axis=1)
        largest = error[np.arange(len(error)), trial]
        return found | {"error": largest, "bound": None, "ratio": None, "trial": trial, "holds": None, "worst": None}
    shared, expected = shared_by_samples(Q.granularity, d), Q.laws.randomised and norm == "2"
    limit = _limit(r, norm, Q, block, together=shared and not expected)
    if shared and not expected:
        a_inf, d = _together(a_inf, "inf"), d * error.shape[1]
        error = _together(error, norm)
    # every call rounds a few numbers, none larger than the input, in each of d entries
    calls = np.arange(len(error))
    slack = 16 * (calls[:, None] + 1) * math.sqrt(d) * np.finfo(float).eps * np.maximum.accumulate(a_inf, axis=0)
    if expected:
        found |= _in_expectation(error, limit, slack, shared)
        trial, fails, fails_in_all = None, np.zeros(len(error), bool), np.zeros(len(error), bool)
    else:
        ratio, fits = _ratios(error, limit, slack)
        # where the quantizer has lost more than it declares, no bound was promised
        broken = np.zeros_like(fits) if shared else _premise_broken(r, norm, Q, block)
        rank = np.where(broken, -1.0, ratio + ~fits)  # trials that do not fit come first
        trial = np.argmax(rank, axis=1)
        found |= {key: v[calls, trial] for key, v in (("error", error), ("bound", limit), ("ratio", ratio))}
        found |= {"trial": None if shared else trial, "holds": (fits | broken).all(axis=1)}
        fails, fails_in_all = np.any(broken, axis=1), np.all(broken, axis=1)
    holds = found["holds"]
    # a call where the premise fails in every trial is not judged, and comes last
    call = int(np.argmax(np.where(fails_in_all, -1.0, found["ratio"] + (0 if holds is None else ~holds))))
    found["worst"] = {
        "ratio": float(found["ratio"][call]), "call": call, "trial": None if trial is None or shared else trial[call],
        "holds": None if holds is None else bool(holds.all()),
        "premise_fails_from": int(np.argmax(fails)) if fails.any() else None,
    }  # fmt: skip
    if holds is not None:
        found["holds"] = [None if out else bool(h) for h, out in zip(holds, fails_in_all, strict=True)]
    return found


def _premise_broken(r: Result, norm: str, Q: Quantizer, block: int) -> np.ndarray:
    """Return per call and trial whether a call so far has lost more than the declared c or kappa allows.

    The trial is then outside the domain of the quantizer, for example below the floor of its scale.
    """
    measured, declared = (r.c, Q.c(block)) if norm == "2" else (r.kappa, Q.kappa(block))
    with np.errstate(invalid="ignore"):  # NaN where nothing was quantized
        more = measured > declared * (1 + 1e-9) + 16 * (block + 4) * np.finfo(float).eps
    return np.logical_or.accumulate(more, axis=0)


def _together(sizes: np.ndarray, norm: str) -> np.ndarray:
    """Return the norm of all trials as one vector, (steps, 1), from the norms of the trials."""
    return np.linalg.norm(sizes, axis=1, ord=2 if norm == "2" else np.inf)[:, None]


def _ratios(error: np.ndarray, limit: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio error/bound, and whether it is at most 1 up to rounding; see the module's docstring."""
    fits = error <= limit + slack
    ratio = np.divide(error, limit, out=np.where(fits, 0.0, np.inf), where=slack < CLEAR * limit)
    return ratio, fits


def _in_expectation(error: np.ndarray, limit: np.ndarray, slack: np.ndarray, shared: bool) -> dict[str, Any]:
    """Compare root mean squares over the trials; at least ``FEWEST`` independent trials are needed to decide."""
    excess = error**2 - limit**2
    rms = {"error": np.sqrt(np.mean(error**2, axis=1)), "bound": np.sqrt(np.mean(limit**2, axis=1))}
    allowed = np.sqrt(np.mean(slack**2, axis=1))
    ratio, fits = _ratios(rms["error"], rms["bound"], allowed)
    trials = error.shape[1]
    if shared or trials < FEWEST:
        return {**rms, "ratio": ratio, "trial": None, "holds": None}
    chance = SIGMAS * excess.std(axis=1, ddof=1) / math.sqrt(trials)
    return {**rms, "ratio": ratio, "trial": None, "holds": fits | (excess.mean(axis=1) <= chance)}


def _verdict(worst: Mapping[str, Any] | None) -> str:
    """Return the verdict in words, as in "worst ratio 0.9831 (call 12, trial 3): holds"."""
    if worst is None:
        return "no bound is known for this recursion; the error is the largest of all trials"
    at = f"call {worst['call']}" + ("" if worst["trial"] is None else f", trial {worst['trial']}")
    holds = {None: "not decided", True: "holds", False: "DOES NOT HOLD"}[worst["holds"]]
    said = f"worst ratio {worst['ratio']:.4g} ({at}): {holds}"
    if (start := worst["premise_fails_from"]) is not None:
        said += (
            f"; PREMISE FAILS from call {start} on in some trials, which are not counted from there on: the quantizer "
            "lost more than it declares, as happens outside its domain (too small a range, or beyond its exponents)"
        )
    return said


def _plot(path: str, runs: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Draw mean error (line), worst trial's error (dots) and bound (dashed) per recursion; below, their ratio."""
    from matplotlib.lines import Line2D

    from .plotting import COLOURS, decade, legend_below, picture, whole_numbers

    titles = ["2-norm", "max norm", "2-norm: worst error / bound", "max norm: worst error / bound"]
    colours = dict(zip(runs, COLOURS, strict=False))
    lone = len(next(iter(runs.values()))["2"]["mean"]) == 1  # a single call does not make a line
    kinds = (("mean", "-", "s" if lone else ""), ("error", "", "."), ("bound", "--", "_" if lone else ""))
    with picture(path, titles, columns=2) as (figure, panels):
        for axes, below, norm in zip(panels[:2], panels[2:], ("2", "inf"), strict=True):
            for name, colour in colours.items():
                for values, line, marker in kinds:
                    shown = runs[name][norm][values]
                    if shown is None:
                        continue
                    axes.plot(
                        np.where(shown > 0, shown, np.nan), ls=line, marker=marker, ms=6, mfc="none", color=colour
                    )
                if (ratio := runs[name][norm]["ratio"]) is not None:
                    below.plot(np.where(np.isfinite(ratio), ratio, np.nan), ls="-", marker=".", ms=4, color=colour)
                    beyond = np.flatnonzero(~np.isfinite(ratio))  # at the upper edge
                    edge = below.get_xaxis_transform()
                    below.plot(beyond, np.full(len(beyond), 0.98), "^", ms=5, color=colour, transform=edge)
            axes.set(yscale="log", xlabel="call", ylabel="error |a - ô|")
            top = axes.get_ylim()[1]
            axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-18 * top))  # smaller values are rounding
            decade(axes)
            below.axhline(1, color="black", lw=0.8)
            below.set(xlabel="call", ylabel="error / bound")
            below.set_ylim(bottom=0)
            for panel in (axes, below):
                whole_numbers(panel)
        handles = [Line2D([], [], color=c, label=n.replace("_", " ")) for n, c in colours.items()]
        texts = {"mean": "mean error", "error": "error of the worst trial", "bound": "its bound"}
        handles += [
            Line2D([], [], color="black", ls=line, marker=m, mfc="none", label=texts[k]) for k, line, m in kinds
        ]
        handles += [Line2D([], [], color="black", lw=0.8, label="error = bound (below)")]
        legend_below(figure, handles, columns=4)


def _limit(r: Result, norm: str, Q: Quantizer, block: int, *, together: bool) -> np.ndarray:
    """Return the bound per call and trial.

    It starts from the error of the warm-up at call 0, and from 0 after every refresh. With ``together`` there is one
    column, for all trials as one vector. In the 2-norm of a randomised quantizer the bound is on a root mean square.
    """
    two, name, refresh = norm == "2", r.params["recursion"], r.params["refresh"]
    gain = Q.c(block) if two else Q.kappa(block)
    q = math.sqrt(gain) if two else gain
    expected = two and Q.laws.randomised
    a, steps = (r.a, r.d) if two else (r.a_inf, r.d_inf)
    if together:
        a, steps = _together(a, norm), _together(steps, norm)
    if name == "direct":
        limit = bounds.direct(a, q * q)
        refreshed = recursion.refresh_calls(refresh)
        limit[[call for call in range(len(a)) if refreshed(call)]] = 0
        return limit
    feeds = recursion.feeds(r.params["warmup"])
    first = bounds.warm_up_error(a[0], q, feeds, recursion=name) if feeds else np.zeros_like(a[0])
    if len(a) == 1:
        return first[None]
    if expected:
        bound = partial(getattr(bounds, f"stochastic_{name}"), omega=gain)
        if name == "closed_loop":
            bound.keywords["unbiased_start"] = True  # since the start is that of unbiased feeds
    else:
        bound = partial(getattr(bounds, f"{'sharp' if two else 'max_norm'}_{name}"), **{"c" if two else "kappa": gain})
    return np.concatenate([first[None], bounds.refreshed(bound, steps[1:], refresh, start=first)])


def _process(chosen: Namespace, Q: Quantizer) -> processes.Process:
    """Return the process of the command line. Its options are the keyword arguments of the constructor."""
    make = processes.PROCESSES[one_of("process", chosen.process, processes.PROCESSES)]
    accepted = [k for k in inspect.signature(make).parameters if k not in ("d", "bits", "quantizer")]
    options: dict[str, Any] = {}
    for item in chosen.option:
        key, found, value = item.partition("=")
        if not found or key not in accepted:
            raise ValueError(f"--option {item}: {chosen.process} takes {', '.join(f'{k}=' for k in accepted)}")
        options[key] = value if key == "source" else _number(value, key)
    if chosen.process == "recorded":
        if "source" not in options:
            raise ValueError("recorded needs --option source=FILE, a .npy or .npz of shape (steps, trials, d)")
        return make(**options)
    if chosen.process == "adversarial":
        return make(Q, chosen.d, **options)
    return make(chosen.d, **({"bits": chosen.bits} if chosen.process == "alternating" else {}), **options)


def _number(text: str, key: str) -> Any:
    try:
        if key == "at":
            return [int(part) for part in text.split(",")]
        return int(text) if key == "candidates" else float(text)
    except ValueError:
        raise ValueError(f"--option {key}: {text!r} is not a number") from None


def _warmup(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # a name, or neither: ``simulate`` knows
        return text


def _refresh(text: str) -> Any:
    if text == "never":
        return text
    try:
        return [int(part) for part in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise ValueError(f"--refresh takes never, a number of calls, or calls such as 10,20; got {text!r}") from None
