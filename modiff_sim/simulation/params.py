"""What was run: the parameters of a simulation in a few words, and as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .. import quantizers
from ..quantizers import QUANTIZERS, Split
from ..quantizers.base import Quantizer
from ..quantizers.granularity import GRANULARITIES


def headline(what: str, params: Mapping[str, Any]) -> str:
    """Return what kind of object this is and what was run, in one line."""
    parts = [str(params[name]).replace("_", " ") for name in ("recursion",) if name in params]
    Q = params.get("quantizer")
    parts += [quantizers.name(Q) if isinstance(Q, Quantizer) else str(Q)] if "quantizer" in params else []
    if "process" in params:
        parts.append(f"{params['process']} of d = {params['d']}" if "d" in params else str(params["process"]))
    return f"{what}: {', '.join(parts)}" if parts else what


def facts(params: Mapping[str, Any]) -> dict[str, str]:
    """Return what was run, but for the recursion: fact -> in words, the ones that matter most first."""
    found: dict[str, str] = {}
    if "quantizer" in params:
        Q = params["quantizer"]
        found["quantizer"] = quantizers.name(Q) if isinstance(Q, Quantizer) else str(Q)
    if "process" in params:
        found["process"] = str(params["process"]) + (f", d = {params['d']}" if "d" in params else "")
        options = {name: value for name, value in params.get("process_params", {}).items() if name != "d"}
        found["options"] = ", ".join(f"{name}={value}" for name, value in options.items())
    words = {"trials": "{} trials", "steps": "{} steps", "warmup": "warm-up {}", "refresh": "refresh {}",
             "operator": "A = {}", "seed": "seed {}", "dtype": "{}"}  # fmt: skip
    return found | {name: said.format(params[name]) for name, said in words.items() if name in params}


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
    """Return the parameters that ``stored`` made this of: quantizers of this project again, and tuples.

    Raises StoreError where a quantizer is not one of this version's, or has other fields.
    """
    found = dict(about)
    if isinstance(found.get("quantizer"), Mapping):
        found["quantizer"] = _made(found["quantizer"])
    if "measure" in found:
        found["measure"] = tuple(found["measure"])
    return found


def _quantizer_stored(Q: Quantizer) -> Any:
    from ..sweeps.encoding import plain
    from ..sweeps.store import StoreError

    try:
        said = plain(Q)
        return said if _made(said) == Q else str(Q)
    except (StoreError, TypeError, ValueError):  # a class, or an option, of the user's own
        return str(Q)


def _made(said: Any) -> Any:
    """Return the quantizer or granularity that these fields are of; of a list a tuple, and other values as they are."""
    from ..sweeps.saved import same_names
    from ..sweeps.store import StoreError

    if isinstance(said, list):
        return tuple(map(_made, said))
    if not isinstance(said, Mapping):
        return said
    known = {kind.__name__: kind for kind in (*QUANTIZERS.values(), Split, *GRANULARITIES.values())}
    name = said.get("class")
    if name not in known:
        raise StoreError(f"{name!r} is no quantizer or granularity of this version of modiff-sim")
    same_names(name, "it", said.keys() - {"class"}, [f.name for f in fields(known[name])])
    try:
        return known[name](**{f.name: _made(said[f.name]) for f in fields(known[name]) if f.init})
    except (TypeError, ValueError) as error:
        raise StoreError(f"{name} as it was saved is refused by this version of modiff-sim: {error}") from error
