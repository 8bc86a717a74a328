"""Complete inputs of a trained model's layers along a full-precision sampling run, on which theory can be tried.

    python -m analysis.experiments.recordings --out layers.npz                     the layers of ``LAYERS``
    python -m analysis.experiments.recordings --out one.npz --layers conv_in --steps 250 --images 4 --spacing uniform

The .npz has one array (steps, images, d) per layer, whose key is the name of the layer. ``trained.distributions``
has statistics of *all* layers, without the arrays.
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
from modiff_sim.nn.layers import find
from modiff_sim.sweeps.store import npz_bytes, write_atomic

from ..running import interrupts
from ..running.code_key import source_of
from ..running.limits import Parser, check_file
from ..running.workspace import store
from ..sampling.micro_batch import model_of
from .sizes import EFFORTS, MODEL, Effort, effort_of
from .trained_runs import settings

#: the first and last convolution, both resolutions, attention, and the widest input (a skip connection)
LAYERS = (
    "conv_in", "down_blocks.1.resnets.0.conv1", "mid_block.attentions.0.to_q", "mid_block.resnets.1.conv2",
    "up_blocks.1.resnets.0.conv1", "conv_out",
)  # fmt: skip
IMAGES = {"quick": 4, "full": 8}


def _record(
    model: str, layers: tuple[str, ...], steps: int, images: int, spacing: str, sampler: str, seed: int, threads: int
) -> dict[str, Any]:
    subject = model_of(model)
    modules = find(subject.model, None)
    if unknown := [name for name in layers if name not in modules]:
        raise ValueError(f"unknown layers {', '.join(unknown)}; known: {', '.join(modules)}")
    seen: dict[str, list[np.ndarray]] = {name: [] for name in layers}

    def keep(name: str, _module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[name].append(inputs[0].flatten(1).numpy().copy())  # a copy: the model may reuse the tensor's memory

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    hooks = [modules[name].register_forward_pre_hook(partial(keep, name)) for name in layers]
    try:
        subject.sample(images, steps=steps, sampler=sampler, spacing=spacing, batch=images, seed=seed)
    finally:
        for hook in hooks:
            hook.remove()
        torch.set_num_threads(before)
    return {name: np.stack(arrays) for name, arrays in seen.items()}


def layers_like(wanted: Sequence[str], model: str = MODEL) -> tuple[str, ...]:
    """Return the layers of these names; where a model has not all of them, as many as it has, evenly spaced."""
    if model == MODEL:  # which has those that this project names
        return tuple(wanted)
    known = list(find(model_of(model).model, None))
    if set(wanted) <= set(known):
        return tuple(wanted)
    count = min(len(wanted), len(known))
    inner = np.linspace(0, len(known) - 1, count + 2).round().astype(int)[1:-1]
    places = inner if len(set(inner)) == count else np.linspace(0, len(known) - 1, count).round().astype(int)
    return tuple(known[i] for i in places)


def layer_inputs(
    effort: str | Effort,
    *,
    layers: Sequence[str] | None = None,
    steps: int | None = None,
    images: int | None = None,
    spacing: str | None = None,
    seed: int | None = None,
    sampler: str = "ddim",
) -> dict[str, np.ndarray]:
    """Return the inputs a_t of layers of a trained model in full precision, float32 (steps, images, d) by name.

    Row 0 is the first model call (t = T). The input of an image is flattened to d entries, so that one scale per image
    is ``PerSample``. Inputs are computed once and kept in the store of the output folder.

    layers:  names as in ``modiff_sim.nn.layers.find``; by default ``layers_like(LAYERS)``.
    steps:   number of model calls; by default that of the effort.
    images:  number of images, from the noise of images 0, 1, ...; by default ``IMAGES`` of the effort.
    spacing: of the timesteps; by default that of the effort (quad, which repeats t = 0, so the last differences are 0).
    seed:    of the noise; by default that of the effort.
    sampler: a name in ``samplers.SAMPLERS``.

    Raises ValueError for an unknown layer, effort or spacing, listing the known ones, and for steps or images < 1.
    """
    chosen = effort_of(effort)
    steps = chosen.steps if steps is None else steps
    images = IMAGES[chosen.name] if images is None else images
    spacing = chosen.spacing if spacing is None else spacing
    if images < 1:
        raise ValueError(f"images must be at least 1, got {images}")
    names = layers_like(LAYERS, chosen.model) if layers is None else tuple(layers)
    if not names:
        raise ValueError("no layers were named: leave layers out for the default ones")
    about = settings(chosen, source_of(__name__, names=(sampler,)))
    seed = chosen.seed if seed is None else seed
    params = about | {
        "layers": names,
        "steps": steps,
        "batch": images,
        "spacing": spacing,
        "seed": seed,
        "sampler": sampler,
    }
    compute = partial(_record, chosen.model, names, steps, images, spacing, sampler, seed, chosen.threads)
    arrays = store().get("recordings", params, compute).arrays
    return {name: arrays[name] for name in names}


def save(path: str | Path, inputs: Mapping[str, np.ndarray]) -> Path:
    """Write recorded inputs atomically as an .npz with one array per layer, and return the path.

    Raises ValueError unless the path ends in .npz.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"recordings are written as .npz, got {path}")
    write_atomic(path, npz_bytes(inputs))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for a bad argument."""
    parser = Parser(prog="python -m analysis.experiments.recordings", description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="where the arrays are written")
    parser.add_argument(
        "--effort", choices=list(EFFORTS), default="quick", help="decides the default numbers of steps and images"
    )
    parser.add_argument("--layers", nargs="+", metavar="NAME", help=f"default: {', '.join(LAYERS)}")
    parser.add_argument("--steps", type=int, help="model calls")
    parser.add_argument("--images", type=int, help="number of images, each a trial")
    parser.add_argument("--spacing", choices=list(SPACINGS), help="spacing of the timesteps")
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
