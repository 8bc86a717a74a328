"""``modiff-sim simulate``: recursions on processes, their errors, and the worst ratio of an error to its bound.

Every quantizer meets every process, and each pair is a section of its own. How an error is compared with its bound is
said in ``simulation.against_bounds``.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import recursion
from ..arguments import affordable
from ..contraction.atlas import shared_by_samples
from ..names import one_of
from ..quantizers.laws import SIGMAS
from ..simulation.against_bounds import compared
from ..simulation.driver import simulate
from . import inputs, taken
from .effects import idle
from .printing import WIDTH, printed, say, table, width
from .sections import NORMS, Section, verdict

SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # calls in a table, besides the last


def run(chosen: Namespace) -> int:
    """Print the errors of the chosen recursions against their bounds."""
    warmup, refresh = inputs.warmup(chosen.warmup), inputs.refresh(chosen.refresh)
    known = recursion.RECURSIONS
    names = list(dict.fromkeys(one_of("recursion", name, known) for name in chosen.recursion or known))
    # what is measured, and twice as much again where it is compared
    affordable(f"{chosen.steps:,} steps × {chosen.trials:,} trials", 24 * 8 * chosen.steps * chosen.trials)
    sections = _sections(chosen)
    if not any(map(_draws, sections)):
        idle(chosen, "seed", "processes and quantizers that draw random numbers")
    if chosen.plot:
        from .simulate_plot import fits, plot

        fits(sections, names)
    options: dict[str, Any] = {"steps": chosen.steps, "trials": chosen.trials, "seed": chosen.seed}
    for one in sections:
        for name in names:
            r = simulate(one.process, one.Q, name, warmup=warmup, refresh=refresh, **options)
            one.runs[name] = {norm: compared(r, norm) for norm in NORMS}
    more = {
        "params": {"warmup": warmup, "refresh": refresh},
        "comparison": [row for one in sections for row in one.comparison()],
        "settings": [one.about() | {"process_params": one.process.params} for one in sections],
    }
    if not printed(chosen, [row for one in sections for row in one.rows()], **more):
        _show(chosen, sections, f"warm-up {warmup}, refresh {refresh}")
    if chosen.plot:
        plot(chosen.plot, sections, ", ".join([*_options(sections), f"{chosen.trials} trials", f"seed {chosen.seed}"]))
    return 0


def _draws(one: Section) -> bool:
    """Return whether anything is drawn: bits of the quantizer or, as two inputs of one trial show, the process."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    for _ in one.process.stream(rng, 1, 1 if one.process.values is not None else 2):
        pass
    return one.Q.laws.randomised or rng.bit_generator.state != before


def _show(chosen: Namespace, sections: Sequence[Section], scheme: str) -> None:
    """Print the sections as text, and before them a comparison if there are several."""
    many = len(sections) > 1
    if not many:
        _introduce(sections[0])
    print(f"{chosen.trials} trials, seed {chosen.seed}, {scheme}")
    if many:
        _compare(sections)
    print()
    _explain(sections)
    for one in sections:
        if many:
            print("\n" + "-" * min(width(), WIDTH))
            _introduce(one)
        _print(one, chosen.steps)


def _options(sections: Sequence[Section]) -> list[str]:
    """Return the options of the processes for a title, which says whose they are where not all take the same."""
    taken_by = {inputs.said(one.process): one.options for one in sections}
    if len(set(taken_by.values())) == 1:
        return list(sections[0].options)
    return [f"{name}: {', '.join(options)}" for name, options in taken_by.items() if options]


def _sections(chosen: Namespace) -> list[Section]:
    """Return the sections, each pair of a quantizer and a process once, before anything is run."""
    found: dict[tuple[str, str], Section] = {}
    for Q in taken.several(chosen.quantizer, chosen.bits, chosen.granularity):
        for text in chosen.process:
            process = inputs.process(chosen, text, Q)
            process.require(chosen.trials, chosen.steps)
            options, block = inputs.options(chosen, text), taken.block(Q, process.d, chosen.trials)
            found.setdefault((taken.said(Q), inputs.said(process)), Section(Q, process, options, block, {}))
    return list(found.values())


def _explain(sections: Sequence[Section]) -> None:
    """Say what the columns are, and what the constants have to meet."""
    say(
        "A = 1, so error = |a - ô|. mean: over trials. error, bound, ratio: for the trial with the largest ratio of "
        "its error to its own bound at this call; bounds: sharp (2-norm), max norm (inf). holds: ratio <= 1 up to "
        "rounding."
    )
    randomised = any(one.Q.laws.randomised for one in sections)
    if randomised:
        say(
            "Randomised quantizers, 2-norm: c bounds an expectation; error and bound are root mean squares over "
            f"trials, and NO means that error exceeds bound by more than {SIGMAS:g} standard errors ('-': too few "
            "independent trials to decide)."
        )
    if any(shared_by_samples(one.Q.granularity, one.process.d) for one in sections):
        say("Where trials share scales, error, bound and ratio are those of all trials together.")
    worst = [found["worst"] for one in sections for norms in one.runs.values() for found in norms.values()]
    if any(each is not None and each["premise_fails_from"] is not None for each in worst):
        say(
            "PREMISE FAILS: the quantizer lost more than it declares, as happens outside its domain (too small a "
            "range, or beyond its exponents). Trials are not counted from that call on."
            + f" For c of a randomised quantizer, the mean loss over trials is {SIGMAS:g} standard errors above c."
            * randomised
        )
    say(taken.CONDITIONS)


#: column of the comparison -> its head in the printed table
COMPARED = {
    "recursion": "recursion", "last_mean_2": "mean_2", "worst_ratio_2": "ratio_2", "worst_ratio_inf": "ratio_inf",
    "verdict": "verdict",
}  # fmt: skip


def _compare(sections: Sequence[Section]) -> None:
    """Print the table that compares the sections."""
    say(
        "mean_2: mean error over the trials at the last call, 2-norm; ratio: the largest one of an error to its own "
        "bound at any call."
    )
    lines = [
        row | {"quantizer": taken.said(one.Q), "process": inputs.said(one.process)}
        for one in sections
        for row in one.comparison()
    ]
    print()
    heads = {name: name for name in ("quantizer", "process") if len({line[name] for line in lines}) > 1} | COMPARED
    table(
        list(heads.values()), ([line[name] for name in heads] for line in lines), keys=list(heads).index("last_mean_2")
    )


def _introduce(one: Section) -> None:
    """Say what a section is about."""
    about = one.about()
    print("; ".join([one.title, *one.options]))
    print(taken.words(one.Q, one.process.d, one.block))
    say(taken.verdicts(about["c"], about["kappa"]))


def _print(one: Section, steps: int) -> None:
    """Print the table of every recursion of a section, and its verdicts."""
    calls = sorted({i for i in SHOWN if i < steps} | {steps - 1})
    names = ("mean", "error", "bound", "ratio")
    head = ["call", *(f"{n}_2" for n in names), "holds", *(f"{n}_inf" for n in names), "holds"]
    for name, norms in one.runs.items():
        print(f"\n{name}")
        columns = [values[key] for values in norms.values() for key in (*names, "holds")]
        table(head, ([call, *(None if v is None else v[call] for v in columns)] for call in calls))
        for norm, found in norms.items():
            say(f"{NORMS[norm]}: {verdict(found['worst'])}", indent="    ")
