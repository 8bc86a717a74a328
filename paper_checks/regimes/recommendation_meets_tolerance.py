"""Whether a recommended setting keeps what it promises."""

from collections import Counter
from dataclasses import replace

from modiff_sim import Claim, Evidence, processes, quantizers, recommendation, simulate

from .._digits import STAND_IN

ORDER = 5
HELD_OUT = 1  # the seed of the images that the recommendation has not seen
CLAIM = Claim(
    id="recommendation_meets_tolerance",
    statement=f"{STAND_IN}: the setting recommended for a layer from one recording (the cheapest whose max-norm bound "
    "stays within 4 % of the input) keeps the error of images that it has not seen within 5 % at every call. (Without "
    "this headroom the error of one layer reaches 5.2 %.)",
    source="this project",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, tolerance: float = 0.05, headroom: float = 0.8, fewer_bits: int = 0) -> Evidence:
    """Run what is recommended for a part of the tolerance on other images, with ``fewer_bits`` less than that."""
    from analysis.experiments.recordings import layer_inputs

    advice = recommendation.recommend(layer_inputs(effort), tolerance=headroom * tolerance)
    inputs = layer_inputs(effort, seed=HELD_OUT)
    measured, cases = [], []
    for r in advice:
        r = replace(r, bits=r.bits - fewer_bits if r.scheme in ("direct", "closed_loop") else r.bits)
        Q = quantizers.make(r.quantizer, r.bits)
        steps, trials, _ = inputs[r.layer].shape
        out = simulate(
            processes.recorded(inputs[r.layer]),
            Q,
            "direct" if r.scheme == "direct" else "closed_loop",
            steps=steps,
            trials=trials,
            refresh=r.refresh,
            workers=1,
        )
        measured.append(float((out.error_inf / out.a_inf).max()))
        cases.append(f"{r.layer}: {r.scheme.replace('_', ' ')}, {r.bits} bits, refresh {r.refresh}")
    chosen = ", ".join(f"{n}× {name.replace('_', ' ')}" for name, n in Counter(r.scheme for r in advice).items())
    mean = sum(r.effective_bits for r in advice) / len(advice)
    return Evidence(
        # float64 against a bound of which 5 roundings per call are made: far below
        claimed=tolerance,
        measured=measured,
        atol=1e-12,
        cases=cases,
        params={"layers": list(inputs), "tolerance": tolerance, "seed of the other images": HELD_OUT},
        note=f"{chosen}; {mean:.2f} bits on average, the first call at 32 counted; largest error {max(measured):.3f}",
    )
