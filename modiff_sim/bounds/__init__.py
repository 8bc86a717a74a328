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

Beyond one layer with a dynamic scale (``static``, ``drift``, ``chain``, ``loop``, ``skipped``) the arguments are the
statement's own: a scale and bits, sizes of outputs, a layer axis, a loop gain; their docstrings say what is returned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .chain import chain_closed_loop, chain_direct, chain_open_loop, chain_steady_state
from .drift import (
    SIGNIFICANT_BITS,
    accumulate,
    accumulator_drift,
    output_drift,
    rounded,
    steps_until_drift,
    stored_reference,
    unit_roundoff,
    with_weight_error,
)
from .loop import (
    bits_for_small_gain,
    loop_gain_limit,
    loop_growth,
    small_gain,
    small_gain_closed_loop,
    small_gain_direct,
    small_gain_open_loop,
)
from .printed import INDICES, printed_closed_loop, printed_open_loop
from .restarts import (
    effective_bits,
    feeds_needed,
    refresh_interval,
    refresh_share,
    refresh_worst_case,
    refreshed,
    static_feeds,
    warm_up_error,
    warm_up_ratio,
)
from .sharp import direct, max_norm_closed_loop, max_norm_open_loop, sharp_closed_loop, sharp_open_loop
from .single_step import bits_saved, corollary_a3_bits, theorem_4_3
from .skipped import skipped_closed_loop, skipped_open_loop
from .static import (
    backlog,
    best_static_scale,
    static_closed_loop,
    static_contraction,
    static_direct,
    static_error,
    static_open_loop,
    steps_to_drain,
)
from .stochastic import (
    stochastic_closed_loop,
    stochastic_closed_loop_band,
    stochastic_open_loop,
    stochastic_open_loop_band,
)
from .young import best_constant_beta, ef21_constants, young_closed_loop, young_open_loop

__all__ = [
    "BOUNDS", "INDICES", "SIGNIFICANT_BITS", "accumulate", "accumulator_drift", "backlog", "best_constant_beta",
    "best_static_scale", "bits_for_small_gain", "bits_saved", "chain_closed_loop", "chain_direct", "chain_open_loop",
    "chain_steady_state", "corollary_a3_bits", "direct", "ef21_constants", "effective_bits", "feeds_needed",
    "loop_gain_limit", "loop_growth", "max_norm_closed_loop", "max_norm_open_loop", "output_drift",
    "printed_closed_loop", "printed_open_loop", "refresh_interval", "refresh_share", "refresh_worst_case", "refreshed",
    "rounded", "sharp_closed_loop", "sharp_open_loop", "skipped_closed_loop", "skipped_open_loop", "small_gain",
    "small_gain_closed_loop", "small_gain_direct", "small_gain_open_loop", "static_closed_loop", "static_contraction",
    "static_direct", "static_error", "static_feeds", "static_open_loop", "steps_to_drain", "steps_until_drift",
    "stochastic_closed_loop", "stochastic_closed_loop_band", "stochastic_open_loop", "stochastic_open_loop_band",
    "stored_reference", "theorem_4_3", "unit_roundoff", "warm_up_error", "warm_up_ratio", "with_weight_error",
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
