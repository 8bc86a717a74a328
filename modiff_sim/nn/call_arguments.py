"""What a model was called with, told apart as what is denoised, when, and everything else; and how calls differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .calling import CONDITIONS, LEVELS, TIMES

#: names of the argument that says when: a timestep or a noise level
WHEN = frozenset({*TIMES, *LEVELS})
#: names of the argument that is denoised
DENOISED = frozenset(
    {"x", "sample", "hidden_states", "latents", "latent", "z", "x_t", "xt", "noisy", "noisy_latents", "input_ids"}
)


@dataclass(frozen=True)
class CallArguments:
    """The arguments of one model call: what is denoised, when, and everything else, by path.

    second: a number in the second place whose name does not say what it is: a time, or else a class label.
    """

    x: Any
    t: dict[str, Any]
    second: dict[str, Any]
    rest: dict[str, Any]

    @staticmethod
    def of(arguments: Mapping[str, Any]) -> CallArguments:
        leaves = [(pytree.keystr(path), _top(path), leaf) for path, leaf in _flat(dict(arguments))]
        where = _denoised(leaves)
        call = CallArguments(None if where is None else _kept(leaves[where][2]), {}, {}, {})
        for i, (name, top, leaf) in enumerate(leaves):
            if i == where:
                continue
            if top in WHEN:
                if leaf is not None:
                    call.t[name] = _kept(leaf)
            elif i == 1 and _a_number(leaf) and top not in CONDITIONS:
                call.second[name] = _kept(leaf)
            else:
                call.rest[name] = _kept(leaf)
        return call

    @property
    def when(self) -> dict[str, Any]:
        return {**self.t, **self.second}

    @property
    def conditions(self) -> dict[str, Any]:
        return {**self.second, **self.rest}


def _flat(arguments: dict[str, Any]) -> list[tuple[Any, Any]]:
    return pytree.tree_flatten_with_path(arguments)[0]


def _top(path: Any) -> str:
    return str(getattr(path[0], "key", "")).lower()


def _kept(leaf: Any) -> Any:
    """What is compared later: a copy of arrays, which may be written to; of an object, what it holds."""
    if isinstance(leaf, Tensor):
        return leaf.detach().clone()
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    return leaf


def _denoised(leaves: list[tuple[str, str, Any]]) -> int | None:
    """Which leaf is denoised: by its name, else the first array of numbers that is no condition by its name."""
    arrays = [i for i, (_, _, v) in enumerate(leaves) if isinstance(v, Tensor) and v.ndim > 0 and v.dtype != torch.bool]
    named = [i for i in arrays if leaves[i][1] in DENOISED]
    floats = [i for i in arrays if leaves[i][2].is_floating_point() and leaves[i][1] not in {*CONDITIONS, *WHEN}]
    others = [i for i in arrays if leaves[i][1] not in {*CONDITIONS, *WHEN}]
    return next(iter((*named, *floats, *others)), None)


def _a_number(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.ndim <= 1 and leaf.dtype != torch.bool
    if isinstance(leaf, np.ndarray):
        return leaf.ndim <= 1
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are equal; arrays in shape, type and value, objects by what they hold."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        return a.is_meta or torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        if bool(a == b):
            return True
    except Exception:  # an object that cannot be compared
        return False
    # made anew for every call, with the same content
    return type(a).__eq__ is object.__eq__ and hasattr(a, "__dict__") and not differing(vars(a), vars(b))


def same_time(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """By value: 5, a tensor of 5 and one of 5 per sample are one time."""

    def values(v: Any) -> Any:
        return np.unique(v.detach().double().cpu().numpy() if isinstance(v, Tensor) else np.asarray(v))

    def equal(x: Any, y: Any) -> bool:
        try:
            return same(x, y) or np.array_equal(values(x), values(y))
        except (TypeError, ValueError, NotImplementedError):  # no numbers, or without values
            return False

    return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)


def size(x: Tensor) -> float:
    """The 2-norm."""
    return float(x.double().norm())


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> set[str]:
    """Names of what is not the same in both."""
    return {k for k in {*a, *b} if k not in a or k not in b or not same(a[k], b[k])}


def far(x: Any, y: Any) -> float:
    """How far two different conditions are: relative to their size for arrays of one shape, else 1."""
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape == y.shape and x.is_floating_point():
        both = size(x) + size(y)
        return min(1.0, 2 * size(x.double() - y.double()) / both) if both > 0 else 0.0
    return 1.0
