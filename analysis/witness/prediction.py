"""The cliff predicted from recorded transfer: how few bits a witness takes, said before it is quantized, and measured.

The error of a sample is predicted by the energy theory of the loop (``modiff_sim.transfer.prediction``) from the
transfer of network and sampler along a run in full precision, and from what a quantizer makes of the layers' own
inputs there. Layers that see the same in all samples, those of the time path, are quantized alone, and the effect is
measured. Nothing else comes from a quantized run. The sampler is the deterministic one, weights are not quantized, and
there is one scale per sample.

A sampler that clips x̂₀ is linear in the ε̂ that belongs to the clipped x̂₀: this ε̂ is what the network is taken to
give. Values that are known, and not imputed, are left out of x, since the network does not look at them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

import modiff_sim as ms
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.samplers.common import predictor
from modiff_sim.nn import image_noise, modulated, probed, sample
from modiff_sim.nn.measure.transfer import Probed
from modiff_sim.nn.sampling import denoiser
from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.output import Output
from modiff_sim.transfer import Transfer, drive, full_precision, linear_steps, measure_transfer, same_for_all
from modiff_sim.transfer.prediction import predict, quantization_noise

from ..running.code_key import expect, source_of
from ..running.workspace import store
from .measure import SEED, THREADS
from .witnesses import WITNESSES, conditions, load

NAME, SAMPLER = "witness-prediction", "deterministic"
RECURSIONS, BITS = ("direct", "open_loop", "closed_loop"), (2, 3, 4, 5, 6, 7, 8)
#: (recursion, bits) of everything that is predicted and measured
ARMS = tuple((recursion, bits) for recursion in RECURSIONS for bits in BITS)
FULL = ("full precision", 32)
MEASURED = "measured"


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    ``samples`` are those along which the transfer is measured and everything is predicted, ``images`` are sampled of
    every arm, in micro-batches of ``batch``; the others are those of ``measure_transfer``.
    """

    samples: int
    images: int
    batch: int
    probe_every: int = 3
    source_every: int = 2
    lasting_every: int = 3


#: a sample of CSDI takes 8 times as long as one of pulfer
PLANS = {"pulfer": Plan(16, 128, 32), "csdi": Plan(4, 16, 8)}


def _unchanged(transfer: Transfer) -> Transfer:
    return transfer


def _never_aligned(transfer: Transfer) -> Transfer:
    return replace(transfer, alignment=0.0)


def _forgets(transfer: Transfer) -> Transfer:
    """An error of ε̂ is in the next x alone."""
    kept, calls = np.zeros_like(transfer.impulse), np.arange(len(transfer.impulse))
    kept[calls, calls + 1] = transfer.impulse[calls, calls + 1]
    return replace(transfer, impulse=kept)


#: what is predicted -> (change of the transfer, options of ``predict``); all but the first lack a part of the theory
THEORIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "predicted": (_unchanged, {}),
    "predicted without feedback": (_unchanged, {"feedback": False}),
    "predicted without alignment": (_never_aligned, {}),
    "predicted without memory of x": (_forgets, {}),
}


def source() -> str:
    """Return the sha256 of the code that decides what is predicted and measured."""
    return source_of(__name__, names=RECURSIONS)


def judged(network: ModuleType, indices: range) -> np.ndarray:
    """Return which values of these samples count, float32 (n, ...): all, or those that are imputed."""
    if not hasattr(network, "shown"):
        return np.ones((len(indices), *network.SHAPE), np.float32)
    hidden: np.ndarray = (~network.shown(indices)).astype(np.float32)
    return hidden


@contextmanager
def linearized(
    name: str, folder: Path, samples: int, *, leave_out: Collection[str] = ()
) -> Iterator[tuple[Probed, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    """Yield a witness as a network whose sampler is linear, without the layers left out; where it starts; the steps."""
    model, network, indices = load(name, folder), WITNESSES[name].network, range(samples)
    options = dict(network.SAMPLERS[SAMPLER])
    sampler, steps, clip = SAMPLERS[options.pop("sampler")], options.pop("steps"), options.pop("clip", None)
    along, given, counts = network.schedule().spaced(steps), conditions(name, folder, indices), judged(network, indices)
    levels = list(along.levels())

    def forward(x: Tensor, call: int) -> Tensor:
        def repeated(value: Tensor) -> Tensor:
            return value.repeat(len(x) // samples, *(1,) * (value.ndim - 1))

        t, here, _ = levels[call]
        ask = denoiser(model, {key: repeated(value) for key, value in given.items()})
        noise: Tensor = predictor(ask, along, clip)(x, t, here)[1]
        return noise * repeated(torch.from_numpy(counts))

    x = np.stack([image_noise(SEED, i).standard_normal(network.SHAPE, dtype=np.float32) for i in indices]) * counts
    with probed(model, forward=forward, where=lambda layer, _: layer not in leave_out) as found:
        found.discover(x)
        yield found, x, linear_steps(sampler, along, **options)


def theory(name: str, folder: Path, plan: Plan) -> dict[str, np.ndarray]:
    """Return the relative l2 error of each sample that each of ``THEORIES`` predicts, float64 (ARMS, samples)."""
    quantizers = [(ms.AbsMax(bits, granularity=ms.PerSample()), recursion) for recursion, bits in ARMS]
    with linearized(name, folder, plan.samples) as (net, x, steps):
        inputs = full_precision(net, x, steps)
        clocked = [layer for layer, alike in zip(net.layers, same_for_all(inputs), strict=True) if alike]
        inputs = [a for layer, a in zip(net.layers, inputs, strict=True) if layer not in clocked]
        known = drive(net, x, steps, quantizers, clocked)
    with linearized(name, folder, plan.samples, leave_out=clocked) as (net, x, steps):
        transfer = measure_transfer(
            net, x, steps, probe_every=plan.probe_every, source_every=plan.source_every,
            lasting_every=plan.lasting_every, seed=SEED,
        )  # fmt: skip
        found: dict[str, list[np.ndarray]] = {each: [] for each in THEORIES}
        for (Q, recursion), given in zip(quantizers, known, strict=True):
            noise = quantization_noise(inputs, Q, recursion, net.linear)
            for each, (change, options) in THEORIES.items():
                made = predict(change(transfer), noise, known=given.of(transfer.layers), **options)
                found[each].append(made.relative[-1])
    return {each: np.array(errors) for each, errors in found.items()}


def points(name: str) -> list[dict[str, Any]]:
    """Return what is predicted, as one point, and the micro-batches of every arm, with what decides their bytes."""
    plan = PLANS[name]
    fixed = {"model": name, "model_sha256": WITNESSES[name].sha256, "threads": THREADS, "dtype": "float32",
             "seed": SEED, "source": source(), "batch": plan.batch}  # fmt: skip
    arms = [
        fixed | {"arm": list(arm), "micro_batch": index}
        for arm in (FULL, *ARMS)
        for index in range(plan.images // plan.batch)
    ]
    return [*arms, fixed | {"plan": asdict(plan)}]


def compute(folder: Path, point: Mapping[str, Any]) -> Output:
    """Predict the errors of all arms, or sample a micro-batch of one."""
    name = point["model"]
    expect(point, source=source(), model_sha256=WITNESSES[name].sha256)
    torch.set_num_threads(point["threads"])
    if "plan" in point:
        return Output({}, theory(name, folder, Plan(**point["plan"])))
    model, network, (recursion, bits) = load(name, folder), WITNESSES[name].network, point["arm"]
    indices = range(point["micro_batch"] * point["batch"], (point["micro_batch"] + 1) * point["batch"])
    given = conditions(name, folder, indices)

    def sampled(run: Any = None) -> Output:
        made = sample(
            model, images=indices, batch=point["batch"], seed=point["seed"], shape=network.SHAPE, run=run,
            schedule=network.schedule(), conditions=given, **network.SAMPLERS[SAMPLER],
        )  # fmt: skip
        return Output({}, {"values": made * judged(network, indices)})

    if (recursion, bits) == FULL:
        return sampled()
    with modulated(model, activations=ms.AbsMax(bits, granularity=ms.PerSample()), recursion=recursion) as run:
        return sampled(run)


def measure(name: str, folder: Path, *, workers: int | None = None) -> list[dict[str, Any]]:
    """Return rows: of every arm the relative l2 errors of samples, as predicted by each theory and as measured.

    If it is interrupted, the same call goes on.
    """
    load(name, folder)  # a wrong file is refused before anything is begun
    needed = points(name)
    sweep.run(needed, partial(compute, folder), store(), name=NAME, workers=workers, label=f"predicting {name}")

    def values(arm: Sequence[Any]) -> np.ndarray:
        parts = [store().load(NAME, point).arrays["values"] for point in needed if point.get("arm") == list(arm)]
        return np.concatenate(parts).reshape(PLANS[name].images, -1).astype(np.float64)

    predicted, full = store().load(NAME, needed[-1]).arrays, values(FULL)
    rows = []
    for i, (recursion, bits) in enumerate(ARMS):
        off = np.linalg.norm(values((recursion, bits)) - full, axis=1) / np.linalg.norm(full, axis=1)
        errors = {theory: predicted[theory][i] for theory in THEORIES} | {MEASURED: off}
        rows += [{"recursion": recursion, "bits": bits, "what": w, "samples": e} for w, e in errors.items()]
    return rows
