"""The torch path: run any model as an arm of the paper, record its distributions, sample it. Needs the extra [nn]."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by hand: the test environment has torch
    raise ImportError("modiff_sim.nn needs torch: pip install 'modiff-sim[nn]'") from error

from .attention import Attention, count_products
from .audit import Audit, LayerCount
from .calibrate import Calibration, calibrate
from .modulate import modulated
from .record import Recorder, record
from .run import Run
from .sample import image_noise, sample
from .shapes import layer_shapes, model_shapes
from .splits import skip_splits, with_splits
from .sqnr import sqnr_table
from .weights import QuantizedWeights, mse_optimal, quantize_weights

__all__ = [
    "Attention",
    "Audit",
    "Calibration",
    "LayerCount",
    "QuantizedWeights",
    "Recorder",
    "Run",
    "calibrate",
    "count_products",
    "image_noise",
    "layer_shapes",
    "model_shapes",
    "modulated",
    "mse_optimal",
    "quantize_weights",
    "record",
    "sample",
    "skip_splits",
    "sqnr_table",
    "with_splits",
]
