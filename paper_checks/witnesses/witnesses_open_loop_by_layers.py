"""Which layers are modulated does not decide whether modulation without compensation helps; the sampler does."""

from modiff_sim import Claim, Evidence

from ._witnesses import QUANTIZED, judged, signed_by_sampler

ORDER = 4
LIVE = True  # of committed rows
CLAIM = Claim(
    id="witnesses_open_loop_by_layers",
    statement=f"{QUANTIZED}, at 6 and at 4 bits: without the time path, and with convolutions alone, it is as with all "
    "layers: modulation without compensation is nearer to full-precision activations than direct quantization under a "
    "deterministic sampler, and farther under a stochastic one (difference in dB, with its sign changed for the "
    "stochastic one, above 0).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, better: str = "deterministic", layers: tuple[str, ...] = ("no time path", "convolutions")
) -> Evidence:
    """Measure the mean difference in dB of every witness, sampler and selection, times the sign that is claimed."""
    return judged(signed_by_sampler(better, bits=(6, 4), layers=layers), claimed=0.0)
