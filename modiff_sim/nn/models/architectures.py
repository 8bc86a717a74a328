"""Well-known diffusion models as shapes: they are built on the meta device, without downloads and without weights.

    model = build("sd15");  shapes = shapes_of("sd15")             # UNet2DConditionModel, 859,520,964 parameters
    shapes_of_folder("path/to/a/diffusers/folder")                 # from its config.json alone

Configurations are the published ones, written as diffusers' arguments; the parameter counts confirm them.

Examples
--------
>>> from modiff_sim.nn import architectures
>>> list(architectures.ARCHITECTURES)
['digits', 'cifar10', 'dit-xl-2', 'sd15', 'sdxl']
>>> shapes = architectures.shapes_of("digits")
>>> shapes.parameters, shapes.layers[0].name
(651041, 'time_embedding.linear_1')
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...cost import ModelShapes
from ...names import meant
from .. import zoo
from .shapes import model_shapes

TEXT_TOKENS = 77  # of CLIP, with which Stable Diffusion is conditioned


@dataclass(frozen=True)
class Architecture:
    """One model: its diffusers class and the arguments of that class.

    Parameters
    ----------
    label : str
        For tables.
    cls : str
        The class of diffusers.
    parameters : int
        How many parameters the model has.
    guided : bool, default False
        Whether it is sampled with classifier-free guidance, in two rows per image.
    config : dict
        Arguments of the class.
    """

    label: str
    cls: str
    parameters: int
    guided: bool = False
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the batch that one image takes."""
        return 2 if self.guided else 1


def _digits() -> Architecture:
    card = zoo.card("digits")
    return Architecture("digits U-Net of the zoo, 8×8", card["class"], card["parameters"], config=card["config"])


ARCHITECTURES: dict[str, Architecture] = {
    "digits": _digits(),
    "cifar10": Architecture(
        "CIFAR-10 DDPM U-Net, 32×32", "UNet2DModel", 35_746_307,
        config={  # Ho et al. 2020: ch 128, mult 1,2,2,2, two residual blocks, attention at 16×16
            "sample_size": 32, "in_channels": 3, "out_channels": 3, "layers_per_block": 2,
            "block_out_channels": [128, 256, 256, 256], "downsample_padding": 0, "flip_sin_to_cos": False,
            "freq_shift": 1, "norm_eps": 1e-6, "attention_head_dim": None,
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        },
    ),
    "dit-xl-2": Architecture(
        "DiT-XL/2, 256×256 (latent 32×32)", "DiTTransformer2DModel", 749_826_464, guided=True,
        config={  # Peebles & Xie 2023; diffusers has one timestep embedder per block, hence more than 675 M parameters
            "sample_size": 32, "in_channels": 4, "out_channels": 8, "patch_size": 2, "num_layers": 28,
            "num_attention_heads": 16, "attention_head_dim": 72, "num_embeds_ada_norm": 1000,
            "norm_type": "ada_norm_zero", "norm_elementwise_affine": False, "norm_eps": 1e-6,
            "attention_bias": True, "activation_fn": "gelu-approximate",
        },
    ),
    "sd15": Architecture(
        "Stable Diffusion 1.5, 512×512 (latent 64×64)", "UNet2DConditionModel", 859_520_964, guided=True,
        config={  # Rombach et al. 2022
            "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "cross_attention_dim": 768,
            "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
            "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
        },
    ),
    "sdxl": Architecture(
        "Stable Diffusion XL, 1024×1024 (latent 128×128)", "UNet2DConditionModel", 2_567_463_684, guided=True,
        config={  # Podell et al. 2023
            "sample_size": 128, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
            "cross_attention_dim": 2048, "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    ),
}  # fmt: skip

FAMILIES = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel", "Transformer2DModel")


def _known(cls: str) -> None:
    if cls not in FAMILIES:
        raise ValueError(
            f"inputs of a {cls} are not known here; known: {', '.join(FAMILIES)}; use nn.model_shapes on your own"
        )


def from_config(cls: str, config: dict[str, Any]) -> nn.Module:
    """A diffusers model of this class on the meta device, in eval mode.

    Parameters
    ----------
    cls : str
        A class in ``FAMILIES``.
    config : dict
        Its arguments.

    Raises
    ------
    ValueError
        For another class.
    """
    _known(cls)
    import diffusers

    with torch.device("meta"):
        model: nn.Module = getattr(diffusers, cls)(**config)
    return model.eval()


def build(name: str) -> nn.Module:
    """A known model on the meta device, in eval mode.

    Parameters
    ----------
    name : str
        A name in ``ARCHITECTURES``.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    found = architecture(name)
    return from_config(found.cls, found.config)


def architecture(name: str) -> Architecture:
    """The class and config of a known model.

    Parameters
    ----------
    name : str
        A name in ``ARCHITECTURES``.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if name not in ARCHITECTURES:
        known, near = ", ".join(ARCHITECTURES), meant(name, ARCHITECTURES)
        raise ValueError(f"unknown model {name!r}; known: {known}, or a folder with a config.json{near}")
    return ARCHITECTURES[name]


def example_inputs(model: Any, batch: int = 1) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Meta tensors of the shapes that a diffusers model is called with, from its config.

    Parameters
    ----------
    model : torch.nn.Module
        A model of one of ``FAMILIES``.
    batch : int, default 1
        Rows of the batch.

    Returns
    -------
    tuple of (tuple, dict)
        Positional arguments and arguments by keyword.

    Raises
    ------
    ValueError
        For another class, and for a config that does not determine the inputs.
    """
    _known(cls := type(model).__name__)
    c = model.config
    size = (c.sample_size, c.sample_size) if isinstance(c.sample_size, int) else tuple(c.sample_size or ())
    if len(size) != 2 or not c.in_channels:
        raise ValueError(
            f"{cls}: the config has no sample_size and in_channels, so the shape of its input is not known"
        )

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    x, t, label = empty(batch, c.in_channels, *size), empty(batch), empty(batch, dtype=torch.long)
    if cls == "DiTTransformer2DModel":
        return (x,), {"timestep": empty(batch, dtype=torch.long), "class_labels": label}
    if cls == "Transformer2DModel":
        named: dict[str, Any] = {"timestep": empty(batch, dtype=torch.long), "class_labels": label}
        if c.cross_attention_dim:
            named = {"encoder_hidden_states": empty(batch, TEXT_TOKENS, c.cross_attention_dim)}
        return (x,), named
    labels: dict[str, Any] = {"class_labels": label} if getattr(c, "num_class_embeds", None) else {}
    if cls == "UNet2DModel":
        return (x, t), labels
    width = c.cross_attention_dim if isinstance(c.cross_attention_dim, int) else c.cross_attention_dim[0]
    if c.addition_embed_type == "text_time":  # SDXL: the pooled text embedding, and six numbers, each of them embedded
        pooled = c.projection_class_embeddings_input_dim - 6 * c.addition_time_embed_dim
        labels["added_cond_kwargs"] = {"text_embeds": empty(batch, pooled), "time_ids": empty(batch, 6)}
    elif c.addition_embed_type is not None:
        raise ValueError(f"{cls}: inputs of addition_embed_type {c.addition_embed_type!r} are not known here")
    return (x, t), {"encoder_hidden_states": empty(batch, TEXT_TOKENS, width), **labels}


@cache
def shapes_of(name: str) -> ModelShapes:
    """Shapes of a call of a known model at batch 1.

    Parameters
    ----------
    name : str
        A name in ``ARCHITECTURES``.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    model = build(name)
    inputs, named = example_inputs(model)
    return model_shapes(model, *inputs, **named)


def read_folder(folder: str | Path) -> tuple[str, dict[str, Any]]:
    """Class and config of a local diffusers model, or of the denoiser of a whole pipeline.

    Parameters
    ----------
    folder : str or Path
        The folder, or one with ``unet/`` or ``transformer/`` in it.

    Raises
    ------
    FileNotFoundError
        Where there is no config.json.
    ValueError
        Where it is not the config of a diffusers model.
    """
    root = Path(folder)
    places = [p for p in (root, root / "unet", root / "transformer") if (p / "config.json").is_file()]
    if not places:
        raise FileNotFoundError(f"{root}: no config.json there, nor in its unet/ or transformer/ folder")
    text = (places[0] / "config.json").read_text(encoding="utf-8")
    config = json.loads(text)
    cls = config.get("_class_name") if isinstance(config, dict) else None
    if cls is None:
        raise ValueError(f"{places[0] / 'config.json'}: no _class_name: this is not the config of a diffusers model")
    return str(cls), {k: v for k, v in config.items() if not k.startswith("_")}


def shapes_of_folder(folder: str | Path) -> ModelShapes:
    """Shapes of a call of a local diffusers model at batch 1, from its config alone: weights are not read.

    Parameters
    ----------
    folder : str or Path
        See ``read_folder``.

    Raises
    ------
    FileNotFoundError, ValueError
        As ``read_folder`` and ``example_inputs``.
    """
    model = from_config(*read_folder(folder))
    inputs, named = example_inputs(model)
    return model_shapes(model, *inputs, **named)
