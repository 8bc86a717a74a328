"""The energy theory of the loop on a trained model: what it predicts, and what sampling shows.

The transfer of network and sampler is measured on the first ``samples`` images in full precision, and so is what the
quantizer does to the layers' inputs. The layers of the time path see the same in all images: their error is known, and
its effect is measured by quantizing them alone (``modiff_sim.transfer.drive``). Nothing else of the prediction comes
from a quantized run. It is compared with the first ``images`` images of every recursion at every number of bits,
against full precision from the same noise, with unquantized weights. Everything is stored by content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.nn import image_noise, probed
from modiff_sim.nn.measure.transfer import Probed
from modiff_sim.transfer import (
    Driven,
    Transfer,
    drive,
    full_precision,
    linear_steps,
    measure_transfer,
    random_sign_gain,
    same_for_all,
)
from modiff_sim.transfer.prediction import Noise, Prediction, predict, quantization_noise

from ..running.code_key import source_of
from ..running.workspace import spread, store
from ..sampling.micro_batch import model_of
from .arms import FULL, RECURSIONS, Arm
from .sizes import Effort, effort_of
from .trained_runs import settings, visited

BITS = (2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class PredictionSettings:
    """How much is measured. ``images`` counts those of every quantized arm; see ``measure_transfer`` for the others."""

    samples: int = 8
    probe_every: int = 2
    source_every: int = 2
    lasting_every: int = 3
    images: int = 16


PLANS = {"quick": PredictionSettings(), "full": PredictionSettings(probe_every=3, images=32)}


def plan_of(effort: str | Effort) -> tuple[Effort, PredictionSettings]:
    """Return settings and plan of this effort. Raises ValueError, which lists the known ones, for another."""
    chosen = effort_of(effort)
    return chosen, PLANS[chosen.name]


def widths(effort: str | Effort) -> tuple[int, ...]:
    """Return the numbers of bits that are predicted and sampled."""
    return effort_of(effort).widths(BITS)


def arms_of(effort: str | Effort) -> tuple[tuple[str, int], ...]:
    """Return every (recursion, bits) of them."""
    return tuple((recursion, bits) for recursion in RECURSIONS for bits in widths(effort))


def _params(effort: Effort, plan: PredictionSettings, **more: Any) -> dict[str, Any]:
    return settings(effort, source_of(__name__)) | {"plan": asdict(plan)} | more


@contextmanager
def network(effort: Effort, samples: int, *, leave_out: Collection[str] = ()) -> Iterator[tuple[Probed, np.ndarray]]:
    """Yield the trained model, ready to be measured without the layers left out, and the noise of the first images."""
    before = torch.get_num_threads()
    torch.set_num_threads(effort.threads)
    try:
        subject, along = model_of(effort.model), visited(effort)
        if subject.conditions or along.prediction != "epsilon" or along.defaults:
            raise ValueError(
                f"{effort.model}: a prediction is of a model without conditions that predicts the noise, and of a "
                f"sampler without clipping and other options (this one predicts {along.prediction}, with "
                f"{dict(along.defaults) or 'no'} options)"
            )
        size = subject.shape
        x = np.stack([image_noise(effort.seed, i).standard_normal(size, dtype=np.float32) for i in range(samples)])
        timesteps = along.timesteps.tolist()
        with probed(subject.model, timesteps=timesteps, where=lambda name, _: name not in leave_out) as found:
            found.discover(x)
            yield found, x
    finally:
        torch.set_num_threads(before)


def _steps(effort: Effort) -> tuple[np.ndarray, np.ndarray]:
    return linear_steps(SAMPLERS["ddim"], visited(effort))


def known(effort: str | Effort) -> tuple[tuple[str, ...], dict[tuple[str, int], Driven]]:
    """Return the names of the layers that see the same in all images, and (recursion, bits) -> what their errors do."""
    (chosen, plan), pairs = plan_of(effort), arms_of(effort)

    def measure() -> dict[str, np.ndarray]:
        with network(chosen, plan.samples) as (net, x):
            same = same_for_all(full_precision(net, x, _steps(chosen)))
            clocked = [name for name, alike in zip(net.layers, same, strict=True) if alike]
            arms = [(Arm(r, b).activations, r) for r, b in pairs]
            found = drive(net, x, _steps(chosen), arms, clocked)
        arrays = {"x": np.array([d.x for d in found], np.float32), "layers": np.array(found[0].layers)}
        return arrays | {"moved": np.array([d.moved for d in found], np.float32), "clocked": np.array(clocked)}

    arrays = store().get("known-error", _params(chosen, plan, arms=pairs), measure).arrays
    layers = tuple(map(str, arrays["layers"]))
    x, moved = arrays["x"].astype(np.float64), arrays["moved"].astype(np.float64)
    return tuple(map(str, arrays["clocked"])), {arm: Driven(layers, x[i], moved[i]) for i, arm in enumerate(pairs)}


def transfer(effort: str | Effort) -> Transfer:
    """Return the RMS transfer of model and DDIM sampler along a full-precision run, without the time path's layers."""
    chosen, plan = plan_of(effort)

    def measure() -> dict[str, np.ndarray]:
        with network(chosen, plan.samples, leave_out=known(effort)[0]) as (net, x):
            return measure_transfer(
                net,
                x,
                _steps(chosen),
                probe_every=plan.probe_every,
                source_every=plan.source_every,
                lasting_every=plan.lasting_every,
                seed=chosen.seed,
            ).arrays()

    return Transfer.from_arrays(store().get("transfer", _params(chosen, plan), measure).arrays)


PARTS = ("contraction", "gain", "correlation")


def noises(effort: str | Effort) -> dict[tuple[str, int], Noise]:
    """Return (recursion, bits) -> what the quantizer does to the own inputs of the layers of ``transfer``."""
    (chosen, plan), pairs = plan_of(effort), arms_of(effort)

    def measure() -> dict[str, np.ndarray]:
        with network(chosen, plan.samples, leave_out=known(effort)[0]) as (net, x):
            inputs = full_precision(net, x, _steps(chosen))
            found = [quantization_noise(inputs, Arm(r, b).activations, r, net.linear) for r, b in pairs]
        return {part: np.array([getattr(noise, part) for noise in found], np.float32) for part in PARTS}

    arrays = store().get("quantization-noise", _params(chosen, plan, arms=pairs), measure).arrays
    wide = {part: arrays[part].astype(np.float64) for part in PARTS}
    return {arm: Noise(arm[0], **{part: wide[part][i] for part in PARTS}) for i, arm in enumerate(pairs)}


def predictions(
    effort: str | Effort, change: Callable[[Transfer], Transfer] = lambda along: along, **options: Any
) -> dict[tuple[str, int], Prediction]:
    """Return (recursion, bits) -> the predicted error.

    ``change`` is applied to the measured transfer, for negative controls. Options are passed to
    ``modiff_sim.transfer.prediction.predict``.
    """
    along, given = change(transfer(effort)), known(effort)[1]
    return {
        arm: predict(along, noise, known=given[arm].of(along.layers), **options)
        for arm, noise in noises(effort).items()
    }


def _run(effort: Effort, plan: PredictionSettings, arm: Arm) -> dict[str, np.ndarray]:
    """Return the sampler's state after every call as "x", float32 (T, images, values)."""
    before = torch.get_num_threads()
    torch.set_num_threads(effort.threads)
    try:
        subject, seen = model_of(effort.model), []
        with arm.on(subject.model) as run:
            subject.sample(
                plan.images,
                steps=effort.steps,
                spacing=effort.spacing,
                batch=plan.images,
                seed=effort.seed,
                run=run,
                callback=lambda call, t, x, x0: seen.append(x.flatten(1).numpy().copy()),
            )
    finally:
        torch.set_num_threads(before)
    return {"x": np.stack(seen)}


def _arm(effort: Effort, plan: PredictionSettings, arm: Arm) -> None:
    params = _params(effort, plan, arm=asdict(arm))
    store().get("trajectory", params, partial(_run, effort, plan, arm))


def measured(effort: str | Effort) -> dict[tuple[str, int], np.ndarray]:
    """Return (recursion, bits) -> relative l2 error of x after every call to full precision's, shape (T, images)."""
    chosen, plan = plan_of(effort)
    arms = {(r, b): Arm(r, b) for r, b in arms_of(effort)}
    missing = [
        partial(_arm, chosen, plan, arm)
        for arm in (FULL, *arms.values())
        if not store().has("trajectory", _params(chosen, plan, arm=asdict(arm)))
    ]
    spread(missing, f"{plan.images} images of {len(missing)} arms")

    def x(arm: Arm) -> np.ndarray:
        return store().load("trajectory", _params(chosen, plan, arm=asdict(arm))).arrays["x"].astype(np.float64)

    full = x(FULL)
    size = np.linalg.norm(full, axis=2)
    return {key: np.linalg.norm(x(arm) - full, axis=2) / size for key, arm in arms.items()}


def loop_gain(effort: str | Effort, *, calls: int = 5, probes: int = 8, size: float = 1e-3) -> np.ndarray:
    """Return lower bounds of the loop gain L in the max norm from random signs, shape (calls, probes, samples).

    ``calls`` are spread evenly over the run, and ``size`` is absolute; see ``modiff_sim.transfer.random_sign_gain``.
    """
    chosen, plan = plan_of(effort)

    def measure() -> dict[str, np.ndarray]:
        carry, add = _steps(chosen)
        rng = np.random.default_rng(chosen.seed)
        with network(chosen, plan.samples) as (net, x):
            wanted = np.linspace(0, len(carry) - 1, calls).astype(int)
            states = np.concatenate([x[None], _states(net, x, carry, add)])
            found = [random_sign_gain(net, states[t], int(t), size=size, probes=probes, rng=rng) for t in wanted]
        return {"gain": np.stack(found)}

    params = _params(chosen, plan, calls=calls, probes=probes, size=size)
    return np.asarray(store().get("loop-gain", params, measure).arrays["gain"])


def _states(net: Probed, x: np.ndarray, carry: np.ndarray, add: np.ndarray) -> np.ndarray:
    """Return x after every call in full precision, shape (T, n, ...)."""
    seen = []
    for call in range(len(carry)):
        out = net(x, call, lambda layer, a: a)
        x = (carry[call] * x + add[call] * out).astype(x.dtype)
        seen.append(x)
    return np.stack(seen)


def comparison(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return predicted and measured errors side by side.

    The arrays are "recursions" (R,) and "bits" (B,); the relative l2 errors of x after every call, "predicted" (R, B,
    T, samples) and "measured" (R, B, T, images); and "loop_gain", the lower bound of L, a number.
    """
    predicted, errors, numbers = predictions(effort), measured(effort), widths(effort)
    return {
        "recursions": np.array(RECURSIONS), "bits": np.array(numbers),
        "predicted": np.stack([[predicted[r, b].relative for b in numbers] for r in RECURSIONS]),
        "measured": np.stack([[errors[r, b] for b in numbers] for r in RECURSIONS]),
        "loop_gain": loop_gain(effort).max(),
    }  # fmt: skip
