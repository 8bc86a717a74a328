"""``python -m paper_checks``: checks the claims and prints the verdicts; exit code 1 if one is not as expected."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.running import durations, interrupts
from analysis.running.limits import MOST_THREADS, Parser, whole
from modiff_sim import Claim, Verdict
from modiff_sim.arguments import said_seconds
from modiff_sim.evidence import RELATIONS, Judgement
from modiff_sim.sweeps import store

from . import EFFORTS, TOPICS, _errata, _verdicts, claims, run, select
from ._digits import STAND_IN

WIDTH = 110
ROOT = Path(__file__).parent.parent
TABLE = r"^\| claim \| statement \| verdict \|\n(?:\|.*\n)+"
LEGEND = {
    Verdict.HOLDS: "in every case tried",
    Verdict.VIOLATED: "a counter-example was found, and is shown",
    Verdict.PREMISE_FAILS: "a condition of the statement does not hold where it is applied",
    Verdict.VACUOUS: "true, and says no more than is known without it",
    Verdict.NOT_RUN: "not decided, and why",
}
COLOURS = {Verdict.HOLDS: 32, Verdict.VIOLATED: 31, Verdict.PREMISE_FAILS: 33, Verdict.VACUOUS: 33, Verdict.NOT_RUN: 35}
SIGNS = {"upper": "≤", "tight": "≤, attained", "lower": "≥", "equal": "="}


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def table(judged: Sequence[Judgement], *, colour: bool = False) -> str:
    """Return the verdicts at most ``WIDTH`` columns wide: a line per claim, then what is claimed and what was found."""

    def painted(verdict: Verdict, text: str) -> str:
        return f"\x1b[{COLOURS[verdict]}m{text}\x1b[0m" if colour else text

    def below(text: str) -> list[str]:
        return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="      ", break_long_words=True)

    lines = [f"{'claim':<38}{'verdict':<15}{'measured':>10} {'':<11} {'claimed':>10}", "-" * WIDTH]
    for j in judged:
        verdict = painted(j.verdict, f"{j.verdict:<15}")
        values = f"{_number(j.measured):>10} {SIGNS[j.claim.relation]:<11} {_number(j.claimed):>10}"
        lines.append(f"{j.claim.id:<38}{verdict}{values}")
        lines += below(f"[{j.claim.source}] {j.claim.statement}")
        for premise in j.evidence.premises:
            says = f": {premise.detail}" if premise.detail else ""
            lines += below(f"premise {'holds' if premise.holds else 'FAILS'}: {premise.name}{says}")
        found = dict.fromkeys((j.detail, j.evidence.note))  # where the claim holds, the note is the detail
        lines += [line for text in found if text for line in below(f"→ {text}")]
        if not j.as_expected:
            lines += below(f"! expected {j.claim.expected}")
    kept = Counter(j.evidence.params["measured"] for j in judged if "measured" in j.evidence.params)
    lines += ["-" * WIDTH, *(f"{number} verdicts judge what was measured {how}." for how, number in kept.items())]
    lines += ["Measured and claimed are those of the most extreme case: counter-example or margin."]
    counts = Counter(j.verdict for j in judged)
    lines += [f"{painted(v, f'{v:<15}')}{counts[v]:>3}   {text}" for v, text in LEGEND.items() if counts[v]]
    return "\n".join(lines)


def markdown(topic: str = "all", *, printed: bool = False) -> str:
    """Return the verdicts found so far as a Markdown table with a row per claim, without running anything.

    ``printed`` leaves only the paper's own statements.
    """
    lines = ["| claim | statement | verdict |", "|---|---|---|"]
    for module in claims(topic):
        claim = module.CLAIM
        if printed and not claim.printed:
            continue
        source = f"{claim.source}, as printed" if claim.printed else claim.source
        statement, source = (_verdicts.cell(text) for text in (claim.statement.removeprefix(f"{STAND_IN}: "), source))
        lines.append(f'| <a id="claim_{claim.id}"></a>`{claim.id}` | {statement} *({source})* | {claim.expected} |')
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """A page whose only table of verdicts is replaced; ValueError for a page without one, or with several."""
    found = re.findall(TABLE, text, flags=re.M)
    if len(found) != 1:
        raise ValueError(f"the page has {len(found)} tables of verdicts, and not one: it begins {text[:60]!r}")
    return text.replace(found[0], table + "\n")


def write_pages() -> list[Path]:
    """Write the table of docs/claims.md anew; returns the page."""
    path = ROOT / "docs" / "claims.md"
    store.write_atomic(path, with_table(path.read_text(encoding="utf-8"), markdown()))
    return [path]


def write_verdicts() -> list[Path]:
    """Check the paper's statements and write docs/verdicts.md and docs/errata.md; returns the pages."""
    judged = run(only=_verdicts.printed())
    pages = {"verdicts.md": _verdicts.page(judged), "errata.md": _errata.page(judged)}
    for name, text in pages.items():
        store.write_atomic(ROOT / "docs" / name, text)
    return [ROOT / "docs" / name for name in pages]


def as_json(judged: Sequence[Judgement], effort: str) -> dict[str, Any]:
    """Return everything but the arrays as JSON values (NaN becomes null)."""

    def number(value: float) -> float | str | None:
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)

    def proved(claim: Claim) -> dict[str, str] | None:
        section = _errata.proof(claim)
        return {"section": section, "place": f"docs/theory.md#{_errata.anchor(section)}"} if section else None

    def erratum(j: Judgement) -> dict[str, Any] | None:
        part = _errata.part_of(j)
        said = {"part": part, "heading": _errata.PARTS[part], "said": _errata.FAILED.get(j.verdict)}
        return said if _errata.errata([j]) else None

    rows = [
        {
            "id": j.claim.id, "topic": j.claim.topic, "statement": j.claim.statement, "source": j.claim.source,
            "relation": RELATIONS[j.claim.relation], "printed": j.claim.printed,
            "quote": j.claim.quote, "reading": j.claim.reading, "instead": list(j.claim.instead),
            "elsewhere": list(j.claim.elsewhere), "erratum": erratum(j),
            "verdict": str(j.verdict), "expected": str(j.claim.expected), "as_expected": j.as_expected,
            "claimed": number(j.claimed), "measured": number(j.measured), "detail": j.detail,
            "interval": [number(end) for end in _verdicts.interval(j) or ()], "proof": proved(j.claim),
            "tested": _verdicts.tested(j), "asserts": _verdicts.asserts(j),
            "premises": [store.plain(p) for p in j.evidence.premises],
            "params": store.plain(j.evidence.params), "seed": j.evidence.seed, "note": j.evidence.note,
            "found": _verdicts.once(j.detail, j.evidence.note),
        }
        for j in judged
    ]  # fmt: skip
    return {"effort": effort, "versions": store.versions(), "claims": rows}


class Progress:
    """Verdicts on stderr as they are known, so that the table can be piped; on a terminal with a bar below them."""

    def __init__(self, effort: str, names: list[str], workers: int) -> None:
        self.bar: Any = None
        self.seconds: dict[str, float] = {}
        self.estimate = durations.Estimate(durations.known(effort).claims, names, workers=workers)

    def __call__(self, done: int, count: int, name: str, judgement: Judgement, seconds: float) -> None:
        """Show that a claim was judged."""
        self.seconds[name] = round(seconds, 2)
        took = "committed" if "measured" in judgement.evidence.params else f"{seconds:.1f} s"
        left = self.estimate.left(name)
        line = f"[{done}/{count}] {name}: {judgement.verdict} ({took})"
        if left:
            line += f", about {said_seconds(left)} left"
        if not sys.stderr.isatty():
            print(line, file=sys.stderr, flush=True)
            return
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=count, leave=False, ncols=WIDTH, unit="claim")
        self.bar.write(line, file=sys.stderr)
        self.bar.update()
        if done == count:
            self.bar.close()


def _parser() -> Parser:
    parser = Parser(
        prog="python -m paper_checks",
        description="Check the statements of the paper and of this project by running them.",
        epilog="Exit code 0: every verdict is the expected one; 1: at least one is not; 2: bad arguments.",
    )
    parser.add_argument("--topic", choices=(*TOPICS, "all"), default="all", help="which claims (default: all)")
    parser.add_argument(
        "--effort",
        choices=EFFORTS,
        default="quick",
        help="how much to compute; quick reads what was measured of trained models before (default: quick)",
    )
    parser.add_argument("--only", nargs="+", metavar="ID", default=[], help="only these claims, whatever their topic")
    parser.add_argument("--workers", type=whole(1, MOST_THREADS), default=1, help="number of processes (default: 1)")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="with --effort full: keep what was measured of trained models in paper_checks/measured, for effort quick",
    )
    parser.add_argument("--list", action="store_true", help="list the claims and stop")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/claims.md and stop")
    parser.add_argument("--page", action="store_true", help="write the table of docs/claims.md and stop")
    parser.add_argument(
        "--verdicts",
        action="store_true",
        help="check the printed claims, write docs/verdicts.md and docs/errata.md, and stop",
    )
    parser.add_argument("--printed", action="store_true", help="with --markdown: only the paper's own statements")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the verdicts as JSON")
    parser.add_argument("--seconds", type=Path, metavar="PATH", help="write how long each claim took as JSON")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DIR/paper_checks.json and DIR/paper_checks.txt")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.page or args.verdicts:
        for path in write_pages() if args.page else write_verdicts():
            print(f"wrote {path}", file=sys.stderr)
        return 0
    if args.markdown:
        print(markdown(args.topic, printed=args.printed))
        return 0
    if args.list:
        for module in claims(args.topic):
            print(f"{module.CLAIM.id:<38}{module.CLAIM.topic:<10}{module.CLAIM.source}")
        return 0
    try:
        progress = Progress(args.effort, [module.CLAIM.id for module in select(args.topic, args.only)], args.workers)
        judged = run(args.effort, args.topic, only=args.only, report=progress, workers=args.workers, keep=args.keep)
    except ValueError as error:  # an unknown claim; nothing was run
        parser.error(str(error))
    print(table(judged, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    targets = [args.json] if args.json else []
    if args.out:
        targets.append(args.out / "paper_checks.json")
        store.write_atomic(args.out / "paper_checks.txt", table(judged) + "\n")
    for path in targets:
        text = json.dumps(as_json(judged, args.effort), indent=1, ensure_ascii=False, allow_nan=False)
        store.write_atomic(path, text + "\n")
    if args.seconds:
        store.write_atomic(args.seconds, json.dumps(progress.seconds, indent=1) + "\n")
    surprises = [j for j in judged if not j.as_expected]
    if surprises:
        print("\nnot as expected:")
        for j in surprises:
            print(f"  {j.claim.id}: {j.verdict}, expected {j.claim.expected}")
        return 1
    print(f"\nall {len(judged)} verdicts are as expected")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("paper_checks.__main__"))
