"""``modiff-sim bounds``: every bound for a profile of differences."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from .. import bounds
from ..arguments import affordable
from ..names import one_of
from . import granularities
from .printing import print_json, table

PROFILES = ("constant", "impulse", "geometric", "random")


def profile(chosen: Namespace, n: int) -> np.ndarray:
    """Return the norms of n differences in sampling order, by ``--profile``. "random" is log-normal, from the seed."""
    if n < 1:
        raise ValueError(f"there must be at least 1 difference, got {n}")
    affordable(f"every bound of {n:,} differences", 500 * n)
    at = n - 1 if chosen.at is None else chosen.at
    if not 0 <= at < n:
        raise ValueError(f"--at must be one of the {n} differences 0..{n - 1}, got {at}")
    one_of("profile", chosen.profile, PROFILES)
    if chosen.profile == "impulse":
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
    Q = granularities.quantizer(chosen, chosen.quantizer, chosen.bits)
    block = granularities.block(Q, chosen.d)
    c = Q.c(block) if chosen.c is None else chosen.c
    kappa = Q.kappa(block) if chosen.kappa is None else chosen.kappa
    columns: dict[str, np.ndarray] = {}
    for name, bound in bounds.BOUNDS.items():
        gain = kappa if name.startswith("max_norm") else c
        if name.startswith("printed"):
            columns |= {f"{name}/{index}": bound(d, gain, index=index) for index in bounds.INDICES}
        else:
            columns[name] = bound(d, gain)
    if chosen.plot:
        _plot(chosen, columns, d)
    if chosen.json:
        about = {"profile": chosen.profile, "c": c, "kappa": kappa, "entries_per_scale": block, "seed": chosen.seed}
        return print_json({"params": about, "d": d, "bounds": columns})
    print(f"Bounds on the norm of the error; {chosen.profile} differences, c = {c:.4g}, kappa = {kappa:.4g}, ||A|| = 1")
    if chosen.c is None or chosen.kappa is None:
        print(f"Declared by {type(Q).__name__}({Q.bits}), {granularities.words(Q, chosen.d, block)}")
    if Q.laws.randomised and chosen.c is None:
        print(
            "Its c bounds an expectation, so the 2-norm bounds are on the root mean square, for exogenous differences"
        )
    print(f"Premise 2c <= 1 of (31): {'holds' if 2 * c <= 1 else 'fails'}. printed/paper: (30), (31) with the paper's")
    print(
        "index (T = first step); printed/sampling: with k counted in sampling order. `python -m paper_checks` judges."
    )
    for loop in ("open_loop", "closed_loop"):
        names = [name for name in columns if loop in name]
        print(f"\n{loop}")
        shown = [name.replace(f"_{loop}", "") for name in names]
        table(["call", "||d||", *shown], ([j + 1, d[j], *(columns[name][j] for name in names)] for j in range(len(d))))
    return 0


def _plot(chosen: Namespace, columns: dict[str, np.ndarray], d: np.ndarray) -> None:
    from matplotlib.lines import Line2D

    from ..plot import panels, style
    from .plotting import picture

    loops = ("open_loop", "closed_loop")
    short = list(dict.fromkeys(name.replace(f"_{loop}", "") for loop in loops for name in columns if loop in name))
    looks = panels.bounds(short)
    with picture(chosen.plot, [style.SHORT[loop] for loop in loops]) as (figure, drawn):
        for axes, loop in zip(drawn, loops, strict=True):
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
