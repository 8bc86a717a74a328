"""Ways to compute one step of a model: full precision as users can have it, simulated arms, and arms on integers.

Each is made with a model of its own, and called as ``rival(x, t)``. What is not installed, or cannot be made here, says
so in place of a time.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import modiff_sim as ms
from modiff_sim.nn import deepcache, modulated

Call = Callable[[Tensor, int], Any]
W8 = ms.AbsMax(8)


class NotHereError(Exception):
    """A rival that cannot be made here, and why."""


def plain(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """torch, as a model is loaded."""
    return lambda x, t: model(x, t).sample


def channels_last(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """torch, with the channels last in memory."""
    model = model.to(memory_format=torch.channels_last)
    return lambda x, t: model(x.contiguous(memory_format=torch.channels_last), t).sample


def compiled(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """torch.compile, channels last."""
    call = torch.compile(model.to(memory_format=torch.channels_last))
    call(x.contiguous(memory_format=torch.channels_last), torch.tensor(0))  # compiles, where that can be done
    return lambda x, t: call(x.contiguous(memory_format=torch.channels_last), torch.tensor(t)).sample


def bfloat16(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """torch under autocast to bfloat16, channels last."""
    inner = channels_last(model, x, stack)

    def call(x: Tensor, t: int) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return inner(x, t)

    return call


class _Exported(nn.Module):
    """A model whose output is an array."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.model(x, t).sample


def _exported(model: nn.Module, x: Tensor, folder: Path) -> Path:
    """The model as an ONNX file."""
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise NotHereError("onnx and onnxscript are not installed") from None
    path, t = folder / "model.onnx", torch.tensor([500] * len(x))
    logging.disable(logging.WARNING)  # about operators of packages that are not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = _Exported(model).eval()
            torch.onnx.export(exported, (x, t), path, input_names=["x", "t"], dynamo=True, verbose=False)
    finally:
        logging.disable(logging.NOTSET)
    return path


def _folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _session(path: Path) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x, t: torch.from_numpy(
        session.run(None, {"x": x.numpy(), "t": torch.tensor([t] * len(x)).numpy()})[0]
    )


def onnx_runtime(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """ONNX Runtime in full precision."""
    _need("onnxruntime")
    return _session(_exported(model, x, _folder(stack)))


def onnx_static(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """ONNX Runtime on 8 bits with static scales, taken from one input, of which it keeps every activation."""
    _need("onnxruntime")
    import onnxruntime.quantization as quantization

    folder = _folder(stack)
    path, made = _exported(model, x, folder), folder / "static.onnx"
    inputs = iter([{"x": x.numpy(), "t": torch.tensor([900] * len(x)).numpy()}])

    class Inputs(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Any:
            return next(inputs, None)

    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(str(path), str(made), Inputs(), op_types_to_quantize=["Conv", "MatMul"])
    finally:
        logging.disable(logging.NOTSET)
    return _session(made)


def openvino(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
    """OpenVINO in full precision."""
    _need("openvino")
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    call = core.compile_model(core.read_model(_exported(model, x, _folder(stack))), "CPU", settings)
    return lambda x, t: torch.from_numpy(call([x.numpy(), torch.tensor([t] * len(x)).numpy()])[0].copy())


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise NotHereError(f"{package} is not installed")


def arm(reuse: Callable[[nn.Module], Any] | None = None, **options: Any) -> Callable[..., Call]:
    """An arm of ``modulated``, with weights of 8 bits unless it says otherwise; ``reuse`` is made for the model."""

    def make(model: nn.Module, x: Tensor, stack: ExitStack) -> Call:
        branches = None if reuse is None else reuse(model)
        stack.enter_context(modulated(model, **{"weights": W8, "reuse": branches} | options))
        return lambda x, t: model(x, t).sample

    return make


FULL: Mapping[str, Any] = {
    "full precision, torch": plain, "full precision, torch, channels last": channels_last,
    "full precision, torch.compile": compiled, "full precision, ONNX Runtime": onnx_runtime,
    "full precision, OpenVINO": openvino,
}  # fmt: skip
RIVALS: Mapping[str, Any] = {
    **FULL,
    "bfloat16 autocast, torch": bfloat16,
    "W8A8 static, ONNX Runtime": onnx_static,
    "W8A4 closed loop, simulated": arm(activations=ms.AbsMax(4)),
    **{f"W8A{b} direct, integer": arm(activations=ms.AbsMax(b), recursion="direct", engine="auto") for b in (8, 4)},
    **{f"W8A{b} closed loop, integer": arm(activations=ms.AbsMax(b), engine="auto") for b in (8, 6, 4, 3, 2)},
    "reuse every 2": arm(activations=ms.Zero(), weights=None, refresh=2),
    "DeepCache every 2": arm(
        activations=ms.Identity(), weights=None, recursion="direct", reuse=lambda model: deepcache(model, every=2)
    ),
}
#: by other packages, or by a compiler
FOREIGN = {name for name in RIVALS if "ONNX" in name or "OpenVINO" in name or "compile" in name}


def made(names: Any, model: nn.Module, x: Tensor, stack: ExitStack) -> tuple[dict[str, Call], dict[str, str]]:
    """The rivals of these names, each on a copy of the model, and what cannot be made, with the reason."""
    calls: dict[str, Call] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            calls[name] = RIVALS[name](copy.deepcopy(model), x, stack)
        except NotHereError as error:
            missing[name] = str(error)
        except Exception as error:
            if name not in FOREIGN:
                raise
            missing[name] = str(error).strip().splitlines()[0][:80]  # what other packages cannot do
    return calls, missing
