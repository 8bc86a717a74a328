"""Independent tasks over the cores of this machine, or over a Dask cluster. Only this module starts workers."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from functools import cache
from itertools import islice
from typing import Any

from ..arguments import said_seconds

PATIENCE = 30.0  # seconds of waiting for a Dask scheduler and for its first worker
AHEAD = 16  # threads that a Dask cluster is assumed to have, or to get, at least


class WorkerLost(RuntimeError):
    """A worker was killed. Only what it was working on is lost."""


def cores() -> int:
    """Return the number of cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def unordered(
    tasks: Iterable[Callable[[], Any]], *, workers: int | None = None, scheduler: str | None = None
) -> Generator[Any, None, None]:
    """Yield the results of the tasks as they finish. Tasks are taken from the iterable as workers become free for them.

    A task that raises ends everything, and its exception is raised here. Close the iterator to stop earlier.

    Parameters
    ----------
    tasks : iterable of callable
        The tasks, called without arguments.
    workers : int, optional
        Processes (joblib's loky); 1 stays in this process; by default one per core.
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://host:port``), whose workers are used instead. They must be able to
        import what a task calls, and need no common file system, as results travel back. Twice as many tasks as the
        cluster has threads are under way, and at least twice ``workers`` (by default ``AHEAD``), so that workers
        that come later find work.

    Raises
    ------
    ImportError
        joblib or distributed is missing (extra ``[scale]``).
    ValueError
        ``workers`` is below 1, or nothing answers at the scheduler's address.
    RuntimeError
        A Dask worker cannot import what it is to call.
    WorkerLost
        A process was killed. A Dask cluster starts the task elsewhere and gives up at its third worker.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    many = cores() if workers is None else workers
    if many == 1 and scheduler is None:
        for task in tasks:
            yield task()
        return
    if scheduler is not None:
        yield from _on_cluster(iter(tasks), scheduler, AHEAD if workers is None else workers)
        return
    try:
        import joblib
    except ImportError as error:
        raise ImportError('several workers need joblib: pip install "modiff-sim[scale]"') from error
    # a worker whose memory has grown is replaced, which is not worth a warning
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
    run = joblib.Parallel(return_as="generator_unordered", batch_size=1, n_jobs=many, backend="loky")
    try:
        yield from run(joblib.delayed(_call)(task, os.getpid()) for task in tasks)
    except BrokenExecutor as error:
        raise WorkerLost(f"a worker was killed ({type(error).__name__})") from error


def _call(task: Callable[[], Any], starter: int) -> Any:
    """Call a task on a worker. ``starter`` is the process that started the worker."""
    if starter != os.getpid():
        _serve(starter)
    return task()


@cache
def _serve(starter: int) -> None:
    """Make this worker end with the process that started it, and only with it.

    A worker of loky would otherwise go on with what is queued and then wait for five minutes. Ctrl-C is sent to all
    processes of a terminal. A worker that it interrupts between two tasks may keep a lock for ever or count as lost, so
    workers ignore it, and their starter ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call_pickled(task: bytes) -> Any:
    """Call a pickled task. Raises RuntimeError where this worker cannot import it.

    The task is pickled because a scheduler unpickles what it passes on, and may not have the functions.
    """
    try:
        made = pickle.loads(task)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"a Dask worker cannot import what it is to compute ({error}): start the workers with this checkout on "
            "PYTHONPATH and the versions of this environment"
        ) from None
    return made()


def _on_cluster(tasks: Iterator[Callable[[], Any]], scheduler: str, ahead: int) -> Generator[Any, None, None]:
    """Yield the results of the tasks on a Dask cluster as they finish."""
    client = _client(scheduler)
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    under_way: set[Any] = set()
    done = as_completed()

    def more() -> None:
        """Submit tasks, so that workers that are there, and some that come later, find work."""
        wanted = 2 * max(sum(client.nthreads().values()), ahead)
        for task in islice(tasks, max(wanted - len(under_way), 0)):
            future = client.submit(_call_pickled, pickle.dumps(task), pure=False)
            under_way.add(future)
            done.add(future)

    with client:
        try:
            more()
            for future in done:
                under_way.discard(future)
                result = future.result()
                del future  # whose result the cluster would keep
                yield result
                more()
        except KilledWorker as error:
            raise WorkerLost(f"a worker was killed ({type(error).__name__})") from error
        finally:
            client.cancel(list(under_way))


def _client(scheduler: str) -> Any:
    """Return a client of the cluster."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError('a Dask scheduler needs distributed: pip install "modiff-sim[scale]"') from error
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler!r}: start one with `dask scheduler`") from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        client.close()
        raise ValueError(
            f"the scheduler at {scheduler} has no workers: start some with `dask worker {scheduler}`"
        ) from error
    try:  # a cluster that cannot read what it is sent
        client.submit(_call_pickled, pickle.dumps(cores), pure=False).result(timeout=PATIENCE)
    except Exception as error:
        client.close()
        raise ValueError(
            f"the Dask cluster at {scheduler} does not run modiff_sim ({error}): its scheduler and its workers need it"
        ) from error
    return client


def progress(label: str, total: int) -> Callable[[int], None]:
    """Return a function that is told how many tasks are done, and shows it on stderr.

    It shows a bar on a terminal and a line every ten seconds elsewhere, both with the time that may be left. It shows
    nothing without a label or without tasks.
    """
    if not label or not total:
        return lambda done: None
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            bar = tqdm(total=total, desc=label, unit="task")

            def moved(done: int) -> None:
                bar.update(done - bar.n)
                if done == total:
                    bar.close()

            return moved
    start = last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last > 10:
            left = f", about {said_seconds((now - start) / done * (total - done))} left" if 0 < done < total else ""
            print(f"{label}: {done} of {total}{left}", file=sys.stderr, flush=True)
            last = now

    return line
