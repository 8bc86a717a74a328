"""Weights as integer codes, and their files."""
