"""How the programs of this package run: where results lie, what their keys depend on, limits, interrupts."""
