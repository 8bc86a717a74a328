"""The official code's public release of June 2025: what its arms really were."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 3
CLAIM = Claim(
    id="june_regime_is_weights_only",
    statement=f"{STAND_IN}: under the official regime of June 2025 no activation is quantized: 0 % of MACs, and at 2, "
    "4 and 8 activation bits the images are, bit for bit, those of quantized weights with full-precision activations.",
    source="official code, June 2025",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, regime: str = "official_june_2025") -> Evidence:
    """Compare images and audit of the regime with those of quantized weights alone."""
    import modiff_sim as ms
    from modiff_sim.nn import modulated, presets, sample, zoo

    images, steps = (4, 10) if effort == "quick" else (16, 50)
    weights = ms.AbsMax(8, granularity=ms.PerChannel(0))

    def made(**options) -> tuple[np.ndarray, float]:
        model = zoo.load("digits")
        with modulated(model, **options) as run:
            out = sample(model, images=images, steps=steps, batch=images, run=run)
        return out, run.audit().mac_share

    alone, _ = made(activations=ms.Identity(), recursion="direct", weights=weights)
    measured, cases = [], []
    for bits in (2, 4, 8):
        for symmetric in (True, False):
            got, share = made(**presets.PRESETS[regime](bits, symmetric=symmetric))
            measured += [share, float(np.abs(got - alone).max())]
            kind = "symmetric" if symmetric else "affine"
            cases += [f"{bits} bits, {kind}: {what}" for what in ("share of MACs quantized", "largest difference")]
    plain = sample(zoo.load("digits"), images=images, steps=steps, batch=images)
    far = float(np.abs(plain - alone).max())
    return Evidence(
        claimed=0.0,
        measured=measured,
        cases=cases,
        seed=0,
        params={"images": images, "steps": steps},
        note=f"0 % and bit for bit; the 8-bit weights move images by up to {far:.2f}",
    )
