"""How programs of this package run: where results lie, what keys hold, limits, interrupts."""
