"""What is a model: a module of torch, and what to say of a pipeline that was given in its place."""

from __future__ import annotations

from typing import Any

from torch import nn


def check_module(model: Any) -> None:
    """Raise TypeError for what is not a module; it names the networks of a pipeline.

    Parameters
    ----------
    model : object
        What was given as a model.

    Raises
    ------
    TypeError
        For what is not a ``torch.nn.Module``.

    Examples
    --------
    >>> from modiff_sim.nn.hooks.modules import check_module
    >>> check_module("digits")
    Traceback (most recent call last):
        ...
    TypeError: the model must be a torch.nn.Module, got str 'digits'
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model must be a torch.nn.Module, got {_said(model)}")


def _said(model: Any) -> str:
    """What was given, and where its module is."""
    kind, parts = type(model).__name__, getattr(model, "components", None)
    if isinstance(model, type):
        return f"the class {model.__name__}: make one"
    if isinstance(getattr(model, "denoiser", None), nn.Module):
        return f"{kind}: pass its .denoiser"
    if isinstance(parts, dict):
        networks = [f"pipeline.{name}" for name, part in parts.items() if isinstance(part, nn.Module)]
        these = f" ({', '.join(networks)})" if networks else ""
        return f"{kind}: pass its network{these}; for a whole pipeline use adapters.modulated_pipeline, or compare"
    return f"{kind} {model!r:.60}"
