"""Independent tasks over the cores of this machine, or over a Dask cluster: the one place that starts workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any


def cores() -> int:
    """The cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def unordered(
    tasks: Iterable[Callable[[], Any]], *, workers: int | None = None, scheduler: str | None = None
) -> Iterator[Any]:
    """The results of the tasks as they finish. Tasks are taken from the iterable as workers become free.

    workers:   processes (joblib's loky); 1 stays in this process; None is one per core.
    scheduler: address of a Dask scheduler (``tcp://host:port``); its workers need this project importable and no
               common file system, for what a task returns travels back.

    Raises:
        ImportError: joblib or distributed is missing (extra ``[scale]``).
        ValueError: workers < 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    many = cores() if workers is None else workers
    if many == 1 and scheduler is None:
        for task in tasks:
            yield task()
        return
    try:
        import joblib
    except ImportError as error:
        raise ImportError('several workers need joblib: pip install "modiff-sim[scale]"') from error
    with ExitStack() as stack:
        if scheduler is not None:
            stack.enter_context(_client(scheduler))
            stack.enter_context(joblib.parallel_config(backend="dask", wait_for_workers_timeout=60))
            run = joblib.Parallel(return_as="generator_unordered", pre_dispatch="2 * n_jobs", batch_size=1)
        else:
            run = joblib.Parallel(many, backend="loky", return_as="generator_unordered", batch_size=1)
        yield from run(joblib.delayed(_call)(task) for task in tasks)


def _call(task: Callable[[], Any]) -> Any:
    return task()


def _client(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError('a Dask scheduler needs distributed: pip install "modiff-sim[scale]"') from error
    try:
        return Client(scheduler, timeout="10s")
    except (OSError, TimeoutError) as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler`") from error
