"""Full-precision quality: noise is told from digits, and every number is one that can be stored."""

import json
from types import SimpleNamespace

import numpy as np
import torch

from analysis import metrics
from analysis.datasets import digits
from analysis.training import quality


class Nothing(torch.nn.Module):
    """Predicts no noise, which leaves the starting noise, scaled: the worst of all samplers."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, t):
        return SimpleNamespace(sample=torch.zeros_like(x))


def test_measure_tells_noise_from_digits():
    extractor = metrics.EXTRACTORS["digits"]
    found = quality.measure(Nothing().eval(), digits()[0], extractor, 64, 2)
    assert found["frechet"] > 10 * found["frechet_real_halves"]
    assert found["features"] == extractor.name
    assert sum(found["samples"]["histogram"]) == 64
    assert found["real_test_part"]["recognised"] > 0.9
    # 64 of one half against the other half: far nearer than noise, and not as near as halves to each other
    assert found["frechet_real_halves"] < found["frechet_real_same_n"] < 0.5 * found["frechet_noise"]
    assert np.all(np.diff(found["nearest_training_image_p1_p50_p99"]) > 0)
    json.dumps(found)
