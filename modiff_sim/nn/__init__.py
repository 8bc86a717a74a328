"""The torch path: run any model as an arm of the paper, record its distributions, sample it. Needs the extra [nn]."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by hand: the test environment has torch
    raise ImportError("modiff_sim.nn needs torch: pip install 'modiff-sim[nn]'") from error

from .audit import Audit, LayerCount
from .modulate import modulated
from .record import Recorder, record
from .run import Run
from .sample import image_noise, sample

__all__ = ["Audit", "LayerCount", "Recorder", "Run", "image_noise", "modulated", "record", "sample"]
