"""Benchmarks: ratios of interleaved runs in one process, medians. Never a test."""
