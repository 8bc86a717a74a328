"""Table 5 against Table 3: with fresh noise at every step there is less to gain."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN
from .._rows import cells
from ._gains import gain_over_gain

ORDER = 16
LIVE = True  # of committed rows
CLAIM = Claim(
    id="ddpm_improves_less",
    statement=f"{STAND_IN}: MoDiff improves DDPM less than DDIM, where the closed loop itself loses (W8A3, one scale "
    "per sample, 50 uniform steps): loss of direct over loss of the closed loop, DDIM's over DDPM's, a loss being "
    "the excess over W8A32.",
    source="Tables 3 and 5, section 5.3",
    relation="lower",
    topic="practice",
    expected=Verdict.NOT_RUN,  # 8,192 images say that the gains are alike, 1.03 [0.92, 1.15]
    printed=True,
    quote="372.30 → 27.88 (DDIM) and 102.16 → 34.25 (DDPM)",
    reading="compared where the closed loop has a loss to speak of; elsewhere the ratio only says how badly direct "
    "fails",
    instead=("ddpm_residuals_larger",),
    elsewhere=("at_32_ddpm_improves_less",),
)


def check(effort: str = "quick", *, first="DDIM", second="DDPM", row="W8A3") -> Evidence:
    """Compare the gains of the closed loop under both samplers."""
    arms = [cells("5", *((row, f"{sampler} {arm}") for arm in ("direct", "closed"))) for sampler in (first, second)]
    return gain_over_gain("5", arms, f"{first} over {second} at {row}")
