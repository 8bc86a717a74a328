"""Options that have no effect beside others: they are refused where they were given, and null in the JSON.

An option that does nothing would let a result be taken for another one. What an option is for is said in the message.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from .. import quantizers, recursion
from ..quantizers import QUANTIZERS
from ..simulation import processes

#: options of the quantizer whose declared constants a bound is computed from
_DECLARED = ("quantizer", "bits", "d", "granularity")


def settle(chosen: Namespace) -> None:
    """Note which options have no effect (``chosen.idle``), and raise ValueError where one of them was given."""
    chosen.idle = set()
    for option, purpose in _idle(chosen):
        idle(chosen, option, purpose)


def idle(chosen: Namespace, option: str, purpose: str) -> None:
    """Note that an option has no effect, and raise ValueError, which says what it is for, where it was given."""
    if option in chosen.given:
        raise ValueError(f"--{option} has no effect here: it is for {purpose}")
    chosen.idle.add(option)


def _idle(chosen: Namespace) -> Iterator[tuple[str, str]]:
    """Yield the options that have no effect, and what they are for."""
    if "profile" in chosen:
        yield from _of_profiles(chosen)
    if chosen.command == "recommend" and chosen.trials is None:
        yield "seed", "--trials, whose trials it draws"
    if chosen.command == "simulate":
        yield from _of_simulations(chosen)
    if (constants := constants_needed(chosen)) and all(getattr(chosen, name) is not None for name in constants):
        given = f"{' and '.join(constants)} {'is' if len(constants) == 1 else 'are'} given"
        yield from ((option, f"constants that a quantizer declares, and {given}") for option in _DECLARED)
    elif "quantizer" in chosen:
        yield from _of_quantizers(chosen)


def constants_needed(chosen: Namespace) -> tuple[str, ...]:
    """Return the constants that a command needs, each of which can be given instead of a quantizer."""
    return {"bounds": ("c", "kappa"), "worst-case": ("c",)}.get(chosen.command, ())


def _of_profiles(chosen: Namespace) -> Iterator[tuple[str, str]]:
    if chosen.profile != "geometric":
        yield "ratio", "--profile geometric"
    if chosen.profile != "impulse":
        yield "at", "--profile impulse"
    if chosen.profile != "random" and not searched(chosen):
        where = ", and to search a deterministic quantizer with constant differences"
        yield "seed", f"--profile random{where if chosen.command == 'worst-case' else ''}"


def searched(chosen: Namespace) -> bool:
    """Return whether ``worst-case`` searches for the worst differences of its quantizer."""
    if chosen.command != "worst-case" or chosen.c is not None or chosen.profile != "constant":
        return False
    return not QUANTIZERS[quantizers.parts(chosen.quantizer)[0]].laws.randomised


def _of_simulations(chosen: Namespace) -> Iterator[tuple[str, str]]:
    named = [text for text in chosen.process if not processes.is_file(text) and text != "recorded"]
    if all(processes.parts(text)[1] is not None for text in named):
        yield "d", "processes that do not say how many entries an input has"
    if not any(recursion.get(name).has_state for name in chosen.recursion or recursion.RECURSIONS):
        yield "warmup", "recursions that keep something from call to call"


def _of_quantizers(chosen: Namespace) -> Iterator[tuple[str, str]]:
    texts = [chosen.quantizer] if isinstance(chosen.quantizer, str) else chosen.quantizer or QUANTIZERS
    said = [quantizers.parts(text) for text in texts]
    if all(bits is not None or QUANTIZERS[name].fixed_bits is not None for name, bits, _ in said):
        yield "bits", "quantizers whose name or format does not say how many bits they have"
    if all(shared is not None for _, _, shared in said):
        yield "granularity", "quantizers whose name does not say which entries share a scale"
