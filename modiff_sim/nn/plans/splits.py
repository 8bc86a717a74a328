"""Where a U-Net concatenates a skip connection, and plans that quantize the two parts of such inputs separately.

    cuts = skip_splits(unet)                     # {"up_blocks.0.resnets.0.conv1": 64, ...}
    with modulated(unet, activations=with_splits(AbsMax(4), cuts)): ...

Q-Diffusion's "shortcut-splitting quantization" (Li et al., ICCV 2023, arXiv 2302.04304) splits the input of the layers
that read concat([hidden, skip]).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...quantizers import Split, Zero
from ...quantizers.base import Quantizer
from ..hooks.modes import On, inference
from ..hooks.modules import check_module
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo
from ..layers import find
from .plan import Plan, as_plan

#: functions that keep every channel where it is, so that their result is cut where their argument is
_KEEP_CHANNELS = {
    "group_norm", "batch_norm", "instance_norm", "silu", "relu", "relu_", "gelu", "leaky_relu", "sigmoid", "tanh",
    "mish", "dropout", "dropout2d", "clone", "contiguous", "to", "float", "half", "bfloat16", "double", "type",
    "interpolate", "avg_pool2d", "max_pool2d", "pad", "mul", "add", "sub", "div", "__mul__", "__add__", "__sub__",
    "__truediv__", "__rmul__", "__radd__", "__imul__", "__iadd__", "__itruediv__",
}  # fmt: skip


def skip_splits(model: nn.Module, *args: Any, **kwargs: Any) -> dict[str, int]:
    """The layers whose input concatenates a hidden state and a skip connection, and where that input is cut.

    Without an example call, the modules of a diffusers U-Net are looked at and nothing is run: found are the
    convolutions of an up block's residual block that read as many channels as the block does (``conv1`` and
    ``conv_shortcut``).

    With the arguments of an example call, any model is run once on them, in inference mode. Every layer is found whose
    input is a ``torch.cat`` of two tensors of 3 or more axes along axis 1, up to norms, activations and other functions
    that keep channels in place. This works on the meta device.

    Parameters
    ----------
    model : torch.nn.Module
        A diffusers U-Net (UNet2DModel, UNet2DConditionModel and all that have ``mid_block`` and ``up_blocks`` made of
        ``resnets``) or, with an example call, any model.
    *args, **kwargs
        The arguments of an example call, if any.

    Returns
    -------
    dict of str to int
        Layer name -> how many of its input channels are the hidden state's; the rest are the skip connection's.

    Raises
    ------
    ValueError
        For a model without such a structure where no example is given.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, skip_splits
    >>> cuts = skip_splits(architectures.build("digits"))
    >>> next(iter(cuts))
    'up_blocks.0.resnets.0.conv1'
    """
    check_module(model)
    if args or kwargs:
        return _traced(model, args, kwargs)
    mid, ups = getattr(model, "mid_block", None), getattr(model, "up_blocks", None)
    blocks = [] if ups is None else [list(getattr(block, "resnets", [])) for block in ups]
    if not blocks or not all(blocks):
        raise ValueError(
            f"{type(model).__name__} has no up_blocks made of resnets: pass the arguments of an example call, "
            "skip_splits(model, x, t), to find concatenated inputs by running it"
        )
    names = {id(module): name for name, module in model.named_modules()}
    last = list(getattr(mid, "resnets", [])) or list(model.down_blocks[-1].resnets)  # type: ignore[index, union-attr]
    hidden, cuts = last[-1].out_channels, {}
    for resnet in (resnet for block in blocks for resnet in block):
        prefix = names[id(resnet)]
        for name, module in find(resnet, None).items():
            if isinstance(module, nn.Conv2d) and name in ("conv1", "conv_shortcut"):
                cuts[f"{prefix}.{name}"] = int(hidden)
        hidden = resnet.out_channels
    return cuts


class _Cats(TorchFunctionMode):
    """Marks the results of two-part concatenations along axis 1, and of functions that keep their channels in place.

    The mark is an attribute of the tensor object, so it lives as long as the tensor does.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        out = func(*args, **kwargs)
        if name in ("cat", "concat", "concatenate"):
            tensors = args[0] if args else kwargs["tensors"]
            axis = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
            if len(tensors) == 2 and out.ndim > 2 and axis % out.ndim == 1:  # (n, c) is not a feature map
                out._skip_cut = int(tensors[0].shape[1])
        elif name in _KEEP_CHANNELS and isinstance(out, Tensor):
            marked = [x for x in args if isinstance(x, Tensor) and hasattr(x, "_skip_cut")]
            if len(marked) == 1 and out.ndim == marked[0].ndim and out.shape[1] == marked[0].shape[1]:
                out._skip_cut = marked[0]._skip_cut  # type: ignore[attr-defined]
        return out


def _traced(model: nn.Module, args: Any, kwargs: Any) -> dict[str, int]:
    cuts: dict[str, int] = {}

    def look(name: str, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        a = inputs[0] if inputs else named["input"]
        if (cut := getattr(a, "_skip_cut", None)) is not None:
            cuts[name] = cut

    def enter(undo: Undo) -> None:
        for name, module in find(model, None).items():
            undo.put(Hook.of(module, look, name))
        undo.put(On(_Cats()))

    with inference(), Context(enter):
        model(*args, **kwargs)
    return cuts


@dataclass(frozen=True)
class Splits:
    """A plan that cuts the inputs of some layers: those layers use ``Split`` of the inner plan's quantizer.

    Made by ``with_splits``. A layer's further occurrences ("name#1") are cut like the first.
    """

    inner: Plan
    cuts: Mapping[str, int]
    axis: int = 1
    _made: dict[tuple[Quantizer, int], Split] = field(default_factory=dict, init=False, repr=False, compare=False)

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The inner plan's quantizer, as a ``Split`` where the layer's input is cut."""
        Q, cut = self.inner.quantizer(name, call), self.cuts.get(name.partition("#")[0])
        if cut is None or isinstance(Q, Split) or type(Q) is Zero:  # at 0 bits there is nothing to split
            return Q
        return self._made.setdefault((Q, cut), Split(Q, at=(cut,), axis=self.axis))


def with_splits(plan: Quantizer | Plan, cuts: nn.Module | Mapping[str, int], *, axis: int = 1) -> Splits:
    """The plan (or quantizer) with the inputs of these layers split.

    Quantizers that are a ``Split`` already (a calibration with ``splits=``) are left as they are.

    Parameters
    ----------
    plan : Quantizer or Plan
        The quantizers of both parts.
    cuts : torch.nn.Module or mapping of str to int
        What ``skip_splits`` returns, or the diffusers U-Net itself. For other models pass ``skip_splits(model, x, t)``.
    axis : int, default 1
        The axis of the channels.

    Returns
    -------
    Splits
        The plan with ``Split`` quantizers for the layers in ``cuts``.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import with_splits
    >>> plan = with_splits(ms.AbsMax(4), {"up.conv1": 64})
    >>> type(plan.quantizer("up.conv1", 0)).__name__, type(plan.quantizer("conv_in", 0)).__name__
    ('Split', 'AbsMax')
    """
    return Splits(as_plan(plan), dict(cuts) if isinstance(cuts, Mapping) else skip_splits(cuts), axis)
