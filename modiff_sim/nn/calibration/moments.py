"""Second moments of a layer's inputs: with them, the output error of any weight is a quadratic form, exactly.

A convolution or Linear multiplies its weight, as a matrix W (out, d), with rows u of d numbers: input vectors, or the
patches that a kernel sees, d = in/groups·kh·kw. So with G = mean of u·uᵀ

    E||A_W(a) - A_Wq(a)||² per row = tr((W - W_q)·G·(W - W_q)ᵀ),  a sum over output channels,

and d² numbers per layer stand for all the inputs that it was calibrated on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hooks.modes import Gradients
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo

#: what runs the model in full precision: a function of the model, or the positional arguments of its calls
Calibration = Callable[[nn.Module], object] | Iterable[tuple[Any, ...]]


@dataclass
class Moments:
    """The running mean of u·uᵀ over the rows of one layer: ``gram`` (groups, d, d), float32 or float64."""

    gram: Tensor
    rows: int = 0

    @classmethod
    def of(cls, module: nn.Module) -> Moments:
        """Empty moments for this layer."""
        weight: Tensor = module.weight  # type: ignore[assignment]
        groups = getattr(module, "groups", 1)
        d = weight[0].numel()
        wide = torch.promote_types(weight.dtype, torch.float32)
        return cls(torch.zeros(groups, d, d, dtype=wide, device=weight.device))

    def add(self, rows: Tensor) -> None:
        """Add rows (n, groups, d)."""
        n = rows.shape[0]
        if n:
            by_group = rows.to(self.gram.dtype).transpose(0, 1)
            share = n / (self.rows + n)
            fresh = by_group.transpose(1, 2) @ by_group / n
            self.gram.mul_(1 - share).add_(fresh, alpha=share)
            self.rows += n

    def errors(self, difference: Tensor) -> Tensor:
        """Mean squared output error per row of each output channel, (out,).

        ``difference`` is the error of the weight, in the weight's shape.
        """
        delta = matrix(difference, self.gram.shape[0]).to(self.gram.dtype)
        return ((delta @ self.gram) * delta).sum(dim=-1).reshape(-1)


def matrix(weight: Tensor, groups: int) -> Tensor:
    """A weight (out, in/groups, ...) as matrices (groups, out/groups, d)."""
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def rows_of(module: nn.Module, a: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows that the layer multiplies, (n, groups, d): all of them, or ``most`` drawn without replacement.

    ``a`` is an input with a sample axis.
    """
    if isinstance(module, nn.Linear):
        flat = a.reshape(-1, a.shape[-1])
        return flat[_drawn(len(flat), most, generator)][:, None]
    conv: Any = module
    kernel, stride, dilation = conv.kernel_size, conv.stride, conv.dilation
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    a = F.pad(a, conv._reversed_padding_repeated_twice, mode=mode)
    n, channels, *size = a.shape
    places = [(m - d * (k - 1) - 1) // s + 1 for m, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    steps = a.stride()[2:]
    between = [step * s for step, s in zip(steps, stride, strict=True)]
    within = [step * d for step, d in zip(steps, dilation, strict=True)]
    # a view of every patch; only the drawn ones are copied
    windows = a.as_strided((n, *places, channels, *kernel), (a.stride(0), *between, a.stride(1), *within))
    drawn = _drawn(math.prod((n, *places)), most, generator).to(a.device)
    index = torch.unravel_index(drawn, (n, *places))
    return windows[index].reshape(len(drawn), conv.groups, -1)


def _drawn(total: int, most: int, generator: torch.Generator) -> Tensor:
    return torch.arange(total) if total <= most else torch.randperm(total, generator=generator)[:most]


class _Gatherer:
    """Collects the moments of the inputs of some layers, those of held-out samples separately."""

    def __init__(self, modules: dict[str, nn.Module], holdout: float, patches: int, seed: int) -> None:
        self.found = {name: (Moments.of(m), Moments.of(m)) for name, m in modules.items()}
        self._calls = dict.fromkeys(modules, 0)
        self._holdout, self._patches = holdout, patches
        # one stream per layer, so that what is drawn for a layer does not depend on any other layer
        self._generators = {name: torch.Generator().manual_seed(seed) for name in modules}

    def see(self, name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        a: Tensor = (inputs[0] if inputs else named["input"]).detach()
        call = self._calls[name]
        self._calls[name] += 1
        if a.ndim <= len(getattr(module, "kernel_size", ())) + 1:
            a = a[None]  # torch's layers also take a single sample without a sample axis
        if len(a) == 1:  # nothing to split along axis 0 (a time embedding), so split by calls
            every = round(1 / self._holdout) if self._holdout else 0
            parts = (a[:0], a) if every and call % every == every - 1 else (a, a[:0])
        else:
            cut = len(a) - (max(1, round(len(a) * self._holdout)) if self._holdout else 0)
            parts = a[:cut], a[cut:]
        for moments, part in zip(self.found[name], parts, strict=True):
            if part.numel():
                moments.add(rows_of(module, part, self._patches, self._generators[name]))


def _hooked(modules: dict[str, nn.Module], gatherer: _Gatherer) -> Context[None]:
    def enter(undo: Undo) -> None:
        undo.put(Gradients(False))
        for name, module in modules.items():
            undo.put(Hook.of(module, gatherer.see, name))

    return Context(enter)


def gather(
    model: nn.Module,
    calibration: Calibration,
    modules: dict[str, nn.Module],
    *,
    holdout: float = 0.0,
    patches: int = 1024,
    memory: float = 1024.0,
    seed: int = 0,
) -> Iterator[tuple[str, Moments, Moments]]:
    """Yield (name, moments, moments of held-out samples) of each layer, in full precision.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    calibration : callable or iterable of tuple
        A function that runs the model, such as ``lambda m: sample(m, images=32, steps=20, batch=32)``, or positional
        arguments of model calls, (x, t). The inputs of all its calls have equal weight.
    modules : dict of str to torch.nn.Module
        The layers, by name.
    holdout : float, default 0
        The last share of every call's samples (axis 0), at least one sample, is held out. A layer with one row on axis
        0 is split by its calls instead: every 1/holdout-th is held out.
    patches : int, default 1024
        At most this many rows of a layer and call are used of each part, drawn at random.
    memory : float, default 1024
        MiB for moments; a layer takes 8·d² bytes in float32. Layers are taken in groups that fit, at least one layer at
        a time, and the calibration is run once for every group.
    seed : int, default 0
        Seed of the rows that are drawn.

    Yields
    ------
    tuple of (str, Moments, Moments)
        Name, moments, and moments of held-out samples.

    Raises
    ------
    ValueError
        Where the inputs of a layer are NaN or Inf.
    """
    calls = None if callable(calibration) else list(calibration)
    names = list(modules)
    while names:
        taken: list[str] = []
        size = 0.0
        while names:
            weight: Any = modules[names[0]].weight
            size += 2 * getattr(modules[names[0]], "groups", 1) * weight[0].numel() ** 2 * 4 / 2**20
            if taken and size > memory:
                break
            taken.append(names.pop(0))
        some = {name: modules[name] for name in taken}
        gatherer = _Gatherer(some, holdout, patches, seed)
        with _hooked(some, gatherer):
            if calls is None:
                calibration(model)  # type: ignore[operator]
            else:
                for arguments in calls:
                    model(*arguments)
        for name in taken:
            used, held = gatherer.found.pop(name)
            if not bool(torch.isfinite(used.gram.sum() + held.gram.sum())):
                raise ValueError(f"layer '{name}': NaN or Inf in its inputs during calibration")
            yield name, used, held
