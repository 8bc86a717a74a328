"""The page docs/verdicts.md: the paper's sentences, how they are read, under which conditions, and what was found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.typeset import markdown
from modiff_sim import Claim, Verdict
from modiff_sim.evidence import Judgement, Premise

from . import claims
from ._digits import STAND_IN

INTRODUCTION = """# The paper's sentences and their verdicts

What the paper says, how it is read, under which conditions it was tested, on how many cases, what was measured, and
what follows. Where two readings are possible both are here, the charitable one first. A comparison is decided by its
whole interval, or it is not decided. What holds instead, or more sharply, is linked under each sentence, and what was
found of it on other models; all claims, ours included, are in [claims.md](claims.md), and the proofs in
[theory.md](theory.md).

The text of the paper (PMLR 267:18337-18362, arXiv 2506.22463) was read in a copy that may have lost bold type and
brackets of rounding; quotations are short on purpose. Models of this project stand in for the paper's where a claim
says so.

HOLDS: the statement held in every case. VIOLATED: a case breaks it, which is shown. PREMISE_FAILS: one of its
conditions does not hold where it is applied, so that it says nothing there. VACUOUS: true, but known without it.
NOT_RUN: not decided, and why.

This page is made by `make pages`. `python -m paper_checks --only ID` measures a verdict again.
"""
#: what a reader need not see of the parameters of a check
HIDDEN = frozenset({"measured", "of", "source"})
MANY = 3  # premises that hold; more are counted
#: relation -> the claim on a number
MUST = {"upper": "at most {}", "tight": "at most {} (attained)", "lower": "at least {}", "equal": "{}"}


def printed() -> list[str]:
    """Return the ids of the claims that quote the paper, in reading order."""
    return [module.CLAIM.id for module in claims() if module.CLAIM.printed]


def page(judged: Sequence[Judgement]) -> str:
    """Return the page of these verdicts."""
    known = {module.CLAIM.id: module.CLAIM for module in claims()}
    counts = Counter(j.verdict for j in judged)
    said = ", ".join(f"{counts[v]} {v}" for v in Verdict if counts[v])
    lines = [
        INTRODUCTION,
        f"**{len(judged)} readings: {said}.**",
        "",
        "| the paper | where, and how it is read | verdict |",
        "|---|---|---|",
    ]
    for j in judged:
        more = f"; {len(j.claim.elsewhere)} more on other models" if j.claim.elsewhere else ""
        lines.append(f"| {cell(j.claim.quote)} | {cell(where(j.claim))} | [{j.verdict}](#{j.claim.id}){more} |")
    return "\n".join([*lines, "", *(_block(j, known) for j in judged)])


def where(claim: Claim) -> str:
    """Return where the paper says it, and how it is read."""
    return "; ".join(filter(None, (claim.source, claim.reading)))


def _block(j: Judgement, known: Mapping[str, Claim]) -> str:
    claim = j.claim
    facts = [f"**Read as:** {markdown(claim.reading)}" if claim.reading else ""]
    facts.append(f"**Tested:** {plain(claim.statement)}")
    facts.append(f"**Where it was tested:** {conditions(j)}")
    facts.append(f"**Measured:** {measured(j)}")
    facts += _premises(j)
    for heading, names in (("Instead, or more sharply", claim.instead), ("On other models", claim.elsewhere)):
        facts += [f"**{heading}:**"] if names else []
        facts += [f"  {linked(name)} ({known[name].expected}): {plain(known[name].statement)}" for name in names]
    body = "\n".join(f"  - {fact.strip()}" if fact.startswith(" ") else f"- {fact}" for fact in facts if fact)
    heading = f'<a id="{claim.id}"></a>\n## {claim.source}: {j.verdict}'
    return f"{heading}\n\n> {markdown(claim.quote)}\n\n`{claim.id}`\n\n{body}\n"


def plain(statement: str) -> str:
    """Return a statement for a page, without the words on the model that stands in."""
    return markdown(statement.removeprefix(f"{STAND_IN}: "))


def linked(name: str) -> str:
    """Return the name of a claim, with a link to its line of docs/claims.md."""
    return f"[`{name}`](claims.md#claim_{name})"


def premise(p: Premise) -> str:
    """Return a premise with what was measured of it."""
    return markdown(f"{p.name}: {p.detail}" if p.detail else p.name)


def _premises(j: Judgement) -> list[str]:
    """The premises that fail; those that hold too, if they are few, and else their number."""
    each = {holds: [premise(p) for p in j.evidence.premises if p.holds == holds] for holds in (False, True)}
    if len(each[True]) > MANY:
        each[True] = [f"{len(each[True])} in all, such as {each[True][0]}"]
    return [f"**Premise that {'holds' if holds else 'fails'}:** {said}" for holds in each for said in each[holds]]


def conditions(j: Judgement) -> str:
    """Return the number of cases, the parameters, and the model if one stands in, for a page."""
    model = [STAND_IN.removeprefix("On ")] if j.claim.statement.startswith(STAND_IN) else []
    return markdown("; ".join([*model, *tested(j)])) or "nowhere"


def tested(j: Judgement) -> list[str]:
    """Return the number of cases and the parameters of a check, as far as they are short."""
    cases = 0 if j.evidence.not_run else int(np.size(j.evidence.measured))
    parts = [f"{cases} {'case' if cases == 1 else 'cases'}"] if cases else []
    return parts + [
        _param(name, value) for name, value in j.evidence.params.items() if name not in HIDDEN and _short(value)
    ]


def _param(name: str, value: object) -> str:
    """Return a parameter as a page says it: d = (1, 0.5), images 512."""
    several = isinstance(value, list | tuple)
    said = ", ".join(map(_plain, value)) if several else _plain(value)
    return f"{name} {said}" if len(name) > 1 else f"{name} = ({said})" if several else f"{name} = {said}"


def _short(value: object) -> bool:
    return isinstance(value, int | float | str) or (isinstance(value, list | tuple) and len(value) <= 8)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def asserts(j: Judgement) -> str:
    """Return what is claimed of the most extreme case, such as "at most 0.5"; nothing where nothing was measured."""
    return "" if math.isnan(j.claimed) else MUST[j.claim.relation].format(f"{j.claimed:.4g}")


def interval(j: Judgement) -> tuple[float, float] | None:
    """Return the interval of what was measured in the most extreme case, which decides; None where it has none."""
    if j.evidence.not_run or j.evidence.low is None or j.evidence.high is None:
        return None
    numbers = (j.evidence.measured, j.evidence.low, j.evidence.high, j.evidence.claimed)
    values, low, high, _ = (each.ravel() for each in np.broadcast_arrays(*(np.asarray(n, np.float64) for n in numbers)))
    worst = int(np.argmin(np.abs(values - j.measured)))
    return float(low[worst]), float(high[worst])


def measured(j: Judgement) -> str:
    """Return what was measured of a claim, with its interval where it has one."""
    if j.evidence.not_run:
        return f"Nothing. What is missing: {markdown(j.detail)}"
    ends = interval(j)
    within = f" [{ends[0]:.3g}, {ends[1]:.3g}]" if ends else ""
    numbers = "" if math.isnan(j.measured) else f"{j.measured:.4g}{within}, where {asserts(j)} is claimed. "
    detail = "" if j.verdict == Verdict.PREMISE_FAILS else j.detail  # the premise has a line of its own
    return markdown(f"{numbers}{'. '.join(once(detail, j.evidence.note))}")


def once(*texts: str) -> list[str]:
    """Return the texts without those that are a part of another one.

    >>> once("a", "a; b", "", "a; b")
    ['a; b']
    """
    said = list(dict.fromkeys(filter(None, texts)))
    return [text for text in said if not any(text in other for other in said if other != text)]


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return markdown(text).replace("|", "\\|")
