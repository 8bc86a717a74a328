"""Where each scheme beats direct quantization, and what is recommended there."""
