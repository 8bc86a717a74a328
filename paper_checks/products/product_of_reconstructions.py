"""What a product of two modulated activations is: the rule of docs/theory.md, section 14, in exact arithmetic."""

from dataclasses import replace

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bilinear
from modiff_sim.testing.checks import _Grid

from .._broken import Dropped, Flipped
from ._controls import unchecked

ORDER = 1
CLAIM = Claim(
    id="product_of_reconstructions",
    statement="ô ← ô + r·b̂' + â·s keeps ô = â·b̂ in the closed loop: the error e_a·b + â·e_b is this call's alone. In "
    "the open loop, with raw references, it is Σ_k ε(Δa_k)·b_k + a_{k-1}·ε(Δb_k) (largest deviation, exactly 0).",
    source="this project, on q·kᵀ and softmax·v, which the paper leaves in full precision",
    relation="equal",
)


def check(
    effort: str = "quick", *, closed="closed_loop", without="open_loop", rule=bilinear.run, with_closed=bilinear.run
) -> Evidence:
    """Compare ô with the rule on integers and a grid of multiples of 4, where operations do not round."""
    n, trials = (12, 64) if effort == "quick" else (60, 256)
    rng = np.random.default_rng(860)
    a = rng.integers(-3, 4, (n, trials, 3, 5)).cumsum(axis=0).astype(np.float64)
    b = rng.integers(-3, 4, (n, trials, 5, 2)).cumsum(axis=0).astype(np.float64)
    off, cases = [], []
    for call, (s, info) in enumerate(with_closed(closed, zip(a, b, strict=True), _Grid(bits=8))):
        e_a, e_b = a[call] - s.left, b[call] - s.right
        lost = [0.0 if x.residual is None else x.residual - x.residual_hat for x in (info.left, info.right)]
        off += [
            np.abs(info.output - s.left @ s.right).max(),
            np.abs(a[call] @ b[call] - info.output - e_a @ b[call] - s.left @ e_b).max(),
            max(np.abs(e - x).max() for e, x in zip((e_a, e_b), lost, strict=True)),
        ]
        cases += [
            f"closed loop, call {call}: {what}" for what in ("ô = â·b̂", "error of the product", "of the operands")
        ]
    total = np.zeros((trials, 3, 2))
    for call, (_, info) in enumerate(rule(without, zip(a, b, strict=True), _Grid(bits=8))):
        if call:
            lost = [x.residual - x.residual_hat for x in (info.left, info.right)]
            total = total + lost[0] @ b[call] + a[call - 1] @ lost[1]
        off.append(np.abs(a[call] @ b[call] - info.output - total).max())
        cases.append(f"open loop, call {call}")
    return Evidence(claimed=np.zeros(len(off)), measured=off, cases=cases, seed=860, note=f"{n} calls, {trials} trials")


def _rule(new_right, new_left):
    """Return a rule that moves ô by r·b + a·s, with the old or the new references."""

    def run(recursion, inputs, Q):
        last, o_hat = None, None
        for state, info in bilinear.run(recursion, inputs, Q):
            if last is None:
                o_hat = info.output
            else:
                right, left = (state if new_right else last).right, (state if new_left else last).left
                o_hat = o_hat + info.left.residual_hat @ right + left @ info.right.residual_hat
            last = state
            yield state, replace(info, output=o_hat)

    return run


first_order = _rule(False, False)  # r·s is dropped
twice = _rule(True, True)  # r·s is counted twice


CONTROLS = [
    ({"with_closed": first_order}, Verdict.VIOLATED),
    ({"with_closed": twice}, Verdict.VIOLATED),
    ({"rule": first_order}, Verdict.VIOLATED),
    ({"closed": Dropped(), "with_closed": unchecked}, Verdict.VIOLATED),
    ({"closed": Flipped(), "with_closed": unchecked}, Verdict.VIOLATED),
    ({"closed": "open_loop"}, Verdict.VIOLATED),
    ({"without": "closed_loop"}, Verdict.VIOLATED),
]
