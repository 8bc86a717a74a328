"""What a model takes: the shape of an image, and the device and dtype on which its noise is drawn."""

from __future__ import annotations

import torch
from torch import nn


def image_shape(model: nn.Module) -> tuple[int, int, int]:
    """(channels, height, width) from a diffusers config. Raises ValueError where the config does not say."""
    config = getattr(model, "config", None)
    size, channels = getattr(config, "sample_size", None), getattr(config, "in_channels", None)
    if size is None or channels is None:
        raise ValueError(f"{type(model).__name__} has no config with sample_size and in_channels: pass shape=(C, H, W)")
    sizes = [size, size] if isinstance(size, int) else list(size) if isinstance(size, list | tuple) else []
    if len(sizes) != 2 or not all(isinstance(x, int) and x > 0 and not isinstance(x, bool) for x in (channels, *sizes)):
        raise ValueError(
            f"the config of {type(model).__name__} has sample_size={size!r} and in_channels={channels!r}, where an "
            "image has an integer, or two, and an integer: correct its config.json, or pass shape=(C, H, W)"
        )
    height, width = sizes
    return channels, height, width


def device_and_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of the noise: those of the first parameter that holds numbers.

    Parameters that their layer fetches when it is called (accelerate's hooks) are on the meta device between the calls,
    and are accepted. Raises ValueError for a model that is on the meta device otherwise.
    """
    empty, fetched = [], None
    for where, module in model.named_modules():
        hook = getattr(module, "_hf_hook", None)
        for name, p in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if p.is_meta and hook is None:
                empty.append(f"{where}.{name}".lstrip("."))
            elif p.is_meta and fetched is None:
                fetched = torch.device(getattr(hook, "execution_device", None) or "cpu"), p.dtype
    if empty:
        raise ValueError(
            f"{type(model).__name__} is on the meta device, which holds shapes and no values ({len(empty)} tensors, "
            f"such as {empty[0]}): load its weights first, or, without any, model.to_empty(device='cpu') and draw some"
        )
    first = next((p for p in model.parameters() if not p.is_meta), None)
    if first is not None:
        return first.device, first.dtype
    return fetched or (torch.device("cpu"), torch.get_default_dtype())
