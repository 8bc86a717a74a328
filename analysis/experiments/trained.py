"""The first three experiments on a trained model: ablation, distributions, bit sweep.

The model is that of the effort. By default it is the digits model (8×8, 0.65 M parameters), which stands in for the
paper's CIFAR-10 and LSUN models: its numbers say what the method does on a small trained diffusion model, and not what
it does on those.

The work is cut into tasks (arm, micro-batch) whose results are stored by content, so a killed run goes on where it
stopped and gives the same bytes. All arms start from the same noise per image, so comparisons are paired.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from modiff_sim.metrics import psnr, relative_l2
from modiff_sim.nn.sampling import micro_batches

from .. import metrics
from ..running.workspace import spread, store
from .arms import BITS, FULL, RECURSIONS, Arm
from .sizes import Effort, effort_of
from .trained_runs import LEVELS, RECORD_BITS, key, middle_of, record_task, recording_key, sample_task, visited

# -- sampling ---------------------------------------------------------------------------------------


def _ensure(effort: Effort, arms: list[Arm] | tuple[Arm, ...], n: int, label: str) -> None:
    tasks = []
    for arm in arms:
        for index in micro_batches(range(n), effort.batch):
            if not store().has("sample", key(effort, arm, index)):
                tasks.append(partial(sample_task, effort, arm, index))
    spread(tasks, label, apart=effort.name != "quick")


def _load(effort: Effort, arm: Arm, index: int) -> Any:
    return store().load("sample", key(effort, arm, index))


def arm_images(arm: Arm, effort: str | Effort, n: int) -> np.ndarray:
    """Return images 0..n-1 of an arm, float32 (n, C, H, W), about [-1, 1]. What is not stored yet is sampled now."""
    chosen = effort_of(effort)
    _ensure(chosen, [arm], n, f"sampling {arm.label}")
    parts = [_load(chosen, arm, i).arrays["images"] for i in micro_batches(range(n), chosen.batch)]
    return np.concatenate(parts)[:n]


def images(row: dict[str, Any], effort: str | Effort, n: int) -> np.ndarray:
    """Return the same as ``arm_images`` for a row of ``ablation`` (keys recursion, bits, weight_bits)."""
    return arm_images(Arm(row["recursion"], row["bits"], row["weight_bits"]), effort, n)


# -- (a) ablation and (c) bit sweep -----------------------------------------------------------------


def sweep(effort: Effort) -> list[Arm]:
    """Return full precision, quantized weights alone, then every recursion at every number of bits."""
    arms = [FULL]
    for weight_bits in effort.weight_bits:
        arms.append(Arm("direct", 32, weight_bits))
        arms += [Arm(r, b, weight_bits) for r in RECURSIONS for b in effort.widths(BITS)]
    return arms


def ablation(effort: str | Effort) -> list[dict[str, Any]]:
    """Return one row per arm of the sweep, all with the same n and the same noise per image.

    The keys are recursion, bits, weight_bits, label, n and steps; recognised (the share of images that the classifier
    of its training images takes for one of them; None where there is none); psnr and relative_l2 (medians over images,
    to full precision from the same noise); audit_share (of MACs on quantized activations) and activation_bits
    (effective).
    """
    chosen = effort_of(effort)
    arms = sweep(chosen)
    _ensure(chosen, arms, chosen.n, f"sampling {len(arms)} arms of {chosen.n} images")
    full, judge = arm_images(FULL, effort, chosen.n), metrics.of_model(chosen.model)
    rows = []
    for arm in arms:
        made = arm_images(arm, effort, chosen.n)
        audit = _load(chosen, arm, 0).rows[0]
        same = np.array_equal(made, full)
        rows.append({
            "recursion": arm.recursion, "bits": arm.bits, "weight_bits": arm.weight_bits, "label": arm.label,
            "n": chosen.n, "steps": chosen.steps,
            "recognised": judge.report(made)["recognised"] if judge else None,
            "psnr": None if same else float(np.median(psnr(made, full))),
            "relative_l2": 0.0 if same else float(np.median(relative_l2(made, full))),
            "audit_share": audit["mac_share"], "activation_bits": audit["activation_bits"],
        })  # fmt: skip
    return rows


# -- error in the middle block (Fig. 3) -------------------------------------------------------------


def middle_block(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return the relative l2 error of the middle block's output to that of full precision, with weights at 8 bits.

    The arrays are "recursions" (R,), "bits" (B,), "relative_l2" (R, B, steps, images), and "weights_only" (steps,
    images), which is W8A32. All start from the same noise.
    """
    chosen = effort_of(effort)
    middle_of(chosen.model)  # asked before anything is sampled
    widths = chosen.widths(BITS)
    arms = {(r, b): Arm(r, b, 8) for r in RECURSIONS for b in widths}
    extra = Arm("direct", 32, 8)
    _ensure(chosen, [FULL, extra, *arms.values()], chosen.batch, "sampling for the middle block")
    full = _load(chosen, FULL, 0).arrays["middle"].astype(np.float64)

    def error(arm: Arm) -> np.ndarray:
        off = _load(chosen, arm, 0).arrays["middle"] - full
        return np.linalg.norm(off, axis=-1) / np.linalg.norm(full, axis=-1)

    table = np.stack([[error(arms[r, b]) for b in widths] for r in RECURSIONS])
    return {
        "recursions": np.array(RECURSIONS),
        "bits": np.array(widths),
        "relative_l2": table,
        "weights_only": error(extra),
    }


# -- (b) distributions ------------------------------------------------------------------------------


def distributions(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return statistics of what the layers of the full-precision model see, per layer and step, over n_recorded images.

    The arrays are "layers" (L,), names; "steps" (S,), call indices in sampling order; "timesteps" (S,); "levels" (K,);
    and "bits" of the quantizer for c and kappa. For q in a (the input a_t), d (a_t - a_{t+1}) and r (a_t - â_{t+1} of a
    closed loop in which errors do not pass through the network) there are quantiles_q (L, S, K), and the (L, S) arrays
    absmax_q, variance_q, kurtosis_q, norm_q, c_q, kappa_q (medians over images), c_max_q and kappa_max_q (maxima). They
    are NaN at step 0 for d and r.
    """
    chosen = effort_of(effort)
    arrays = store().get("distributions", recording_key(chosen), partial(record_task, chosen)).arrays
    extra = {"steps": np.arange(chosen.steps), "levels": np.array(LEVELS)}
    extra["bits"] = np.array(chosen.width(RECORD_BITS))
    timesteps = visited(chosen).timesteps
    return arrays | extra | {"timesteps": timesteps}
