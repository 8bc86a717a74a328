"""The error bounds of the theory, one function per statement (docs/theory.md).

Every bound takes ``d``, the norms of the differences in **sampling order**, of shape (n,) or (n, trials): d[0] is the
oldest difference, the paper's k = T-1, and d[-1] the newest. It returns an array of the same shape. Row j is the bound
on the **norm** of the output error after difference j, given the differences 0..j. The paper bounds squares; its sums
are computed as printed, and their root is returned, so that all bounds can be compared.

    age = j - k    how long ago difference k was, at row j (0 is the newest)

The constant c is on the squared 2-norm (the paper's (29)), q = sqrt(c) on the 2-norm, and kappa on the max norm.
``gain`` is ||A||: the spectral norm in statements on the 2-norm, and ||A||_{inf→inf}, the largest absolute row sum, in
statements on the max norm. ``start`` is the norm of the input error a_T - â_T of an inexact start, and 0 for the exact
one. Any c, kappa >= 0 is accepted: the caller reports whether the premise of a statement, such as 2c < 1, holds.

Each proof is a one-step recursion e_j <= ... e_{j-1} ..., which the docstring states and ``_common.unroll`` unrolls.

The modules ``static``, ``drift``, ``chain``, ``loop`` and ``skipped`` go beyond one layer with a dynamic scale. Their
arguments are those of the statement: a scale and bits, sizes of outputs, an axis of layers, or a loop gain.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .chain import chain_closed_loop, chain_direct, chain_open_loop, chain_steady_state
from .drift import accumulator_drift, output_drift, steps_until_drift, stored_reference, with_weight_error
from .float_types import SIGNIFICANT_BITS, accumulate, rounded, unit_roundoff
from .loop import bits_for_small_gain, loop_gain_limit, loop_growth, small_gain
from .overload import backlog, best_static_scale, steps_to_drain
from .printed import INDICES, printed_closed_loop, printed_open_loop
from .restarts import effective_bits, refresh_interval, refresh_share, refresh_worst_case, refreshed
from .sharp import direct, max_norm_closed_loop, max_norm_open_loop, sharp_closed_loop, sharp_open_loop
from .single_step import bits_saved, corollary_a3_bits, theorem_4_3
from .skipped import skipped_closed_loop, skipped_open_loop
from .small_gain_errors import small_gain_closed_loop, small_gain_direct, small_gain_open_loop
from .static import static_closed_loop, static_contraction, static_direct, static_error, static_open_loop
from .stochastic import (
    stochastic_closed_loop,
    stochastic_closed_loop_band,
    stochastic_open_loop,
    stochastic_open_loop_band,
)
from .warm_up import feeds_needed, static_feeds, warm_up_error, warm_up_ratio
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
