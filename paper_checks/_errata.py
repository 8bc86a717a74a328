"""The page docs/errata.md: what the paper prints, where it fails, what holds instead, and where that is proved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from analysis.typeset import markdown
from modiff_sim import Claim, Verdict
from modiff_sim.evidence import Judgement

from . import claims
from ._digits import STAND_IN
from ._verdicts import cell, conditions, linked, measured, plain, premise, where

THEORY = Path(__file__).parent.parent / "docs" / "theory.md"
INTRODUCTION = """# Errata of the paper

Our own list, not the authors': sentences of the paper that do not hold as they are printed or as the released code
takes them. The first part is mathematics and arithmetic, each with a counter-example that was computed, what holds
instead, and where that is proved. The second part was measured on small models that stand in for the paper's: it says
what did not come out *there*, and on which layers it depends. The third part is not about errors: it has conditions
that do not hold where a statement is applied, and what is true but says nothing there. [verdicts.md](verdicts.md) has
all sentences, those that hold among them, with how they are read and under which conditions they were tested; it says
what the verdicts mean.

This page is made by `make pages`. `python -m paper_checks --only ID` computes a counter-example again.
"""
PARTS = (
    "Mathematics and arithmetic",
    "Not reproduced on models that stand in for the paper's",
    "Conditions that do not hold, and what says nothing",
)
#: verdicts that make an erratum, and what is said of the evidence
FAILED = {
    Verdict.VIOLATED: "Counter-example",
    Verdict.VACUOUS: "Why it says nothing",
    Verdict.PREMISE_FAILS: "The premise that fails",
}


def errata(judged: Sequence[Judgement]) -> list[Judgement]:
    """Return the printed statements that fail, in the order of ``PARTS``."""
    return sorted((j for j in judged if j.claim.printed and j.verdict in FAILED), key=part_of)


def page(judged: Sequence[Judgement]) -> str:
    """Return the page of these verdicts."""
    found = errata(judged)
    statements = {module.CLAIM.id: module.CLAIM for module in claims()}
    lines = [INTRODUCTION, "| printed | where, and how it is read | what is wrong |", "|---|---|---|"]
    for j in found:
        lines.append(
            f"| {cell(j.claim.quote)} | {cell(where(j.claim))} | [{FAILED[j.verdict].lower()}](#erratum_{j.claim.id}) |"
        )
    for place, title in enumerate(PARTS):
        part = [j for j in found if part_of(j) == place]
        lines += ["", f"## {title}"] if part else []
        for j in part:
            lines += _erratum(j, statements)
    return "\n".join(lines) + "\n"


def part_of(j: Judgement) -> int:
    """Return which of ``PARTS`` a statement that fails belongs to."""
    if j.verdict != Verdict.VIOLATED:
        return 2
    return int(j.claim.topic == "practice" and STAND_IN in j.claim.statement)


def _erratum(j: Judgement, statements: Mapping[str, Claim]) -> list[str]:
    proved = proof(j.claim)
    lines = ["", f'<a id="erratum_{j.claim.id}"></a>', f"### {j.claim.source}", "", f"> {markdown(j.claim.quote)}", ""]
    lines.append(f"- **Read as:** {plain(j.claim.reading or j.claim.statement)}")
    lines.append(f"- **Where it was tested:** {conditions(j)}")
    fails = "; ".join(premise(p) for p in j.evidence.premises if not p.holds)
    lines.append(f"- **{FAILED[j.verdict]}:** {fails or measured(j)}")
    for name in j.claim.instead:
        other = statements[name]
        said = "What holds" if other.expected == Verdict.HOLDS else f"Read otherwise ({other.expected})"
        lines.append(f"- **{said}:** {plain(other.statement)} ({linked(name)})")
    for name in j.claim.elsewhere:
        other = statements[name]
        lines.append(f"- **On another model ({other.expected}):** {plain(other.statement)} ({linked(name)})")
    if proved:
        said = "Proof" if j.claim.topic == "theory" else "Theory"
        lines.append(f"- **{said}:** [{proved}](theory.md#{anchor(proved)})")
    lines.append(f"- **Again:** `python -m paper_checks --only {j.claim.id}`")
    return lines


def proof(claim: Claim) -> str | None:
    """Return the heading of the section of the theory that names a claim, or else one of those that correct it."""
    sections = proofs(THEORY.read_text(encoding="utf-8"))
    return next((sections[name] for name in (claim.id, *claim.instead) if name in sections), None)


@cache
def proofs(text: str) -> dict[str, str]:
    """Return claim -> heading of the section of the theory that names it first."""
    found: dict[str, str] = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        for name in re.findall(r"`(\w+)`", body):
            found.setdefault(name, heading)
    return found


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
