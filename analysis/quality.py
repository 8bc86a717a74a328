"""Full-precision quality of the zoo's models: ``python -m analysis.quality NAME`` stores the numbers in its json.

Reported before any quantized number: what an arm loses says nothing where the model itself is bad.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from modiff_sim.nn import image_noise, sample

from . import metrics
from .datasets import digits, split


def measure(model: torch.nn.Module, images: int = 1024, steps: int = 50) -> dict[str, Any]:
    """Full-precision quality of the digits model (DDIM, eta 0, quad), beside what real digits and noise score."""

    def report(images: np.ndarray) -> dict[str, Any]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in metrics.classifier_report(images).items()}

    samples = sample(model, images=images, steps=steps, spacing="quad", shape=(1, 8, 8))
    noise = np.stack([image_noise(0, i).standard_normal((1, 8, 8), dtype=np.float32) for i in range(images)])
    real, _ = digits()
    half, other = split(len(real), test_share=0.5)
    f, f_real = metrics.features(samples), metrics.features(real)
    near, within = metrics.nearest_distance(samples, real), metrics.nearest_distance(real)
    return {
        "images": images, "sampler": f"ddim, eta 0, quad, {steps} steps", "seed": 0,
        "threads": torch.get_num_threads(), "features": metrics.FEATURE_NAME,
        "frechet": round(metrics.frechet_distance(f, f_real), 3),
        "frechet_first_256": round(metrics.frechet_distance(f[:256], f_real), 3),
        "frechet_real_halves": round(metrics.frechet_distance(f_real[half], f_real[other]), 3),
        "frechet_noise": round(metrics.frechet_distance(metrics.features(noise), f_real), 1),
        "samples": report(samples), "real_test_part": report(real[split(len(real))[1]]),
        "nearest_training_image_p1_p50_p99": np.quantile(near, [0.01, 0.5, 0.99]).round(3).tolist(),
        "real_to_nearest_real_p1_p50_p99": np.quantile(within, [0.01, 0.5, 0.99]).round(3).tolist(),
        "share_nearer_than_p1_of_real": round(float((near < np.quantile(within, 0.01)).mean()), 4),
    }  # fmt: skip
