"""Sampling by several processes that ``torchrun`` started: their ranks, their shares of the work, their common folder.

    torchrun --nproc-per-node 8 -m analysis.sample ...

The ranks exchange no tensors. Each computes whole micro-batches, its own share first and then those that others have
not begun (``sweep.Claims``), and all of them write into one store. The results therefore do not depend on the number of
ranks, a slow or lost rank costs only its share of the time, and gloo, by which the ranks agree on the work, also serves
on CUDA machines.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed

from ..names import one_of
from ..sweeps.encoding import canonical
from ..sweeps.environment import Environment, environment
from ..sweeps.files import digest_of

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The rank of this process among those of a run; ``local`` counts on its own machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0


def ranks() -> Ranks:
    """The ranks that torchrun sets in the environment; a single process without them.

    Raises ValueError for an incomplete environment.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    given = [os.environ.get(name) for name in names]
    if given == [None] * 3:
        return Ranks()
    try:
        found = Ranks(*(int(value) for value in given if value is not None))
    except (TypeError, ValueError):
        found = Ranks(1, 0)
    if None in given or not 0 <= found.rank < found.world:
        about = ", ".join(f"{name}={value}" for name, value in zip(names, given, strict=True))
        raise ValueError(f"{about}: set all three, as torchrun does, or none")
    return found


def device(name: str, who: Ranks) -> torch.device:
    """The device by name: "cpu", "cuda" (this rank's own) or "auto".

    Raises ValueError for another name, and where there is no such device.
    """
    one_of("device", name, ("auto", "cpu", "cuda"))
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if who.local >= torch.cuda.device_count():
        raise ValueError(
            f"rank {who.rank} is number {who.local} on this machine, which has {torch.cuda.device_count()} GPUs"
        )
    return torch.device("cuda", who.local)


def own_first(items: Sequence[T], who: Ranks) -> list[T]:
    """All items in the order in which this rank takes them.

    Its own share comes first, every ``world``-th item from ``rank`` on, then the shares of the next ranks, each from
    its end backwards.
    """
    mine = list(items[who.rank :: who.world])
    for other in range(1, who.world):
        mine += list(items[(who.rank + other) % who.world :: who.world])[::-1]
    return mine


#: The last group of ranks, kept until there is another. Where it is freed, torch 2.6 waits for its threads and keeps
#: the interpreter for itself; a thread that still needs that to free what it has sent would wait as well, for ever.
_before: list[Any] = []


@contextmanager
def together(folder: str | Path, work: Any) -> Iterator[Ranks]:
    """The ranks, once they agree that they see one folder and have the same work (any JSON value).

    Every rank leaves when all have finished. Raises RuntimeError on every rank where they do not agree.
    """
    who = ranks()
    if who.world == 1:
        yield who
        return
    root = Path(folder)
    distributed.init_process_group("gloo")
    try:
        token = [f".ranks-{uuid.uuid4().hex}"]
        distributed.broadcast_object_list(token)
        mark = root / token[0]
        if who.first:
            root.mkdir(parents=True, exist_ok=True)
            mark.touch()
        distributed.barrier()
        mine = (mark.exists(), environment(), digest_of(canonical(work).encode()))
        everyone: list[tuple[bool, Environment, str]] = [mine] * who.world
        distributed.all_gather_object(everyone, mine)
        if who.first:
            mark.unlink()
        if blind := [i for i, (sees, _, _) in enumerate(everyone) if not sees]:
            raise RuntimeError(
                f"ranks {blind} do not see the folder {root} of rank 0: all need one file system, or use a Dask "
                "cluster, whose workers need none"
            )
        for rank, (_, its, _) in enumerate(everyone):
            if other := its.against(everyone[0][1], "rank 0"):
                raise RuntimeError(f"rank {rank} has {other}: install the same everywhere")
        if others := [i for i, (_, _, its) in enumerate(everyone) if its != everyone[0][2]]:
            raise RuntimeError(f"ranks {others} have other work than rank 0: the same command everywhere")
        yield who
        distributed.barrier()
    finally:
        _before[:] = [distributed.group.WORLD]
        distributed.destroy_process_group()
