"""Table 5 against Table 3 at 32×32."""

from modiff_sim.evidence import Claim, Evidence

from ._tables import AT_32

ORDER = 92
CLAIM = Claim(
    id="at_32_ddpm_improves_less",
    statement=f"{AT_32}: at W8A4 MoDiff improves DDPM less than DDIM, (direct/closed of DDIM) over (direct/closed of "
    "DDPM), Fréchet distances, 50 steps each. In the paper (Bedrooms): 13.3 over 3.0.",
    source="Tables 3 and 5",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, first="DDIM 50", second="DDPM 50") -> Evidence:
    from analysis.tables.layouts import AT_32 as CELLS

    from ._tables import judged, log_ratios

    gains = log_ratios("fashion32", [(CELLS["W8A4 direct", s], CELLS["W8A4 closed loop", s]) for s in (first, second)])
    return judged(gains[:1] - gains[1:], [f"gain of {first} over gain of {second}"], "fashion32", 1.0)
