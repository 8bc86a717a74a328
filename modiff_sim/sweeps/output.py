"""What a point of a sweep gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Output:
    """A row of plain numbers and words, and arrays; ``aside`` is what differs from run to run."""

    row: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    aside: Mapping[str, float] = field(default_factory=dict)
