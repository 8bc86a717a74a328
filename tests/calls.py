"""The states and infos of a run's calls, apart."""


def infos(run):
    """The ``Info`` of every call of ``recursion.run`` or ``bilinear.run``."""
    return [info for _, info in run]


def apart(run):
    """(states, infos) of all calls."""
    states, seen = zip(*run, strict=True)
    return list(states), list(seen)
