"""Numbers in the paper that can be checked against other numbers in the paper."""

from modiff_sim import Claim, Evidence, Verdict

from ._cost import TABLE_1

ORDER = 3.5
LIVE = True  # it only counts
#: what is printed where -> (printed, what the other numbers of the paper make it, how)
PRINTED = {
    "text, GBops at W8A3": (154, TABLE_1[8, 3], "Table 1"),
    "Table 2, GBops at W8A6 over those at W8A8": (1254 / 1254, 6 / 8, "bits of the activations"),
    "Table 2, GBops at W8A4 over those at W8A8": (1254 / 1254, 4 / 8, "bits of the activations"),
    "Table 2, GBops at W8A3 over those at W8A8": (1254 / 1254, 3 / 8, "bits of the activations"),
    "Table 3, GBops at W8A6": (4609, 6390 * 6 / 8, "6/8 of W8A8"),
    "Table 19, GBops at W8A8": (918, 2 * TABLE_1[8, 8], "2 times Table 1"),
    "Table 20, GBops at W8A8": (1836, 4 * TABLE_1[8, 8], "4 times Table 1"),
    "Table 21, GBops at W8A8": (3672, 8 * TABLE_1[8, 8], "8 times Table 1"),
    "Table 21, GBops at W8A2": (906, 8 * TABLE_1[8, 2], "8 times Table 1"),
}
CLAIM = Claim(
    id="print_agrees_with_itself",
    statement="The paper's bit operations agree with each other: a number that follows from others, by the bits or by "
    "the batch, is the one that is printed (printed number over the one that follows; at the reader's desk, no "
    'stand-in). Besides, Tables 12 and 13, "4-bit weights", repeat Tables 2 and 3, and Table 7 says PLMS in its '
    "caption and DPM in the text.",
    source="Tables 1-3 and 19-21, text",
    relation="equal",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="154; 1254; 4609; 918, 1836, 3672; 906",
    reading="GBops are proportional to the bits of the activations and to the batch",
)


def check(effort: str = "quick", *, printed=None) -> Evidence:
    """Compare every number with what the others make it."""
    table = PRINTED if printed is None else printed
    off = {where: said / follows for where, (said, follows, _) in table.items()}
    return Evidence(
        claimed=1.0,
        measured=list(off.values()),
        atol=0.005,  # whole numbers of three digits or more
        cases=[
            f"{where}: {said:g} is printed, {follows:g} follows ({how})"
            for where, (said, follows, how) in table.items()
        ],
        params={"numbers": len(table), "off": sum(abs(ratio - 1) > 0.005 for ratio in off.values())},
    )


CONTROLS = [
    ({"printed": {where: (follows, follows, how) for where, (_, follows, how) in PRINTED.items()}}, Verdict.HOLDS),
]
