"""``modiff-sim simulate``: the recursions on a process, their errors, and the worst ratio of an error to its bound.

How an error is compared with its bound is said in ``simulation.against_bounds``.
"""

from __future__ import annotations

import inspect
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from .. import recursion
from ..arguments import affordable
from ..contraction.atlas import shared_by_samples
from ..names import one_of
from ..quantizers.base import Quantizer
from ..simulation import processes
from ..simulation.against_bounds import SIGMAS, compared
from ..simulation.driver import simulate
from . import granularities
from .printing import print_json, table

SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # calls in a table, besides the last


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
        runs[name] = {norm: compared(r, norm) for norm in ("2", "inf")}
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
    """Draw errors and bounds of every recursion; below, their ratio."""
    from ..plot.errors import against_bounds
    from .plotting import picture

    titles = ["2-norm", "max norm", "2-norm: worst error / bound", "max norm: worst error / bound"]
    with picture(path, titles, columns=2) as (figure, panels):
        against_bounds(figure, panels, runs)


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
