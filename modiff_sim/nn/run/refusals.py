"""Models that a run cannot begin on: without weights, recorded, or modulated already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ..hooks.patching import own_forward, patches


def owners(model: nn.Module) -> Iterator[Any]:
    """The owners of all active patches of a model."""
    return (patch.owner for module in model.modules() for patch in patches(module))


def refuse_unloaded(model: nn.Module, layers: Mapping[str, Any]) -> None:
    """Raise ValueError for layers without weights, unless hooks of other libraries may bring them when needed."""
    brought = any(own_forward(module) is not None for module in model.modules())
    if absent := [name for name, module in layers.items() if module.weight.is_meta and not brought]:
        raise ValueError(
            f"{type(model).__name__} has no weights yet, its layer '{absent[0]}' is on the meta device: load them "
            "first (load_state_dict(..., assign=True), or to_empty(device=...) and then load_state_dict)"
        )


def refuse_recorded(model: nn.Module, run: Any = None) -> None:
    """Raise RuntimeError where patches of others than the run are on a model."""
    if any(owner is not None and owner is not run for owner in owners(model)):
        raise RuntimeError(
            f"{type(model).__name__} is being recorded, which would see nothing of this: enter modulated(...) "
            "first, and record(...) inside of it"
        )


def modulated_already(model: nn.Module, owner: Any) -> RuntimeError:
    """The error for a model that another run has patched."""
    return RuntimeError(f"{type(model).__name__} is modulated already (by {owner}): leave that context first")
