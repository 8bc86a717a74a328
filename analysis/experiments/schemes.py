"""Ways to compute less on a trained model, each sampled from the same noise and stored by content.

The key of their results depends on this module and on what it imports (``analysis.running.code_key``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim import Threshold
from modiff_sim.nn import deepcache, modulated, sparsity

from ..running.code_key import source_of
from ..running.workspace import store
from ..sampling.micro_batch import model_of
from .arms import BITS
from .sizes import Effort, effort_of
from .trained_runs import middle_of, settings

IMAGES = {"quick": 16, "full": 64}
EVERY = (2, 3, 5)


@dataclass(frozen=True)
class CachingScheme:
    """One way of computing less. ``value`` is the parameter of its kind, such as the number of bits."""

    kind: str
    value: float = 0

    @property
    def label(self) -> str:
        """The scheme in words."""
        return KINDS[self.kind].format(self.value)

    def options(self, model: Any) -> dict[str, Any]:
        """Return the options of ``modulated``. Weights stay in full precision, so that only the scheme differs."""
        full = {"activations": ms.Identity(), "recursion": "direct"}
        match self.kind:
            case "full":
                return full
            case "cached":
                return {"activations": ms.Zero(), "refresh": int(self.value)}
            case "deepcache":
                return full | {"reuse": deepcache(model, every=int(self.value))}
            case "shallow":
                return full | {"reuse": deepcache(model, every=int(self.value), skips=1)}
            case "threshold":
                return {"activations": ms.Identity(), "skip": Threshold(self.value, "l2")}
            case "dead_zone":
                return {"activations": ms.DeadZone(4, threshold=self.value)}
            case "closed_loop":
                return {"activations": ms.AbsMax(int(self.value))}
        return {"activations": ms.AbsMax(int(self.value)), "recursion": "direct"}


#: kind -> the label of its schemes
KINDS = {
    "full": "full precision", "cached": "all layers cached, every {}", "deepcache": "DeepCache depth 1, every {}",
    "shallow": "DeepCache, 1 skip connection, every {}", "threshold": "threshold {}",
    "dead_zone": "dead zone {}, 4 bits", "closed_loop": "closed loop, {} bits", "direct": "direct, {} bits",
}  # fmt: skip


def schemes(bits: Sequence[int] = BITS) -> tuple[CachingScheme, ...]:
    """Return every scheme, with the closed loop and direct quantization at these bits."""
    return (
        *(CachingScheme(kind, n) for kind in ("cached", "deepcache", "shallow") for n in EVERY),
        *(CachingScheme("threshold", tau) for tau in (0.02, 0.05, 0.1, 0.2, 0.4)),
        *(CachingScheme("dead_zone", width) for width in (0.08, 0.1, 0.15, 0.2)),
        *(CachingScheme(kind, b) for kind in ("closed_loop", "direct") for b in bits),
    )


SCHEMES = schemes()
SPARSE = ("dead_zone", "closed_loop", "direct")  # whose zeros are counted
FULL = CachingScheme("full")


def key(effort: str | Effort, scheme: CachingScheme) -> dict[str, Any]:
    """Return the parameters under which a scheme is stored."""
    chosen = effort_of(effort)
    return settings(chosen, source_of(__name__)) | {"scheme": asdict(scheme), "batch": IMAGES[chosen.name]}


def sample_scheme(effort: str | Effort, scheme: CachingScheme) -> None:
    """Sample a scheme and store images, middle-block features and audit."""
    params = key(effort, scheme)
    if store().has("caching", params):
        return
    chosen = effort_of(effort)
    torch.set_num_threads(chosen.threads)
    subject, n, features = model_of(chosen.model), IMAGES[chosen.name], []
    model, middle = subject.model, middle_of(chosen.model)
    hook = middle.register_forward_hook(lambda _m, _i, out: features.append(out.flatten(1).numpy().copy()))
    with hook, ExitStack() as stack:
        run = stack.enter_context(modulated(model, **scheme.options(model)))
        counted = stack.enter_context(sparsity.measure(run)) if scheme.kind in SPARSE else None
        images = subject.sample(n, steps=chosen.steps, spacing=chosen.spacing, batch=n, seed=chosen.seed, run=run)
        row = run.audit().summary() | ({} if counted is None else {"sparsity": counted.summary()})
    store().save("caching", params, {"images": images, "middle": np.stack(features)}, rows=[row])
