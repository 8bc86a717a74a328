"""Which code made a result: a hash in the key of everything that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import modiff_sim as ms
from modiff_sim.store import digest

#: modules and packages of the core that decide the bytes of a sample, besides all of ``nn``
DECIDES = (
    "bilinear", "granularity", "noise", "quantizer", "quantizers", "recursion", "samplers", "schedules", "skipping",
    "storage",
)  # fmt: skip


@cache
def sampling_source(*more: Path) -> str:
    """Hash of the code that decides the bytes of a sample: a result of older code is not taken for one of today's."""
    core = Path(ms.__file__).parent
    files: list[Path] = []
    for name in (*DECIDES, "nn"):
        module = core / f"{name}.py"
        found = [module] if module.is_file() else sorted((core / name).rglob("*.py"))
        if not found:
            raise FileNotFoundError(f"{core}: no module or package {name}")
        files += found
    return digest([*files, Path(__file__).with_name("arms.py"), *more])


def expect(point: Mapping[str, Any], **mine: str) -> None:
    """Raise ValueError where this process has another source, or other weights, than a point is to be computed with.

    mine: entries of the point as they are here.
    """
    if other := [name for name, value in mine.items() if point[name] != value]:
        raise ValueError(
            f"the point was made with another {' and '.join(other)} than this process has: the bytes would differ"
        )
