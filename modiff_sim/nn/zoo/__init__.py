"""Trained models inside the package: nothing is downloaded.

Each model is three files beside this one: ``NAME.safetensors`` (weights; they are loaded as float32, whatever their
dtype), ``NAME.json`` (architecture, sha256, training and quality numbers) and ``NAME.md`` (the model card).

Examples
--------
>>> from modiff_sim.nn import zoo
>>> zoo.MODELS
('digits', 'fashion32', 'cifar10_small')
>>> zoo.card("digits")["parameters"]
651041
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import UNet2DModel

__all__ = ["MODELS", "card", "data_set", "load"]

# Add a model here, with its three files.
MODELS = ("digits", "fashion32", "cifar10_small")


def card(name: str) -> dict[str, Any]:
    """What is known about a model.

    Parameters
    ----------
    name : str
        A name in ``MODELS``.

    Returns
    -------
    dict
        Class, config, sha256, number of parameters, training and quality.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r} in the zoo; known: {', '.join(MODELS)}")
    value: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return value


def data_set(name: str) -> str:
    """The data set that a model was trained on.

    Parameters
    ----------
    name : str
        A name in ``MODELS``.

    Returns
    -------
    str
        Its name, such as "cifar10"; several models may share one.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> from modiff_sim.nn import zoo
    >>> zoo.data_set("cifar10_small")
    'cifar10'
    """
    return str(card(name)["data"]["name"])


def load(name: str) -> UNet2DModel:
    """A new instance of a trained model, float32 on the CPU, in eval mode, without gradients.

    ``model(x, t).sample`` predicts the noise in x, float32 (n, 1, 8, 8) for "digits", (n, 1, 32, 32) for "fashion32"
    and (n, 3, 32, 32) for "cifar10_small", at timestep t (0 to 999, ``modiff_sim.diffusion.schedules.linear()``).

    Parameters
    ----------
    name : str
        A name in ``MODELS``.

    Returns
    -------
    diffusers.UNet2DModel
        The model.

    Raises
    ------
    ValueError
        For an unknown name.
    RuntimeError
        Where the weight file is not the one that the card describes.
    """
    about = card(name)
    weights = files(__name__).joinpath(f"{name}.safetensors").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != about["sha256"]:
        raise RuntimeError(
            f"{name}.safetensors is damaged: sha256 {found}, expected {about['sha256']}; install it again"
        )
    import safetensors.torch
    import torch
    from diffusers import UNet2DModel

    # on "meta" no random initial weights are drawn, so loading a model leaves torch's random state alone
    with torch.device("meta"):
        model: Any = UNet2DModel(**about["config"])
    model.load_state_dict({k: v.float() for k, v in safetensors.torch.load(weights).items()}, assign=True)
    return model.eval().requires_grad_(False)
