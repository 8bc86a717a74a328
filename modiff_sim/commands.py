"""The commands of ``modiff-sim``: each takes the parsed arguments, prints a table or JSON, returns the exit code.

A wrong name or value raises ValueError, which ``cli`` turns into one line on stderr.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import bounds, contraction, processes, quantizers, recursion, store
from .quantizer import Quantizer
from .simulation import Result, simulate

SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # calls of a table, and always the last
SEARCHED_UP_TO = 4096  # entries per scale; beyond, a search takes tens of seconds


def run_simulate(chosen: Namespace) -> int:
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
    if chosen.json:
        about = {"process": process.name, "process_params": process.params, "quantizer": str(Q), "c": c, "kappa": kappa}
        about |= {"warmup": warmup, "refresh": refresh, **options}
        return _print_json({"params": about, "runs": runs})
    print(f"{process.name}, d = {process.d}; {Q}; c = {c:.4g}, kappa = {kappa:.4g}")
    print(f"{chosen.trials} trials, seed {chosen.seed}, warm-up {warmup}, refresh {refresh}; A = 1, so error = |a - ô|")
    print("bound: sharp 2-norm (_2), max norm (_inf), mean over trials; holds: in every trial ('-': in the mean only)")
    calls = sorted({i for i in SHOWN if i < chosen.steps} | {chosen.steps - 1})
    names = ("mean", "max", "bound")
    head = ["call", *(f"{n}_2" for n in names), "holds", *(f"{n}_inf" for n in names), "holds"]
    for name, norms in runs.items():
        columns = [values for norm in norms.values() for values in norm.values()]
        print(f"\n{name}")
        _table(head, ([call, *(None if v is None else v[call] for v in columns)] for call in calls))
    return 0


def _limit(r: Result, norm: str, Q: Quantizer, d: int) -> np.ndarray:
    """Bound per call and trial; it starts again from 0 after every refresh, and from q^m·||a|| with a warm-up."""
    two = norm == "2"
    gain = Q.c(d) if two else Q.kappa(d)
    q = math.sqrt(gain) if two else gain
    a, steps = (r.a, r.d) if two else (r.a_inf, r.d_inf)
    refreshed = recursion.refresh_calls(r.params["refresh"])
    restarts = [call for call in range(len(a)) if refreshed(call)]
    if r.params["recursion"] == "direct":
        limit = bounds.direct(a, q * q)
        limit[restarts] = 0
        return limit
    limit = np.zeros_like(a)
    closed, warmup = r.params["recursion"] == "closed_loop", r.params["warmup"]
    if warmup != "exact":  # fed again, the open loop's residual is 0: only its first feeding counts
        limit[0] = q ** (recursion.feeds(warmup) if closed else 1) * a[0]
    for first, end in itertools.pairwise([0, *restarts, len(a)]):
        since, start = steps[first + 1 : end], limit[first]
        if len(since) == 0:
            continue
        if closed and two:
            limit[first + 1 : end] = bounds.sharp_closed_loop(since, gain, start=start)
        elif closed:
            limit[first + 1 : end] = bounds.max_norm_closed_loop(since, gain, start=start)
        else:
            limit[first + 1 : end] = start + (bounds.sharp_open_loop if two else bounds.max_norm_open_loop)(since, gain)
    return limit


def run_bounds(chosen: Namespace) -> int:
    n = chosen.steps
    if n < 1:
        raise ValueError(f"--steps must be at least 1, got {n}")
    at = n - 1 if chosen.at is None else chosen.at
    if not 0 <= at < n:
        raise ValueError(f"--at must be one of the {n} differences 0..{n - 1}, got {at}")
    profiles = {"constant": np.ones(n), "impulse": np.eye(n)[at], "geometric": chosen.ratio ** np.arange(n)}
    d = profiles[_known("profile", chosen.profile, profiles)]
    Q = quantizers.make(chosen.quantizer, chosen.bits)
    c = Q.c(chosen.d) if chosen.c is None else chosen.c
    kappa = Q.kappa(chosen.d) if chosen.kappa is None else chosen.kappa
    columns: dict[str, np.ndarray] = {}
    for name, bound in bounds.BOUNDS.items():
        gain = kappa if name.startswith("max_norm") else c
        if name.startswith("printed"):
            columns |= {f"{name}/{index}": bound(d, gain, index=index) for index in bounds.INDICES}
        else:
            columns[name] = bound(d, gain)
    if chosen.json:
        about = {"profile": chosen.profile, "c": c, "kappa": kappa}
        return _print_json({"params": about, "d": d, "bounds": columns})
    print(f"Bounds on the norm of the error; {chosen.profile} differences, c = {c:.4g}, kappa = {kappa:.4g}, ||A|| = 1")
    print(f"Premise 2c <= 1 of (31): {'holds' if 2 * c <= 1 else 'fails'}. printed/paper: (30), (31) with the paper's")
    print(
        "index (T = first step); printed/sampling: with k counted in sampling order. `python -m paper_checks` judges."
    )
    for loop in ("open_loop", "closed_loop"):
        names = [name for name in columns if loop in name]
        print(f"\n{loop}")
        shown = [name.replace(f"_{loop}", "") for name in names]
        _table(["call", "||d||", *shown], ([j + 1, d[j], *(columns[name][j] for name in names)] for j in range(n)))
    return 0


#: name -> (rng, shape) -> independent entries
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
}


def run_contraction(chosen: Namespace) -> int:
    if min(chosen.d) < 1 or chosen.trials < 2:
        raise ValueError(f"needs --d >= 1 and --trials >= 2, got d={min(chosen.d)}, trials={chosen.trials}")
    for name in chosen.distribution:
        _known("distribution", name, DISTRIBUTIONS)
    grid = [quantizers.make(chosen.quantizer, bits) for bits in chosen.bits]
    rows: list[dict[str, Any]] = []
    for Q, d, norm in itertools.product(grid, chosen.d, contraction.NORMS):
        searchable = d <= SEARCHED_UP_TO and not Q.laws.randomised
        found = contraction.search(Q, d, norm=norm, seed=chosen.seed).value if searchable else None
        for name in chosen.distribution:
            rng = np.random.default_rng(chosen.seed)
            x = DISTRIBUTIONS[name](rng, (chosen.trials, d))
            random = rng.random(x.shape) if Q.laws.randomised else None
            m = contraction.measure(Q, x, norm=norm, random=random, seed=chosen.seed)
            rows.append({
                "bits": Q.bits, "d": d, "norm": norm, "declared": getattr(Q, norm)(d), "searched": found,
                "distribution": name, "mean": m.mean, "low": m.low, "high": m.high, "largest": m.largest,
            })  # fmt: skip
    if chosen.json:
        about = {"quantizer": chosen.quantizer, "trials": chosen.trials, "seed": chosen.seed}
        return _print_json({"params": about, "rows": rows})
    print(
        f"{chosen.quantizer}: c on the squared 2-norm, kappa on the max norm. mean: over {chosen.trials} draws, low and"
    )
    print(f"high its 95 % bootstrap interval. searched: worst case found ('-': randomised, or d > {SEARCHED_UP_TO}).")
    _table(list(rows[0]), (row.values() for row in rows))
    return 0


def run_quantizers(chosen: Namespace) -> int:
    flags = ("idempotent", "sign_equivariant", "scale_equivariant", "zero_to_zero", "unbiased", "randomised")
    rows: list[dict[str, Any]] = []
    for name in quantizers.QUANTIZERS:
        Q = quantizers.make(name, chosen.bits)
        rows.append({
            "name": name, "bits": Q.bits, "error/scale": Q.laws.error, "c": Q.c(chosen.d), "c is": Q.laws.c,
            "kappa": Q.kappa(chosen.d), "kappa is": Q.laws.kappa,
            "laws": [flag for flag in flags if getattr(Q.laws, flag)],
        })  # fmt: skip
    if chosen.json:
        return _print_json({"params": {"bits": chosen.bits, "d": chosen.d}, "quantizers": rows})
    print(
        f"Declared at {chosen.bits} bits where they can be chosen; c for d = {chosen.d} entries per scale ('-': none)"
    )
    _table(list(rows[0]), ([*list(row.values())[:-1], " ".join(row["laws"])] for row in rows))
    return 0


def run_verify(chosen: Namespace) -> int:
    count, problems = store.verify(chosen.folder)
    if not count:
        raise ValueError(f"no result (manifest.json) below {chosen.folder}: nothing was checked")
    for problem in problems:
        print(problem)
    print(f"{count} result{'s' * (count != 1)} checked, {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return int(bool(problems))


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "simulate": run_simulate,
    "bounds": run_bounds,
    "contraction": run_contraction,
    "quantizers": run_quantizers,
    "verify": run_verify,
}


# -- reading the arguments ----------------------------------------


def _process(chosen: Namespace, Q: Quantizer) -> processes.Process:
    """The process of the command line; its options are the constructor's keyword arguments."""
    make = processes.PROCESSES[_known("process", chosen.process, processes.PROCESSES)]
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
        return [int(part) for part in text.split(",") if part] if "," in text else int(text)
    except ValueError:
        raise ValueError(f"--refresh takes never, a number of calls, or calls such as 10,20; got {text!r}") from None


def _known(what: str, name: str, known: Iterable[str]) -> str:
    if name not in (names := list(known)):
        raise ValueError(f"unknown {what} {name!r}; known: {', '.join(names)}")
    return name


# -- printing ----------------------------------------


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def _table(head: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Aligned columns; the first one and the laws are text and left-aligned."""
    cells = [head, *([_cell(v) for v in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = {i for i, name in enumerate(head) if name in ("name", "laws")}
    for row in cells:
        line = [c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(line).rstrip())


def _print_json(value: Any) -> int:
    def plain(v: Any) -> Any:
        """JSON has neither NaN nor infinity: null."""
        if isinstance(v, dict):
            return {k: plain(w) for k, w in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(w) for w in v]
        return None if isinstance(v, float) and not math.isfinite(v) else v

    print(json.dumps(plain(store.plain(value)), allow_nan=False))
    return 0
