"""Weights rounded for the layers' outputs: AdaRound against rounding to nearest, on the same grid."""

from __future__ import annotations

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 1
#: the largest part of nearest's squared error that may remain; 1 would accept a rounding that changes nothing
LEFT = 0.9
CLAIM = Claim(
    id="adaround_beats_nearest",
    statement=f"{STAND_IN}: weights at 4, 3 and 2 bits, MSE-optimal scales per output channel, activations exact: "
    f"AdaRound layer by layer has at most {LEFT:.0%} of the squared error of rounding to nearest, in the model's "
    "output and in the layers' (mean over layers of the error relative to the signal), on images that it did not see.",
    source="Nagel et al. 2020, Li et al. 2023 (Q-Diffusion); the 90 % are ours",
    relation="upper",
    topic="practice",
)


def check(
    effort: str = "quick",
    *,
    bits: tuple[int, ...] = (4, 3, 2),
    iterations: int | None = None,
    images: int | None = None,
) -> Evidence:
    """Calibrate on the images of one seed, and judge image by image on those of another, sampled in full precision."""
    import numpy as np

    from modiff_sim.nn import AdaRound, adaround, mse_optimal, quantize_weights, sample, zoo
    from modiff_sim.nn.calibration.moments import gather
    from modiff_sim.nn.layers import find
    from modiff_sim.nn.measure.sqnr import decibel, outputs

    from .._caching import ratio_of_sums

    quick = effort == "quick"
    n, steps, patches = images or (32 if quick else 64), 10 if quick else 20, 256 if quick else 1024
    settings = AdaRound(iterations=(40 if quick else 200) if iterations is None else iterations)
    model = zoo.load("digits")
    layers = find(model, None)
    calls: list[tuple] = []
    hook = model.register_forward_pre_hook(lambda module, inputs: calls.append((inputs[0].clone(), *inputs[1:])))
    sample(model, images=n, steps=steps, batch=n, seed=800)
    hook.remove()
    calibration = lambda m: sample(m, images=n, steps=steps, batch=n, seed=801)  # noqa: E731
    seen = {name: found for name, *found in gather(model, calibration, layers, holdout=0.25, patches=patches)}
    fresh = {name: used for name, used, _ in gather(model, calls, layers, patches=patches)}

    def energy(weights) -> np.ndarray:
        """Squared error of the model's output, per image, summed over the calls; below it the signal's."""
        found = np.zeros((2, n))
        for exact, approximate in outputs(model, weights, calls):
            found[0] += ((exact - approximate).double() ** 2).flatten(1).sum(1).numpy()
            found[1] += (exact.double() ** 2).flatten(1).sum(1).numpy()
        return found

    def lost(weights) -> np.ndarray:
        """Squared error of each layer's output over its signal."""
        rows = []
        for name, module in layers.items():
            off = weights.weight(name, module) - module.weight
            rows.append(float(fresh[name].errors(off).sum() / fresh[name].errors(module.weight.detach()).sum()))
        return np.array(rows)

    ratio, low, high, cases, notes = [], [], [], [], []
    for b in bits:
        nearest = quantize_weights(model, mse_optimal(b))
        rounded = adaround(model, nearest, seen, settings=settings)
        (before, signal), (after, _) = energy(nearest), energy(rounded)
        images_lost = ratio_of_sums(after, before)
        by_layer = lost(rounded) / lost(nearest)
        layers_lost = float(lost(rounded).mean() / lost(nearest).mean())
        ratio += [images_lost[0], layers_lost]
        low += [images_lost[1], layers_lost]
        high += [images_lost[2], layers_lost]
        cases += [f"{b} bits, the model's output", f"{b} bits, the layers' outputs"]
        old, new = (decibel(signal.sum(), x.sum()) for x in (before, after))
        notes.append(
            f"{b} bits: output SQNR {old:.1f} → {new:.1f} dB, layers {layers_lost:.2f} of the error, worse in "
            f"{int((by_layer > 1).sum())} of {len(layers)}"
        )
    params = {"images": n, "steps": steps, "sampler": "ddim", "iterations": settings.iterations}
    return Evidence(LEFT, ratio, low=low, high=high, cases=cases, params=params, seed=800, note="; ".join(notes))
