"""A sweep: independent points, keyed by content, each computed once, whatever happens in between.

    rows = run(points, compute, Store("out/results"), name="cells")

``compute(point)`` returns ``Output(row, arrays)``. Arrays are written first (atomic, checksummed: ``store``), then the
row is appended to ``NAME.rows.jsonl`` and synced (``rowlog``): a point with a row is done. After a kill, a full disk,
Ctrl-C or a lost worker the same call goes on; two processes may run it on one folder and share the work. The rows come
back in the order of the points, so that what is made of them does not depend on who finished when.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .parallel import unordered
from .rowlog import Claims, RowLog
from .store import Store, canonical, key

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """What a point gives: a row of plain numbers and words, and arrays."""

    row: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class SweepError(RuntimeError):
    """Some points could not be computed, or nothing more could be written; the finished ones are kept."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with a sentence on what is kept."""


def run(
    points: Sequence[Point],
    compute: Callable[[Point], Output],
    store: Store,
    *,
    name: str,
    workers: int | None = None,
    scheduler: str | None = None,
    label: str = "",
) -> list[dict[str, Any]]:
    """The rows of all points, in their order; only those are computed that the store does not have.

    points:    everything that decides a result (seed, micro-batch, threads, dtype, source); versions are added.
    compute:   a function of a module, so that workers can import it. What it raises is reported with its point;
               the other points go on.
    name:      of the log and of the folders of arrays, which ``store.load(name, point)`` reads.
    workers, scheduler: see ``parallel.unordered``. They change no byte.
    label:     what progress is called on stderr; none is shown without.

    Raises:
        SweepError: points that failed, or a disk that is full.
        Stopped: Ctrl-C.
        StoreError: what is on disk is damaged.
    """
    log, claims = RowLog(store.root / f"{name}.rows.jsonl"), Claims(store.root / f".{name}.claims")
    keys = [key(name, point) for point in points]
    waiting = {k: point for k, point in zip(keys, points, strict=True) if k not in log.rows()}
    todo, failed = len(waiting), dict[str, str]()

    def offered() -> Iterator[Callable[[], Any]]:
        """Points that nobody has done or works on, claimed at the moment a worker is free for them."""
        for k, point in list(waiting.items()):
            if not claims.take(k):
                continue
            if k in log.rows():  # another process finished it just before
                claims.give_up(k)
                waiting.pop(k, None)
                continue
            yield partial(_attempt, compute, k, point)

    def kept() -> str:
        return f"{len(points) - len(waiting)} of {len(points)} points are kept; the same command goes on from there"

    say = _progress(label, todo)
    try:
        while waiting:
            before = len(waiting)
            for k, output, seconds, error in unordered(offered(), workers=workers, scheduler=scheduler):
                if output is None:
                    failed[k] = f"{canonical(waiting[k])}: {error}"
                else:
                    _keep(store, log, name, k, waiting[k], output, seconds)
                del waiting[k]
                claims.give_up(k)
                say(todo - len(waiting))
            for k in [k for k in waiting if k in log.rows()]:
                del waiting[k]
            if len(waiting) == before:  # all that is left is being computed by another process
                time.sleep(0.2)
    except KeyboardInterrupt:
        raise Stopped(f"interrupted: {kept()}") from None
    except OSError as error:
        raise SweepError(f"could not write to {store.root} ({error}): {kept()}") from error
    except BrokenExecutor as error:
        raise SweepError(f"a worker process died, perhaps for want of memory: {kept()}, or fewer workers") from error
    finally:
        claims.give_up_all()
    if failed:
        first = next(iter(failed.values()))
        raise SweepError(f"{len(failed)} of {len(points)} points failed, the others are kept. The first: {first}")
    found = log.rows()
    return [found[k] for k in keys]


def _attempt(compute: Callable[[Point], Output], k: str, point: Point) -> tuple[str, Output | None, float, str]:
    """(key, output or None, seconds, what went wrong); runs on a worker."""
    start = time.perf_counter()
    try:
        output = compute(point)
        if not isinstance(output, Output):
            raise TypeError(f"{compute.__name__} must return an Output(row, arrays), got {type(output).__name__}")
        return k, output, time.perf_counter() - start, ""
    except Exception as error:
        where = traceback.format_exc(limit=-2).strip().splitlines()
        return k, None, time.perf_counter() - start, f"{type(error).__name__}: {error}\n" + "\n".join(where[1:-1])


def _keep(store: Store, log: RowLog, name: str, k: str, point: Point, output: Output, seconds: float) -> None:
    """Arrays first, then the row that says they are there; wall times beside, outside of every checksum."""
    if output.arrays:
        store.save(name, point, output.arrays, walltime=seconds)
    log.append(k, output.row)
    with open(log.path.with_name(f"{name}.seconds.csv"), "a", encoding="utf-8") as beside:
        beside.write(f"{k},{seconds:.3f}\n")


def _progress(label: str, total: int) -> Callable[[int], None]:
    """A bar on a terminal, a line every ten seconds elsewhere; nothing without a label or work."""
    if not label or not total:
        return lambda done: None
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            bar = tqdm(total=total, desc=label, unit="point")
            return lambda done: (bar.update(done - bar.n), bar.close() if done == total else None)[1]
    last = [time.monotonic()]

    def line(done: int) -> None:
        if done == total or time.monotonic() - last[0] > 10:
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)
            last[0] = time.monotonic()

    return line
