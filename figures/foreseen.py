"""What a figure will look like before its data is computed: enough to know how tall it is at some width."""

from __future__ import annotations

import io
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import is_live, is_practice, kept

if TYPE_CHECKING:
    from analysis.experiments.sizes import Effort


def foreseen(name: str, module: ModuleType, effort: str | Effort) -> dict[str, Any] | None:
    """Return data that is laid out as that of this effort will be; None where only computing it would tell.

    It is the committed data, what the figure's ``outline`` makes of it where the number of panels depends on the
    effort, or for figures of theory at effort full the data of effort quick.
    """
    committed = _committed(name, module)
    if hasattr(module, "outline"):
        outline: dict[str, Any] = module.outline(effort, committed)
        return outline
    if committed:
        return committed
    if effort == "full" and is_live(module) and not is_practice(module):
        quick: dict[str, Any] = module.data("quick")
        return quick
    return None


def _committed(name: str, module: ModuleType) -> dict[str, Any]:
    import numpy as np

    from modiff_sim.sweeps.store import StoreError

    try:
        _, content = kept(name, module)
    except StoreError:
        return {}
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
