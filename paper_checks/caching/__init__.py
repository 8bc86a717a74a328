"""Calls that compute nothing, or only large residuals: caches, thresholds, dead zones."""
