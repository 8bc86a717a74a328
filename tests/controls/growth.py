"""Controls of the claims on growth: wrong recursions, wrong exponents."""

import numpy as np
from test_recursion import Dropped  # stale state

from modiff_sim import Verdict

from .paper import Echo, Growing

VIOLATED = Verdict.VIOLATED

CONTROLS = [
    ("growth_impulse_closed", {"rate": lambda c: 0.5 * np.log(2 * c)}, VIOLATED),
    ("growth_impulse_closed", {"rate": lambda c: 0.5 * np.log(c / 2)}, VIOLATED),
    ("growth_impulse_closed", {"rate": np.log}, VIOLATED),
    ("growth_impulse_closed", {"recursion": Growing()}, VIOLATED),
    ("growth_impulse_closed", {"recursion": "open_loop"}, VIOLATED),
    ("growth_constant", {"closed": "open_loop"}, VIOLATED),
    ("growth_constant", {"closed": Dropped()}, VIOLATED),
    ("growth_constant", {"without": "closed_loop"}, VIOLATED),
    ("growth_constant", {"without": Echo()}, VIOLATED),
    ("growth_constant", {"direct": "closed_loop"}, VIOLATED),
    ("growth_constant", {"independent": 1.0}, VIOLATED),
    ("growth_bursty", {"closed": "open_loop"}, VIOLATED),
    ("growth_bursty", {"without": "closed_loop"}, VIOLATED),
    ("growth_bursty", {"settled": 0.5}, VIOLATED),
    ("growth_bursty", {"closed": Dropped()}, VIOLATED),
]
