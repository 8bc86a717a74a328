"""Every error of a simulation beside the bound of *its own* trial and call, and the worst ratio of the two.

An error that attains its bound may exceed it by rounding, which is allowed for: 16·eps·√d·max|a| per call so far, eps
of the dtype that was computed with. Where the allowance is not a small part of the bound (``CLEAR``), or the bound is
0, a ratio would be noise. There it counts as 0 if the error is within bound + allowance, and as infinite if it is not.
A quantizer that loses more than it declares has an input outside of its domain, for which no bound was promised. Such
trials are left out from that call on, and the verdict says so.

Two cases are not decided trial by trial. Where trials share a scale (``PerBatch``, ``PerChannel``), a bound holds for
all trials together, and so does what the quantizer declares. For a randomised quantizer, c bounds an expectation: the
root mean square over the trials is compared with that of the bounds, and fails if the mean of error² - bound² is more
than ``SIGMAS`` standard errors above 0. The bounds are ``bounds.stochastic_*`` where it declares to be unbiased, and
else the sharp ones, since norms of random vectors, √E||e||², obey the triangle inequality as well. It loses more than
it declares at a call where the mean of the measured c is more than ``SIGMAS`` standard errors above the declared one;
nothing is promised from there on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from .. import bounds, recursion
from ..contraction.atlas import shared_by_samples
from ..quantizers.base import Quantizer
from ..quantizers.laws import SIGMAS

CLEAR = 1e-6  # a ratio is meaningful where the allowance for rounding is below this part of the bound
FEWEST = 8  # the standard error of fewer trials is not reliable
CONSTANT = {"2": "c", "inf": "kappa"}  # norm -> the constant of its bound


class Simulated(Protocol):
    """What is compared: a ``Result`` with its trials."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The measured quantities by name, (steps, trials)."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """What was run."""
        ...


def unbounded(r: Simulated, norm: str) -> str:
    """Why no bound of these errors is known, in words; "" where one is."""
    name, Q = r.params["recursion"], r.params["quantizer"]
    if name not in recursion.RECURSIONS or recursion.standard(recursion.get(name)) is None:
        return f"no bound is known for the recursion {name}"
    if not isinstance(Q, Quantizer):
        return f"the constants of {Q} are not known here"
    if r.params["operator"] is not None:
        return "the norm of the operator was not kept"
    needed = {"2": ("error", "a", "d", "c", "a_inf"), "inf": ("error_inf", "a_inf", "d_inf", "kappa")}[norm]
    if missing := [name for name in needed if name not in r.arrays]:
        return f"the bound needs {', '.join(missing)}, which measure= left out"
    return "" if _declared(r, norm) < math.inf else f"{Q} declares no {CONSTANT[norm]}"


def compared(r: Simulated, norm: str) -> dict[str, Any]:
    """Per call the mean and largest error, and the error, bound and ratio of the trial with the worst ratio.

    "slack" is what that error may exceed the bound by. ``norm`` is "2" or "inf". Bound, ratio and verdict are None
    where no bound is known (``unbounded``). "outside" says at which calls the premise fails in every trial, so that
    error, bound and ratio are of a trial that is not judged, and "why" says how it fails, in a few words.
    """
    error = r.arrays["error" if norm == "2" else "error_inf"]
    found: dict[str, Any] = {"mean": error.mean(axis=1), "max": error.max(axis=1)}
    if unbounded(r, norm):
        trial = np.argmax(error, axis=1)
        largest = error[np.arange(len(error)), trial]
        known = dict.fromkeys(("bound", "ratio", "holds", "worst"))
        return found | known | {"error": largest, "trial": trial, "outside": np.zeros(len(error), bool), "why": ""}
    a_inf, d, calls = r.arrays["a_inf"], r.params["d"], np.arange(len(error))
    _, shared, expected = _cases(r, norm)
    limit = _limit(r, norm, together=shared and not expected)
    if shared and not expected:
        a_inf, d = _together(a_inf, "inf"), d * error.shape[1]
        error = _together(error, norm)
    slack = allowance(a_inf, d, r.params["dtype"])
    if expected:
        found |= _in_expectation(error, limit, slack, shared)
        trial, broken = None, outside(r, norm)
        found["holds"] = None if found["holds"] is None else found["holds"] | broken.any(axis=1)
    else:
        ratio, fits = _ratios(error, limit, slack)
        broken = outside(r, norm)[:, : fits.shape[1]]
        rank = np.where(broken, -1.0, ratio + ~fits)  # trials that do not fit come first
        trial = np.argmax(rank, axis=1)
        each = {"error": error, "bound": limit, "ratio": ratio, "slack": slack}
        found |= {key: values[calls, trial] for key, values in each.items()}
        found |= {"trial": None if shared else trial, "holds": (fits | broken).all(axis=1)}
    fails, fails_in_all = np.any(broken, axis=1), np.all(broken, axis=1)
    holds, found["outside"], found["why"] = found["holds"], fails_in_all, why_outside(r, norm)
    # a call where the premise fails in every trial is not judged, and comes last
    call = int(np.argmax(np.where(fails_in_all, -1.0, found["ratio"] + (0 if holds is None else ~holds))))
    # where all judged calls are exact, nothing was promised that could fail
    nothing_judged = fails_in_all.any() and not (found["bound"][~fails_in_all] > 0).any()
    found["worst"] = {
        "ratio": float(found["ratio"][call]), "call": call, "trial": None if trial is None or shared else trial[call],
        "holds": None if holds is None or nothing_judged else bool(holds.all()),
        "premise_fails_from": int(np.argmax(fails)) if fails.any() else None,
    }  # fmt: skip
    if holds is not None:
        found["holds"] = [None if out else bool(h) for h, out in zip(holds, fails_in_all, strict=True)]
    return found


def verdict(r: Simulated, norm: str) -> str:
    """The worst ratio of an error to its bound, and whether that holds, in words; there must be one (``unbounded``).

    Examples
    --------
    >>> import modiff_sim as ms
    >>> verdict(ms.simulate("random_walk:64", "absmax:3", steps=20, trials=8), "inf")
    '0.9995 at most: it holds'
    """
    worst, (_, _, expected) = compared(r, norm)["worst"], _cases(r, norm)
    rule = f"{SIGMAS:g} standard errors"
    if (call := worst["premise_fails_from"]) is not None:
        lost = f"mean c > declared c + {rule}" if expected else "an input lost more than is declared"
        return f"none is promised from call {call} on, where {lost}"
    judged = {None: "not decided", True: "it holds", False: "it is exceeded"}[worst["holds"]]
    if not expected:
        return f"{worst['ratio']:.4g} at most: {judged}"
    within = {None: f", with under {FEWEST} independent trials", True: f" up to {rule}", False: f" by over {rule}"}
    return f"{worst['ratio']:.4g} at most, of root mean squares: {judged}{within[worst['holds']]}"


def allowance(a_inf: np.ndarray, d: int, dtype: Any) -> np.ndarray:
    """What rounding may add to an error by each call, (calls, trials), from the max norms of the inputs of d entries.

    Every call rounds a few numbers, none larger than the input, in each of d entries.
    """
    calls = np.arange(1, len(a_inf) + 1)[:, None]
    return 16 * calls * math.sqrt(d) * float(np.finfo(dtype).eps) * np.maximum.accumulate(a_inf, axis=0)


def extremes(r: Simulated, norm: str) -> dict[str, np.ndarray]:
    """Per call "mean" and "largest" error, and the "bound": the largest of those of the trials that have one.

    There is no bound where none is known (``unbounded``), and NaN stands where no trial has one (``outside``). Where it
    is not one of single trials, the error that it bounds takes the place of the largest: "rms" in expectation,
    "together" where trials share scales.
    """
    error = r.arrays["error" if norm == "2" else "error_inf"]
    found = {"mean": error.mean(axis=1)}
    if unbounded(r, norm):
        return found | {"largest": error.max(axis=1)}
    _, shared, expected = _cases(r, norm)
    limit = _limit(r, norm, together=shared and not expected)
    if expected:
        bound = np.where(outside(r, norm).all(axis=1), np.nan, np.sqrt(np.mean(limit**2, axis=1)))
        return found | {"rms": np.sqrt(np.mean(error**2, axis=1)), "bound": bound}
    if shared:
        bound = np.where(outside(r, norm)[:, 0], np.nan, limit[:, 0])
        return found | {"together": _together(error, norm)[:, 0], "bound": bound}
    bound = np.where(outside(r, norm), -np.inf, limit).max(axis=1)
    return found | {"largest": error.max(axis=1), "bound": np.where(bound < 0, np.nan, bound)}


def outside(r: Simulated, norm: str) -> np.ndarray:
    """Per call and trial, (steps, trials), whether a call so far has lost more than the declared c or kappa allows.

    The trial is then outside the domain of the quantizer, for example below the floor of its scale, or what is declared
    is false; no bound was promised. In the 2-norm of a randomised quantizer it is the mean over all trials that is
    larger than the declared c, by more than chance allows; where trials share scales, it is all of them as one vector.
    All are False where no bound is known.
    """
    none = np.zeros_like(r.arrays["error" if norm == "2" else "error_inf"], bool)
    if unbounded(r, norm):
        return none
    block, shared, expected = _cases(r, norm)
    if shared and expected:
        return none
    measured = _constant_together(r, norm) if shared else r.arrays[CONSTANT[norm]]
    eps = np.finfo(r.params["dtype"]).eps
    allowed = _declared(r, norm) * (1 + 1e-9) + 16 * (block + 4) * eps
    if expected:
        more = none | _above_in_the_mean(measured, allowed)[:, None]
    else:
        with np.errstate(invalid="ignore"):  # NaN where nothing was quantized
            more = none | (measured > allowed)
    return np.logical_or.accumulate(more, axis=0)


def why_outside(r: Simulated, norm: str) -> str:
    """What is the case where ``outside`` is true, in a few words: for a legend."""
    Q, (_, _, expected) = r.params["quantizer"], _cases(r, norm)
    parts = getattr(Q, "quantizers", (Q,))  # those of a Split
    if any(type(part).in_domain is not Quantizer.in_domain for part in parts):
        return "outside the quantizer's domain"
    return f"{'mean loss' if expected else 'loss'} above the declared {CONSTANT[norm].replace('kappa', 'κ')}"


def _constant_together(r: Simulated, norm: str) -> np.ndarray:
    """Return c or kappa of all trials as one vector, less what rounding may add to it, (steps, 1); NaN if not known.

    What was lost and what it was lost of follow from the constants of single trials: of direct quantization and the
    closed loop the loss is the error, of the open loop it is of the difference. A trial that loses nothing does not say
    of what; in a closed loop that is at most the difference and the error before.
    """
    squared, (error, d, a) = norm == "2", ("error", "d", "a") if norm == "2" else ("error_inf", "d_inf", "a_inf")
    single = r.arrays[CONSTANT[norm]]
    part = np.sqrt(single) if squared else single
    if r.params["recursion"] == "closed_loop":
        lost = r.arrays[error]
        before = np.concatenate([lost[:1], lost[:-1]])
        of = np.divide(lost, part, out=r.arrays[d] + before, where=part > 0)
    else:
        of = r.arrays[a if r.params["recursion"] == "direct" else d]
        lost = part * of
    known = np.isfinite(part) & (r.params["recursion"] == "direct" or np.arange(len(part))[:, None] > 0)
    found = np.full((len(part), 1), np.nan)
    lost, of = (_together(np.where(known, sizes, 0), norm) for sizes in (lost, of))
    entries = r.params["d"] * part.shape[1]
    lost -= np.minimum(lost, allowance(_together(r.arrays["a_inf"], "inf"), entries, r.params["dtype"]))
    np.divide(lost, of, out=found, where=known.any(axis=1, keepdims=True) & (of > 0))
    return found**2 if squared else found


def _above_in_the_mean(measured: np.ndarray, allowed: float) -> np.ndarray:
    """Per call, whether the mean over the trials exceeds what is allowed by more than ``SIGMAS`` standard errors.

    Trials in which nothing was quantized, NaN, do not count; where fewer than ``FEWEST`` count, nothing is decided. An
    infinite one, where a zero did not stay zero, is above every constant.
    """
    there = np.isfinite(measured)
    n = np.maximum(there.sum(axis=1), 1)
    mean = np.sum(measured, axis=1, where=there) / n
    square = np.sum((measured - mean[:, None]) ** 2, axis=1, where=there)
    chance = SIGMAS * np.sqrt(square / np.maximum(n - 1, 1) / n)
    return np.isposinf(measured).any(axis=1) | ((n >= FEWEST) & (mean - chance > allowed))


def _declared(r: Simulated, norm: str) -> float:
    """Return the constant that the quantizer declares for as many entries as share a scale."""
    Q = r.params["quantizer"]
    return float(getattr(Q, CONSTANT[norm])(Q.granularity.block_size((r.params["trials"], r.params["d"]))))


def _cases(r: Simulated, norm: str) -> tuple[int, bool, bool]:
    """Return how many entries share a scale, whether trials do, and whether the bound is one of an expectation."""
    Q, d = r.params["quantizer"], r.params["d"]
    block = Q.granularity.block_size((r.params["trials"], d))
    return block, shared_by_samples(Q.granularity, d), Q.laws.randomised and norm == "2"


def _together(sizes: np.ndarray, norm: str) -> np.ndarray:
    """Return the norm of all trials as one vector, (steps, 1), from the norms of the trials."""
    return np.linalg.norm(sizes, axis=1, ord=2 if norm == "2" else np.inf)[:, None]


def _ratios(error: np.ndarray, limit: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio error/bound, and whether it is at most 1 up to rounding; see the module's docstring."""
    fits = error <= limit + slack
    ratio = np.divide(error, limit, out=np.where(fits, 0.0, np.inf), where=slack < CLEAR * limit)
    return ratio, fits


def _in_expectation(error: np.ndarray, limit: np.ndarray, slack: np.ndarray, shared: bool) -> dict[str, Any]:
    """Compare root mean squares over the trials; at least ``FEWEST`` independent trials are needed to decide."""
    excess = error**2 - limit**2
    rms = {"error": np.sqrt(np.mean(error**2, axis=1)), "bound": np.sqrt(np.mean(limit**2, axis=1))}
    allowed = np.sqrt(np.mean(slack**2, axis=1))
    ratio, fits = _ratios(rms["error"], rms["bound"], allowed)
    trials = error.shape[1]
    if shared or trials < FEWEST:
        return {**rms, "ratio": ratio, "slack": allowed, "trial": None, "holds": None}
    chance = SIGMAS * excess.std(axis=1, ddof=1) / math.sqrt(trials)
    holds = fits | (excess.mean(axis=1) <= chance)
    return {**rms, "ratio": ratio, "slack": allowed, "trial": None, "holds": holds}


def _limit(r: Simulated, norm: str, *, together: bool) -> np.ndarray:
    """Return the bound per call and trial.

    It starts from the error of the warm-up at call 0, and from 0 after every refresh. With ``together`` there is one
    column, for all trials as one vector. In the 2-norm of a randomised quantizer the bound is on a root mean square.
    """
    two, name, refresh, Q = norm == "2", r.params["recursion"], r.params["refresh"], r.params["quantizer"]
    gain = _declared(r, norm)
    q = math.sqrt(gain) if two else gain
    a, steps = (r.arrays[quantity if two else f"{quantity}_inf"] for quantity in ("a", "d"))
    if together:
        a, steps = _together(a, norm), _together(steps, norm)
    if name == "direct":
        limit = bounds.direct(a, q * q)
        refreshed = recursion.refresh_calls(refresh)
        limit[[call for call in range(len(a)) if refreshed(call)]] = 0
        return limit
    feeds = recursion.feeds(r.params["warmup"])
    first = bounds.warm_up_error(a[0], q, feeds, recursion=name) if feeds else np.zeros_like(a[0])
    if len(a) == 1:
        return first[None]
    if two and Q.laws.randomised and Q.laws.unbiased:
        bound = partial(getattr(bounds, f"stochastic_{name}"), omega=gain)
        if name == "closed_loop":
            bound.keywords["unbiased_start"] = True  # since the start is that of unbiased feeds
    else:
        bound = partial(getattr(bounds, f"{'sharp' if two else 'max_norm'}_{name}"), **{"c" if two else "kappa": gain})
    return np.concatenate([first[None], bounds.refreshed(bound, steps[1:], refresh, start=first)])
