"""How few bits suffice for each recursion, against exact truth."""

from modiff_sim import Claim, Evidence, Verdict

from .. import _mixture
from .._broken import Flipped
from .._mixture import MIXTURE, RECURSIONS, Paired, interval

ORDER = 5
CLAIM = Claim(
    id="mixture_cliff",
    statement="Against exact truth (64 modes in d = 64, DDIM, 50 calls) samples keep the log-likelihood of full "
    "precision within 0.3 nats from 4 bits on without compensation, direct or open loop, and from 2 bits on with it.",
    source="this project, on Table 1",
    relation="equal",
)
ALLOWED = 0.3


def cliff(bits: tuple[int, ...], lost: list[float]) -> int:
    """Return the fewest bits from which on no loss exceeds what is allowed, and one more than the most if none do."""
    good = [b for b in bits if all(v <= ALLOWED for c, v in zip(bits, lost, strict=True) if c >= b)]
    return min(good, default=max(bits) + 1)


def check(
    effort: str = "quick", *, recursions=("direct", "open_loop", "closed_loop"), steps: int = 50, sampler: str = "ddim"
) -> Evidence:
    """Find the cliffs. The interval of a cliff has every loss at the low, and at the high end of its interval."""
    n, bits = 5 * _mixture.images(effort), (2, 3, 4)
    pair = Paired(n, 626)
    full = MIXTURE.log_density(pair.full(sampler, steps))
    measured, low, high, cases = [], [], [], []
    for name, recursion in zip(RECURSIONS, recursions, strict=True):
        lost = []
        for b in bits:
            arm = MIXTURE.log_density(pair.run(sampler, steps, b, recursion))
            lost.append(interval(lambda g: g.mean(axis=1), full - arm))
        value, least, most = (cliff(bits, [row[i] for row in lost]) for i in range(3))
        measured.append(value)
        low.append(least)
        high.append(most)
        shown = ", ".join(f"{row[0]:.2g} at {b}" for b, row in zip(bits, lost, strict=True))
        cases.append(f"{name}: {shown} bits")
    return Evidence(
        claimed=[4, 4, 2],
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=626,
        params=_mixture.PARAMS | {"images": n, "steps": steps, "sampler": sampler},
        note="nats lost, " + "; ".join(cases),
    )


CONTROLS = [
    ({"recursions": ("direct", "open_loop", "open_loop")}, Verdict.VIOLATED),
    ({"recursions": ("closed_loop", "open_loop", "closed_loop")}, Verdict.VIOLATED),
    ({"recursions": ("direct", "open_loop", Flipped())}, Verdict.VIOLATED),
]
