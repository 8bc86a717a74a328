"""How a run begins, and begins anew: starts that are not exact, warm-ups and refreshes in full precision."""
