"""What can be moved on the page, as one value that says everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from .. import quantizers
from ..contraction.atlas import DISTRIBUTIONS
from ..names import one_of
from ..quantizers.base import Quantizer
from ..quantizers.granularity import parse
from ..recursion import RECURSIONS, Refresh, Warmup
from ..simulation import processes
from ..simulation.processes import Process
from ..simulation.recordings import read_recording

#: how inputs move: ``DRIFT`` has a size that is chosen, the others are processes with their own
DRIFT, RECORDED = "drift", "recorded"


@dataclass(frozen=True)
class Settings:
    """One place on the page: what is quantized, and how.

    Parameters
    ----------
    quantizer : str, default "absmax"
        A name in ``ms.QUANTIZERS``.
    bits : int, default 4
        Bits of a code; a format that has its own keeps them.
    granularity : str, default "sample"
        What shares a scale, as ``quantizers.granularity.parse`` takes it.
    inputs : str, default "drift"
        "drift", where inputs and differences are drawn from ``distribution``; the name of a process without options;
        or "recorded", the layer ``layer`` of the file ``recording``.
    distribution : str, default "normal"
        A name in ``ms.atlas.DISTRIBUTIONS``, for "drift".
    rho : float, default 0.1
        For "drift": the standard deviation of a difference over that of the first input.
    d : int, default 256
        Entries of an input; a recording has its own.
    steps, trials, seed : int
        Model calls, independent sequences, and the seed of what is drawn. A recording has its own trials.
    recursion : str, default "closed_loop"
        A name in ``ms.RECURSIONS``.
    warmup, refresh
        As ``ms.simulate`` takes them.
    recording, layer : str
        A file .npz with arrays (steps, trials, d) by layer, or .npy with one, and the name of the layer.

    Raises
    ------
    ValueError
        For an unknown name, and where ``rho`` is negative or not finite.

    Examples
    --------
    >>> from modiff_sim.explore import Settings
    >>> Settings(bits=3).code()
    'Settings(bits=3)'
    """

    quantizer: str = "absmax"
    bits: int = 4
    granularity: str = "sample"
    inputs: str = DRIFT
    distribution: str = "normal"
    rho: float = 0.1
    d: int = 256
    steps: int = 50
    trials: int = 16
    seed: int = 0
    recursion: str = "closed_loop"
    warmup: Warmup = "exact"
    refresh: Refresh = "never"
    recording: str = ""
    layer: str = ""

    def __post_init__(self) -> None:
        one_of("quantizer", self.quantizer, quantizers.QUANTIZERS)
        one_of("recursion", self.recursion, RECURSIONS)
        one_of("distribution", self.distribution, DISTRIBUTIONS)
        one_of("inputs", self.inputs, (DRIFT, *processes.PROCESSES))
        if not (np.isfinite(self.rho) and self.rho >= 0):
            raise ValueError(f"rho must be finite and not negative, got {self.rho}")

    @property
    def Q(self) -> Quantizer:
        """The quantizer."""
        return quantizers.make(self.quantizer, self.bits, granularity=parse(self.granularity))

    @property
    def process(self) -> Process:
        """The inputs."""
        if self.inputs == RECORDED:
            return processes.recorded(recorded_layer(self.recording, self.layer))
        if self.inputs != DRIFT:
            return processes.get(self.inputs, self.Q, d=self.d)
        draw, size = DISTRIBUTIONS[self.distribution], self.rho

        def drift(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
            a = draw(rng, (trials, self.d))
            yield a
            for _ in range(steps - 1):
                a = a + size * draw(rng, (trials, self.d))
                yield a

        return Process(DRIFT, self.d, {"distribution": self.distribution, "rho": self.rho}, drift)

    def code(self) -> str:
        """Python that makes this value again, with what is not the default."""
        said = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Settings({', '.join(said)})"


@lru_cache(maxsize=8)
def _read(path: str, _changed: float) -> dict[str, np.ndarray]:
    return read_recording(path)


def layers(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays (steps, trials, d) of a recording by layer, read once as long as the file stays as it is.

    Raises what ``simulation.recordings.read_recording`` raises.
    """
    place = Path(path)
    return _read(str(path), place.stat().st_mtime if place.is_file() else 0.0)


def recorded_layer(path: str | Path, layer: str = "") -> np.ndarray:
    """The array of a layer, of the first one without a name. Raises ValueError, with the known names, for another."""
    found = layers(path)
    return found[one_of("layer", layer or next(iter(found)), found)]
