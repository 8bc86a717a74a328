"""Whether modulation without compensation helps depends on the sampler."""

from modiff_sim import Claim, Evidence

from ._witnesses import QUANTIZED, judged, signed_by_sampler

ORDER = 3
LIVE = True  # of committed rows
CLAIM = Claim(
    id="witnesses_open_loop_by_sampler",
    statement=f"{QUANTIZED}, all layers, at 6 and at 4 bits: modulation without compensation is nearer to "
    "full-precision activations than direct quantization under a deterministic sampler, and farther under a stochastic "
    "one (difference in dB, with its sign changed for the stochastic one, above 0).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, better: str = "deterministic", bits=(6, 4), layers: str = "all") -> Evidence:
    """Measure the mean difference in dB of every witness and sampler, times the sign that is claimed."""
    return judged(signed_by_sampler(better, bits=bits, layers=layers), claimed=0.0)
