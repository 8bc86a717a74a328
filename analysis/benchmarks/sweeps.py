"""``python -m analysis.benchmarks.sweeps``: what a sweep costs per point besides computing it.

Measured are the bytes and the milliseconds that it takes to write a point (the arrays of one micro-batch of images, its
row, every fsync), to find that it is done, and to send it through worker processes and through a Dask cluster on
loopback, with the results travelling back. ``docs/scale.md`` plans with these numbers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import Store
from modiff_sim.sweeps.sweep import Output

from ..running import interrupts
from ..running.limits import Parser

NAME = "points"


def compute(point: Mapping[str, Any]) -> Output:
    """Return pixels that do not compress, as those of float32 samples do not."""
    rng = np.random.default_rng(point["seed"])
    return Output({"mean": 0.0, "rms": 1.0, "mac_share": 0.5}, {"images": rng.random(point["shape"], np.float32)})


def points(count: int, shape: Sequence[int]) -> list[dict[str, Any]]:
    """Return points with about as many parameters as those of ``analysis.sample``."""
    common = {f"parameter_{i}": "x" * 16 for i in range(20)}
    return [common | {"shape": list(shape), "seed": i} for i in range(count)]


def measure(count: int, shape: Sequence[int], cluster: bool = True) -> dict[str, float]:
    """Return numbers per point: milliseconds by what is done, and the ``bytes`` on disk.

    The milliseconds are ``computed``, ``stored`` (computed and written here), ``found``, and ``processes`` and ``dask``
    (computed by two workers and written here).
    """
    chosen, found = points(count, shape), {}

    def seconds(store: Store, **options: Any) -> float:
        start = time.perf_counter()
        sweep.run(chosen, compute, store, name=NAME, **options)
        return 1e3 * (time.perf_counter() - start) / count

    with tempfile.TemporaryDirectory(dir=os.environ.get("MODIFF_OUT")) as folder:
        root = Path(folder)
        start = time.perf_counter()
        for point in chosen:
            compute(point)
        found["computed"] = 1e3 * (time.perf_counter() - start) / count
        found["stored"] = seconds(Store(root / "a"), workers=1)
        found["bytes"] = sum(p.stat().st_size for p in (root / "a").rglob("*") if p.is_file()) / count
        found["found"] = seconds(Store(root / "a"), workers=1)
        sweep.run(chosen[:2], compute, Store(root / "b"), name=NAME, workers=2)  # starts the processes
        found["processes"] = seconds(Store(root / "b"), workers=2)
        if cluster:
            from distributed import LocalCluster

            with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as local:
                sweep.run(chosen[:2], compute, Store(root / "c"), name=NAME, scheduler=local.scheduler_address)
                found["dask"] = seconds(Store(root / "c"), scheduler=local.scheduler_address)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.sweeps", description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100, help="how many points (default: 100)")
    parser.add_argument(
        "--shape", type=int, nargs="+", default=[128, 3, 32, 32], help="shape of a point's array (default: 128 3 32 32)"
    )
    chosen = parser.parse_args(arguments)
    if min(chosen.points, *chosen.shape) < 1:
        parser.error("--points and --shape must be at least 1")
    found = measure(chosen.points, chosen.shape)
    print(
        f"{chosen.points} points with float32 arrays of {chosen.shape}: {found.pop('bytes'):.0f} bytes each on disk\n"
    )
    print("| a point | ms |\n| --- | --- |")
    for what, value in found.items():
        print(f"| {what} | {value:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.sweeps"))
