"""Hypothesis profiles by environment: dev (random, 50 examples), ci (derandomised, 25), nightly (250); fixtures."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

#: a machine that is busy with other things draws slowly, which says nothing about a test
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile(
    "ci", max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW
)
hypothesis.settings.register_profile("nightly", max_examples=250, deadline=None, suppress_health_check=SLOW)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# two test workers on two cores: one thread each
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# On AMD's processors MKL's products, which torch's linear layers are, depend on where in memory their operands lie, so
# that one call twice can differ in its last bits. Tests compare bytes, and this makes MKL take the same path always.
CPU = Path("/proc/cpuinfo")
if CPU.is_file() and "AuthenticAMD" in CPU.read_text(encoding="utf-8"):
    os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

# a shell starts a command with `&` so that it ignores Ctrl-C, and what it starts would as well
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(config, val, argname):
    """Name a test after the argument where that is a file's content, which may hold the time at which it was made.

    Two workers that begin in different seconds would otherwise collect different tests.
    """
    return argname if isinstance(val, bytes) and len(val) > 60 else None


@pytest.fixture
def recording(tmp_path):
    """Three layers: constant, slowly drifting, and new at every call."""
    import numpy as np  # after the number of threads is set

    rng = np.random.default_rng(0)
    start, drift = rng.standard_normal((2, 1, 6, 32))
    layers = {
        "still": np.repeat(start, 12, axis=0),
        "slow": start + 0.02 * np.cumsum(np.repeat(drift, 12, axis=0), axis=0),
        "wild": rng.standard_normal((12, 6, 32)),
    }
    np.savez(tmp_path / "layers.npz", **layers)
    return tmp_path / "layers.npz"
