"""Many trials of one recursion on one process: vectorised over trials, in cache-sized blocks, over the cores.

Trials are cut into blocks whose size depends on d alone, and each block has its own generator
``SeedSequence(seed, spawn_key=(block,))``: the result has the same bytes whatever the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from . import recursion as _recursion
from .processes import Process
from .quantizer import Quantizer

#: floats of one block of inputs: 2^15 doubles are 256 KiB, about half a core's L2 cache
BLOCK_FLOATS = 2**15


@dataclass(frozen=True)
class Result:
    """What one simulation measured; every array has shape (steps, trials), rows in sampling order (row 0 is t = T).

    error, error_inf:  2-norm and max norm of the output error o - ô (o = A(a); A is the identity by default)
    d, d_inf:          norms of the difference a_k - a_{k-1} (row 0 is 0)
    a, a_inf:          norms of the input
    c, kappa:          measured ||x - Q(x)||²/||x||² and ||x - Q(x)||_inf/||x||_inf of what was quantized in this call
                       (NaN where nothing was quantized, 0 where an exact zero was)
    """

    error: np.ndarray
    error_inf: np.ndarray
    d: np.ndarray
    d_inf: np.ndarray
    a: np.ndarray
    a_inf: np.ndarray
    c: np.ndarray
    kappa: np.ndarray
    params: dict[str, Any]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The measured arrays by name, as a store takes them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "params"}

    def rows(self) -> Iterator[dict[str, float]]:
        """Tidy rows, one per step and trial."""
        steps, trials = self.error.shape
        for step in range(steps):
            for trial in range(trials):
                yield {"step": step, "trial": trial} | {k: float(v[step, trial]) for k, v in self.arrays.items()}

    def frame(self) -> Any:
        """The rows as a pandas DataFrame (extra [plot])."""
        import pandas as pd

        steps, trials = self.error.shape
        index = {"step": np.repeat(np.arange(steps), trials), "trial": np.tile(np.arange(trials), steps)}
        return pd.DataFrame(index | {k: v.ravel() for k, v in self.arrays.items()})


def _norms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.sqrt(np.einsum("ij,ij->i", x, x)), np.max(np.abs(x), axis=1)


def _ratio(error: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.divide(error, size, out=np.zeros_like(error), where=size > 0)


def _measure(states: Iterable[_recursion.State], inputs: list[np.ndarray], operator: Any) -> Iterator[tuple]:
    """Per call: the columns of Result, in its order. ``inputs`` is where the driver leaves the current input."""
    previous = None
    for state in states:
        a = inputs[-1]
        error = _norms(operator(a) - state.o_hat)
        d = _norms(a - previous) if previous is not None else (np.zeros(len(a)), np.zeros(len(a)))
        if state.quantized:
            lost, size = _norms(state.residual - state.residual_hat), _norms(state.residual)
            c, kappa = _ratio(lost[0], size[0]) ** 2, _ratio(lost[1], size[1])
        else:
            c = kappa = np.full(len(a), np.nan)
        yield (*error, *d, *_norms(a), c, kappa)
        previous = a


def simulate(
    process: Process,
    Q: Quantizer,
    recursion: str = "closed_loop",
    *,
    steps: int = 100,
    trials: int = 64,
    seed: int = 0,
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    operator: np.ndarray | None = None,
    dtype: Any = np.float64,
    workers: int | None = None,
) -> Result:
    """Run ``trials`` independent sequences of ``steps`` model calls through one layer.

    operator: matrix (m, d) of the layer's linear map A, applied as a @ operator.T; None is the identity.
    dtype:    float type of the recursion (the process is drawn in float64 and cast).
    workers:  threads; None takes as many as cores. The result does not depend on it.

    Raises ValueError for steps, trials or workers < 1, an unknown recursion, warm-up or refresh, a mismatched operator,
    or inputs with NaN or Inf (naming the step).
    """
    for name, value in (("steps", steps), ("trials", trials), ("workers", 1 if workers is None else workers)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an int >= 1, got {value!r}")
    chosen = _recursion.get(recursion)
    _recursion.check_warmup(warmup)
    _recursion.refresh_calls(refresh)
    if operator is not None:
        operator = np.asarray(operator, dtype)
        if operator.ndim != 2 or operator.shape[1] != process.d:
            raise ValueError(f"operator must have shape (m, {process.d}) for this process, got {operator.shape}")

    def A(a: np.ndarray) -> np.ndarray:
        return a if operator is None else a @ operator.T

    first = max(_recursion.feeds(warmup), 1)

    def one_block(block: int, count: int) -> np.ndarray:
        inputs_seed, random_seed = np.random.SeedSequence(seed, spawn_key=(block,)).spawn(2)
        bits = np.random.default_rng(random_seed)
        last: list[np.ndarray] = []

        def checked() -> Iterator[np.ndarray]:
            for k, drawn in enumerate(process.stream(np.random.default_rng(inputs_seed), count, steps)):
                if not np.isfinite(drawn).all():
                    raise ValueError(f"process {process.name}: input of step {k} holds NaN or Inf")
                last[:] = [drawn.astype(dtype)]
                yield last[0]

        def random(call: int) -> Any:
            draws = bits.random((first if call == 0 else 1, count, process.d))
            draws = np.minimum(draws, 1 - np.finfo(dtype).epsneg).astype(dtype)  # below 1 after the cast, too
            return draws if call == 0 else draws[0]

        states = _recursion.run(
            chosen, checked(), Q, A, warmup=warmup, refresh=refresh, random=random if Q.laws.randomised else None
        )
        return np.asarray([np.stack(columns) for columns in _measure(states, last, A)])

    size = max(1, BLOCK_FLOATS // process.d)
    blocks = [(i, min(size, trials - start)) for i, start in enumerate(range(0, trials, size))]
    if Q.granularity.scale_shape((2, process.d))[0] == 1:
        blocks = [(0, trials)]  # the scale is shared across trials: they cannot be cut apart
    threads = workers or os.cpu_count() or 1
    if threads == 1 or len(blocks) == 1:
        parts = [one_block(*b) for b in blocks]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda b: one_block(*b), blocks))
    table = np.concatenate(parts, axis=2)  # (steps, columns, trials)
    params = {
        "process": process.name, "process_params": dict(process.params), "quantizer": Q, "recursion": recursion,
        "steps": int(steps), "trials": int(trials), "seed": int(seed), "warmup": warmup, "refresh": refresh,
        "dtype": np.dtype(dtype).name, "operator": None if operator is None else list(operator.shape),
    }  # fmt: skip
    columns = [f.name for f in fields(Result) if f.name != "params"]
    return Result(params=params, **{n: np.ascontiguousarray(table[:, i]) for i, n in enumerate(columns)})
