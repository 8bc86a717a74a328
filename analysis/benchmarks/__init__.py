"""Benchmarks. They report medians of the ratios of interleaved runs in one process, and none of them is a test."""
