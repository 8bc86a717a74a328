"""Appendix D.4 and Table 16 in colour: MoDiff with few generation steps."""

from modiff_sim import Claim, Evidence

from ._in_colour import FEATURES, IN_COLOUR, TWENTY
from ._in_colour import order as ordered

ORDER = 28.92
LIVE = True  # of committed rows
CLAIM = Claim(
    id="in_colour_few_steps_remain_effective",
    statement=f"{IN_COLOUR}: with 20 quad steps of DDIM MoDiff has a smaller Fréchet distance than ordinary "
    f"quantization at W8A4 (excess of direct over the closed loop; all layers, one scale per sample; {FEATURES}).",
    source="this project, on Table 16",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, order: tuple[str, ...] = ("W8A4 direct", "W8A4 closed loop")) -> Evidence:
    """Compare both arms at 20 steps."""
    return ordered(order, column=TWENTY)
