"""The statements of the paper and of this project, each checked by running something. ``python -m paper_checks``.

Every file of this folder that does not begin with an underscore is one claim: ``CLAIM`` says what is claimed,
``check(effort) -> Evidence`` measures it, and ``modiff_sim.evidence.judge`` computes the verdict. An optional ``ORDER``
places it in the table. Claims with topic "practice" sample a model: they import what they need inside ``check``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType

from modiff_sim import Evidence
from modiff_sim.evidence import Judgement, judge

TOPICS = ("theory", "practice")
EFFORTS = ("quick", "full")

Report = Callable[[int, int, str, Judgement | None], None]


def claims(topic: str = "all") -> list[ModuleType]:
    """The claim modules in reading order: theory before practice, then by ``ORDER``, then by name."""
    if topic not in (*TOPICS, "all"):
        raise ValueError(f"unknown topic {topic!r}; known: {', '.join(TOPICS)}, all")
    found = []
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        claim, check = getattr(module, "CLAIM", None), getattr(module, "check", None)
        if claim is None or not callable(check) or claim.id != info.name or claim.topic not in TOPICS:
            raise TypeError(
                f"paper_checks/{info.name}.py must define check() and CLAIM with id={info.name!r} and a topic of "
                f"{', '.join(TOPICS)}; begin the file's name with an underscore if it is no claim"
            )
        if topic in (claim.topic, "all"):
            found.append(module)
    return sorted(found, key=lambda m: (TOPICS.index(m.CLAIM.topic), getattr(m, "ORDER", 1000), m.CLAIM.id))


def select(topic: str = "all", only: Iterable[str] = ()) -> list[ModuleType]:
    """The claims of a topic, or exactly those named in ``only``; ValueError lists the known ones."""
    wanted = list(only)
    if not wanted:
        return claims(topic)
    known = {m.CLAIM.id: m for m in claims()}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown claim {', '.join(unknown)}; known: {', '.join(known)}")
    return [m for name, m in known.items() if name in wanted]


def run(
    effort: str = "quick", topic: str = "all", *, only: Iterable[str] = (), report: Report | None = None
) -> list[Judgement]:
    """Check the claims and judge them. A check that raises is NOT_RUN, with the exception as its reason.

    report(index, count, id, judgement): called before (judgement None) and after every check.
    """
    if effort not in EFFORTS:
        raise ValueError(f"unknown effort {effort!r}; known: {', '.join(EFFORTS)}")
    modules = select(topic, only)
    judged = []
    for i, module in enumerate(modules):
        if report:
            report(i, len(modules), module.CLAIM.id, None)
        try:
            judgement = judge(module.CLAIM, module.check(effort))
        except Exception as error:  # the table must still show the other claims; the tests call check() directly
            reason = f"the check raised {type(error).__name__}: {error}"
            judgement = judge(module.CLAIM, Evidence(not_run=reason))
        judged.append(judgement)
        if report:
            report(i, len(modules), module.CLAIM.id, judgement)
    return judged
