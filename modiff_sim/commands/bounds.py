"""``modiff-sim bounds``: every bound for a profile of differences."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import bounds
from ..arguments import affordable
from ..names import one_of
from ..quantizers.base import Quantizer
from . import taken
from .effects import constants_needed
from .printing import printed, say, table

LOOPS = ("open_loop", "closed_loop")
PROFILES = ("constant", "impulse", "geometric", "random")


def profile(chosen: Namespace, n: int) -> np.ndarray:
    """Return the norms of n differences in sampling order, by ``--profile``. "random" is log-normal, from the seed."""
    if n < 1:
        raise ValueError(f"there must be at least 1 difference, got {n}")
    affordable(f"every bound of {n:,} differences", 500 * n)
    one_of("profile", chosen.profile, PROFILES)
    if chosen.profile == "impulse":
        at = n - 1 if chosen.at is None else chosen.at
        if not 0 <= at < n:
            raise ValueError(f"--at must be one of the differences 0..{n - 1}, got {at}")
        return np.asarray(np.arange(n) == at, np.float64)
    if chosen.profile == "random":
        return np.random.default_rng(chosen.seed).lognormal(size=n)
    if chosen.profile == "constant":
        return np.ones(n)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        d = np.asarray(chosen.ratio ** np.arange(n))
    if not (np.isfinite(d).all() and (d >= 0).all()):
        raise ValueError(f"--ratio {chosen.ratio}: the {n} differences must all be finite and >= 0")
    return d


def run(chosen: Namespace) -> int:
    """Print every bound for the chosen profile of differences."""
    d = profile(chosen, chosen.steps)
    Q, constants = taken.constants(chosen, constants_needed(chosen))
    c, kappa = constants["c"], constants["kappa"]
    columns: dict[str, np.ndarray] = {}
    for name, bound in bounds.BOUNDS.items():
        gain = kappa if name.startswith("max_norm") else c
        if name.startswith("printed"):
            columns |= {f"{name}/{index}": bound(d, gain, index=index) for index in bounds.INDICES}
        else:
            columns[name] = bound(d, gain)
    rows = [row for loop in LOOPS for row in _rows(loop, columns, d)]
    if not printed(chosen, rows, constants=constants):
        _show(chosen, rows, Q, constants)
    if chosen.plot:
        whose = "" if Q is None else f"{taken.said(Q)}, d = {chosen.d}, "
        _plot(chosen.plot, columns, d, f"{whose}c = {c:.4g}, kappa = {kappa:.4g}, {chosen.profile} differences")
    return 0


def _show(chosen: Namespace, rows: Sequence[dict[str, Any]], Q: Quantizer | None, constants: Mapping[str, Any]) -> None:
    """Print the rows as a table per loop."""
    print(f"Bounds on the norm of the error; {chosen.profile} differences, ||A|| = 1")
    say(taken.verdicts(constants["c"], constants["kappa"]))
    if Q is not None:
        which = "" if not constants["given"] else "c: " if chosen.c is None else "kappa: "
        print(f"{which}declared by {taken.said(Q)}, {taken.words(Q, chosen.d, constants['entries_per_scale'])}")
    if Q is not None and Q.laws.randomised and chosen.c is None:
        say("Its c bounds an expectation, so the 2-norm bounds are on the root mean square, for exogenous differences")
    say(taken.CONDITIONS)
    say(
        "printed/paper: (30), (31) with the paper's index (T = first step); printed/sampling: with k counted in "
        "sampling order. `python -m paper_checks` judges."
    )
    for loop in LOOPS:
        print(f"\n{loop}")
        of = [row for row in rows if row["recursion"] == loop]
        names = [name for name in of[0] if name not in ("recursion", "call", "difference")]
        lines = ([row[name] for name in ("call", "difference", *names)] for row in of)
        table(["call", "||d||", *names], lines, keys=2)


def _rows(loop: str, columns: dict[str, np.ndarray], d: np.ndarray) -> list[dict[str, Any]]:
    """Return a row per difference, with the bounds of one loop."""
    names = [name for name in columns if loop in name]
    return [
        {"recursion": loop, "call": j + 1, "difference": d[j]}
        | {name.replace(f"_{loop}", ""): columns[name][j] for name in names}
        for j in range(len(d))
    ]


def _plot(path: str, columns: dict[str, np.ndarray], d: np.ndarray, about: str) -> None:
    from matplotlib.lines import Line2D

    from ..plot import panels, style
    from .plotting import picture

    short = list(dict.fromkeys(name.replace(f"_{loop}", "") for loop in LOOPS for name in columns if loop in name))
    looks = panels.bounds(short)
    with picture(path, [style.SHORT[loop] for loop in LOOPS], about=about) as (figure, drawn):
        for axes, loop in zip(drawn, LOOPS, strict=True):
            calls = np.arange(1, len(d) + 1)
            for name, values in columns.items():
                if loop in name:
                    shown = panels.positive(np.where(np.isfinite(values), values, np.nan))
                    axes.plot(calls, shown, **looks[name.replace(f"_{loop}", "")])
            axes.bar(calls, d, color=style.GRID, width=0.5, zorder=0)
            axes.set(yscale="log", xlabel="call", ylabel="bound on the norm of the error")
            panels.decade(axes)
            panels.whole_numbers(axes)
        handles = [Line2D([], [], label=name.replace("_", " "), **look) for name, look in looks.items()]
        handles.append(Line2D([], [], color=style.GRID, lw=6, label="norm of the difference"))
        style.legend(figure, handles, columns=4, where="outside lower center")
