"""A sweep computes independent points, keyed by content, each of them once, whatever interrupts the work.

    rows = run(points, compute, Store("out/results"), name="cells")

``compute(point)`` returns ``Output(row, arrays)``. Arrays are written first, with a copy of their row (atomic,
checksummed: ``store``), then the row is appended to ``NAME.rows.jsonl`` and synced (``rowlog``). After a kill, a full
disk, Ctrl-C or a lost worker the same call goes on: a point with a row is done, and a point that was killed between the
two writes gets its row from beside its arrays. Two processes may run it on one folder and share the work. The rows come
back in the order of the points, so that they do not depend on which point finished first.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..console import Stopped, complain, interrupts, one_line
from .environment import Environment, OtherCode, environment
from .files import SILENT, digest_of
from .output import Output
from .parallel import WorkerLost, progress, unordered
from .rowlog import ASIDE, CLAIMS, Claims, Entry, RowLog, add_aside, noted
from .store import LOG, Store, StoredResult, StoreError, canonical, key, plain, versions, write_files

Point = Mapping[str, Any]
LOSSES = 3  # workers lost in a row after which a point is assumed to kill them


class SweepError(RuntimeError):
    """Some points could not be computed, or nothing more could be written. The finished ones are kept."""


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
    """Return the rows of all points, in their order. Only points that the store does not have are computed.

    Parameters
    ----------
    points : sequence of mapping
        Everything that decides a result (seed, micro-batch, threads, dtype, source). Versions are added.
    compute : callable
        A function of a module, so that workers can import it. It sets its number of threads, since workers are given
        different ones. What it raises is reported with its point, and the other points go on.
    store, name
        Where the results are, and the name of the log and of the folders of arrays (``store.load(name, point)``).
    workers, scheduler
        See ``parallel.unordered``. They change no byte: a worker with other versions, or with another source of this
        package or of that of ``compute``, is refused.
    label : str, optional
        Label of the progress on stderr, which is not shown without one.

    Raises
    ------
    SweepError, Stopped
        Points failed, the disk is full, workers are killed again and again, a worker has other code, or a file was
        changed after its import; Stopped for Ctrl-C.
    StoreError, ValueError
        What is on disk is damaged, or a point gave another row than before; the name or a point cannot be stored.

    Examples
    --------
    >>> import tempfile
    >>> from modiff_sim import sweeps
    >>> make = lambda point: sweeps.Output({"square": point["x"] ** 2})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweeps.run([{"x": 2}, {"x": 3}], make, sweeps.Store(folder), name="squares", workers=1)
    [{'square': 4}, {'square': 9}]
    """
    sweep: _Sweep | None = None
    try:
        with interrupts() as check:
            sweep = _Sweep(points, compute, store, name)
            _finish(sweep, workers, scheduler, label, check)
            check()
    except OtherCode as error:
        raise SweepError(f"{error}: {sweep.kept() if sweep else 'nothing was begun'}") from None
    except KeyboardInterrupt:
        raise Stopped(f"interrupted: {sweep.kept() if sweep else 'nothing was begun'}") from None
    finally:
        if sweep:
            sweep.claims.give_up_all()
    if sweep.failed:
        first = next(iter(sweep.failed.values()))
        raise SweepError(f"{len(sweep.failed)} of {len(points)} points failed: {sweep.kept()}. The first: {first}")
    return sweep.rows()


def _finish(sweep: _Sweep, workers: int | None, scheduler: str | None, label: str, check: Callable[[], None]) -> None:
    """Compute until no point is waiting."""
    claims, losses = sweep.claims, 0
    say, todo = progress(label, len(sweep.waiting)), len(sweep.waiting)
    while sweep.waiting or sweep.lost():
        check()
        before = len(sweep.waiting)
        offered = sweep.offered()
        if (first := next(offered, None)) is None:  # all that is left is being computed by other processes
            sweep.forget_done()
            if sweep.trouble:
                raise sweep.trouble[0]
            sweep.say_waiting()
            time.sleep(0.2 if len(sweep.waiting) == before else 0)
            continue
        sweep.idle = 0.0
        try:
            with closing(unordered(chain([first], offered), workers=workers, scheduler=scheduler)) as results:
                for k, output, seconds, error in results:
                    sweep.take(k, output, seconds, error)
                    say(todo - len(sweep.waiting))
                    check()
        except WorkerLost as error:
            check()  # Ctrl-C reaches the workers as well
            losses = losses + 1 if len(sweep.waiting) == before else 1
            if losses == LOSSES:
                where = "; ".join(canonical(sweep.waiting[k]) for k in claims.held() if k in sweep.waiting)
                raise SweepError(
                    f"{error}, {LOSSES} times without a point being finished (is the memory too small?), at one of "
                    f"{where}: {sweep.kept()}"
                ) from error
            claims.give_up_all()
        if sweep.trouble:
            raise sweep.trouble[0]


class _Sweep:
    """The state of a sweep: ``waiting`` points have no result and may be worked on, ``failed`` says what went wrong."""

    def __init__(self, points: Sequence[Point], compute: Callable[[Point], Output], store: Store, name: str) -> None:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"the name of a sweep becomes a file name: letters, digits, _ . and -, got {name!r}")
        self.points, self.compute, self.store, self.name = points, compute, store, name
        self.log, self.claims = RowLog(store.root / f"{name}{LOG}"), Claims(store.root / f".{name}{CLAIMS}")
        self.keys = [key(name, point) for point in points]
        self.waiting: dict[str, Point] = dict(zip(self.keys, points, strict=True))
        self.failed: dict[str, str] = {}
        self.trouble: list[Exception] = []
        self.idle, self.said = 0.0, False
        self.environment = environment(compute)
        store.clean()
        self.claims.clear()
        self.forget_done()

    def done(self, k: str, point: Point) -> bool:
        """Whether a point has a row and its arrays, if any; arrays of a killed process have their row beside them."""
        entry = self.log.entries().get(k)
        if entry is not None and not entry.arrays:
            return True
        there = self.store.has(self.name, point)
        if entry is None and there:
            self._append(k, self.store.load(self.name, point))
        return there

    def forget_done(self) -> None:
        """Remove the points that are done from ``waiting``."""
        for k in [k for k, point in self.waiting.items() if self.done(k, point)]:
            del self.waiting[k]

    def say_waiting(self) -> None:
        """Say so once, on stderr, after a second in which there was nothing to do but to wait."""
        self.idle = self.idle or time.monotonic()
        if self.waiting and not self.said and time.monotonic() - self.idle > SILENT:
            self.said = True
            complain(
                f"{self.name}: waiting for other processes, which compute {len(self.waiting)} of the points (they hold "
                f"the files in {self.claims.folder})"
            )

    def lost(self) -> bool:
        """Whether points have lost their rows, as their log or a line of it was deleted. They wait again."""
        found = self.log.anew()
        for k, point in zip(self.keys, self.points, strict=True):
            gone = k not in found or (found[k].arrays and not self.store.has(self.name, point))
            if gone and k not in self.failed:
                self.waiting[k] = point
        return bool(self.waiting)

    def offered(self) -> Iterator[Callable[[], Any]]:
        """Points neither done nor claimed; each is claimed when a worker is free. Errors go to ``trouble``."""
        try:
            for k, point in list(self.waiting.items()):
                if not self.claims.take(k):
                    continue
                if self.done(k, point):  # another process finished it just before
                    self.claims.give_up(k)
                    continue
                yield partial(_attempt, self.compute, k, point, self.environment)
        except (SweepError, StoreError) as error:
            self.trouble.append(error)

    def take(self, k: str, output: Output | None, seconds: float, error: str) -> None:
        """Write what a worker returns."""
        point = self.waiting[k]
        if output is None:
            self.failed[k] = f"{canonical(point)}: {error}"
        else:
            self._write(k, point, output, seconds)
        del self.waiting[k]
        self.claims.give_up(k)

    def _write(self, k: str, point: Point, output: Output, seconds: float) -> None:
        """Write the arrays, then the row that refers to them; wall times go beside, outside of every checksum."""
        with self._said():
            if output.arrays:
                saved = self.store.save(self.name, point, output.arrays, [output.row], walltime=seconds, swept=True)
                self._append(k, saved)
            else:
                self.log.append(k, Entry(plain(output.row)))
            add_aside(self.store.root / f"{self.name}{ASIDE}", k, {"seconds": round(seconds, 6), **output.aside})

    def _append(self, k: str, stored: StoredResult) -> None:
        if len(stored.rows) != 1:
            raise StoreError(f"{stored.path} is not a result of a sweep, which has one row: rename the sweep")
        with self._said():
            self.log.append(k, Entry(stored.rows[0], stored.manifest["sha256"]["arrays.npz"]))

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn an error of the system while writing into a SweepError that says what is kept."""
        try:
            yield
        except OSError as error:
            raise SweepError(f"could not write to {self.store.root} ({error}): {self.kept()}") from error

    def kept(self) -> str:
        """Say how many points are kept, counted on disk, since Ctrl-C may come between a row and its note."""
        waiting = self.waiting
        try:
            entries = self.log.entries()
        except (StoreError, OSError) as error:
            return f"what is kept cannot be counted ({error})"
        lost = {k for k in waiting if k in entries and entries[k].arrays and not self.store.has(self.name, waiting[k])}
        kept = sum(k in entries and k not in lost for k in self.keys)
        return f"{kept} of {len(self.keys)} points are kept, and the same command goes on from there"

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all points, in their order."""
        found = self.log.entries()
        return [found[k].row for k in self.keys]


def _attempt(
    compute: Callable[[Point], Output], k: str, point: Point, wanted: Environment
) -> tuple[str, Output | None, float, str]:
    """Compute a point on a worker: (key, output or None, seconds, what went wrong). Raises OtherCode."""
    _compare(wanted)
    start = time.perf_counter()
    try:
        output = compute(point)
        _compare(wanted)  # again, because the computation may have imported more
        if not isinstance(output, Output):
            name = getattr(compute, "__name__", compute)
            raise TypeError(f"{name} must return an Output(row, arrays), got {type(output).__name__}")
        canonical(output.row).encode()  # refuses NaN and Inf, and half of a surrogate pair
        canonical(output.aside).encode()
        for name, array in output.arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise TypeError(f"{name!r} is not a NumPy array of numbers")
        return k, output, time.perf_counter() - start, ""
    except OtherCode:
        raise
    except (Exception, SystemExit) as error:
        where = traceback.format_exc(limit=-2).strip().splitlines()
        return (
            k,
            None,
            time.perf_counter() - start,
            f"{type(error).__name__}: {one_line(error)}\n" + "\n".join(where[1:-1]),
        )


def _compare(wanted: Environment) -> None:
    if other := wanted.here().against(wanted, "the process that began"):
        raise OtherCode(
            f"the worker on {platform.node()} has {other}; its bytes could differ: restart the workers with the "
            "same source and versions"
        )


def asides(points: Sequence[Point], store: Store, *, name: str) -> list[dict[str, float]]:
    """Return the seconds, and what else was measured, of those points that have them; outside of every checksum."""
    found = noted(store.root / f"{name}{ASIDE}")
    return [found[k] for k in (key(name, point) for point in points) if "seconds" in found.get(k, ())]


def table(points: Sequence[Point], rows: Sequence[Mapping[str, Any]], folder: str | Path, *, name: str) -> Path:
    """Write ``folder/NAME.csv``, ``NAME.json`` and a manifest, atomically, and return the folder.

    There is a line per point, in order: what differs between the points (nested parameters as ``arm.bits``), then its
    row. Shared parameters, versions and sha256 are in the manifest. The same points and rows give the same bytes.

    Parameters
    ----------
    points, rows, folder, name
        The points, their rows, where to write, and the name of the files. ValueError for a row too many or too few,
        or with a column that has the name of a parameter.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from modiff_sim import sweeps
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = sweeps.table([{"x": 2}, {"x": 3}], [{"square": 4}, {"square": 9}], folder, name="squares")
    ...     pathlib.Path(folder, "squares.csv").read_text().split()
    ['x,square', '2,4', '3,9']
    """
    flat = [dict(_flat(plain(point))) for point in points]
    shared = {k: v for k, v in (flat[0] if flat else {}).items() if all(k in f and f[k] == v for f in flat)}
    lines = []
    for about, row in zip(flat, rows, strict=True):
        own = {k: v for k, v in about.items() if k not in shared or len(flat) == 1}
        if both := own.keys() & row.keys():
            raise ValueError(f"{', '.join(sorted(both))}: both a parameter and a column of the row; rename one")
        lines.append(own | dict(row))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(k for line in lines for k in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    contents = {f"{name}.csv": out.getvalue(), f"{name}.json": json.dumps(lines, indent=1, ensure_ascii=False) + "\n"}
    keys = digest_of("".join(key(name, point) for point in points).encode())
    about = {"name": name, "points": len(points), "keys_sha256": keys, "params": shared, "versions": versions()}
    write_files(Path(folder), contents, about)
    return Path(folder)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for k, v in value.items():
        if isinstance(v, Mapping) and v:
            yield from _flat(v, f"{prefix}{k}.")
        else:
            yield prefix + k, v
