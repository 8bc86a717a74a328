"""``modiff-sim worst-case``: the exact worst case of all contractive quantizers, against every bound."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np

from .. import bounds
from ..bounds import certificates
from ..names import one_of
from ..simulation import processes
from ..simulation.driver import simulate
from . import granularities
from .bounds import profile
from .printing import print_json, table

LOOPS = ("open_loop", "closed_loop")
MOST = 30  # differences: the program has n² unknowns, and takes seconds for more


def run(chosen: Namespace) -> int:
    """Print the worst case of any contractive quantizer, certified where PEPit is installed, against every bound."""
    if min(chosen.n) < 1 or max(chosen.n) > MOST:
        raise ValueError(f"--n must lie in 1..{MOST}, got {', '.join(map(str, chosen.n))}")
    Q = granularities.quantizer(chosen, chosen.quantizer, chosen.bits)
    block = granularities.block(Q, chosen.d)
    c = Q.c(block) if chosen.c is None else chosen.c
    lengths = sorted(set(chosen.n))
    found = None
    if chosen.c is None and chosen.profile == "constant" and not Q.laws.randomised:
        adversary = processes.adversarial(Q, chosen.d)
        found = simulate(adversary, Q, steps=lengths[-1] + 1, trials=8, seed=chosen.seed).error.max(axis=1)
    rows: list[dict[str, Any]] = []
    for loop in dict.fromkeys(one_of("recursion", name, LOOPS) for name in chosen.recursion or LOOPS):
        rows += [_row(loop, profile(chosen, n), c, found) for n in lengths]
    if chosen.plot:
        _plot(chosen.plot, rows, c)
    about = {
        "profile": chosen.profile,
        "c": c,
        "quantizer": str(Q) if chosen.c is None else None,
        "d": chosen.d,
        "entries_per_scale": block,
        "seed": chosen.seed,
    }
    if chosen.json:
        return print_json({"params": about, "rows": rows})
    print(f"Largest ||o-ô|| after n differences, A = 1, exact start, for any quantizer with c = {c:.4g}")
    print(f"Norms of the differences: {chosen.profile} profile")
    if chosen.c is None:
        print(f"c: declared by {type(Q).__name__}({Q.bits}), {granularities.words(Q, chosen.d, block)}")
        if Q.laws.randomised:
            print("It bounds an expectation, so the errors are root mean squares over the random bits")
    print(f"Premise 2c <= 1 of printed (31): {'holds' if 2 * c <= 1 else 'fails'}; the sharp bound does not need it")
    if certificates.available():
        print("certified: exact, by a semidefinite program (its two ends agree to 1e-4); the rest are formulas")
    else:
        print("certified ('-') needs PEPit: pip install 'modiff-sim[theory]'; the rest are formulas")
    if found is not None:
        print(
            f"found: what a search drove {type(Q).__name__}({Q.bits}) to at d = {chosen.d}, closed loop (a lower bound)"
        )
    for loop in dict.fromkeys(row["recursion"] for row in rows):
        print(f"\n{loop}")
        of = [row for row in rows if row["recursion"] == loop]
        head = [name for name in of[0] if name != "recursion"]
        table(head, ([row[name] for name in head] for row in of))
    return 0


def _row(loop: str, d: np.ndarray, c: float, found: np.ndarray | None) -> dict[str, Any]:
    """Return one row: the certificate and every bound after differences of norms d."""
    n, closed = len(d), loop == "closed_loop"
    row: dict[str, Any] = {"recursion": loop, "n": n, "certified": None}
    if certificates.available():
        row["certified"] = (certificates.closed_loop if closed else certificates.open_loop)(n, c, d=d).value
    row["sharp"] = float((bounds.sharp_closed_loop if closed else bounds.sharp_open_loop)(d, c)[-1])
    row["young"] = float((bounds.young_closed_loop if closed else bounds.young_open_loop)(d, c)[-1])
    printed = bounds.printed_closed_loop if closed else bounds.printed_open_loop
    row |= {f"printed/{index}": float(printed(d, c, index=index)[-1]) for index in bounds.INDICES}
    if found is not None:
        row["found"] = float(found[n]) if closed else None
    return row


def _plot(path: str, rows: list[dict[str, Any]], c: float) -> None:
    from matplotlib.lines import Line2D

    from ..plot import panels, style
    from .plotting import picture

    loops = list(dict.fromkeys(row["recursion"] for row in rows))
    looks = panels.bounds([name for name in rows[0] if name not in ("recursion", "n", "certified", "found")])
    dots = {"certified": "+", "found": "x"}
    with picture(path, [f"{style.SHORT[loop]}, c = {c:.3g}" for loop in loops]) as (figure, drawn):
        for axes, loop in zip(drawn, loops, strict=True):
            of = [row for row in rows if row["recursion"] == loop]
            n = [row["n"] for row in of]
            for name, look in looks.items():
                axes.plot(n, [row[name] for row in of], **look)
            for name, marker in dots.items():
                if of[0].get(name) is not None:
                    axes.plot(n, [row[name] for row in of], ls="", marker=marker, color="black", mfc="none", ms=7)
            axes.set(yscale="log", xlabel="differences n", ylabel="largest error")
            panels.decade(axes)
            panels.whole_numbers(axes)
        handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
        handles += [
            Line2D([], [], color="black", ls="", marker=marker, mfc="none", ms=7, label=name)
            for name, marker in dots.items()
            if any(row.get(name) is not None for row in rows)
        ]
        style.legend(figure, handles, columns=6, where="outside lower center")
