"""The max-norm bound inside a whole sampler, where the inputs depend on the quantized outputs."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds

from .. import _mixture, _shared
from .._broken import Flipped, halved
from .._mixture import MIXTURE, Paired, Trace

ORDER = 11
CLAIM = Claim(
    id="mixture_bound_holds",
    statement="||a-â||_∞ ≤ Σ_k κ^(age+1)||d_k||_∞ holds at every call of both layers of a whole quantized sampling "
    "run, though the loop is closed through the sampler: with d_k the differences of the quantized run, not of full "
    "precision (largest error over bound, b = 2..8).",
    source="this project, beyond Theorem 4.4",
    relation="upper",
)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    bound=bounds.max_norm_closed_loop,
    differences: str = "quantized",
    steps: int | None = None,
) -> Evidence:
    """Measure the error of a layer over its bound along whole sampling runs.

    The proof only uses e_j = r - Q(r) with r = d_j + e_{j-1}, and not where a_j comes from. So the bound does not need
    exogenous inputs, which Theorem 4.4 assumes. It does not bound d_k itself, which quantization changes: with the
    differences of the full-precision run the bound fails.
    """
    n, steps = (16, steps or 30) if effort == "quick" else (128, steps or 100)
    pair = Paired(n, 638)
    measured, atol, cases = [], [], []
    for sampler in ("ddim", "ddpm"):
        full = [Trace("logits"), Trace("mean")]
        pair.run(sampler, steps, 32, "direct", observers=full)
        for bits in range(2, 9):
            traces = [Trace("logits"), Trace("mean")]
            pair.run(sampler, steps, bits, recursion, observers=traces)
            for trace, exact in zip(traces, full, strict=True):
                source = trace.a if differences == "quantized" else exact.a
                error = np.abs(trace.a - trace.a_hat).max(axis=2)[1:]
                d = np.abs(np.diff(source, axis=0)).max(axis=2)
                # a call rounds the residual and the sum â: 8·eps·max|a| each, as in _shared.run_inputs
                slack = 8 * _shared.EPS * np.arange(1, steps)[:, None] * np.abs(trace.a).max(axis=(0, 2))
                worst = _shared.Worst.none(steps - 1)
                name = f"layer '{trace.layer}', {bits} bits, {sampler.upper()}"
                width = trace.a.shape[2]
                worst.add(_shared.Errors(error, d, slack, []), bound(d, AbsMax(bits).kappa(width)), name)
                j = int(np.argmax(worst.ratio))
                measured.append(worst.ratio[j])
                atol.append(worst.atol[j] + 2 * steps * _shared.EPS)
                cases.append(f"{name}, call {j + 1}")
    return Evidence(
        claimed=1.0,
        measured=measured,
        atol=atol,
        cases=cases,
        seed=638,
        params=_mixture.PARAMS | {"images": n, "steps": steps, "d": MIXTURE.d},
        note=f"largest {max(measured):.4f}, over {2 * 2 * 7 * (steps - 1)} layers and calls with {n} images each",
    )


CONTROLS = [
    ({"bound": halved(bounds.max_norm_closed_loop)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"differences": "full precision"}, Verdict.VIOLATED),
]
