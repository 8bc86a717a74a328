"""Property tests for your own quantizer or recursion: Hypothesis strategies and checks. Ours use them too.

    from modiff_sim.testing import check_quantizer, check_recursion
    check_quantizer(MyQuantizer(bits=3))   # every law it declares; raises with the counter-example
    check_recursion(MyRecursion(), compensated=True)
    hunt(MyQuantizer(bits=3), d=4096)      # how bad can it be? The worst input that Hypothesis finds

``shrink=False`` reports the first counter-example as found: quicker where a failure is expected.

Needs the extra ``[testing]`` (hypothesis).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import Phase, assume, given, settings, target
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from . import bounds, contraction
from . import recursion as _recursion
from .arguments import count
from .quantizers import QUANTIZERS, AbsMax, law_checks, make
from .quantizers.base import Quantizer
from .quantizers.granularity import GRANULARITIES, PerBatch, PerChannel, PerGroup, PerSample, PerToken

DTYPES = (np.float32, np.float64)


# -- strategies ------------------------------------------------------------------------------------------------------


def arrays(*, shapes: Any = None, dtypes: Any = DTYPES, magnitude: float = 1e4) -> st.SearchStrategy[np.ndarray]:
    """Finite arrays (samples, d) inside every law's domain: entries are 0 or between 2^-10 and ``magnitude`` in size.

    Plain floats, small integers and half-integers (where ties live) and all-equal rows all occur.
    """
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 12)) if shapes is None else shapes

    def of(dtype: Any) -> st.SearchStrategy[np.ndarray]:
        width = np.dtype(dtype).itemsize * 8
        free = st.floats(-magnitude, magnitude, width=width).filter(lambda v: v == 0 or abs(v) >= 2**-10)
        ties = st.integers(-64, 64).map(lambda i: i / 2)
        return hnp.arrays(dtype, shapes, elements=st.one_of(free, ties))

    return st.sampled_from(dtypes).flatmap(of)


def granularities(*, ndim: int = 2) -> st.SearchStrategy[Any]:
    """Granularities that fit any array of this many axes (group size 1; PerSample as the most frequent)."""
    known = [PerSample(), PerSample(), PerBatch(), PerChannel(1), PerToken(), PerGroup(1)]
    assert {type(g) for g in known} == set(GRANULARITIES.values()), "a new granularity needs an example here"
    return st.sampled_from(known if ndim >= 2 else [PerBatch()])


def quantizers(*, names: Any = None, max_bits: int = 8, granularity: Any = None) -> st.SearchStrategy[Quantizer]:
    """Quantizers of the registry with their bits up to ``max_bits``."""
    granularity = granularities() if granularity is None else st.just(granularity)

    def of(name: str) -> st.SearchStrategy[Quantizer]:
        least = QUANTIZERS[name].min_bits
        return st.builds(lambda b, g: make(name, b, granularity=g), st.integers(max(least, 1), max_bits), granularity)

    return st.sampled_from(sorted(names or QUANTIZERS)).flatmap(of)


def sequences(
    *, min_steps: int = 2, max_steps: int = 8, d: int = 4, elements: Any = None
) -> st.SearchStrategy[np.ndarray]:
    """Input sequences (steps, 2 samples, d) in sampling order; stationary, bursty and constant stretches all occur."""
    elements = st.integers(-200, 200).map(lambda i: i / 4) if elements is None else elements
    rows = st.integers(min_steps, max_steps).flatmap(lambda n: hnp.arrays(np.float64, (n, 2, d), elements=elements))

    def hold(drawn: tuple[np.ndarray, list[bool]]) -> np.ndarray:
        a, moves = drawn
        kept = [0]
        for k in range(1, len(a)):
            kept.append(k if moves[k % len(moves)] else kept[-1])
        return a[kept]

    return st.tuples(rows, st.lists(st.booleans(), min_size=3, max_size=max_steps)).map(hold)


def integer_sequences(*, max_steps: int = 8, d: int = 4, limit: int = 8) -> st.SearchStrategy[np.ndarray]:
    """Sequences of small integers, on which a power-of-two scale makes every operation exact: ``==`` must hold."""
    return sequences(max_steps=max_steps, d=d, elements=st.integers(-limit, limit).map(float))


# -- checks ------------------------------------------------------------------------------------------------------------


def _run(test: Any, examples: int, shrink: bool) -> None:
    phases = [Phase.explicit, Phase.generate, Phase.target] + [Phase.shrink] * shrink
    count("examples", examples)
    settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=phases)(test)()


def check_quantizer(Q: Quantizer, *, examples: int = 100, dtypes: Any = DTYPES, shrink: bool = True) -> list[str]:
    """Test every law ``Q`` declares; raises LawBroken with a shrunk counter-example. Returns the laws tested.

    Also tests what every quantizer owes: shape and dtype kept, the argument untouched, finite in → finite out.
    """
    names = [law for law in law_checks.LAWS if law_checks.declared(Q, law)]
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 12).map(lambda n: n * getattr(Q.granularity, "size", 1)))

    @given(x=arrays(shapes=shapes, dtypes=dtypes), data=st.data())
    def holds(x: np.ndarray, data: Any) -> None:
        assume(np.all(Q.in_domain(x)))
        random = data.draw(hnp.arrays(x.dtype, x.shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75])))
        random = random if Q.laws.randomised else None
        before = x.copy()
        out = Q(x, random=random)
        assert out.shape == x.shape, f"{Q} changed the shape {x.shape} to {out.shape}"
        assert out.dtype == x.dtype, f"{Q} changed the dtype {x.dtype} to {out.dtype}"
        assert np.array_equal(x, before), f"{Q} wrote into its argument"
        assert np.isfinite(out).all(), f"{Q} made a finite input non-finite: {x!r}"
        for law in names:
            law_checks.LAWS[law](Q, x, random=random)
        size = float(np.max(np.abs(x)))
        if size:
            target(float(np.max(np.abs(x - out))) / size, label="max-norm error over max norm")

    _run(holds, examples, shrink)
    return names


def check_recursion(
    R: str | _recursion.Recursion, *, compensated: bool | None = None, examples: int = 100, shrink: bool = True
) -> None:
    """Test what a recursion owes, on integers with a power-of-two scale so that ``==`` holds.

    Every recursion: Identity reproduces every output exactly, the state's ô is A(reconstruction), arguments untouched.
    compensated=True: the error is this call's rounding only. compensated=False: it is the sum of all calls'
    roundings. None: neither is demanded (Direct).
    """
    chosen = _recursion.get(R)
    name = _recursion.label(chosen)
    A = np.array([[1.0, -2.0, 0.0, 1.0], [3.0, 1.0, 1.0, 0.0]])
    coarse = _Grid(bits=8)

    @given(integer_sequences())
    def holds(inputs: np.ndarray) -> None:
        before = inputs.copy()
        exact = list(_recursion.run(chosen, inputs, make("identity"), lambda a: a @ A.T))
        for a, state in zip(inputs, exact, strict=True):
            assert np.array_equal(state.o_hat, a @ A.T), f"{name}: Identity does not reproduce A(a)"
        total = np.zeros(inputs.shape[1:])
        for a, state in zip(inputs, _recursion.run(chosen, inputs, coarse, lambda a: a @ A.T), strict=True):
            rounding = np.zeros_like(total)
            if state.quantized:
                rounding = state.residual_hat - state.residual
            total = total + rounding
            if compensated is not None:
                expected = rounding if compensated else total
                assert np.array_equal(state.o_hat - a @ A.T, expected @ A.T), (
                    f"{name}: output error is not A(this call's rounding)" if compensated
                    else f"{name}: output error is not A(sum of all roundings)"
                )  # fmt: skip
            if compensated and state.quantized:
                assert np.array_equal(state.o_hat, state.ref @ A.T), f"{name}: ô = A(â) does not telescope"
        assert np.array_equal(inputs, before), f"{name} wrote into its input"

    _run(holds, examples, shrink)


def check_bound(
    R: str | _recursion.Recursion, Q: Quantizer, *, norm: str = "kappa", examples: int = 100, shrink: bool = True
) -> None:
    """Test the sharp bound of a recursion (2-norm for norm="c", max norm for "kappa") on generated sequences.

    Slack: each call rounds â and the residual once, 2·eps·max|a| per call in every coordinate.
    """
    if Q.laws.randomised:
        raise ValueError(f"check_bound needs a deterministic quantizer, got {Q}")
    known: dict[tuple[str, str], Any] = {
        ("closed_loop", "c"): bounds.sharp_closed_loop, ("closed_loop", "kappa"): bounds.max_norm_closed_loop,
        ("open_loop", "c"): bounds.sharp_open_loop, ("open_loop", "kappa"): bounds.max_norm_open_loop,
    }  # fmt: skip
    R = str(_recursion.standard(_recursion.get(R)) or _recursion.label(_recursion.get(R)))
    if (R, norm) not in known:
        raise ValueError(f"no bound for ({R}, {norm}); known: {', '.join(map(str, known))}")
    d = getattr(Q.granularity, "size", 4)  # a run of entries that share a scale
    order = 2 if norm == "c" else np.inf

    @given(sequences(d=d))
    def holds(inputs: np.ndarray) -> None:
        moved = np.linalg.norm(np.diff(inputs, axis=0), ord=order, axis=-1)
        bound = known[R, norm](moved, getattr(Q, norm)(inputs.shape[-1]))
        slack = 4 * len(inputs) * np.finfo(np.float64).eps * np.sqrt(inputs.shape[-1]) * np.abs(inputs).max()
        states, worst = list(_recursion.run(R, inputs, Q)), 0.0
        for j, (a, state) in enumerate(zip(inputs[1:], states[1:], strict=True)):
            error = np.linalg.norm(a - state.o_hat, ord=order, axis=-1)
            assert np.all(error <= bound[j] + slack), f"{R} with {Q} exceeds its {norm} bound after difference {j}"
            worst = max(worst, float(np.max(error / np.maximum(bound[j], 1e-300))))
        target(worst, label="error over bound")

    _run(holds, examples, shrink)


def hunt(Q: Quantizer, d: int, *, norm: str = "c", examples: int = 300) -> contraction.WorstCase:
    """The worst case that Hypothesis finds by climbing (``target``): a lower bound of sup, with the input that has it.

    The input has one entry out and two groups of equal entries, drawn among half-integers (ties of integer grids) and
    floats. Knows nothing of the quantizer, so it checks ``contraction.search``, which is sharper; same arguments.
    """
    if Q.laws.randomised:
        raise ValueError(f"hunt needs a deterministic quantizer, got {Q}")
    Q, d = dataclasses.replace(Q, granularity=PerSample()), count("d", d)
    reach = 2 ** (min(Q.bits, 8) - 1)
    entry = st.one_of(
        st.integers(-2 * reach, 2 * reach).map(lambda i: i / 2),
        st.floats(-reach, reach, width=32, allow_subnormal=False),
    )
    groups = st.lists(entry, min_size=min(d, 3), max_size=min(d, 3))
    found = contraction.WorstCase(0.0, np.ones((1, d)))

    @given(groups, st.floats(0, 1))
    def climb(values: list[float], share: float) -> None:
        nonlocal found
        first = 1 + int(share * (d - 2)) if d > 2 else 1
        x = np.repeat(values, [1, first, d - 1 - first][: len(values)])[None]
        assume(np.any(x) and np.all(Q.in_domain(x)))
        ratio = float(contraction.ratios(Q, x, norm=norm)[0])
        if ratio > found.value:
            found = contraction.WorstCase(ratio, x)
        target(ratio)

    _run(climb, examples, shrink=False)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Grid(AbsMax):
    """Round to multiples of 4, a power-of-two scale: exact on integers, and coarse enough to lose something."""

    def choose_qparams(self, a: Any) -> Any:
        qparams = super().choose_qparams(a)
        return dataclasses.replace(qparams, scale=np.full_like(qparams.scale, 4.0))
