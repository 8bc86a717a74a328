"""The docstrings of diffusion, transfer, advice, simulation and sweeps: examples run, and every parameter is named."""

from importlib import import_module

import pytest
from docstrings import run_examples, undescribed

from modiff_sim import GRANULARITIES, QUANTIZERS, RECURSIONS, transfer
from modiff_sim.diffusion.samplers import SAMPLERS

#: module -> its documented names
DOCUMENTED = {
    "modiff_sim.advice.recommendation": ("Recommendation", "Recommendations", "default_candidates", "recommend"),
    "modiff_sim.advice.regimes": (
        "boundary",
        "cheapest",
        "effective_bits",
        "error",
        "longest_run",
        "winner",
        "worst_inputs",
    ),
    "modiff_sim.diffusion.denoisers": ("Linear", "MixtureDenoiser", "modulated_denoiser"),
    "modiff_sim.diffusion.mixture_sampling": ("quantized_sampling", "sample_mixture", "wasserstein2"),
    "modiff_sim.diffusion.mixtures": ("GaussianMixture", "grid", "ring"),
    "modiff_sim.diffusion.noise": ("FixedNoise", "image_noise"),
    "modiff_sim.diffusion.samplers": ("Sampler",),
    "modiff_sim.diffusion.schedules": ("Schedule", "linear"),
    "modiff_sim.simulation": ("Result", "simulate"),
    "modiff_sim.simulation.processes": (
        "Process",
        "adversarial",
        "alternating",
        "ar1",
        "burst",
        "geometric",
        "random_walk",
        "recorded",
    ),
    "modiff_sim.simulation.recordings": ("read_recording",),
    "modiff_sim.simulation.summary": ("Summary",),
    "modiff_sim.sweeps.saved": ("save",),
    "modiff_sim.sweeps": ("Output", "Store", "key", "run", "table", "verify"),
    "modiff_sim.transfer": tuple(name for name in transfer.__all__ if name not in ("Edit", "Network")),  # types
    "modiff_sim.transfer.prediction": (
        "Noise",
        "Prediction",
        "amplification",
        "cliff",
        "predict",
        "quantization_noise",
    ),
}
NAMES = [f"{module}.{name}" for module, names in DOCUMENTED.items() for name in names]
#: every sampler, granularity and quantizer, wherever it is defined
REGISTERED = {
    **{f"sampler {name}": sampler.function for name, sampler in SAMPLERS.items()},
    **{f"granularity {name}": kind for name, kind in GRANULARITIES.items()},
    **{f"quantizer {name}": kind for name, kind in QUANTIZERS.items()},
    **{f"recursion {name}": type(recursion) for name, recursion in RECURSIONS.items()},
}


def documented(path: str) -> object:
    if path in REGISTERED:
        return REGISTERED[path]
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", [*NAMES, *REGISTERED])
def test_the_examples_of_a_docstring_give_what_they_show(path: str) -> None:
    run_examples(documented(path), path)


@pytest.mark.parametrize("path", [*NAMES, *REGISTERED])
def test_a_docstring_names_every_parameter(path: str) -> None:
    missing = undescribed(documented(path))
    assert not missing, f"{path}: Parameters does not name {', '.join(sorted(missing))}"
