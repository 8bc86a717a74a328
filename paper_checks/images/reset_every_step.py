"""The official code's public release of June 2025 resets its cache at every step (PAPER, section 4)."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 2
CLAIM = Claim(
    id="reset_every_step",
    statement=f"{STAND_IN}: with the state reset at every step (our model of the official release of June 2025), the "
    "share of MACs done on quantized activations is 0.",
    source="official code, June 2025",
    relation="equal",
    topic="practice",
)


def check(effort: str = "quick", *, refresh=1) -> Evidence:
    """Measure the share of MACs on quantized activations when every call is a refresh."""
    import modiff_sim as ms
    from modiff_sim.nn import modulated, sample, zoo

    steps = 10 if effort == "quick" else 50
    shares = {}
    for bits in (8, 4, 2):
        model = zoo.load("digits")
        with modulated(model, activations=ms.AbsMax(bits), refresh=refresh) as run:
            sample(model, images=4, steps=steps, batch=4, run=run)
        shares[bits] = run.audit().mac_share
    return Evidence(
        claimed=0.0,
        measured=list(shares.values()),
        cases=[f"{b} bits, share of MACs" for b in shares],
        seed=0,
        params={"steps": steps, "refresh": refresh},
        note="0 % at 8, 4 and 2 bits",
    )
