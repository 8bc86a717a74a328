"""What the first layer costs direct quantization, because least squares clips the image itself."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 6
CLAIM = Claim(
    id="static_first_layer_clips",
    statement=f"{STAND_IN}: with static 4-bit scales chosen by least squares, direct quantization more than halves its "
    "error if the first layer, whose input is the noisy image, takes min-max instead (relative l2 of the image, ratio "
    "of all layers / all but the first at least 2).",
    source="this project, on static scales",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, bits: int = 4, kept: str = "first") -> Evidence:
    """Compare errors with and without min-max in one layer, whose largest values matter although they are few.

    ``kept`` says which layer: "first" or "last".
    """
    import torch

    from analysis.experiments.scale_plans import SEED, ScalePlan, ScaleSizes, activations, exact, sampled
    from modiff_sim.nn import first_layer, last_layer, modulated, with_layers, zoo

    from .._caching import ratio
    from ._static import SIZES

    torch.set_num_threads(1)
    sizes = ScaleSizes(*SIZES[effort])
    steps, judged = sizes.steps, sizes.judged
    model = zoo.load("digits")
    layer = {"first": first_layer, "last": last_layer}[kept](model)
    squares, widest = (activations(ScalePlan(method, bits, "input"), sizes) for method in ("mse", "minmax"))
    full, found = exact(steps, judged), []
    for plan in (squares, with_layers(model, squares, (layer, widest))):
        with modulated(model, activations=plan, recursion="direct"):
            images = sampled(model, steps, judged, SEED)
        found.append(np.linalg.norm((images - full).reshape(judged, -1), axis=1))
    value, low, high = ratio(*found)
    return Evidence(
        2.0,
        value,
        low=low,
        high=high,
        seed=SEED,
        params={"bits": bits, "images": judged, "kept": kept},
        note=f"{bits} bits: {value:.2f} [{low:.2f}, {high:.2f}]",
    )
