"""Property tests for your own quantizer or recursion: Hypothesis strategies and checks, which our own tests use too.

    from modiff_sim.testing import check_quantizer, check_recursion
    check_quantizer(MyQuantizer(bits=3))   # every law it declares; raises with the counter-example
    check_recursion(MyRecursion(), compensated=True)
    hunt(MyQuantizer(bits=3), d=4096)      # the worst input that Hypothesis finds

``shrink=False`` reports the first counter-example as found, which is quicker where a failure is expected.

The module needs the extra ``[testing]`` (hypothesis).
"""

from .checks import check_bound, check_quantizer, check_recursion, hunt
from .strategies import DTYPES, arrays, granularities, integer_sequences, quantizers, sequences

__all__ = [
    "DTYPES", "arrays", "check_bound", "check_quantizer", "check_recursion", "granularities", "hunt",
    "integer_sequences", "quantizers", "sequences",
]  # fmt: skip
