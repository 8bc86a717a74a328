"""Many independent points, each computed once and kept, whatever interrupts the work.

    >>> from modiff_sim import sweeps

``sweeps.run`` computes what a ``sweeps.Store`` does not have, on one machine or several. ``sweeps.verify`` says whether
what lies on disk is what was computed.
"""

from .output import Output
from .store import Store, StoreError, key
from .sweep import SweepError, run, table
from .verification import verify

__all__ = ["Output", "Store", "StoreError", "SweepError", "key", "run", "table", "verify"]
