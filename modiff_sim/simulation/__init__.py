"""Trials of an iterative quantization: input processes, the engines that run them, and what they found."""

from .driver import simulate
from .results import Result
from .summary import Summary

__all__ = ["Result", "Summary", "simulate"]
