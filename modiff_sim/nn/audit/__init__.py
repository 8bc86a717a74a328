"""The audit of a run: how many calls and MACs of every layer were quantized, and what was left out."""

from .counts import LayerCount
from .totals import Audit

__all__ = ["Audit", "LayerCount"]
