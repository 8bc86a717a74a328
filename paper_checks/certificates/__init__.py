"""Exact worst cases over all quantizers by semidefinite programs, against the formulas."""
