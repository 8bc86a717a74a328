"""Inputs of the digits model's layers along a full-precision sampling run, kept whole: sequences to feed a theory.

    python -m analysis.experiments.recordings --out layers.npz                     the layers of ``LAYERS``
    python -m analysis.experiments.recordings --out one.npz --layers conv_in --steps 250 --images 4 --spacing uniform

The .npz has one array (steps, images, d) per layer, the layer's name as its key. Statistics of *all* layers that need
no arrays are ``experiments.distributions``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modiff_sim.console import one_line
from modiff_sim.diffusion.schedules import SPACINGS
from modiff_sim.nn import sample, zoo
from modiff_sim.nn.layers import find
from modiff_sim.sweeps.store import npz_bytes, write_atomic

from ..running import interrupts
from ..running.limits import Parser, check_file
from ..running.source import source_of
from ..running.workspace import store
from .arms import EFFORTS, effort_of
from .digits_runs import MODEL, settings

#: the first and last convolution, both resolutions, attention, and the widest input (a skip connection)
LAYERS = (
    "conv_in", "down_blocks.1.resnets.0.conv1", "mid_block.attentions.0.to_q", "mid_block.resnets.1.conv2",
    "up_blocks.1.resnets.0.conv1", "conv_out",
)  # fmt: skip
IMAGES = {"quick": 4, "full": 8}


def _record(layers: tuple[str, ...], steps: int, images: int, spacing: str, seed: int, threads: int) -> dict[str, Any]:
    model = zoo.load(MODEL)
    modules = find(model, None)
    if unknown := [name for name in layers if name not in modules]:
        raise ValueError(f"unknown layers {', '.join(unknown)}; known: {', '.join(modules)}")
    seen: dict[str, list[np.ndarray]] = {name: [] for name in layers}

    def keep(name: str, _module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[name].append(inputs[0].flatten(1).numpy().copy())  # a copy: the model may reuse the tensor's memory

    for name in layers:
        modules[name].register_forward_pre_hook(partial(keep, name))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        sample(model, images=images, steps=steps, spacing=spacing, batch=images, seed=seed)
    finally:
        torch.set_num_threads(before)
    return {name: np.stack(arrays) for name, arrays in seen.items()}


def layer_inputs(
    effort: str,
    *,
    layers: Sequence[str] | None = None,
    steps: int | None = None,
    images: int | None = None,
    spacing: str | None = None,
) -> dict[str, np.ndarray]:
    """Inputs a_t of layers of the digits model in full precision (DDIM), by layer name: float32 (steps, images, d).

    Row 0 is the first model call (t = T). An image's input is flattened to d entries, so that one scale per image is
    ``PerSample``. Computed once and kept in the output folder's store.

    layers:  names as in ``modiff_sim.nn.layers.find``; default ``LAYERS``.
    steps:   model calls; default the effort's.  images: default ``IMAGES[effort]``; noise is that of images 0, 1, ...
    spacing: of the timesteps, default the effort's (quad, whose repeats of t = 0 make the last differences 0).

    Raises ValueError for an unknown layer, effort or spacing, listing the known ones, and for steps or images < 1.
    """
    chosen = effort_of(effort)
    steps = chosen.steps if steps is None else steps
    images = IMAGES[effort] if images is None else images
    spacing = chosen.spacing if spacing is None else spacing
    if images < 1:
        raise ValueError(f"images must be at least 1, got {images}")
    names = LAYERS if layers is None else tuple(layers)
    if not names:
        raise ValueError("no layers were named: leave layers out for the default ones")
    about = settings(chosen, source_of(__name__))
    params = about | {"layers": names, "steps": steps, "batch": images, "spacing": spacing}
    compute = partial(_record, names, steps, images, spacing, chosen.seed, chosen.threads)
    arrays = store().get("recordings", params, compute).arrays
    return {name: arrays[name] for name in names}


def save(path: str | Path, inputs: Mapping[str, np.ndarray]) -> Path:
    """Write recorded inputs as an .npz, one array per layer, atomically. Returns the path (suffix .npz demanded)."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"recordings are written as .npz, got {path}")
    write_atomic(path, npz_bytes(inputs))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0, or 2 for a bad argument."""
    parser = Parser(prog="python -m analysis.experiments.recordings", description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="where the arrays are written")
    parser.add_argument("--effort", choices=list(EFFORTS), default="quick", help="default numbers of steps and images")
    parser.add_argument("--layers", nargs="+", metavar="NAME", help=f"default: {', '.join(LAYERS)}")
    parser.add_argument("--steps", type=int, help="model calls")
    parser.add_argument("--images", type=int, help="images, each a trial")
    parser.add_argument("--spacing", choices=list(SPACINGS), help="of the timesteps")
    chosen = parser.parse_args(arguments)
    try:
        check_file(Path(chosen.out), (".npz",))
        options = {k: getattr(chosen, k) for k in ("layers", "steps", "images", "spacing")}
        inputs = layer_inputs(chosen.effort, **options)
        path = save(chosen.out, inputs)
    except (OSError, ValueError) as error:
        print(f"recordings: {one_line(error)}", file=sys.stderr)
        return 2
    for name, array in inputs.items():
        print(f"{name}: {' × '.join(map(str, array.shape))} (steps × images × d)")
    print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.experiments.recordings"))
