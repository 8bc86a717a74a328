"""What ``modiff-sim simulate`` found for one quantizer on one process, as the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..quantizers.base import Quantizer
from ..simulation.processes import Process
from . import taken

#: norm -> in words
NORMS = {"2": "2-norm", "inf": "max norm"}
COLUMNS = ("mean", "max", "error", "bound", "ratio", "trial", "holds")
#: key of the worst ratio that ``against_bounds.compared`` found -> its column in the comparison, without the norm
WORST = {
    "ratio": "worst_ratio", "call": "worst_call", "trial": "worst_trial", "holds": "holds",
    "premise_fails_from": "premise_fails_from",
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One quantizer on one process, and per recursion and norm what ``against_bounds.compared`` found.

    ``options`` are those of the process, as they were typed.
    """

    Q: Quantizer
    process: Process
    options: tuple[str, ...]
    block: int
    runs: dict[str, dict[str, dict[str, Any]]]

    @property
    def _process(self) -> str:
        """The name of the process, or the file of a recorded one."""
        return str(self.process.params.get("source", self.process.name))

    @property
    def title(self) -> str:
        """What was run, as in "absmax:4, random_walk, d = 64"."""
        return f"{taken.said(self.Q)}, {self._process}, d = {self.process.d}"

    def about(self) -> dict[str, Any]:
        """The columns that say what was run, and the constants of the quantizer."""
        return taken.about(self.Q, self.process.d, self.block) | {"process": self._process}

    def _keys(self) -> dict[str, Any]:
        about = self.about()
        return {key: about[key] for key in ("quantizer", "bits", "granularity", "process", "d")}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row per recursion, norm and call."""
        keys = self._keys()
        for name, norms in self.runs.items():
            for norm, found in norms.items():
                for call in range(len(found["mean"])):
                    yield keys | {"recursion": name, "norm": norm, "call": call} | _at(found, call)

    def comparison(self) -> Iterator[dict[str, Any]]:
        """Yield a row per recursion: the mean error at the last call, the worst ratios, and the verdict."""
        keys = self._keys()
        for name, norms in self.runs.items():
            row = keys | {"recursion": name}
            for norm, found in norms.items():
                row[f"last_mean_{norm}"] = found["mean"][-1]
                for key, column in WORST.items():
                    row[f"{column}_{norm}"] = None if found["worst"] is None else found["worst"][key]
            yield row | {"verdict": _verdict([found["worst"] for found in norms.values()])}


def _at(found: dict[str, Any], call: int) -> dict[str, Any]:
    return {key: None if found[key] is None else found[key][call] for key in COLUMNS}


def verdict(worst: Mapping[str, Any] | None) -> str:
    """Return the verdict in words, as in "worst ratio 0.9831 (call 12, trial 3): holds"."""
    if worst is None:
        return "no bound is known for this recursion; the error is the largest of all trials"
    at = f"call {worst['call']}" + ("" if worst["trial"] is None else f", trial {worst['trial']}")
    holds = {None: "not decided", True: "holds", False: "DOES NOT HOLD"}[worst["holds"]]
    said = f"worst ratio {worst['ratio']:.4g} ({at}): {holds}"
    if (start := worst["premise_fails_from"]) is not None:
        said += f"; PREMISE FAILS from call {start} on in some trials"
    return said


def _verdict(worst: Sequence[dict[str, Any] | None]) -> str:
    """Return one verdict for both norms."""
    judged = [each for each in worst if each is not None]
    if not judged:
        return "no bound"
    if any(each["holds"] is False for each in judged):
        return "DOES NOT HOLD"
    if any(each["premise_fails_from"] is not None for each in judged):
        return "premise fails"
    return "not decided" if any(each["holds"] is None for each in judged) else "holds"
