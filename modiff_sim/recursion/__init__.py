"""The three recursions of iterative quantization: direct, open loop, closed loop. One definition for NumPy and torch.

Steps are counted by *model call* in sampling order: call 0 is the paper's t = T (the noisiest), call n is t = T - n.

    direct       ô = A(Q(a))                                  ordinary post-training quantization
    open_loop    ô ← A(Q(a - a_prev)) + ô                     (7): modulation without error compensation
    closed_loop  â ← Q(a - â) + â,  ô ← A(Q(a - â)) + ô       (13)-(14): MoDiff, with error compensation; ô = A(â)

``State.ref`` is what the next input is compared with: â in the closed loop, the raw last input in the open loop.
A is linear; ``affine`` is A plus its bias, which is added once, at the first call.

Warm-up (how call 0 is done): ``"exact"``, â = a in full precision (Theorem 4.4 and the code); ``"quantized"``,
â = Q(a), as (8)-(9) print; an int m >= 1, the first input fed m times from a zero state (m=1 equals "quantized").
``direct`` has no state and quantizes its first call too.
Between calls the state may be kept rounded (``storage``), and residuals below a threshold skipped (``skip``).
Refresh: ``"never"``; an int k, every k-th call is done in full precision and restarts the state; or the call indices.
"""

from __future__ import annotations

from .loops import (
    AS_COMPUTED,
    RECURSIONS,
    ClosedLoop,
    Direct,
    OpenLoop,
    Recursion,
    get,
    label,
    standard,
)
from .options import Refresh, Warmup, check_warmup, feeds, refresh_calls, refreshes
from .sequence import advance, check_finite, check_input, check_storage, run
from .state import Operator, State, identity

__all__ = [
    "AS_COMPUTED", "RECURSIONS", "ClosedLoop", "Direct", "OpenLoop", "Operator", "Recursion", "Refresh", "State",
    "Warmup", "advance", "check_finite", "check_input", "check_storage", "check_warmup", "feeds", "get", "identity",
    "label", "refresh_calls", "refreshes", "run", "standard",
]  # fmt: skip
