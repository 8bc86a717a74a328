"""How sparse the quantized values are, and which multiplications a sparse kernel could leave out.

    with modulated(model, activations=AbsMax(3)) as run, sparsity.measure(run) as found:
        sample(model, images=8, batch=8, steps=50, run=run)
    print(found)

Counted is Q's output, the left operand of the layer's product: residual codes in the open and closed loop, the
activations themselves in ``direct``. An entry counts as zero where the dequantized *value* is 0 (for symmetric grids
the code 0, for affine ones the zero point), because it is the value whose product can be left out. Samples that a
threshold skipped, and layers at 0 bits, are all zeros. Calls in full precision (first, refresh) are not counted.

Layout. The reduction axis is the axis of input channels (axis 1 of a convolution, within each of its groups) or of
features (the last axis of a linear layer). A block of 1×4 or 1×16 is a run of 4 or 16 consecutive entries along it, at
one position of every other axis. The first run begins at channel 0 of each group; where the number of channels is not
a multiple, the last run is short, as if padded with zeros that cost nothing. 2:4 looks at the same runs of four.

Multiplications. An input entry takes part in as many products as the layer uses it (fewer at a border or under a
stride), which is counted exactly. Products with padding belong to no entry and are not in ``macs``. A kernel can leave
out

    element   the products of zero entries
    block4, block16   the products of entries in blocks that are all zero
    group24   in every run of four with at most two non-zeros, all but two entries' products: half of a whole run
    tensor24  the same, but only in calls where *every* run of the tensor complies: what a 2:4 unit needs, which takes
              one operand as a whole

Examples
--------
>>> import torch
>>> import modiff_sim as ms
>>> from modiff_sim.nn import modulated, sparsity
>>> model, x = torch.nn.Linear(8, 4), torch.linspace(0.0, 1.0, 8).reshape(1, 8)
>>> with modulated(model, activations=ms.AbsMax(2), recursion="direct") as run, sparsity.measure(run) as found:
...     out = model(x)
>>> found.total().zero_share, found.total().macs  # 2 bits: everything below half of the maximum is 0
(0.5, 32)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...recursion import Info
from ..hooks.modes import inference
from ..hooks.undo import Context, Listed, Undo
from ..layers import Operator
from ..run.run import Run

BLOCKS = (4, 16)
KINDS = ("element", "block4", "block16", "group24", "tensor24")


@dataclass
class Count:
    """One layer at one call, or a sum of such: entries and MACs, of all batches so far.

    Parameters
    ----------
    values : int
        Entries of the quantized inputs.
    macs : int
        MACs of these entries.
    calls : int
        How many calls were counted.
    covered : dict of str to int
        Kind -> entries that a kernel of that kind finds in a pattern it can use: the zeros ("element"), those in
        all-zero blocks, and those in runs that comply with 2:4.
    saved : dict of str to int
        Kind -> MACs that such a kernel leaves out.
    """

    values: int = 0
    macs: int = 0
    calls: int = 0
    covered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    saved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    @property
    def zero_share(self) -> float:
        """Share of entries that are 0; NaN where nothing was counted."""
        return self.share("element")

    def share(self, kind: str) -> float:
        """Share of the entries in a pattern of this kind; NaN where nothing was counted."""
        return self.covered[kind] / self.values if self.values else math.nan

    def saved_share(self, kind: str) -> float:
        """Share of the MACs that such a kernel leaves out; NaN where nothing was counted."""
        return self.saved[kind] / self.macs if self.macs else math.nan

    def add(self, other: Count) -> None:
        """Add another count."""
        self.values += other.values
        self.macs += other.macs
        self.calls += other.calls
        for kind in KINDS:
            self.covered[kind] += other.covered[kind]
            self.saved[kind] += other.saved[kind]


def by_channel(x: Tensor, operator: Operator) -> Tensor:
    """A layer's input as (positions, groups, channels): the reduction axis last, groups of a convolution separate.

    Parameters
    ----------
    x : torch.Tensor
        The input.
    operator : Operator
        The layer.
    """
    if isinstance(operator.module, nn.Linear):
        return x.reshape(-1, 1, x.shape[-1])
    groups = int(operator.module.groups)  # type: ignore[arg-type]
    moved = x.movedim(1, -1)
    return moved.reshape(-1, groups, moved.shape[-1] // groups)


def runs_of(x: Tensor, size: int) -> Tensor:
    """Runs of ``size`` entries along the last axis, (..., runs, size); the last one is padded with zeros.

    Parameters
    ----------
    x : torch.Tensor
        The channels on the last axis.
    size : int
        Length of a run.
    """
    short = -x.shape[-1] % size
    return nn.functional.pad(x, (0, short)).unflatten(-1, (-1, size))


def uses(operator: Operator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """In how many products of the layer each input entry takes part.

    It is counted by the layer itself, as the gradient of its summed output with all weights 1.

    Parameters
    ----------
    operator : Operator
        The layer.
    shape : tuple of int
        Shape of its input.
    device : torch.device
        Where the counts are made.

    Returns
    -------
    torch.Tensor
        int64, (1, ...) for one sample of a convolution, or () for a linear layer.
    """
    module: Any = operator.module
    if isinstance(module, nn.Linear):
        return torch.tensor(module.out_features, device=device)
    with inference(False, gradients=True):
        x = torch.zeros(1, *shape[1:], dtype=torch.float64, device=device, requires_grad=True)
        ones = torch.ones(module.weight.shape, dtype=torch.float64, device=device)
        (found,) = torch.autograd.grad(module._conv_forward(x, ones, None).sum(), x)
    return found.round().to(torch.int64)


def count(hat: Tensor, operator: Operator, used: Tensor | None = None) -> Count:
    """The sparsity of one quantized input of a layer.

    Parameters
    ----------
    hat : torch.Tensor
        The quantized input.
    operator : Operator
        The layer.
    used : torch.Tensor, optional
        What ``uses`` returns for it; computed if not given.
    """
    if used is None:
        used = uses(operator, tuple(hat.shape), hat.device)
    zero = by_channel(hat == 0, operator)
    products = by_channel(used.expand(hat.shape), operator)
    out = Count(values=zero.numel(), macs=int(products.sum()), calls=1)
    out.covered["element"] = int(zero.sum())
    out.saved["element"] = int((products * zero).sum())
    for size in BLOCKS:
        empty = runs_of(~zero, size).any(dim=-1, keepdim=True).logical_not()
        kind = f"block{size}"
        real = runs_of(torch.ones_like(zero), size)
        out.covered[kind] = int((real & empty).sum())
        out.saved[kind] = int((runs_of(products, size) * empty).sum())
    fits = runs_of(~zero, 4).sum(dim=-1) <= 2
    entries = runs_of(torch.ones_like(zero), 4).sum(dim=-1)
    # entries of one run share a position, and with it their number of products
    each = runs_of(products, 4)[..., 0]
    saved = int((fits * (entries - 2).clamp(min=0) * each).sum())
    out.covered["group24"] = int((fits * entries).sum())
    out.saved["group24"] = saved
    if bool(fits.all()):
        out.covered["tensor24"], out.saved["tensor24"] = out.values, saved
    return out


class Sparsity:
    """What ``measure`` yields: ``counts[layer, call]`` is a ``Count``; calls count since ``run.reset``.

    A layer that a model uses several times per call is listed once per occurrence: "head", "head#1".

    Parameters
    ----------
    run : Run
        The run whose quantized values are counted.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._used: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self.counts: dict[tuple[str, int], Count] = {}

    def _see(self, name: str, call: int, a: Tensor, info: Info) -> None:
        if info.qparams is None or info.residual_hat is None:
            return
        operator = self._run.operators[name.partition("#")[0]]
        key = operator.name, tuple(a.shape[1:])
        if key not in self._used:
            self._used[key] = uses(operator, tuple(a.shape), a.device)
        self.counts.setdefault((name, call), Count()).add(count(info.residual_hat, operator, self._used[key]))

    @property
    def layers(self) -> list[str]:
        """Names, in the order in which they were first seen."""
        return list(dict.fromkeys(name for name, _ in self.counts))

    @property
    def calls(self) -> list[int]:
        """The calls that were counted, ascending."""
        return sorted({call for _, call in self.counts})

    def total(self, *, layer: str | None = None, call: int | None = None) -> Count:
        """The sum over everything, one layer or one call. Shares of MACs are then weighted by MACs."""
        out = Count()
        for (name, index), found in self.counts.items():
            if layer in (None, name) and call in (None, index):
                out.add(found)
        return out

    def rows(self, *, by: str = "layer") -> list[dict[str, Any]]:
        """One row per "layer", "call", or "both": shares of entries (share_*), and of MACs left out (saved_*)."""
        chosen: dict[str, Iterable[tuple[dict[str, Any], Count]]] = {
            "layer": (({"layer": name}, self.total(layer=name)) for name in self.layers),
            "call": (({"call": call}, self.total(call=call)) for call in self.calls),
            "both": (({"layer": name, "call": call}, found) for (name, call), found in self.counts.items()),
        }
        if by not in chosen:
            raise ValueError(f"rows by {', '.join(chosen)}; got {by!r}")
        return [where | _row(found) for where, found in chosen[by]]

    def summary(self) -> dict[str, Any]:
        """The totals as plain numbers; shares of MACs weighted by MACs."""
        return _row(self.total())

    def __str__(self) -> str:
        rows = [*self.rows(), {"layer": "total"} | self.summary()]
        width = max(len(row["layer"]) for row in rows)
        lines = [f"{'':<{width}}  {'zeros':>6}  MACs left out by: {'  '.join(f'{kind:>8}' for kind in KINDS)}"]
        for row in rows:
            saved = "  ".join(f"{row[f'saved_{kind}']:>8.1%}" for kind in KINDS)
            lines.append(f"{row['layer']:<{width}}  {row['share_element']:>6.1%}  {'':<18}{saved}")
        return "\n".join(lines)


def _row(found: Count) -> dict[str, Any]:
    row: dict[str, Any] = {"values": found.values, "macs": found.macs}
    row |= {f"share_{kind}": found.share(kind) for kind in KINDS}
    return row | {f"saved_{kind}": found.saved_share(kind) for kind in KINDS}


def measure(run: Run) -> Context[Sparsity]:
    """Count the zeros of what this run quantizes while the context is open; several batches add up.

    The run's outputs stay bitwise the same, and no tensors are kept.

    Parameters
    ----------
    run : Run
        What ``modulated`` yields.

    Returns
    -------
    context manager of Sparsity
        Entering it yields the counts, which grow while it is open.

    Raises
    ------
    TypeError
        Unless ``run`` is what ``modulated`` yields.
    """
    if not isinstance(run, Run):
        raise TypeError(f"measure needs the run that modulated() yields, got {run!r}")
    found = Sparsity(run)

    def enter(undo: Undo) -> Sparsity:
        undo.put(Listed(run.observers, found._see))
        return found

    return Context(enter)
