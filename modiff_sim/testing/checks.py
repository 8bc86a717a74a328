"""Checks of a quantizer and of a recursion on generated inputs, which raise with a counter-example."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import Phase, assume, given, settings, target
from hypothesis import strategies as st

from .. import bounds, contraction
from .. import recursion as _recursion
from ..arguments import count
from ..contraction.worst_cases import of_one_block
from ..quantizers import AbsMax, get, law_checks, make
from ..quantizers.base import Quantizer
from ..quantizers.laws import LawBroken
from ..typing import Array
from .strategies import DTYPES, arrays, integer_sequences, random_bits, sequences

OWN_NUMBERS = "what is random must come from random=, which for Custom is a second argument of the function"


def _run(test: Any, examples: int, shrink: bool) -> None:
    phases = [Phase.explicit, Phase.generate, Phase.target] + [Phase.shrink] * shrink
    count("examples", examples)
    # several failures at once would be an ExceptionGroup, which hides what they are
    run = settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=phases,
                   report_multiple_bugs=False)  # fmt: skip
    run(test)()


def check_quantizer(Q: Quantizer | str, *, examples: int = 100, dtypes: Any = DTYPES, shrink: bool = True) -> list[str]:
    """Test every law that a quantizer declares, and what every quantizer must do.

    Every quantizer keeps shape and dtype, leaves its argument untouched, gives the same for the same, and returns
    finite values for finite ones: also where all entries that share a scale are 0, as they are in the residual of an
    input that stands still.

    Of a randomised quantizer, c and unbiasedness are about means over the random bits, which are computed for every
    input (``quantizers.random_means`` says how exactly). All other laws, such as kappa, are tested with random bits
    that are drawn with the inputs, also ones next to 0 and 1.

    Parameters
    ----------
    Q : Quantizer or str
        The quantizer, or text such as "absmax:3".
    examples : int, default 100
        How many inputs are drawn.
    dtypes : sequence of dtype, default (float32, float64)
        The dtypes to draw from.
    shrink : bool, default True
        Whether to look for the smallest counter-example.

    Returns
    -------
    list of str
        The laws that were tested: those that are declared, with c and kappa where they are finite.

    Raises
    ------
    LawBroken
        If laws have a counter-example, which the message holds, with all laws that it breaks.
    AssertionError, ValueError
        If the quantizer does not do what every quantizer must.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.testing import check_quantizer
    >>> check_quantizer(ms.AbsMax(4), examples=5)
    ['error', 'c', 'kappa', 'idempotent', 'sign_equivariant', 'scale_equivariant', 'zero_to_zero']

    Rounding to quarters at random loses as much as the input where it is small, so that c is not below 1:

    >>> import numpy as np
    >>> coarse = ms.Custom(lambda x, u: np.floor(4 * x + u) / 4, c=0.9)
    >>> try:
    ...     check_quantizer(coarse)
    ... except ms.LawBroken as broken:
    ...     print(str(broken).partition(" at ")[0])
    Custom(<lambda>) breaks its law 'c'
    """
    Q = get(Q, "Q of check_quantizer")
    names = [law for law in law_checks.LAWS if law_checks.declared(Q, law)]
    group = getattr(Q.granularity, "size", 1)  # entries that share a scale; two groups show what three would
    for dtype in dtypes:
        zeros = np.zeros((2 * group, 2 * group), dtype)
        Q(zeros, random=np.full_like(zeros, 0.5) if Q.laws.randomised else None)
        x = np.tile(np.linspace(-3, 4, 16 * group, dtype=dtype), (2 * group, 1))
        before = x.copy()
        twice = [Q(x, random=np.full_like(x, 0.5) if Q.laws.randomised else None) for _ in range(2)]
        assert np.array_equal(x, before), f"{Q} wrote into its argument"
        assert np.array_equal(*twice), f"{Q} gives different results for one input: {OWN_NUMBERS}"
    shapes = st.tuples(st.integers(1, 4), st.integers(1, max(2, 12 // group)).map(lambda n: n * group))

    @given(x=arrays(shapes=shapes, dtypes=dtypes), data=st.data())
    def holds(x: np.ndarray, data: Any) -> None:
        assume(np.all(Q.in_domain(x)))
        random = data.draw(random_bits(x.dtype, x.shape)) if Q.laws.randomised else None
        before = x.copy()
        out = Q(x, random=random)
        assert out.shape == x.shape, f"{Q} changed the shape {x.shape} to {out.shape}"
        assert out.dtype == x.dtype, f"{Q} changed the dtype {x.dtype} to {out.dtype}"
        assert np.array_equal(x, before), f"{Q} wrote into its argument"
        assert np.isfinite(out).all(), f"{Q} made a finite input non-finite: {x!r}"
        broken = [str(found) for law in names if (found := _broken(Q, law, x, random))]
        if broken:
            raise LawBroken("\n".join(broken))
        size = float(np.max(np.abs(x)))
        if size:
            target(
                float(np.max(np.abs(x - out))) / size,
                label="max-norm error over max norm, of inputs that kept every law",
            )

    _run(holds, examples, shrink)
    return names


def _broken(Q: Quantizer, law: str, x: np.ndarray, random: np.ndarray | None) -> LawBroken | None:
    """Return how a law is broken at this input; None if it is not."""
    try:
        law_checks.LAWS[law](Q, x, random=random)
    except LawBroken as broken:
        return broken
    return None


def check_recursion(
    R: str | _recursion.Recursion, *, compensated: bool | None = None, examples: int = 100, shrink: bool = True
) -> None:
    """Test what a recursion must do, on integers with a power-of-two scale so that ``==`` holds.

    Every recursion reproduces every output exactly with ``Identity`` and leaves its arguments untouched.

    Parameters
    ----------
    R : str or Recursion
        The recursion, or its name in ``RECURSIONS``.
    compensated : bool, optional
        True demands that the error is this call's rounding only and that ô = A(â); False demands that it is the sum of
        all calls' roundings; None demands neither (``Direct``).
    examples : int, default 100
        How many sequences are drawn.
    shrink : bool, default True
        Whether to look for the smallest counter-example.

    Raises
    ------
    AssertionError
        If the recursion does not do so; the message says which demand it breaks.

    Examples
    --------
    >>> from modiff_sim.testing import check_recursion
    >>> check_recursion("closed_loop", compensated=True, examples=5)
    """
    chosen = _recursion.get(R)
    name = _recursion.label(chosen)
    A = np.array([[1.0, -2.0, 0.0, 1.0], [3.0, 1.0, 1.0, 0.0]])
    coarse = _Grid(bits=8)

    @given(integer_sequences())
    def holds(inputs: np.ndarray) -> None:
        before = inputs.copy()
        exact = list(_recursion.run(chosen, inputs, make("identity"), lambda a: a @ A.T))
        for a, (_, info) in zip(inputs, exact, strict=True):
            assert np.array_equal(info.output, a @ A.T), f"{name}: Identity does not reproduce A(a)"
        total = np.zeros(inputs.shape[1:])
        for a, (state, info) in zip(inputs, _recursion.run(chosen, inputs, coarse, lambda a: a @ A.T), strict=True):
            rounding = np.zeros_like(total)
            if info.quantized:
                rounding = info.residual_hat - info.residual
            total = total + rounding
            if compensated is not None:
                expected = rounding if compensated else total
                assert np.array_equal(info.output - a @ A.T, expected @ A.T), (
                    f"{name}: output error is not A(this call's rounding)"
                    if compensated
                    else f"{name}: output error is not A(sum of all roundings)"
                )
            if compensated and info.quantized:
                assert np.array_equal(info.output, state.ref @ A.T), f"{name}: ô = A(â) does not telescope"
        assert np.array_equal(inputs, before), f"{name} wrote into its input"

    _run(holds, examples, shrink)


def check_bound(
    R: str | _recursion.Recursion, Q: Quantizer | str, *, norm: str = "kappa", examples: int = 100, shrink: bool = True
) -> None:
    """Test the sharp bound of a recursion on generated sequences.

    Parameters
    ----------
    R : str or Recursion
        The closed or the open loop.
    Q : Quantizer or str
        A deterministic quantizer, or text such as "absmax:3".
    norm : {"kappa", "c"}, default "kappa"
        The max norm with kappa, or the 2-norm with c.
    examples : int, default 100
        How many sequences are drawn.
    shrink : bool, default True
        Whether to look for the smallest counter-example.

    Raises
    ------
    AssertionError
        If an error exceeds the bound.
    ValueError
        For a randomised quantizer, or a recursion or norm without a bound.

    Notes
    -----
    Slack: each call rounds â and the residual once, 2·eps·max|a| per call in every coordinate.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.testing import check_bound
    >>> check_bound("closed_loop", ms.AbsMax(4), examples=5)
    """
    Q = get(Q, "Q of check_bound")
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
        calls, worst = list(_recursion.run(R, inputs, Q)), 0.0
        for j, (a, (_, info)) in enumerate(zip(inputs[1:], calls[1:], strict=True)):
            error = np.linalg.norm(a - info.output, ord=order, axis=-1)
            if np.any(error > bound[j] + slack):
                k = int(np.argmax(error - bound[j]))
                numbers = f"error {error[k]:.4g}, bound {bound[j][k]:.4g}, ratio {error[k] / bound[j][k]:.4g}"
                raise AssertionError(f"{R} with {Q} exceeds its {norm} bound after difference {j}: {numbers}")
            worst = max(worst, float(np.max(error / np.maximum(bound[j], 1e-300))))
        target(worst, label="error over bound, of sequences that kept it")

    _run(holds, examples, shrink)


def hunt(Q: Quantizer | str, d: int, *, norm: str = "c", examples: int = 300) -> contraction.WorstCase:
    """The worst case of a quantizer that Hypothesis finds by climbing (``target``): a lower bound of the supremum.

    The input has one entry out and two groups of equal entries, drawn among half-integers (ties of integer grids) and
    floats. The search knows nothing of the quantizer, so that it checks ``contraction.search``, which is sharper and
    takes the same arguments.

    Parameters
    ----------
    Q : Quantizer or str
        A deterministic quantizer, or text such as "absmax:3".
    d : int
        How many entries share a scale.
    norm : {"c", "kappa"}, default "c"
        The squared 2-norm or the max norm.
    examples : int, default 300
        How many inputs are tried.

    Returns
    -------
    contraction.WorstCase
        The largest ratio with the input that has it.

    Raises
    ------
    ValueError
        For a randomised quantizer, or d < 1.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.testing import hunt
    >>> Q = ms.AbsMax(3)
    >>> 0 < hunt(Q, d=3, examples=20).value <= Q.c(3)
    True
    """
    Q = get(Q, "Q of hunt")
    if Q.laws.randomised:
        raise ValueError(f"hunt needs a deterministic quantizer, got {Q}")
    Q, d = of_one_block(Q), count("d", d)
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

    def choose_qparams(self, a: Array) -> Any:
        qparams = super().choose_qparams(a)
        return dataclasses.replace(qparams, scale=np.full_like(qparams.scale, 4.0))
