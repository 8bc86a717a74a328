"""What the layers of a trained model see in one full-precision run, image by image: sizes and contraction.

``trained.distributions`` has the statistics of a layer's values over all images, and c per block of a scale. Here c is
that of (29), of a whole input, so that several granularities can be compared.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn.layers import find
from modiff_sim.recursion import RECURSIONS

from ..running.code_key import source_of
from ..running.workspace import store
from ..sampling.micro_batch import model_of
from .sizes import Effort, effort_of
from .trained_runs import RECORD_BITS, settings, visited

STEPS = {"quick": 12, "full": 100}  # calls; 100 are those of the paper's CIFAR-10 runs
IMAGES = {"quick": 8, "full": 64}
PER_CHANNEL = ms.PerChannel((0, 1))
#: min-max with one scale per channel of a convolution (LCQ) and per sample (LTQ), as in the paper; absmax per sample
CHANNEL, SAMPLE, ABSMAX = "channel", "sample", "absmax"


def measure(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return what every layer saw, per call and image. It is computed once and kept in the store.

    Returns
    -------
    dict of str to numpy.ndarray
        "layers" (L,), names; "timesteps" (S,); "absmax_a" (L, S, images), the largest entry of an input a_t;
        "absmax_d" (L, S - 1, images), that of a_t - a_(t+1); and "c_channel", "c_sample" and "c_absmax"
        (L, S - 1, images), ||r - Q(r)||²/||r||² of r = a_t - â_(t+1) in a closed loop whose errors do not pass through
        the network, at ``RECORD_BITS``. c is 0 where r is.
    """
    chosen = effort_of(effort)
    steps, images = STEPS[chosen.name], IMAGES[chosen.name]
    about = settings(chosen, source_of(__name__)) | {"steps": steps, "batch": images, "bits": RECORD_BITS}
    arrays = store().get("residuals", about, partial(_record, chosen, steps, images)).arrays
    return arrays | {"timesteps": visited(replace(chosen, steps=steps)).timesteps}


def quantizers(module: nn.Module) -> dict[str, ms.Quantizer]:
    """Return the quantizers that are compared on a layer. A linear layer has no channels: one scale per sample."""
    per_sample = ms.MinMax(bits=RECORD_BITS)
    per_channel = per_sample if isinstance(module, nn.Linear) else replace(per_sample, granularity=PER_CHANNEL)
    return {CHANNEL: per_channel, SAMPLE: per_sample, ABSMAX: ms.AbsMax(RECORD_BITS)}


class Seen:
    """What one layer has seen so far."""

    def __init__(self, module: nn.Module) -> None:
        self.quantizers = quantizers(module)
        self.values: dict[str, list[np.ndarray]] = {}
        self.last: torch.Tensor | None = None
        self.refs: dict[str, torch.Tensor] = {}

    def add(self, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Take the input of one call."""
        a = inputs[0].detach().clone()  # the model may reuse the tensor's memory
        self._keep("absmax_a", a.flatten(1).abs().amax(1))
        if self.last is not None:
            self._keep("absmax_d", (a - self.last).flatten(1).abs().amax(1))
        for name, Q in self.quantizers.items():
            if (ref := self.refs.get(name)) is None:
                self.refs[name] = a
                continue
            r = a - ref
            hat, _ = Q.apply(r)
            error, size = ((x.double().flatten(1) ** 2).sum(1) for x in (r - hat, r))
            self._keep(f"c_{name}", torch.where(size > 0, error / size.clamp_min(1e-300), 0.0))
            self.refs[name] = RECURSIONS["closed_loop"].next_ref(ref, a, hat)
        self.last = a

    def _keep(self, name: str, values: torch.Tensor) -> None:
        self.values.setdefault(name, []).append(values.double().numpy())


def _record(effort: Effort, steps: int, images: int) -> dict[str, Any]:
    torch.set_num_threads(effort.threads)
    subject = model_of(effort.model)
    layers = {name: (module, Seen(module)) for name, module in find(subject.model, None).items()}
    hooks = [module.register_forward_pre_hook(seen.add) for module, seen in layers.values()]
    try:
        subject.sample(images, steps=steps, spacing=effort.spacing, batch=images, seed=effort.seed)
    finally:
        for hook in hooks:
            hook.remove()
    each = [seen.values for _, seen in layers.values()]
    found = {name: np.stack([np.stack(values[name]) for values in each]) for name in each[0]}
    return found | {"layers": np.array(list(layers))}
