"""Table 1's GBops: are they products of three numbers, and how many multiply-accumulates do they take for granted?"""

from modiff_sim import Claim, Evidence, Verdict

from ._cost import SHAPES, TABLE_1, cifar10

ORDER = 3
LIVE = True  # it only counts
NEAR = 0.03  # the recount's distance: attention is 2.6 % of the whole, and conventions for it differ
CLAIM = Claim(
    id="printed_gbops",
    statement=f"{SHAPES}: Table 1's GBops are multiply-accumulates times weight bits times activation bits: its eleven "
    "numbers follow from one of them within one of the last digit, and a recount of convolutions, linear layers and "
    "attention products comes within 3 % of that.",
    source="Table 1 and section 5",
    relation="equal",
    topic="practice",
    printed=True,
    quote="1636, 818, 409, 307, 205, 153, 102, 204, 153, 102, 77",
    reading="GBops are multiply-accumulates times the bits of both operands",
    instead=("ten_times_over_a_run",),
)


def check(effort: str = "quick", *, attention: float = 1.0, power: float = 1.0) -> Evidence:
    """Compare the table with multiples of its first number, and that with a recount.

    ``attention`` operations are counted per multiply-accumulate of q·k and softmax·v. ``power`` is that of the bits.
    """
    shapes = cifar10()
    (weight_bits, bits), first = next(iter(TABLE_1.items()))
    said = first / (weight_bits * bits)  # 10⁹ multiply-accumulates
    found = (shapes.macs + attention * shapes.attention_macs) / 1e9
    scale = [(w * a / (weight_bits * bits)) ** power for w, a in TABLE_1]
    return Evidence(
        claimed=[*TABLE_1.values(), 1.0],
        measured=[*(first * s for s in scale), found / said],
        cases=[*(f"W{w}A{a}" for w, a in TABLE_1), "a recount over the number that the table takes"],
        # they are printed as whole numbers that are not all rounded the same way: 205 at W8A4, 204 at W4A8
        atol=[1.0] * len(TABLE_1) + [NEAR],
        params={"macs": shapes.macs, "attention_macs": shapes.attention_macs},
        note=f"{first} GBops are {said:.3f} GMAC; recounted {shapes.macs / 1e9:.3f} in layers and "
        f"{shapes.attention_macs / 1e9:.3f} in attention, {found:.3f} together",
    )


CONTROLS = [
    ({"attention": 0.0}, Verdict.VIOLATED),
    ({"power": 1.1}, Verdict.VIOLATED),
]
