"""The statements of the paper and of this project, each checked by running something. ``python -m paper_checks``.

Claims lie in rooms by subject (``ROOMS``). Every file of a room whose name does not begin with an underscore is one
claim: ``CLAIM`` says what is claimed, ``check(effort) -> Evidence`` measures it, ``modiff_sim.evidence.judge`` computes
the verdict, and ``CONTROLS`` are broken variants of the check with the verdict that each must cause. A new claim begins
as a copy of ``_template.py``. Claims with the topic "practice" sample a model and import what they need inside
``check``. At effort quick they are judged by evidence that was measured before at effort full (``_measured``).

Files whose name begins with an underscore are helpers. Those of one room lie in it, and those of several rooms lie
here. An optional ``ORDER`` places a claim in its room's part of the table; claims without it follow by name.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from types import ModuleType

from analysis.running import durations
from analysis.running.efforts import EFFORTS as EFFORTS
from analysis.running.efforts import checked
from modiff_sim import Evidence
from modiff_sim.evidence import Judgement, judge
from modiff_sim.sweeps.parallel import unordered

from . import _measured

TOPICS = ("theory", "practice")
#: the rooms in reading order; a room that is not named here comes last
ROOMS = (
    "printed", "bounds", "stochastic", "starts", "beyond_one_layer", "contraction", "certificates", "images",
    "witnesses", "growth", "mixture", "transfer", "regimes", "calibration", "cost", "products", "caching",
)  # fmt: skip

#: called after a claim was judged: (how many are, of how many, id, judgement, seconds that the check took)
Report = Callable[[int, int, str, Judgement, float], None]


def _modules() -> list[tuple[str, ModuleType]]:
    """Return (room, module) of every claim, with the rooms in reading order."""
    rooms = [info for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    for info in rooms:
        if not info.ispkg:
            raise TypeError(
                f"paper_checks/{info.name}.py does not lie in a room: move it into one of {', '.join(ROOMS)}, or begin "
                "the file's name with an underscore if it is not a claim"
            )
    found = []
    for name in sorted((info.name for info in rooms), key=lambda n: (ROOMS.index(n) if n in ROOMS else len(ROOMS), n)):
        room = importlib.import_module(f"{__name__}.{name}")
        files = [info.name for info in pkgutil.iter_modules(room.__path__) if not info.name.startswith("_")]
        found += [(name, importlib.import_module(f"{room.__name__}.{file}")) for file in files]
    return found


def claims(topic: str = "all") -> list[ModuleType]:
    """Return the claim modules in reading order: theory before practice, then by room, by ``ORDER``, and by name."""
    if topic not in (*TOPICS, "all"):
        raise ValueError(f"unknown topic {topic!r}; known: {', '.join(TOPICS)}, all")
    found: list[ModuleType] = []
    rooms: dict[str, str] = {}
    for room, module in _modules():
        name = module.__name__.rpartition(".")[2]
        claim, check = getattr(module, "CLAIM", None), getattr(module, "check", None)
        if claim is None or not callable(check) or claim.id != name or claim.topic not in TOPICS:
            raise TypeError(
                f"paper_checks/{room}/{name}.py must define check() and CLAIM with id={name!r} and a topic of "
                f"{', '.join(TOPICS)}; begin the file's name with an underscore if it is not a claim"
            )
        if name in rooms:
            raise TypeError(
                f"paper_checks/{rooms[name]}/{name}.py and paper_checks/{room}/{name}.py have the same id: ids are "
                "unique over all rooms, so rename one of the two"
            )
        rooms[name] = room
        if topic in (claim.topic, "all"):
            found.append(module)
    places = {room: i for i, room in enumerate(dict.fromkeys(rooms.values()))}

    def place(module: ModuleType) -> tuple[int, int, float, str]:
        claim = module.CLAIM
        return TOPICS.index(claim.topic), places[rooms[claim.id]], getattr(module, "ORDER", 1000), claim.id

    return sorted(found, key=place)


def select(topic: str = "all", only: Iterable[str] = ()) -> list[ModuleType]:
    """Return the claims of a topic, or exactly those named in ``only``.

    Raises ValueError, which lists the known ones, for an unknown name.
    """
    wanted = list(only)
    if not wanted:
        return claims(topic)
    known = {m.CLAIM.id: m for m in claims()}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown claim {', '.join(unknown)}; known: {', '.join(known)}")
    return [m for name, m in known.items() if name in wanted]


def run(
    effort: str = "quick",
    topic: str = "all",
    *,
    only: Iterable[str] = (),
    report: Report | None = None,
    workers: int = 1,
    keep: bool = False,
) -> list[Judgement]:
    """Check the claims and judge them. A check that raises an exception is NOT_RUN, with the exception as its reason.

    Parameters
    ----------
    effort, topic, only
        How much to compute, and which claims (``select``).
    report : callable, optional
        Told of every claim as soon as it is judged.
    workers : int, default 1
        Processes. The claims of a room stay in one process, because they share what they compute.
    keep : bool, default False
        Whether to write what was measured of a model's claims into paper_checks/measured, for runs at effort quick.

    Returns
    -------
    list of Judgement
        In reading order, whatever the number of processes.

    Raises
    ------
    ValueError
        For an unknown effort, topic or claim, and for ``keep`` at another effort than full.
    """
    checked(effort)
    if keep and effort != "full":
        raise ValueError(f"what is committed is measured at effort full, not at effort {effort}")
    names = [module.CLAIM.id for module in select(topic, only)]
    known = {module.CLAIM.id: module for module in claims()}
    # what is only read is judged here, since reading takes less time than the imports of a worker
    here = [name for name in names if workers == 1 or is_read(known[name], effort)]
    tasks = [partial(_judged, (name,), effort, keep) for name in here]
    rooms = _rooms([name for name in names if name not in here], effort)
    found: dict[str, Judgement] = {}
    for results in chain(
        (task() for task in tasks),
        unordered((partial(_judged, room, effort, keep) for room in rooms), workers=workers),
    ):
        for name, judgement, seconds in results:
            found[name] = judgement
            if report:
                report(len(found), len(names), name, judgement, seconds)
    return [found[name] for name in names]


def evidence(module: ModuleType, effort: str) -> Evidence:
    """Return the evidence of a claim: measured now, or at effort quick of a model's claims, as it is committed."""
    return _measured.evidence(module) if is_read(module, effort) else module.check(effort)


def is_read(module: ModuleType, effort: str) -> bool:
    """Whether the evidence of a claim is read at this effort rather than measured."""
    return effort == "quick" and not _measured.is_live(module)


def _rooms(names: Iterable[str], effort: str) -> list[tuple[str, ...]]:
    """The claims of each room and topic, those that took longest when it was measured first.

    At effort quick the claims on trained models are one room, because only one process should import what they need.
    """
    known = {module.CLAIM.id: module for module in claims()}
    took = durations.known(effort).claims
    rooms: dict[tuple[str, str], list[str]] = {}
    for name in names:
        topic, room = known[name].CLAIM.topic, known[name].__name__.split(".")[1]
        rooms.setdefault((topic, "" if effort == "quick" and topic == "practice" else room), []).append(name)
    return sorted(map(tuple, rooms.values()), key=lambda room: -sum(took.get(name, 0.0) for name in room))


def _judged(names: Iterable[str], effort: str, keep: bool) -> list[tuple[str, Judgement, float]]:
    """Judge these claims one after the other: (id, judgement, seconds) of each."""
    found = []
    for module in select(only=names):
        start = time.perf_counter()
        try:
            judgement = judge(module.CLAIM, evidence(module, effort))
        except Exception as error:  # the table must still show the other claims; tests call check() directly
            reason = f"the check raised {type(error).__name__}: {error}"
            judgement = judge(module.CLAIM, Evidence(not_run=reason))
        seconds = time.perf_counter() - start
        if keep and not _measured.is_live(module) and not judgement.evidence.not_run:
            _measured.save(module, judgement.evidence, seconds)
        found.append((module.CLAIM.id, judgement, seconds))
    return found
