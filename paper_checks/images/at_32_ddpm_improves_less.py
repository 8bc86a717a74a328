"""Table 5 against Table 3 at 32×32."""

from modiff_sim import Claim, Evidence

from .._rows import cells
from ._at_32 import AT_32
from ._gains import gain_over_gain

ORDER = 26
LIVE = True  # of committed rows
TABLE = "fashion32-ddpm"
CLAIM = Claim(
    id="at_32_ddpm_improves_less",
    statement=f"{AT_32}: at W8A3 MoDiff improves DDPM less than DDIM: loss of direct over loss of the closed loop, "
    "DDIM's over DDPM's, a loss being the excess over W8A32 (one scale per sample, 50 steps each).",
    source="this project, on Tables 3 and 5",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, first: str = "DDIM 50", second: str = "DDPM 50", row: str = "W8A3") -> Evidence:
    """Compare the gains of the closed loop under both samplers."""
    arms = [
        cells(TABLE, *((f"{row} {arm}", sampler) for arm in ("direct", "closed loop"))) for sampler in (first, second)
    ]
    return gain_over_gain(TABLE, arms, f"{first} over {second} at {row}")
