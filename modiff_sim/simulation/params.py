"""What was run: the parameters of a simulation in a few words, and as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..quantizers import QUANTIZERS
from ..quantizers.base import Quantizer
from ..quantizers.granularity import GRANULARITIES


def headline(what: str, params: Mapping[str, Any]) -> str:
    """Return what kind of object this is and what was run, in one line."""
    parts = [str(params[name]).replace("_", " ") for name in ("recursion",) if name in params]
    parts += [str(params["quantizer"])] if "quantizer" in params else []
    if "process" in params:
        parts.append(f"{params['process']} of d = {params['d']}" if "d" in params else str(params["process"]))
    return f"{what}: {', '.join(parts)}" if parts else what


def setting(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the main parameters in words, by what they are about."""
    shown = [f"{name} {params[name]}" for name in ("warmup", "refresh") if name in params]
    drawn = [f"{name} {params[name]}" for name in ("trials", "seed", "dtype", "engine") if name in params]
    found = {"run": ", ".join(drawn), "calls": ", ".join(shown)}
    return {name: words for name, words in found.items() if words}


def stored(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as JSON has them. A quantizer that ``restored`` cannot make again becomes its text."""
    from ..sweeps.encoding import plain

    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Quantizer):
            found[name] = _quantizer_stored(value)
        elif isinstance(value, set | frozenset | range):
            found[name] = sorted(value)
        else:
            found[name] = plain(value)
    return found


def restored(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that ``stored`` made this of: quantizers of this project again, and tuples."""
    found = dict(about)
    if isinstance(found.get("quantizer"), Mapping):
        found["quantizer"] = _quantizer(found["quantizer"])
    if "measure" in found:
        found["measure"] = tuple(found["measure"])
    return found


def _quantizer_stored(Q: Quantizer) -> Any:
    from ..sweeps.encoding import plain

    try:
        said = plain(Q)
        return said if _quantizer(said) == Q else str(Q)
    except (KeyError, TypeError, ValueError):  # a class, or an option, of the user's own
        return str(Q)


def _quantizer(said: Mapping[str, Any]) -> Quantizer:
    """Return the quantizer of this project that these fields are of. Raises KeyError or ValueError for others."""
    granularity = _made({kind.__name__: kind for kind in GRANULARITIES.values()}, said["granularity"])
    made: Quantizer = _made({k.__name__: k for k in QUANTIZERS.values()}, {**said, "granularity": granularity})
    return made


def _made(known: Mapping[str, Any], said: Mapping[str, Any]) -> Any:
    kind = known[said["class"]]
    values = {f.name: said[f.name] for f in fields(kind) if f.init}
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
