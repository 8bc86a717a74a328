"""Remark 4.1 and Fig. 1a: a cache that is made anew every N calls is 0 bits with a refresh."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 4
CLAIM = Claim(
    id="caching_every_n_equals_hooks",
    statement=f"{STAND_IN}: 0 bits with a refresh every N = 2, 3, 5 calls give, bit for bit, what a cache of every "
    "linear layer's output gives that is updated every N calls; the share of MACs skipped is that of the calls "
    "between.",
    source="this project, on Remark 4.1 and Fig. 1a",
    relation="equal",
    topic="practice",
)


def hook_cached(model, every: int, **sampling) -> np.ndarray:
    """Sample with a cache made of forward hooks alone, without any code of the recursion."""
    from torch import nn

    from modiff_sim.nn import sample

    outputs: dict = {}
    call = [0]

    def keep(name, out):
        if name not in outputs or call[0] % every == 0:
            outputs[name] = out.clone()
        return outputs[name].clone()

    def restart(stream):
        outputs.clear()
        call[0] = 0

    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: keep(name, out))
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    hooks.append(model.register_forward_hook(lambda m, i, out: call.__setitem__(0, call[0] + 1)))
    try:
        return sample(model, on_batch=[restart], **sampling)
    finally:
        for hook in hooks:
            hook.remove()


def check(effort: str = "quick", *, late: int = 0) -> Evidence:
    """Compare the images of both caches. ``late`` is how many calls later the recursion refreshes."""
    import modiff_sim as ms
    from modiff_sim.nn import modulated, sample, zoo

    images, steps, batch = (8, 11, 4) if effort == "quick" else (32, 50, 16)
    sampling = {"images": images, "steps": steps, "batch": batch}
    model = zoo.load("digits")
    plain = sample(model, **sampling)
    claimed, measured, cases, far = [], [], [], []
    for every in (2, 3, 5):
        with modulated(model, activations=ms.Zero(), refresh=every + late) as run:
            ours = sample(model, run=run, **sampling)
        theirs = hook_cached(model, every, **sampling)
        audit = run.audit().summary()
        claimed += [0.0, sum(call % every != 0 for call in range(steps)) / steps]
        measured += [float(np.abs(ours - theirs).max()), audit["skipped_macs"] / audit["macs"]]
        cases += [f"every {every}, {what}" for what in ("largest difference", "share of MACs skipped")]
        far.append(float(np.abs(theirs - plain).max()))
    return Evidence(
        claimed,
        measured,
        cases=cases,
        seed=0,
        params={"images": images, "steps": steps},
        note=f"bit for bit; caching moves images by up to {', '.join(f'{x:.2f}' for x in far)}",
    )
