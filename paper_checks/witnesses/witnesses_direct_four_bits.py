"""Direct quantization fails at 4 bits on models that nobody here trained."""

from modiff_sim import Claim, Evidence

from ._witnesses import QUANTIZED, chosen, judged

ORDER = 2
LIVE = True  # of committed rows
TWICE = 6.0206  # dB
CLAIM = Claim(
    id="witnesses_direct_four_bits",
    statement=f"{QUANTIZED}: direct quantization fails at 4 bits, where failing means that 4-bit activations add more "
    "than twice (6 dB) the error that 8-bit weights make alone.",
    source="this project, after section 5",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, recursion: str = "direct", bits: int = 4) -> Evidence:
    """Measure by how many dB the distance of W8A32 to full precision is smaller than the arm's to W8A32."""
    from analysis.witness.arms import baseline
    from analysis.witness.rows import committed

    values = []
    for name, arm in chosen(recursion=recursion, bits=bits, layers="all"):
        rows = committed(name)
        added = rows.of(baseline(arm.sampler), "to_full") - rows.of(arm, "to_baseline")
        values.append((f"{name}, {arm.label}", added))
    return judged(values, claimed=TWICE)
