"""``modiff-sim worst-case``: the exact worst case of all contractive quantizers, against every bound."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import bounds
from ..bounds import certificates
from ..names import one_of
from ..quantizers.base import Quantizer
from ..simulation import processes
from ..simulation.driver import simulate
from . import taken
from .bounds import LOOPS, profile
from .effects import constants_needed, searched
from .printing import printed, say, table

MOST = 30  # differences: the program has n² unknowns, and takes seconds for more


def run(chosen: Namespace) -> int:
    """Print the worst case of any contractive quantizer, certified where PEPit is installed, against every bound."""
    if min(chosen.n) < 1 or max(chosen.n) > MOST:
        raise ValueError(f"--n must lie in 1..{MOST}, got {', '.join(map(str, chosen.n))}")
    lengths = sorted(set(chosen.n))
    loops = list(dict.fromkeys(one_of("recursion", name, LOOPS) for name in chosen.recursion or LOOPS))
    profiles = [profile(chosen, n) for n in lengths]
    Q, constants = taken.constants(chosen, constants_needed(chosen))
    c, found = constants["c"], None
    if Q is not None and searched(chosen):
        adversary = processes.adversarial(Q, chosen.d)
        found = simulate(adversary, Q, steps=lengths[-1] + 1, trials=8, seed=chosen.seed).error.max(axis=1)
    rows = [_row(loop, d, c, found) for loop in loops for d in profiles]
    if not printed(chosen, rows, constants=constants):
        _show(chosen, rows, Q, constants)
    if chosen.plot:
        whose = "" if Q is None else f"{taken.said(Q)}, d = {chosen.d}, "
        _plot(chosen.plot, rows, f"{whose}c = {c:.4g}, {chosen.profile} differences")
    return 0


def _show(chosen: Namespace, rows: Sequence[dict[str, Any]], Q: Quantizer | None, constants: Mapping[str, Any]) -> None:
    """Print the rows as a table per loop."""
    say("Largest ||o-ô|| after n differences, A = 1, exact start, for any quantizer with this c")
    print(f"{taken.verdicts(constants['c'])}; {chosen.profile} differences")
    if Q is not None:
        print(f"c: declared by {taken.said(Q)}, {taken.words(Q, chosen.d, constants['entries_per_scale'])}")
        if Q.laws.randomised:
            say("It bounds an expectation, so the errors are root mean squares over the random bits")
    say(taken.CONDITIONS_OF_C)
    if certificates.available():
        say("certified: exact, by a semidefinite program (its two ends agree to 1e-4); the rest are formulas")
    else:
        say("certified ('-') needs PEPit: pip install 'modiff-sim[theory]'; the rest are formulas")
    if Q is not None and searched(chosen):
        say(f"found: what a search drove {taken.said(Q)} to at d = {chosen.d}, closed loop (a lower bound)")
    for loop in dict.fromkeys(row["recursion"] for row in rows):
        print(f"\n{loop}")
        of = [row for row in rows if row["recursion"] == loop]
        head = [name for name in of[0] if name != "recursion" and (name != "found" or loop == "closed_loop")]
        table(head, ([row[name] for name in head] for row in of))


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


def _plot(path: str, rows: list[dict[str, Any]], about: str) -> None:
    from matplotlib.lines import Line2D

    from ..plot import panels, style
    from .plotting import picture

    loops = list(dict.fromkeys(row["recursion"] for row in rows))
    looks = panels.bounds([name for name in rows[0] if name not in ("recursion", "n", "certified", "found")])
    dots = {"certified": "+", "found": "x"}
    with picture(path, [style.SHORT[loop] for loop in loops], about=about) as (figure, drawn):
        for axes, loop in zip(drawn, loops, strict=True):
            of = [row for row in rows if row["recursion"] == loop]
            n = [row["n"] for row in of]
            for name, look in looks.items():
                axes.plot(n, panels.positive([row[name] for row in of]), **look)
            for name, marker in dots.items():
                if of[0].get(name) is not None:
                    axes.plot(
                        n,
                        panels.positive([row[name] for row in of]),
                        ls="",
                        marker=marker,
                        color="black",
                        mfc="none",
                        ms=7,
                    )
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
