"""The networks of the witnesses with made-up weights, and files of these as their authors would write them."""

import torch

from analysis.witness import pulfer

HOURS = 3


def foreign(module, network):
    """A state dict with the names that its authors gave."""
    state = network.state_dict()
    if module is pulfer:
        return {f"network.{name}": value for name, value in state.items()}
    outside = {"embed_layer.weight"}
    inner = {
        name.replace("_layer.", "_layer.layers.0.", 1) if "_layer." in name and name not in outside else name: value
        for name, value in state.items()
    }
    return {
        (name if name in outside else f"diffmodel.{name}").replace("in_proj.", "in_proj_"): value
        for name, value in inner.items()
    }


def made(module, seed=0):
    torch.manual_seed(seed)
    return module.Network().eval()
