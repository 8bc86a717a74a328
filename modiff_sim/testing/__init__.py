"""Property tests for your own quantizer or recursion: Hypothesis strategies and checks, which our own tests use too.

    from modiff_sim.testing import check_quantizer, check_recursion
    check_quantizer(MyQuantizer(bits=3))   # every law it declares; raises with the counter-example
    check_recursion(MyRecursion(), compensated=True)
    hunt(MyQuantizer(bits=3), d=4096)      # the worst input that Hypothesis finds

``shrink=False`` reports the first counter-example as found, which is quicker where a failure is expected.

The module needs the extra ``[testing]`` (hypothesis).
"""

from __future__ import annotations

from typing import Any

from ..faces import attach

_load, __dir__ = attach(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ModuleNotFoundError(
            "modiff_sim.testing needs hypothesis: pip install 'modiff-sim[testing]'", name="hypothesis"
        ) from None
