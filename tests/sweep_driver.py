"""A small sweep as a program, for tests that kill it:  python sweep_driver.py STORE TABLE [POINTS]

Environment: COUNT, a file that gets a line per computed point; KILL="where:n", to be killed at the n-th time one of the
steps of ``WHERE`` is reached; WORKERS, SCHEDULER; SLOW, seconds that a point takes longer; BAD, a point that fails.
"""

import os
import signal
import sys
import time

import modiff_sim as ms
from modiff_sim import rowlog, store, sweep

NAME = "small"
WHERE = ("arrays", "between", "row", "after")


def points(count=8):
    common = {"steps": 6, "trials": 8, "threads": 1, "dtype": "float64"}
    return [common | {"seed": i // 2, "quantizer": {"bits": 3 + i % 2}} for i in range(count)]


def compute(point):
    """A simulation: a row with its largest error, and the errors."""
    with open(os.environ["COUNT"], "a") as file:
        file.write(f"{point['seed']} {point['quantizer']['bits']}\n")
    time.sleep(float(os.environ.get("SLOW", 0)))
    if os.environ.get("BAD") == str(point["seed"]):
        raise ZeroDivisionError("no such point")
    r = ms.simulate(
        ms.processes.random_walk(d=16), ms.AbsMax(point["quantizer"]["bits"]), recursion="closed_loop",
        steps=point["steps"], trials=point["trials"], seed=point["seed"], workers=1,
    )  # fmt: skip
    return sweep.Output({"error": float(r.error_inf.max()), "label": "größte"}, {"error_inf": r.error_inf})


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(where, n):
    """Be killed at the n-th (from 1) arrays file written in part, between arrays and row, in a row, or after it."""
    left = [n]

    def reached(this):
        if this == where:
            left[0] -= 1
        return this == where and left[0] == 0

    real_atomic, real_append, real_write = store.write_atomic, rowlog.RowLog.append, rowlog._write

    def write_atomic(path, content):
        if path.name == "arrays.npz" and reached("arrays"):
            (path.parent / f".{path.name}.part").write_bytes(content[: len(content) // 2])
            die()
        real_atomic(path, content)

    def append(self, key, entry):
        if reached("between"):
            die()
        real_append(self, key, entry)
        if reached("after"):
            die()

    def write(file, line):
        if reached("row"):
            file.write(line[: len(line) // 2])
            die()
        real_write(file, line)

    store.write_atomic, rowlog.RowLog.append, rowlog._write = write_atomic, append, write


def main():
    root, folder, *count = sys.argv[1:]
    if "KILL" in os.environ:
        where, n = os.environ["KILL"].split(":")
        kill_at(where, int(n))
    mine = points(*map(int, count))
    try:
        rows = sweep.run(
            mine, compute, store.Store(root), name=NAME, workers=int(os.environ.get("WORKERS", 1)),
            scheduler=os.environ.get("SCHEDULER"), label="points",
        )  # fmt: skip
    except sweep.Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    sweep.table(mine, rows, folder, name=NAME)
    return 0


if __name__ == "__main__":
    import sweep_driver  # so that ``compute`` belongs to a module that workers can import

    sys.exit(sweep_driver.main())
