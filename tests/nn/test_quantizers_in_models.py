"""Every quantizer at every granularity in a layer of a model: bit for bit what the recursion gives with its A.

In the closed loop, and with a scale per sample in the other recursions as well.
"""

import pytest
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim import QUANTIZERS
from modiff_sim import recursion as rec
from modiff_sim.nn import modulated
from modiff_sim.quantizers import make

GRANULARITIES = [ms.PerSample(), ms.PerBatch(), ms.PerChannel(1), ms.PerToken(), ms.PerGroup(4)]
GRANULARITIES += [kind.example() for kind in ms.GRANULARITIES.values() if kind not in {*map(type, GRANULARITIES)}]
SURE = sorted(name for name, kind in QUANTIZERS.items() if not kind.laws.randomised)
LAYERS = {"conv": (lambda: nn.Conv2d(8, 4, 3, padding=1), (2, 8, 4, 4)), "linear": (lambda: nn.Linear(8, 4), (2, 5, 8))}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("name", SURE)  # the random bits of the others are the run's
def test_a_layer_is_the_recursion(name, granularity, layer):
    make_layer, shape = LAYERS[layer]
    torch.manual_seed(0)
    if layer == "conv" and name.startswith("mx") and isinstance(granularity, ms.PerGroup):
        granularity = ms.PerGroup(4, axis=1)  # its blocks lie along what is summed over
    module, Q = make_layer(), make(name, granularity=granularity)
    inputs = list(torch.randn(3, *shape).cumsum(0))
    for recursion in rec.RECURSIONS if granularity == ms.PerSample() else ["closed_loop"]:
        with modulated(module, activations=Q, recursion=recursion) as run:
            made = [module(a) for a in inputs]
            A = run.operators["(root)"]
            with torch.no_grad():
                calls = list(rec.run(recursion, inputs, Q, A.linear, affine=A.affine))
        assert all(torch.equal(y, info.output) for y, (_, info) in zip(made, calls, strict=True))
        assert run.audit().layers[0].quantized_calls == (0 if not Q.has_codes else 3 if recursion == "direct" else 2)


@pytest.mark.parametrize("name", [name for name in QUANTIZERS if name.startswith("mx")])
@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv1d(32, 4, 1), (2, 32, 64)), (nn.Conv2d(3, 4, 1), (2, 3, 32, 32))])
def test_blocks_along_the_width_of_a_picture_are_refused(name, layer, shape):
    """They would fit where the width is a multiple of 32, and be runs that no product sums over."""
    with modulated(layer, activations=make(name)), pytest.raises(ValueError, match=r"PerGroup\(32, axis=1\)"):
        layer(torch.randn(shape))
