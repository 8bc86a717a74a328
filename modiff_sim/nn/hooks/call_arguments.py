"""The arguments of a model call, divided into what is denoised, the time, and everything else; and how calls differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...typing import Array
from .calling import CONDITIONS, LEVELS, TIMES

#: names of the argument that holds the time: a timestep or a noise level
WHEN = frozenset({*TIMES, *LEVELS, "tau"})
#: names of the argument that is denoised
DENOISED = frozenset({
    "x", "sample", "hidden_states", "latents", "latent", "z", "x_t", "xt", "noisy", "noisy_latents", "noisy_image",
    "noisy_images", "noised", "img", "imgs", "video", "inp", "input", "inputs", "input_ids", "tgt", "target",
})  # fmt: skip
#: an argument with more entries than this, or with objects of larger arrays, is compared as a whole
MOST_ENTRIES, MOST_BYTES = 1000, 2**24


@dataclass(frozen=True)
class CallArguments:
    """The arguments of one model call, by path: what is denoised, the time, and everything else.

    ``denoised`` is the path of x. ``second`` is a number in the second place whose name does not say what it is: a
    time, or else a class label. ``arrays`` are the values of all arrays that could be what is denoised, the likeliest
    first, and ``names`` those of their arguments, or of entries in them.
    """

    denoised: str | None
    arrays: dict[str, Array]
    names: dict[str, str]
    t: dict[str, Any]
    second: dict[str, Any]
    rest: dict[str, Any]

    @staticmethod
    def of(arguments: Mapping[str, Any], denoised: str | None = None, *, copied: bool = True) -> CallArguments:
        """The arguments of a call.

        ``denoised`` is the path of what is denoised where that is known; else it is the likeliest array. ``copied``:
        arrays are copied, so that they can be compared with those of later calls.
        """
        leaves = [(pytree.keystr(path), _name(path), _kept(x) if copied else x) for path, x in _flat(arguments)]
        likeliest = [leaves[i] for i in _likeliest(leaves)]
        arrays, names = {path: v for path, _, v in likeliest}, {path: name for path, name, _ in likeliest}
        call = CallArguments(next(iter(arrays), None), arrays, names, {}, {}, {})
        for i, (path, name, leaf) in enumerate(leaves):
            if path == call.denoised:
                continue
            if name in WHEN:
                if leaf is not None:
                    call.t[path] = leaf
            elif i == 1 and _a_number(leaf) and name not in CONDITIONS:
                call.second[path] = leaf
            else:
                call.rest[path] = leaf
        return call if denoised is None else call.about(denoised)

    def about(self, denoised: str) -> CallArguments:
        """The same call under the assumption that this array is what is denoised."""
        if denoised == self.denoised or denoised not in self.arrays:
            return self
        rest = {k: v for k, v in self.rest.items() if k != denoised}
        if self.denoised is not None:
            rest[self.denoised] = self.x
        return replace(self, denoised=denoised, rest=rest)

    @property
    def x(self) -> Array:
        """The array that is denoised; None without one."""
        return None if self.denoised is None else self.arrays[self.denoised]

    @property
    def when(self) -> dict[str, Any]:
        """All that may be the time, by path."""
        return {**self.t, **self.second}

    @property
    def conditions(self) -> dict[str, Any]:
        """All that may be a condition, by path."""
        return {**self.second, **self.rest}


def _flat(arguments: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    return pytree.tree_flatten_with_path({k: _opened(v) for k, v in arguments.items()})[0]


class _TooMuch(Exception):
    """An argument holds more than will be looked at."""


def _opened(value: Any) -> Any:
    """The value, with objects replaced by what they hold, for comparisons and copies.

    Objects that define their own equality are left alone, and so are modules, functions, and what holds too much or
    cannot be looked into.
    """
    try:
        return _looked_into(value, [MOST_ENTRIES, MOST_BYTES], (), inside=False)
    except Exception:
        return value


def _looked_into(value: Any, left: list[int], within: tuple[int, ...], inside: bool) -> Any:
    """The value with objects replaced. ``left`` has the entries, and bytes of arrays in objects, still allowed."""
    if id(value) in within:  # an object that refers to itself
        return None
    left[0] -= 1
    if inside and isinstance(value, (Tensor, np.ndarray)):
        left[1] -= value.nbytes
    if min(left) < 0:
        raise _TooMuch
    within = (*within, id(value))
    if type(value) in (list, tuple):
        return type(value)(_looked_into(v, left, within, inside) for v in value)
    if type(value) is dict:
        return {k: _looked_into(v, left, within, inside) for k, v in value.items()}
    if isinstance(value, (Tensor, np.ndarray, nn.Module, type)) or callable(value):
        return value
    if dataclasses.is_dataclass(value):
        held = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    elif hasattr(value, "__dict__") and (type(value).__eq__ is object.__eq__ or hasattr(value, "__attrs_attrs__")):
        held = vars(value)
    else:
        return value
    return {"(type)": type(value)} | {k: _looked_into(v, left, within, inside=True) for k, v in held.items()}


def _name(path: Any) -> str:
    """The argument's name; or the entry's, where the argument's name is unknown and the entry's is known."""
    names = [str(getattr(p, "key", "")).lower() for p in path]
    known = {*CONDITIONS, *WHEN, *DENOISED}
    return names[0] if names[0] in known or names[-1] not in known else names[-1]


def _kept(leaf: Any) -> Any:
    """What is compared later: a copy of an array, since the array may be written to."""
    if isinstance(leaf, Tensor):
        return leaf.detach().clone()
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    return leaf


def _likeliest(leaves: list[tuple[str, str, Any]]) -> list[int]:
    """Indices of the leaves that may be denoised: with a name for it first, then arrays of floats, then others."""
    arrays = [i for i, (_, _, v) in enumerate(leaves) if isinstance(v, Tensor) and v.ndim > 0 and v.dtype != torch.bool]
    arrays = [i for i in arrays if leaves[i][1] not in WHEN]
    named = sorted((i for i in arrays if leaves[i][1] in DENOISED), key=lambda i: leaves[i][0].count("["))
    others = [i for i in arrays if leaves[i][1] not in CONDITIONS]
    floats = [i for i in others if leaves[i][2].is_floating_point()]
    conditions = [i for i in arrays if leaves[i][2].is_floating_point()]
    return list(dict.fromkeys((*named, *floats, *others, *conditions)))


def _a_number(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.ndim <= 1 and leaf.dtype != torch.bool
    if isinstance(leaf, np.ndarray):
        return leaf.ndim <= 1
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are equal; for arrays, in shape, dtype and value."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        return a.is_meta or torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except Exception:  # an object that cannot be compared
        return False


def same_time(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two times are equal by value: 5, a tensor of 5 and a tensor of one 5 per sample are the same time."""

    def values(v: Any) -> Any:
        return np.unique(v.detach().double().cpu().numpy() if isinstance(v, Tensor) else np.asarray(v))

    def equal(x: Any, y: Any) -> bool:
        try:
            return same(x, y) or np.array_equal(values(x), values(y))
        except (TypeError, ValueError, NotImplementedError):  # these are not numbers, or have no values
            return False

    return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)


def size(x: Tensor) -> float:
    """The 2-norm of a tensor."""
    return float(x.double().norm())


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> set[str]:
    """Names of the entries that differ."""
    return {k for k in {*a, *b} if k not in a or k not in b or not same(a[k], b[k])}


def far(x: Any, y: Any) -> float:
    """The distance of two different conditions: relative to their size for arrays of one shape, else 1."""
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape == y.shape and x.is_floating_point():
        both = size(x) + size(y)
        return min(1.0, 2 * size(x.double() - y.double()) / both) if both > 0 else 0.0
    return 1.0
