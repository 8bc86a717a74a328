"""Ways to compute less on the digits model: caching, branch reuse, thresholds, dead zones, fewer bits.

    python -m analysis.caching                  a table: MACs left out, effective bits, error of the images
    python -m analysis.caching --effort full

Each scheme is sampled from the same noise as the full-precision model, and stored by content like every experiment.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim.nn import modulated, sample, sparsity, zoo
from modiff_sim.nn.reuse import deepcache
from modiff_sim.skipping import Threshold
from modiff_sim.store import digest

from . import interrupts, metrics
from .arms import effort_of
from .experiments import MODEL, settings
from .limits import Parser
from .workspace import spread, store

IMAGES = {"quick": 16, "full": 64}
EVERY = (2, 3, 5)


@dataclass(frozen=True)
class Scheme:
    """One way of computing less. ``value`` is what its kind is swept over."""

    kind: str
    value: float = 0

    @property
    def label(self) -> str:
        return KINDS[self.kind].format(self.value)

    def options(self, model: Any) -> dict[str, Any]:
        """For ``modulated``. Weights stay in full precision: nothing but the scheme differs."""
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


#: kind -> how its members are called
KINDS = {
    "full": "full precision", "cached": "all layers cached, every {}", "deepcache": "DeepCache depth 1, every {}",
    "shallow": "DeepCache, 1 skip connection, every {}", "threshold": "threshold {}",
    "dead_zone": "dead zone {}, 4 bits", "closed_loop": "closed loop, {} bits", "direct": "direct, {} bits",
}  # fmt: skip
SCHEMES = (
    *(Scheme(kind, n) for kind in ("cached", "deepcache", "shallow") for n in EVERY),
    *(Scheme("threshold", tau) for tau in (0.02, 0.05, 0.1, 0.2, 0.4)),
    *(Scheme("dead_zone", width) for width in (0.08, 0.1, 0.15, 0.2)),
    *(Scheme(kind, bits) for kind in ("closed_loop", "direct") for bits in (8, 6, 4, 3, 2)),
)
SPARSE = ("dead_zone", "closed_loop", "direct")  # whose zeros are counted
FULL = Scheme("full")


@cache
def _source() -> str:
    """Hash of the code that the settings' own hash leaves out."""
    core = Path(ms.__file__).parent
    return digest([Path(__file__), core / "skipping.py", core / "storage.py"])


def _key(effort: str, scheme: Scheme) -> dict[str, Any]:
    chosen = settings(effort_of(effort))
    return chosen | {"scheme": asdict(scheme), "batch": IMAGES[effort], "caching": _source()}


def _sample(effort: str, scheme: Scheme) -> None:
    params = _key(effort, scheme)
    if store().has("caching", params):
        return
    chosen = effort_of(effort)
    torch.set_num_threads(chosen.threads)
    model, n, features = zoo.load(MODEL), IMAGES[effort], []
    hook = model.mid_block.register_forward_hook(lambda _m, _i, out: features.append(out.flatten(1).numpy().copy()))
    with ExitStack() as stack:
        run = stack.enter_context(modulated(model, **scheme.options(model)))
        counted = stack.enter_context(sparsity.measure(run)) if scheme.kind in SPARSE else None
        images = sample(model, images=n, steps=chosen.steps, spacing=chosen.spacing, batch=n, seed=chosen.seed, run=run)
        row = run.audit().summary() | ({} if counted is None else {"sparsity": counted.summary()})
    hook.remove()
    store().save("caching", params, {"images": images, "middle": np.stack(features)}, rows=[row])


def measure(effort: str, schemes: Sequence[Scheme] = SCHEMES) -> list[dict[str, Any]]:
    """One row per scheme, over the same noise; sampled now where it is not stored yet.

    Keys: scheme, label; error (n,), each image's relative l2 to full precision's; middle (steps, n), the same of the
    middle block's output per model call; skipped, share of MACs not computed; bits, effective activation bits (full
    precision 32, skipped 0); zeros, blocks16, pairs: share of MACs that a kernel could leave out of what is quantized,
    by element, by 1×16 blocks and under 2:4 per run (NaN where nothing is quantized).
    """
    wanted = [s for s in (FULL, *schemes) if not store().has("caching", _key(effort, s))]
    spread([partial(_sample, effort, s) for s in wanted], f"sampling {len(wanted)} schemes")
    full = store().load("caching", _key(effort, FULL)).arrays
    base = full["middle"].astype(np.float64)
    rows = []
    for scheme in schemes:
        found = store().load("caching", _key(effort, scheme))
        off = found.arrays["middle"] - base
        audit = found.rows[0]
        zeros = audit.get("sparsity", {})
        rows.append({
            "scheme": scheme, "label": scheme.label,
            "error": metrics.relative_l2(found.arrays["images"], full["images"]),
            "middle": np.linalg.norm(off, axis=-1) / np.linalg.norm(base, axis=-1),
            "skipped": audit["skipped_macs"] / audit["macs"], "bits": audit["activation_bits"],
            "zeros": zeros.get("saved_element", np.nan), "blocks16": zeros.get("saved_block16", np.nan),
            "pairs": zeros.get("saved_group24", np.nan),
        })  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text: medians over images."""
    width = max(len(row["label"]) for row in rows)
    lines = [f"{'scheme':<{width}}  MACs skipped   bits  zeros  1×16   2:4  error (median rel. l2)"]
    for row in rows:
        zeros = "  ".join("    -" if np.isnan(row[k]) else f"{row[k]:>5.1%}" for k in ("zeros", "blocks16", "pairs"))
        lines.append(
            f"{row['label']:<{width}}  {row['skipped']:>12.1%}  {row['bits']:>5.2f}  {zeros}  "
            f"{np.median(row['error']):.4f}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.caching", description=__doc__.splitlines()[0])
    parser.add_argument("--effort", default="quick", choices=sorted(IMAGES))
    print(table(measure(parser.parse_args(argv).effort)))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.caching"))
