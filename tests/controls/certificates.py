"""Controls of the claims that compare formulas with certificates: wrong formulas, wrong loops, wrong budgets."""

from functools import partial

import numpy as np

from modiff_sim import Verdict, bounds, certificates
from modiff_sim.bounds.certificates import Budget

from .paper import halved, shifted

VIOLATED = Verdict.VIOLATED
CLOSED, OPEN = bounds.sharp_closed_loop, bounds.sharp_open_loop

CONTROLS = [
    *(("certificate_closed_loop", {"bound": wrong}, VIOLATED)
      for wrong in (halved(CLOSED), shifted(CLOSED, 1), shifted(CLOSED, -1), bounds.young_closed_loop)),
    *(("certificate_open_loop", {"bound": wrong}, VIOLATED)
      for wrong in (halved(OPEN), shifted(OPEN, 1), bounds.young_open_loop)),
    ("certificate_closed_loop", {"certify": certificates.open_loop}, VIOLATED),
    ("certificate_closed_loop", {"recursion": "open_loop"}, VIOLATED),
    ("certificate_open_loop", {"certify": certificates.closed_loop}, VIOLATED),
    ("certificate_open_loop", {"recursion": "closed_loop"}, VIOLATED),
    ("certificate_energy_budget", {"closed": lambda n, c: np.sqrt(sum(c**k for k in range(n)))}, VIOLATED),
    ("certificate_energy_budget", {"without": lambda n, c: np.sqrt(c) * n}, VIOLATED),
    ("certificate_energy_budget", {"budget": lambda total: Budget(total / 2)}, VIOLATED),
    ("certificate_slack", {"printed": partial(bounds.printed_closed_loop, index="paper")}, VIOLATED),
    ("certificate_slack", {"printed_open": halved(partial(bounds.printed_open_loop, index="sampling"))}, VIOLATED),
    ("certificate_slack", {"young": halved(bounds.young_closed_loop)}, VIOLATED),
    ("certificate_slack", {"ef21": partial(bounds.young_closed_loop, beta=1.0, gain=1.1)}, VIOLATED),
    ("certificate_chain", {"bound": lambda d, q, gains: bounds.chain_closed_loop(d, q, gains) / (1 + q)}, VIOLATED),
    ("certificate_chain", {"bound": lambda d, q, gains: bounds.chain_closed_loop(d, q / 2**0.5, gains)}, VIOLATED),
    ("certificate_chain", {"certify": certificates.chain_open_loop}, VIOLATED),
]  # fmt: skip
