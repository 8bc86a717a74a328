"""c and kappa of a quantizer: declared, measured on data with an interval, searched worst case; norms of layers.

c = sup ||x - Q(x)||²/||x||² (squared 2-norm), kappa = sup ||x - Q(x)||_inf/||x||_inf, over blocks that share a scale.
Declared values are the quantizers' own (``Q.c(d)``, ``Q.kappa(d)``; proofs in ``quantizers.closed_form``).
"""

from .measuring import NORMS, Measured, measure, ratios, summary
from .norms import conv_matrix, conv_norms, linear_norms
from .worst_cases import WorstCase, search

__all__ = [
    "NORMS", "Measured", "WorstCase", "conv_matrix", "conv_norms", "linear_norms", "measure", "ratios", "search",
    "summary",
]  # fmt: skip
