"""What the claims on cost and memory share: the paper's numbers, and the shapes of the model that they are about."""

from __future__ import annotations

from modiff_sim.cost import ModelShapes

SHAPES = "On the shapes of the CIFAR-10 U-Net itself (no stand-in)"
CALLS = 100  # DDIM steps of the paper's CIFAR-10 runs
#: (weight bits, activation bits) -> GBops, Table 1
TABLE_1 = {
    (8, 32): 1636, (4, 32): 818, (8, 8): 409, (8, 6): 307, (8, 4): 205, (8, 3): 153, (8, 2): 102,
    (4, 8): 204, (4, 6): 153, (4, 4): 102, (4, 3): 77,
}  # fmt: skip
#: the paper's memory for this model is a line in bits times batch: MiB at 0, and MiB per bit and image
PRINTED_MIB, PRINTED_SLOPE = 34.09, 0.60
HALF_A_DIGIT = 0.005  # half of the last digit of numbers that are printed with two decimals


def cifar10() -> ModelShapes:
    """Return the shapes of one call at batch 1."""
    from modiff_sim.nn.models.architectures import shapes_of

    return shapes_of("cifar10")


def speed_ups(base: tuple[float, int], bits: int, *, weight_bits: int = 8) -> tuple[list[float], list[str]]:
    """Return how many times fewer bit operations a compensated run takes than a base of (activation bits, full calls).

    There are three accounts: one step; a run, whose first call is in full precision; and a run in which both sides
    include the attention products, which the released code does not quantize (32 bits by 32).
    """
    from modiff_sim import cost

    shapes = cifar10()
    base_bits, base_full = base

    def run(activation_bits: float, full: int, products: bool) -> float:
        layers = cost.run_bops(shapes.macs, weight_bits, activation_bits, CALLS, full)
        return layers + (cost.run_bops(shapes.attention_macs, 32, 32, CALLS, 0) if products else 0.0)

    step = cost.bops(1, weight_bits, base_bits) / cost.bops(1, weight_bits, bits)
    ratios = [step] + [run(base_bits, base_full, p) / run(bits, 1, p) for p in (False, True)]
    return ratios, ["one step", "a run with its first call in full precision", "and attention left in full precision"]
