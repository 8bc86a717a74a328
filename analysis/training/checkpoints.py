"""Reading of checkpoints and weights for training. Damaged files, and those of other runs, are refused in one line.

A file is read without running anything that it contains (``weights_only``), everything in it is checked before anything
is used, and it is never changed.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

KEYS = frozenset({"settings", "config", "data", "step", "seconds", "losses", "rng", "model", "ema", "opt"})
SHA256 = re.compile("[0-9a-f]{64}")
ADVICE = "restore an intact one, or start again in another --out (--begin-from takes the weights so far)"


class Unusable(ValueError):
    """Training cannot go on from this file; the message says what to do."""


def read(path: Path, about: Mapping[str, Any], like: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the state in a checkpoint of this run.

    ``about`` has the settings, configuration and data of this run, and ``like`` is the state of a run that has just
    begun. Raises ``Unusable`` for a damaged file, for one of another program, and for one of another run.
    """
    if not path.is_file():  # opening a pipe would wait for its writer
        raise Unusable(f"{path} is not a regular file: {ADVICE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the form of the file, which is only read as data
            state = torch.load(path, weights_only=True, map_location=device)
    except OSError:
        raise
    except Exception as error:  # a damaged archive or pickle may raise nearly any exception
        raise Unusable(f"{path} is damaged, or not a checkpoint of analysis.train: {ADVICE}") from error
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        missing = ", ".join(sorted(KEYS - state.keys())) if isinstance(state, dict) else "everything"
        raise Unusable(f"{path} is not a checkpoint of analysis.train, it lacks {missing}: {ADVICE}")
    for name, mine in about.items():
        if (differs := _difference(state[name], mine)) is not None:
            raise Unusable(f"{path} was made with {name} {differs}: pass the same, or another --out")
    if wrong := _wrong(state, like, about["settings"]["steps"]):
        raise Unusable(f"{path} is damaged, {wrong}: {ADVICE}")
    return state


def _difference(found: Any, mine: Any) -> str | None:
    """Say what differs between a checkpoint and this run; None where they are the same."""
    if type(found) is not type(mine):
        return f"of another kind ({type(found).__name__})"
    if not isinstance(mine, dict):
        return None if found == mine else f"{found}"[:80]
    names = [k for k in (*mine, *found) if repr(found.get(k)) != repr(mine.get(k))]
    said = ", ".join(f"{k}={found.get(k)!r} (now {mine.get(k)!r})" for k in dict.fromkeys(names))
    return said[:300] if names else None


def _wrong(state: Mapping[str, Any], like: Mapping[str, Any], steps: int) -> str:
    """Say what training would not have written like this; "" if there is no such thing."""
    step, seconds, losses, begun = state["step"], state["seconds"], state["losses"], state.get("begun_from")
    if type(step) is not int or not 0 < step <= steps:
        return f"its step is {_cut(step)} of {steps}"
    if type(seconds) is not float or not 0 < seconds < math.inf:
        return f"its time is {_cut(seconds)} s"
    if type(losses) is not list or not 0 < len(losses) <= step or not all(map(_finite, losses)):
        return "its losses are not a list of finite numbers"
    if begun is not None and not _begun(begun, step):
        return f"begun_from is {repr(begun)[:120]}, which does not say what the run was begun from"
    if wrong := tensors(state["model"], like["model"]) or tensors(state["ema"], like["model"]):
        return wrong
    if not _alike(state["rng"], like["rng"]):
        return "its random state is invalid"
    parameters = {name: like["model"][name] for name in like["parameters"]}
    done = step - (begun["step"] if begun else 0)
    return _optimizer(state["opt"], like["opt"], parameters, done) or _shared(state, like["parameters"])


def _begun(about: Any, step: int) -> bool:
    """Whether this names weights, by the sha256 of their file, and a step before the current one."""
    if type(about) is not dict or about.keys() != {"sha256", "step"}:
        return False
    digest, first = about["sha256"], about["step"]
    return type(digest) is str and bool(SHA256.fullmatch(digest)) and type(first) is int and 0 < first < step


def _shared(state: Mapping[str, Any], parameters: Sequence[str]) -> str:
    """Say which two entries share their memory, so that changing one would change the other; "" if none do."""
    named = [(f"{name} in its {part}", value) for part in ("model", "ema") for name, value in state[part].items()]
    for i, name in enumerate(parameters):
        named += [(f"{entry} of {name} in its optimizer", value) for entry, value in state["opt"]["state"][i].items()]
    seen: dict[int, str] = {}
    for name, value in named:
        memory = value.untyped_storage()
        if memory.nbytes() < value.nbytes:
            return f"entries of {name} share their memory"
        if value.numel() and (other := seen.setdefault(memory.data_ptr(), name)) != name:
            return f"{name} shares its memory with {other}"
    return ""


def _cut(value: Any) -> str:
    return repr(value)[:40]


def _finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _alike(found: Any, mine: torch.Tensor) -> bool:
    return isinstance(found, torch.Tensor) and found.shape == mine.shape and found.dtype == mine.dtype


def tensors(found: Any, mine: Mapping[str, torch.Tensor], *, dtypes: bool = True) -> str:
    """Say how weights differ from the network's in names, shapes or dtypes, or which hold NaN; "" if all is well."""
    if not isinstance(found, dict) or found.keys() != mine.keys():
        return "it holds the weights of another network"
    for name, value in found.items():
        if not isinstance(value, torch.Tensor) or value.shape != mine[name].shape:
            return f"{name} is not of the network's shape"
        if dtypes and value.dtype != mine[name].dtype:
            return f"{name} is {value.dtype} instead of {mine[name].dtype}"
        if not bool(torch.isfinite(value).all()):
            return f"{name} holds NaN or Inf"
    return ""


def _optimizer(found: Any, mine: Mapping[str, Any], parameters: Mapping[str, torch.Tensor], done: int) -> str:
    """Say what is not as Adam leaves it after this many steps; "" if all is well."""
    wrong = "its optimizer is of another network or program"
    if not isinstance(found, dict) or not found.keys() >= {"state", "param_groups"}:
        return wrong
    groups, states = found["param_groups"], found["state"]
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], dict):
        return wrong
    own = mine["param_groups"][0]
    if any(k != "lr" and repr(groups[0].get(k)) != repr(v) for k, v in own.items()):
        return wrong
    if not isinstance(groups[0].get("lr"), float) or not isinstance(states, dict):
        return wrong
    if states.keys() != set(range(len(parameters))):
        return wrong
    for i, (name, parameter) in enumerate(parameters.items()):
        of_one = states[i]
        if not isinstance(of_one, dict) or of_one.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            return wrong
        moments = {"exp_avg": parameter, "exp_avg_sq": parameter, "step": torch.tensor(0.0)}
        if problem := tensors(of_one, moments):
            return f"{problem} in its optimizer, for {name}"
        if float(of_one["step"]) != done:
            return f"step is {float(of_one['step']):g} in its optimizer, for {name}, instead of {done}"
        if bool((of_one["exp_avg_sq"] < 0).any()):
            return f"exp_avg_sq is below 0 in its optimizer, for {name}, although it is a mean of squares"
    return ""


def read_weights(
    path: Path, digest: str, config: Mapping[str, Any], like: Mapping[str, torch.Tensor], steps: int
) -> tuple[dict[str, torch.Tensor], int]:
    """Return the averaged weights that an earlier run left, and its step.

    ``digest`` is the sha256 of the file, and ``like`` are the weights of the network. Raises ``Unusable`` where the
    file, or the manifest beside it, is not what such a run leaves.
    """
    manifest = path.with_suffix(".json")
    try:
        about = json.loads(manifest.read_text(encoding="utf-8"))
        told, step = about["sha256"], about["training"]["steps_done"]
        of = about["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unusable(f"{manifest} is not a manifest of analysis.train: restore that of {path}") from error
    if told != digest:
        raise Unusable(f"{path} is not the file that {manifest.name} beside it describes")
    if of != config:
        raise Unusable(f"{path} is of another network: {_difference(of, config)}")
    if type(step) is not int or not 0 < step < steps:
        raise Unusable(f"{manifest} says that step {_cut(step)} is done, and this run has only {steps} steps")
    try:
        values = safetensors.torch.load_file(path)
    except OSError:
        raise
    except Exception as error:  # safetensors has an exception of its own
        raise Unusable(f"{path} is damaged, or not a .safetensors: restore that of {manifest.name}") from error
    if wrong := tensors(values, like, dtypes=False):
        raise Unusable(f"{path} is not a file that training can begin from: {wrong}")
    return values, step
