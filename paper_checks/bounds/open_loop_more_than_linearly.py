"""Does the squared error without compensation grow more than linearly, as the text says of (30)?"""

from modiff_sim import Claim, Evidence, Verdict

from ._growth import growth

ORDER = 6
CLAIM = Claim(
    id="open_loop_more_than_linearly",
    statement="Without compensation ||o-õ||² grows more than linearly with the number of steps n: in the worst case "
    "like n² (slope of log ||o-õ||² against log n, at least 1.1, which a fit can tell from 1).",
    source="Theorem 4.4, (30) and its text, which bound squared norms",
    relation="lower",
    printed=True,
    quote="more than linearly",
    reading="of the squared norm, which (30) bounds, and of the worst case",
    instead=("open_loop_typical_growth", "open_loop_linear", "open_loop_exponential"),
)


def check(effort: str = "quick", *, recursion="open_loop", typical: bool = False, power: int = 2) -> Evidence:
    """Fit the growth of a power of the error, in the worst cases or in ``typical`` ones."""
    fits = [f for f in growth(recursion, effort, seed=45) if f.typical == typical]
    return Evidence(
        claimed=1.1,
        measured=[power * f.slope for f in fits],
        low=[power * f.low for f in fits],
        high=[power * f.high for f in fits],
        cases=[f.case for f in fits],
        seed=45,
        note="; ".join(f"{f.case}: {power * f.slope:.2f} [{power * f.low:.2f}, {power * f.high:.2f}]" for f in fits),
    )


CONTROLS = [
    ({"power": 1}, Verdict.VIOLATED),
]
