"""Static calibration: ranges of the quantizers' inputs, from a sampled calibration set.

    found = calibrate(
        model, lambda resets: sample(model, images=32, steps=20, on_batch=resets),
        bits=4, target="closed_loop", quantizer="mse",
    )
    found.save("digits-a4.json")
    with modulated(model, activations=found, recursion="closed_loop") as run: ...

A dynamic scale needs a reduction over every input before the input can be quantized; a static one is a constant. What
it is calibrated on is named by ``target``:

    "input"        a_t of the full-precision model: for ``recursion="direct"``
    "difference"   a_t - a_{t+1} of the full-precision model: what the official code calibrates residual scales on
    "closed_loop"  the residual a_t - â_{t+1} of the running closed loop, quantized by the scales that are sought

The last is a fixed point: the scales determine the loop's errors, which are part of its residuals. It is found by
iteration: the first loop runs with dynamic scales, each further one with the scales of the previous one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ...arguments import count, number
from ...quantizers import AbsMax, Identity, MinMax, Split
from ...quantizers.base import Quantizer
from ...recursion import Info
from ..layers import Chosen, Weights
from ..measure.histogram import Histogram
from ..modulate import modulated
from ..plans.plan import Plan
from .plans import TARGETS, Calibration, CalibrationError
from .ranges import METHODS, Range
from .request import Request

__all__ = ["METHODS", "TARGETS", "Calibration", "CalibrationError", "calibrate"]

#: a function that samples the calibration set, and calls every function in its argument before each batch
RunSampling = Callable[[list[Callable[..., object]]], object]
#: (activations, first call of every group) -> what was seen, and the share of values that static scales clipped
Pass = Callable[["Quantizer | Plan", tuple[int, ...]], tuple["Seen", float]]
#: layer -> range per step group and part
Ranges = dict[str, tuple[tuple[Range, ...], ...]]


def calibrate(
    model: nn.Module,
    run_sampling: RunSampling,
    *,
    bits: int,
    quantizer: str = "minmax",
    target: str = "input",
    symmetric: bool | None = None,
    groups: int | Sequence[int] = 1,
    where: Chosen = None,
    percentile: float = 99.9,
    rounds: int = 4,
    tolerance: float = 0.1,
    weights: Weights = None,
    splits: Mapping[str, int] | None = None,
    **loop: Any,
) -> Calibration:
    """Choose one static range per layer and step group.

    The model is sampled once, or up to 1 + ``rounds`` times for the target "closed_loop".

    Parameters
    ----------
    model : torch.nn.Module
        The model that is sampled.
    run_sampling : callable
        Samples the calibration set, e.g. ``lambda resets: sample(model, images=32, on_batch=resets)``. It must call all
        functions in its argument before every batch. It is called once per round: using the same noise each time makes
        the rounds comparable.
    bits : int
        Bits of the codes.
    quantizer : str, default "minmax"
        "minmax"; "percentile", which keeps ``percentile`` % of the values; "mse", the least squared error; or
        "official_minmax", the official code's coarse initialisation (see ``ranges``).
    target : str, default "input"
        "input", "difference" or "closed_loop", see the module. "closed_loop" ends when no range moves by ``tolerance``
        or after ``rounds``; the result's ``changes`` and ``saturated`` say how it went.
    symmetric : bool, optional
        True is ``Static`` grids, False ``StaticAffine``. None is affine for "input", and symmetric for residuals, which
        spread about 0 to both sides.
    groups : int or sequence of int, default 1
        How many groups of about as many calls each, or the first calls of the second, third, ... group.
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.
    percentile : float, default 99.9
        In (0, 100], for ``quantizer="percentile"``.
    rounds : int, default 4
        The most rounds of the static loop ("closed_loop").
    tolerance : float, default 0.1
        Relative change of a range's width at which the rounds end ("closed_loop").
    weights : Quantizer, QuantizedWeights or other WeightSource, optional
        As for ``modulated``. Quantized weights change what the layers see, so use those of the final run.
    splits : mapping of str to int, optional
        Layer -> channels of the first part, as ``skip_splits`` gives: the inputs of these layers get two ranges.
    **loop
        "closed_loop" only: further arguments of ``modulated`` (refresh, warmup, storage, ...).

    Returns
    -------
    Calibration
        The plan of static quantizers.

    Raises
    ------
    ValueError
        For unknown names, a ``run_sampling`` that calls no layer or no reset, groups without calls, and NaN or Inf,
        naming layer and call.

    Notes
    -----
    Memory: one histogram (8 KiB) per layer, part and group; per *call* instead of per group while ``groups`` is an int
    above 1, because the number of calls is not known before. Target "difference" keeps every layer's last input.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import calibrate
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2)).eval()
    >>> def sampling(resets):
    ...     for reset in resets:
    ...         reset(stream=0)
    ...     for x in (torch.ones(2, 4), torch.zeros(2, 4)):
    ...         model(x)
    >>> found = calibrate(model, sampling, bits=4, target="difference")
    >>> found.ranges, found.quantizer("0", call=1).bits
    ({'0': (((-1.0, 1.0),),)}, 4)
    """
    count("rounds", rounds)
    number("tolerance", tolerance, above=0)
    symmetric = target != "input" if symmetric is None else bool(symmetric)
    request = Request(
        bits=bits,
        method=quantizer,
        target=target,
        symmetric=symmetric,
        groups=groups,
        percentile=percentile,
        cuts=dict(splits or {}),
        model=type(model).__name__,
    )
    if target == "closed_loop":
        arm = {"recursion": "closed_loop", "weights": weights, "where": where, **loop}
        return _fixed_point(request, partial(_pass, model, run_sampling, request, arm), rounds, tolerance)
    if loop:
        raise ValueError(f'target="{target}" runs the model in full precision: {", ".join(loop)} do not apply there')
    return chosen(request, observed(model, run_sampling, request, weights=weights, where=where))


def observed(
    model: nn.Module,
    run_sampling: RunSampling,
    request: Request,
    *,
    weights: Weights = None,
    where: Chosen = None,
) -> Seen:
    """What one pass in full precision shows of the target "input" or "difference", for any bits and method."""
    arm = {"recursion": "direct", "weights": weights, "where": where}
    return _pass(model, run_sampling, request, arm, Identity(), request.firsts)[0]


def chosen(request: Request, seen: Seen) -> Calibration:
    """The ranges that the request's bits and method choose from what was observed for the same target and groups."""
    return _calibration(request, seen, *_ranges(request, seen))


def _ranges(request: Request, seen: Seen) -> tuple[Ranges, tuple[int, ...]]:
    """The ranges for everything that was seen, and the first call of every group."""
    starts = request.firsts or seen.even(count("groups", request.groups), first=int(request.target != "input"))
    return {
        name: tuple(tuple(request.range(stream) for stream in parts) for parts in groups)
        for name, groups in seen.grouped(starts).items()
    }, starts


def _calibration(
    request: Request, seen: Seen, found: Ranges, starts: tuple[int, ...], **log: tuple[float, ...]
) -> Calibration:
    return Calibration(
        ranges=found,
        boundaries=starts,
        bits=request.bits,
        symmetric=request.symmetric,
        target=request.target,
        method=request.method,
        model=request.model,
        samples=seen.samples,
        calls=seen.calls,
        cuts=request.cuts,
        **log,
    )


def _fixed_point(request: Request, once: Pass, rounds: int, tolerance: float) -> Calibration:
    """Ranges of a closed loop that runs with them: a dynamic round, then static ones until no range moves any more."""
    dynamic: Quantizer = AbsMax(request.bits) if request.symmetric else MinMax(request.bits)
    seen, _ = once(_Dynamic(dynamic, request.cuts), request.firsts)
    found, starts = _ranges(request, seen)
    changes: list[float] = []
    saturated: list[float] = []
    for _ in range(rounds):
        seen, clipped = once(_calibration(request, seen, found, starts), starts)
        new, _ = _ranges(request, seen)
        changes.append(_largest_change(found, new))
        saturated.append(clipped)
        found = new
        if changes[-1] < tolerance:
            break
    return _calibration(request, seen, found, starts, changes=tuple(changes), saturated=tuple(saturated))


def _largest_change(old: Ranges, new: Ranges) -> float:
    """The largest relative change of the width of a range."""
    pairs = [
        (b[1] - b[0]) / (a[1] - a[0])
        for name in old
        for groups in zip(old[name], new[name], strict=True)
        for a, b in zip(*groups, strict=True)
    ]
    return max(abs(ratio - 1) for ratio in pairs)


class _Dynamic:
    """The plan of the first round: dynamic scales, with the same parts as the static ones."""

    def __init__(self, Q: Quantizer, cuts: Mapping[str, int]) -> None:
        self._whole = Q
        self._cut = {name: Split(Q, at=(cut,)) for name, cut in cuts.items()}

    def quantizer(self, name: str, call: int) -> Quantizer:
        return self._cut.get(name.partition("#")[0], self._whole)


class Seen:
    """An observer of a run that keeps statistics of one target per layer, group of calls and part.

    Its ``reset`` goes with the run's.
    """

    def __init__(self, target: str, boundaries: tuple[int, ...], cuts: Mapping[str, int]) -> None:
        self.target, self.boundaries, self.cuts = target, boundaries, cuts
        self.samples = self.calls = self.resets = 0
        self._streams: dict[str, dict[int, tuple[Histogram, ...]]] = {}  # layer -> first call of its group -> parts
        self._last: dict[tuple[str, str], Tensor] = {}
        self.pass_now: Callable[[], str] = str
        self._first_layer: str | None = None

    def reset(self, **_: Any) -> None:
        """Forget the last inputs, before a batch."""
        self.resets += 1
        self._last.clear()

    def __call__(self, name: str, call: int, a: Tensor, info: Info) -> None:
        self.calls = max(self.calls, call + 1)
        self._first_layer = self._first_layer or name
        if name == self._first_layer and call == 0:
            self.samples += a.shape[0]
        streams = self._streams.setdefault(name, {})
        if (x := self._value(name, a, info)) is None:
            return
        group = max((b for b in self.boundaries if b <= call), default=call)
        cut = self.cuts.get(name.partition("#")[0])
        parts = [x] if cut is None else [x[:, :cut], x[:, cut:]]
        for stream, part in zip(streams.setdefault(group, tuple(Histogram() for _ in parts)), parts, strict=True):
            stream.add(part)

    def _value(self, name: str, a: Tensor, info: Info) -> Tensor | None:
        if self.target == "input":
            return a
        if self.target == "closed_loop":  # None where a call was exact: the first, refreshes
            return info.residual if info.quantized else None
        key = self.pass_now(), name  # differences are taken within a pass
        last, self._last[key] = self._last.get(key), a.clone()
        return None if last is None else a - last

    def even(self, groups: int, *, first: int) -> tuple[int, ...]:
        """Boundaries of groups of about as many calls each. Calls before ``first`` belong to the first group."""
        calls = self.calls - first
        if groups > calls:
            raise ValueError(f"groups={groups}, but there are values of {calls} calls only")
        return (0, *(first + calls * g // groups for g in range(1, groups)))

    def grouped(self, boundaries: tuple[int, ...]) -> dict[str, list[tuple[Histogram, ...]]]:
        """Per layer and group, the statistics of the parts, merged over calls.

        Raises ValueError for a group without values.
        """
        out: dict[str, list[tuple[Histogram, ...]]] = {}
        ends = (*boundaries[1:], max(self.calls, boundaries[-1] + 1))
        for name, streams in self._streams.items():
            out[name] = []
            for start, end in zip(boundaries, ends, strict=True):
                inside = [parts for call, parts in sorted(streams.items()) if start <= call < end]
                if not inside:
                    raise ValueError(
                        f"layer '{name}': no values in calls {start} to {end - 1} ({self.calls} calls were seen"
                        + ("; residuals begin at call 1)" if self.target != "input" else ")")
                    )
                merged = tuple(Histogram() for _ in inside[0])
                for parts in inside:
                    for whole, part in zip(merged, parts, strict=True):
                        whole.merge(part)
                out[name].append(merged)
        return out


def _pass(
    model: nn.Module,
    run_sampling: RunSampling,
    request: Request,
    arm: Mapping[str, Any],
    activations: Quantizer | Plan,
    boundaries: tuple[int, ...],
) -> tuple[Seen, float]:
    """Sample the calibration set once. Returns what was seen, and the share of values that static scales clipped."""
    seen = Seen(request.target, boundaries, request.cuts)
    with modulated(model, activations=activations, **arm) as run:
        run.observers.append(seen)
        passes = run.passes
        seen.pass_now = lambda: passes.now
        resets: Iterable[Callable[..., object]] = [run.reset, seen.reset]
        run_sampling(list(resets))
        clipped = run.audit().summary()["saturated_share"]
    if not seen.calls:
        raise ValueError(
            f"run_sampling did not call any layer of the {type(model).__name__}: does it sample this model?"
        )
    if not seen.resets:
        raise ValueError(
            "run_sampling did not call the functions it was given: each must be called before every batch, as "
            "sample(..., on_batch=resets) does"
        )
    return seen, float(clipped)
