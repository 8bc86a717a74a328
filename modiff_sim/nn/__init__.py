"""The torch path: run any model as an arm of the paper, record its distributions, sample it. Needs the extra [nn]."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by hand: the test environment has torch
    raise ImportError("modiff_sim.nn needs torch: pip install 'modiff-sim[nn]'") from error

from ..faces import attach

__getattr__, __dir__ = attach(__name__, __file__)
