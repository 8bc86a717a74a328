"""The error bounds, one function per statement, named by what it is.

Every function takes ``d``, the norms of the differences in **sampling order**, shape (n,) or (n, trials): d[0] is the
first (oldest) difference, the paper's k = T-1; d[-1] the newest. It returns an array of the same shape whose row j is
the bound on the **norm** of the output error after difference j (the paper bounds squares: its sums are computed as
printed and their root is returned, so that all bounds can be compared). Row j sees the j+1 differences 0..j.

    age = j - k    how long ago difference k was, at row j (0 is the newest)

c is on the squared 2-norm (the paper's (29)), q = sqrt(c) on the 2-norm, kappa on the max norm. ``gain`` is ||A||:
the spectral norm for 2-norm statements, ||A||_{inf→inf} (largest absolute row sum) for max-norm statements.
``start`` is the norm of the input error a_T - â_T of an inexact start, 0 for the exact one. Any c, kappa >= 0 is
taken: whether the premise of a statement (such as 2c < 1) holds is for the caller to report.

Proofs are one-step recursions, e_j <= ... e_{j-1} ..., given in each docstring, unrolled by ``_common.unroll``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .printed import INDICES, printed_closed_loop, printed_open_loop
from .sharp import direct, max_norm_closed_loop, max_norm_open_loop, sharp_closed_loop, sharp_open_loop
from .single_step import bits_saved, corollary_a3_bits, theorem_4_3
from .young import young_closed_loop, young_open_loop

__all__ = [
    "BOUNDS", "INDICES", "bits_saved", "corollary_a3_bits", "direct", "max_norm_closed_loop", "max_norm_open_loop",
    "printed_closed_loop", "printed_open_loop", "sharp_closed_loop", "sharp_open_loop", "theorem_4_3",
    "young_closed_loop", "young_open_loop",
]  # fmt: skip

#: name -> bound, as legends and the command line list them
BOUNDS: dict[str, Callable[..., np.ndarray]] = {
    f.__name__: f
    for f in (
        printed_open_loop, young_open_loop, sharp_open_loop, max_norm_open_loop,
        printed_closed_loop, young_closed_loop, sharp_closed_loop, max_norm_closed_loop,
    )
}  # fmt: skip
