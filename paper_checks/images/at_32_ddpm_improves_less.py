"""Table 5 against Table 3 at 32×32."""

from modiff_sim import Claim, Evidence, Verdict

from ._at_32 import AT_32, cell, product

ORDER = 23
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_ddpm_improves_less",
    statement=f"{AT_32}: at W8A4 MoDiff improves DDPM less than DDIM, (direct/closed of DDIM) over (direct/closed of "
    "DDPM), Fréchet distances, 50 steps each. In the paper (Bedrooms): 13.3 over 3.0.",
    source="Tables 3 and 5",
    relation="lower",
    topic="practice",
    expected=Verdict.NOT_RUN,  # 384 images leave the interval on both sides
)


def check(effort: str = "quick", *, first: str = "DDIM 50", second: str = "DDPM 50") -> Evidence:
    """Compare the gains of the closed loop under both samplers."""
    powers = {
        cell("W8A4 direct", first): 1, cell("W8A4 closed loop", first): -1,
        cell("W8A4 direct", second): -1, cell("W8A4 closed loop", second): 1,
    }  # fmt: skip
    return product(powers, f"gain of {first} over gain of {second}", claimed=1.0)
