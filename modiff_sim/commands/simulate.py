"""``modiff-sim simulate``: the recursions on a process, their errors and their bounds."""

from __future__ import annotations

import inspect
import math
from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np

from .. import bounds, processes, quantizers, recursion
from ..quantizer import Quantizer
from ..simulation import Result, simulate
from .printing import known, print_json, table

SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # calls of a table, and always the last


def run(chosen: Namespace) -> int:
    Q = quantizers.make(chosen.quantizer, chosen.bits)
    process = _process(chosen, Q)
    warmup = int(chosen.warmup) if chosen.warmup.lstrip("-").isdigit() else chosen.warmup
    refresh = _refresh(chosen.refresh)
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    for name in dict.fromkeys(chosen.recursion or recursion.RECURSIONS):
        options: dict[str, Any] = {"steps": chosen.steps, "trials": chosen.trials, "seed": chosen.seed}
        r = simulate(process, Q, name, warmup=warmup, refresh=refresh, **options)
        runs[name] = {}
        for norm, error in (("2", r.error), ("inf", r.error_inf)):
            limit = _limit(r, norm, Q, process.d)
            # k·eps: every call rounds a few numbers no larger than the input, in each of d entries
            slack = 16 * len(error) * math.sqrt(process.d) * np.finfo(float).eps * r.a_inf.max()
            sure = not (Q.laws.randomised and norm == "2")  # there c bounds an expectation
            runs[name][norm] = {
                "mean": error.mean(axis=1), "max": error.max(axis=1), "bound": limit.mean(axis=1),
                "holds": (error <= limit + slack).all(axis=1) if sure else None,
            }  # fmt: skip
    c, kappa = Q.c(process.d), Q.kappa(process.d)
    if chosen.plot:
        _plot(chosen.plot, runs)
    if chosen.json:
        about = {"process": process.name, "process_params": process.params, "quantizer": str(Q), "c": c, "kappa": kappa}
        about |= {"warmup": warmup, "refresh": refresh, **options}
        return print_json({"params": about, "runs": runs})
    print(f"{process.name}, d = {process.d}; {Q}; c = {c:.4g}, kappa = {kappa:.4g}")
    print(f"{chosen.trials} trials, seed {chosen.seed}, warm-up {warmup}, refresh {refresh}; A = 1, so error = |a - ô|")
    print("bound: sharp 2-norm (_2), max norm (_inf), mean over trials; holds: in every trial ('-': in the mean only)")
    calls = sorted({i for i in SHOWN if i < chosen.steps} | {chosen.steps - 1})
    names = ("mean", "max", "bound")
    head = ["call", *(f"{n}_2" for n in names), "holds", *(f"{n}_inf" for n in names), "holds"]
    for name, norms in runs.items():
        columns = [values for norm in norms.values() for values in norm.values()]
        print(f"\n{name}")
        table(head, ([call, *(None if v is None else v[call] for v in columns)] for call in calls))
    return 0


def _plot(path: str, runs: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Mean error (line), largest (dotted) and bound (dashed) per recursion; a panel per norm."""
    from matplotlib.lines import Line2D

    from .plotting import COLOURS, legend_below, picture

    with picture(path, ["2-norm", "max norm"]) as (figure, panels):
        for axes, norm in zip(panels, ("2", "inf"), strict=True):
            for name, colour in zip(runs, COLOURS, strict=False):
                for values, line in (("mean", "-"), ("max", ":"), ("bound", "--")):
                    shown = runs[name][norm][values]
                    axes.plot(np.where(shown > 0, shown, np.nan), ls=line, color=colour)
            axes.set(yscale="log", xlabel="call", ylabel="error |a - ô|")
        handles = [Line2D([], [], color=c, label=n.replace("_", " ")) for n, c in zip(runs, COLOURS, strict=False)]
        kinds = (("mean error", "-"), ("largest error", ":"), ("bound, mean over trials", "--"))
        handles += [Line2D([], [], color="black", ls=line, label=text) for text, line in kinds]
        legend_below(figure, handles, columns=6)


def _limit(r: Result, norm: str, Q: Quantizer, d: int) -> np.ndarray:
    """Bound per call and trial; it starts again from 0 after every refresh, and from the warm-up's error at call 0."""
    two, name, refresh = norm == "2", r.params["recursion"], r.params["refresh"]
    gain = Q.c(d) if two else Q.kappa(d)
    q = math.sqrt(gain) if two else gain
    a, steps = (r.a, r.d) if two else (r.a_inf, r.d_inf)
    if name == "direct":
        limit = bounds.direct(a, q * q)
        refreshed = recursion.refresh_calls(refresh)
        limit[[call for call in range(len(a)) if refreshed(call)]] = 0
        return limit
    feeds = recursion.feeds(r.params["warmup"])
    first = bounds.warm_up_error(a[0], q, feeds, recursion=name) if feeds else np.zeros_like(a[0])
    if len(a) == 1:
        return first[None]
    bound = partial(getattr(bounds, f"{'sharp' if two else 'max_norm'}_{name}"), **{"c" if two else "kappa": gain})
    return np.concatenate([first[None], bounds.refreshed(bound, steps[1:], refresh, start=first)])


def _process(chosen: Namespace, Q: Quantizer) -> processes.Process:
    """The process of the command line; its options are the constructor's keyword arguments."""
    make = processes.PROCESSES[known("process", chosen.process, processes.PROCESSES)]
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


def _refresh(text: str) -> Any:
    if text == "never":
        return text
    try:
        return [int(part) for part in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise ValueError(f"--refresh takes never, a number of calls, or calls such as 10,20; got {text!r}") from None
