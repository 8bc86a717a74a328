"""Remark 4.1: caching is the special case of 0 bits."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 1
CLAIM = Claim(
    id="zero_bits_equal_caching",
    statement=f"{STAND_IN}: quantizing the residual with 0 bits gives, bit for bit, what reusing every linear "
    "layer's first output gives.",
    source="Remark 4.1",
    relation="equal",
    topic="practice",
    printed=True,
    quote="caching is a special case",
    reading="0 bits where a difference is below a tolerance: with an infinite tolerance, a cache that is never updated",
    instead=("caching_every_n_equals_hooks", "caching_is_zero_bits_regime", "modulation_beats_caching"),
)


def cached(model, images: int, steps: int, batch: int) -> np.ndarray:
    """Sample with a cache made of forward hooks alone, without any code of the recursion."""
    from torch import nn

    from modiff_sim.nn import sample

    outputs: dict = {}
    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: outputs.setdefault(name, out.clone()))
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    try:
        return sample(model, images=images, steps=steps, batch=batch, on_batch=[lambda stream: outputs.clear()])
    finally:
        for hook in hooks:
            hook.remove()


def check(effort: str = "quick", *, bits: int = 0) -> Evidence:
    """Compare the images of 0 bits with those of the cache."""
    from analysis.experiments.arms import Arm
    from modiff_sim.nn import sample, zoo

    images, steps, batch = (16, 10, 8) if effort == "quick" else (64, 50, 32)
    model = zoo.load("digits")
    with Arm("closed_loop", bits).on(model) as run:
        ours = sample(model, images=images, steps=steps, batch=batch, run=run)
    theirs = cached(model, images, steps, batch)
    plain = sample(model, images=images, steps=steps, batch=batch)
    off = np.abs(ours - theirs).reshape(images, -1).max(axis=1)
    far = float(np.abs(theirs - plain).max())
    return Evidence(
        claimed=0.0,
        measured=off,
        seed=0,
        params={"images": images, "steps": steps},
        cases=[f"image {i}, largest difference" for i in range(images)],
        note=f"{images} images × {steps} steps equal; without the cache they differ by up to {far:.2f}",
    )
