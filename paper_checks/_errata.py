"""The page docs/errata.md: what the paper prints, where it fails, what holds instead, and where that is proved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from modiff_sim import Verdict
from modiff_sim.evidence import Judgement

from . import claims
from ._digits import STAND_IN
from ._verdicts import measured

THEORY = Path(__file__).parent.parent / "docs" / "theory.md"
INTRODUCTION = """# Errata of the paper

Statements that the paper prints and that fail as they are printed, with a counter-example that was computed, what holds
instead, and where that is proved. [verdicts.md](verdicts.md) has all statements, those that hold among them, with how
they are read and under which conditions they were tested.

This page is made by `make pages`. `python -m paper_checks --only ID` computes a counter-example again.
"""
#: verdicts that make an erratum, and what is said of the evidence
FAILED = {
    Verdict.VIOLATED: "Counter-example",
    Verdict.VACUOUS: "Why it says nothing",
    Verdict.PREMISE_FAILS: "The premise that fails",
}


def errata(judged: Sequence[Judgement]) -> list[Judgement]:
    """Return the printed statements that fail."""
    return [j for j in judged if j.claim.printed and j.verdict in FAILED]


def page(judged: Sequence[Judgement]) -> str:
    """Return the page of these verdicts."""
    found = errata(judged)
    sections = proofs(THEORY.read_text(encoding="utf-8"))
    statements = {module.CLAIM.id: module.CLAIM for module in claims()}
    lines = [INTRODUCTION, "| printed | where | what is wrong |", "|---|---|---|"]
    for j in found:
        quote = j.claim.quote.replace("|", "\\|")
        lines.append(f"| {quote} | {j.claim.source} | [{j.verdict}](#erratum_{j.claim.id}) |")
    for j in found:
        names = [j.claim.id, *j.claim.instead]
        proved = next((sections[name] for name in names if name in sections), None)
        lines += ["", f'<a id="erratum_{j.claim.id}"></a>', f"## {j.claim.source}", "", f"> {j.claim.quote}", ""]
        lines.append(f"- **Read as:** {plain(j.claim.reading or j.claim.statement)}")
        fails = "; ".join(f"{p.name}{f': {p.detail}' if p.detail else ''}" for p in j.evidence.premises if not p.holds)
        lines.append(f"- **{FAILED[j.verdict]}:** {fails or measured(j)}")
        for name in j.claim.instead:
            lines.append(
                f"- **What holds:** {plain(statements[name].statement)} (`{name}`, {statements[name].expected})"
            )
        if proved:
            lines.append(f"- **Proof:** [{proved}](theory.md#{anchor(proved)})")
        lines.append(f"- **Again:** `python -m paper_checks --only {j.claim.id}`")
    return "\n".join(lines) + "\n"


def plain(statement: str) -> str:
    """Return a statement without the words on the model that stands in."""
    return statement.removeprefix(f"{STAND_IN}: ")


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
