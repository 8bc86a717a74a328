"""One micro-batch of an arm: everything that decides its bytes, and how it is sampled.

Sample i of every arm starts from the same noise and gets the same fresh noise, so arms are compared sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modiff_sim.nn import sample
from modiff_sim.nn.layers import find
from modiff_sim.sweeps.output import Output

from ..running.code_key import expect, source_of
from .arms import Arm
from .witnesses import WITNESSES, conditions, load

TENFOLD = 10.0  # the paper: differences are more than 10 times smaller


@cache
def source() -> str:
    """Return the sha256 of the code that decides the bytes of a micro-batch."""
    return source_of(__name__, names=("direct", "open_loop", "closed_loop"))


def compute(folder: Path, point: Mapping[str, Any]) -> Output:
    """Sample a micro-batch; in full precision also compare inputs of layers with their temporal differences."""
    name, arm = point["model"], Arm(**point["arm"])
    known = WITNESSES[name]
    expect(point, source=source(), model_sha256=known.sha256)
    torch.set_num_threads(point["threads"])
    network = load(name, folder)
    indices = range(point["micro_batch"] * point["batch"], (point["micro_batch"] + 1) * point["batch"])
    given = conditions(name, folder, indices)
    with arm.on(network, known.network.TIME_PATH) as run, Differences.of(network if run is None else None) as seen:
        made = sample(
            network,
            images=indices,
            batch=point["batch"],
            seed=point["seed"],
            shape=known.network.SHAPE,
            schedule=known.network.schedule(),
            run=run,
            conditions=given,
            **known.network.SAMPLERS[arm.sampler],
        )
        share = run.audit().summary()["mac_share"] if run and arm.bits < 32 else 0.0
    return Output({"mac_share": float(share)}, {"values": made} | (seen.arrays() if run is None else {}))


class Differences:
    """How much larger the input of a layer is than its change since the last call, in the max norm, per sample."""

    def __init__(self) -> None:
        self._last: dict[str, Tensor] = {}
        self.ratios: list[np.ndarray] = []  # of every layer at every call but the first, (samples,)

    @classmethod
    @contextmanager
    def of(cls, network: nn.Module | None) -> Iterator[Differences]:
        """Watch all layers of the network within the context."""
        seen = cls()
        layers = {} if network is None else find(network, None)
        hooks = [layer.register_forward_pre_hook(partial(seen._see, name)) for name, layer in layers.items()]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def _see(self, name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        a = inputs[0].detach().flatten(1)
        if name in self._last:
            size, change = (z.abs().amax(dim=1).double().numpy() for z in (a, a - self._last[name]))
            # an input that does not change at all is infinitely larger than its change
            self.ratios.append(np.divide(size, change, out=np.full(len(size), np.inf), where=change > 0))
        self._last[name] = a.clone()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return of each sample the median over layers and calls, and the share of them that is above ``TENFOLD``."""
        found = np.stack(self.ratios)
        return {"ratio": np.median(found, axis=0), "tenfold": (found > TENFOLD).mean(axis=0)}
