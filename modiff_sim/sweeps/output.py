"""The result of one point of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Output:
    """What ``compute`` returns for a point.

    Parameters
    ----------
    row : mapping
        Plain numbers and words.
    arrays : mapping of str to numpy.ndarray, optional
        Arrays of numbers by name.
    aside : mapping of str to float, optional
        Numbers that differ from run to run, such as times. They are outside of every checksum.

    Examples
    --------
    >>> from modiff_sim import sweeps
    >>> sweeps.Output({"loss": 0.5}, aside={"gigabytes": 1.2}).row
    {'loss': 0.5}
    """

    row: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    aside: Mapping[str, float] = field(default_factory=dict)
