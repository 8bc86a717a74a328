"""Ctrl-C at a random moment of ``with modulated(...)`` and its relatives: is the model unchanged afterwards?

A moment is one of those at which Python takes an interrupt: the beginning of a function, the end of a call, a jump back
in a loop. They are counted over the whole statement (entering, the model's calls, leaving), in the code of this project
and of torch, and one of them is drawn; so an attempt can be repeated. While the interrupt is still being handled, the
attributes, hooks and weights of every module are examined, and torch's own functions, modes and switches. Once it has
been handled, the same statement on the same model must give the same numbers as before.
"""

from __future__ import annotations

import dis
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, overrides
from torch.utils import _python_dispatch

import modiff_sim as ms
from analysis.faults import Attempt
from modiff_sim import Storage, Threshold
from modiff_sim.nn import Attention, calibrate, model_shapes, modulated, modulated_pipeline, record, sample, transfer
from modiff_sim.nn.attention.quantized import count_products
from modiff_sim.nn.calibration.moments import gather
from modiff_sim.nn.layers import find
from modiff_sim.nn.plans.reuse import matching

#: Python checks for an interrupt after these, and at the beginning of a function and at a jump back
CALLS = ("CALL", "CALL_FUNCTION_EX", "CALL_KW")


class Attends(nn.Module):
    """Attention over the pixels by torch's own function."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Add the attention to x."""
        q, k, v = self.qkv(x.flatten(2).mT)[:, None].chunk(3, -1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v)[:, 0]).mT.reshape(x.shape)


class Small(nn.Module):
    """A small network: convolutions, attention, weight norm, a layer used twice, and one whose forward is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(2, 4, 3, padding=1)
        self.mid_block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), Attends(4))
        self.twice = nn.Conv2d(4, 4, 1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
        self.conv_out = nn.Conv2d(4, 2, 3, padding=1)
        inner = self.conv_out.forward
        self.conv_out.forward = lambda *args, **named: inner(*args, **named)  # type: ignore[method-assign]

    def forward(self, x: Tensor, t: Any = 0) -> Tensor:
        """Return the output for x; t is not used."""
        x = self.twice(self.mid_block(self.conv_in(x)).relu())
        return self.conv_out(self.normed(self.twice(x).relu()))


def model() -> nn.Module:
    """Make the network, with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small().eval().requires_grad_(False)


def inputs(calls: int = 2) -> list[Tensor]:
    """Return the inputs of consecutive calls, which change slowly."""
    generator = torch.Generator().manual_seed(1)
    start, drift = (torch.randn(2, 2, 4, 4, generator=generator) for _ in range(2))
    return [start + 0.02 * i * drift for i in range(calls)]


def _arm(**options: Any) -> Callable[[nn.Module], Any]:
    def statement(net: nn.Module) -> Any:
        more = {"reuse": matching(net, "mid_block", every=2)} if "reuse" in options else {}
        with modulated(net, **{"activations": ms.AbsMax(4), **options, **more}) as run:
            found = [net(x) for x in inputs()]
            run.reset()
            return [*found, net(inputs()[0])]

    return statement


def _record(net: nn.Module) -> Any:
    with record(net, ms.AbsMax(4)) as log:
        for x in inputs():
            net(x)
    return [torch.from_numpy(log.table("d", "absmax"))]


def _sample(net: nn.Module) -> Any:
    with modulated(net, activations=ms.AbsMax(4)):
        return [torch.from_numpy(sample(net, images=2, batch=2, steps=2, shape=(2, 4, 4)))]


def _calibrate(net: nn.Module) -> Any:
    def sampling(resets: list[Callable[..., object]]) -> None:
        for reset in resets:
            reset()
        for x in inputs():
            net(x)

    return repr(calibrate(net, sampling, bits=4, target="closed_loop", rounds=1).ranges)


def _pipeline(pipeline: Any) -> Any:
    with modulated_pipeline(pipeline, activations=ms.AbsMax(4)):
        generator = torch.Generator().manual_seed(0)
        return [torch.from_numpy(pipeline(1, generator, num_inference_steps=2, output_type="np").images)]


def pipeline() -> Any:
    """Make a DDIM pipeline of diffusers around a U-Net of a few layers."""
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DModel(
            8,
            1,
            1,
            block_out_channels=(4,),
            norm_num_groups=2,
            layers_per_block=1,
            add_attention=False,
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
        )
    made = DDIMPipeline(unet.eval().requires_grad_(False), DDIMScheduler())
    made.set_progress_bar_config(disable=True)
    return made


#: name -> the statement on a model that is interrupted, which returns numbers
ARMS: dict[str, Callable[[Any], Any]] = {
    "closed loop": _arm(),
    "open loop": _arm(recursion="open_loop"),
    "direct": _arm(recursion="direct"),
    "storage": _arm(storage=Storage(ref=ms.AbsMax(8), o_hat="float16")),
    "attention": _arm(attention=Attention(q=ms.AbsMax(8), k=ms.AbsMax(8), softmax=ms.MinMax(8))),
    "reuse": _arm(reuse=None),
    "thresholds": _arm(skip=Threshold(0.1)),
    "weights": _arm(weights=ms.AbsMax(4)),
    "integers": _arm(weights=ms.AbsMax(8), engine="auto"),
    "sampling": _sample,
    "record": _record,
    "calibration": _calibrate,
    "pipeline": _pipeline,
    "shapes": lambda net: repr(model_shapes(net, inputs()[0]).layers),
    "products": lambda net: repr(count_products(net, inputs()[0])),
    "transfer": lambda net: [torch.from_numpy(transfer(net, inputs()[0]).output)],
    "moments": lambda net: [used.gram for _, used, _ in gather(net, [(x,) for x in inputs()], find(net, None))],
}


_MOMENTS: dict[int, tuple[frozenset[int], CodeType]] = {}  # by address, because the hash of a code object is slow


def moments(code: CodeType) -> frozenset[int]:
    """Return the offsets of a function's instructions before which an interrupt is taken."""
    if (known := _MOMENTS.get(id(code))) is not None:
        return known[0]
    found, before = set[int](), ""
    for instruction in dis.get_instructions(code):
        if before in CALLS:
            found.add(instruction.offset)
        if "JUMP_BACKWARD" in instruction.opname:
            found.add(instruction.argval)
        before = instruction.opname
    return _MOMENTS.setdefault(id(code), (frozenset(found), code))[0]


class Interrupt:
    """Counts moments while it is active, and raises KeyboardInterrupt at one of them."""

    def __init__(self, at: float = math.inf) -> None:
        self.at, self.passed = at, 0
        self.where = ""

    def __enter__(self) -> Interrupt:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        self._count(frame)
        if not moments(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._inside

    def _inside(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and frame.f_lasti in moments(frame.f_code):
            self._count(frame)
        return self._inside

    def _count(self, frame: FrameType) -> None:
        self.passed += 1
        if self.passed > self.at:
            self.at = math.inf
            self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
            raise KeyboardInterrupt


def seen(what: Any) -> dict[str, Any]:
    """Return all state of a model, or of a pipeline with one, and of torch: name -> something that can be compared."""
    network = what if isinstance(what, nn.Module) else what.unet
    found: dict[str, Any] = {
        "torch's function modes": [id(mode) for mode in overrides._get_current_function_mode_stack()],
        "torch's dispatch modes": [id(mode) for mode in _python_dispatch._get_current_dispatch_mode_stack()],
        "gradients and inference": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "the fused kernels' switch": torch.backends.mha.get_fastpath_enabled(),
        "the compiler's stance": getattr(sys.modules.get("torch._dynamo.eval_frame"), "_stance", None),
        "torch's functions": [
            id(f) for f in (F.linear, F.scaled_dot_product_attention, nn.Linear.forward, nn.Conv2d.forward,
                            nn.Module.__call__, nn.Module._call_impl)
        ],
        "the scheduler": None if network is what else type(what.scheduler),
    }  # fmt: skip
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            held = sorted((str(k), id(v)) for k, v in value.items()) if isinstance(value, dict) else id(value)
            found[f"{key} of '{name}'"] = held
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        found[f"the values of '{name}'"] = tensor.device.type == "cpu" and tensor.numpy(force=True).tobytes()
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of what is not the same."""
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def put_right() -> None:
    """Reset what an attempt that went wrong has left in torch, so that the next one is judged by itself."""
    while overrides._get_current_function_mode_stack():
        overrides._pop_mode()
    while _python_dispatch._get_current_dispatch_mode_stack():
        _python_dispatch._pop_mode()
    torch.set_grad_enabled(True)
    torch.backends.mha.set_fastpath_enabled(True)


def numbers(result: Any) -> bytes:
    """Return the bytes of what a statement returned."""
    return result.encode() if isinstance(result, str) else b"".join(x.numpy(force=True).tobytes() for x in result)


class InterruptedCall:
    """One arm on one model, the undisturbed result of its statement, and the number of moments that it has."""

    def __init__(self, name: str) -> None:
        self.name, self._statement = name, ARMS[name]
        self._make = pipeline if name == "pipeline" else model
        self.what = self._make()
        self._statement(self.what)  # for what is imported and cached the first time
        with Interrupt() as counted:
            result = self._statement(self.what)
        self.moments, self._expected = counted.passed, numbers(result)

    def attempt(self, at: int) -> Attempt:
        """Interrupt the statement at this moment."""
        before, changed = seen(self.what), list[str]()
        interrupt, came = Interrupt(at), False
        try:
            with interrupt:
                self._statement(self.what)
        except KeyboardInterrupt:
            came, changed = True, differences(before, seen(self.what))
        wrong = self._wrong(came, changed, before)
        if wrong:
            put_right()
            self.what = self._make()
        right = "the model was as before and gave its numbers"
        said = f"{wrong} (interrupted in {interrupt.where})" if wrong else right
        return Attempt(f"interrupt in {self.name}", said, not wrong)

    def _wrong(self, came: bool, changed: list[str], before: dict[str, Any]) -> str:
        if changed:
            return f"changed: {', '.join(changed[:3])}"
        if not came and differences(before, seen(self.what)):
            return "changed, and the interrupt was lost"
        try:
            again = numbers(self._statement(self.what))
        except Exception as error:
            return f"does not work any more: {type(error).__name__}: {error}"
        if again != self._expected:
            return "gives other numbers"
        late = differences(before, seen(self.what))
        return f"changed afterwards: {', '.join(late[:3])}" if late else ""


def attempts(times: int, seed: int, folder: Path) -> Iterator[Attempt]:
    """Try ``times`` interrupts, spread evenly over ``ARMS``. ``folder`` is not needed."""
    del folder
    subjects: dict[str, InterruptedCall] = {}
    rng = np.random.default_rng(seed)
    for i in range(times):
        name = list(ARMS)[i % len(ARMS)]
        subject = subjects.get(name) or subjects.setdefault(name, InterruptedCall(name))
        yield subject.attempt(int(rng.integers(subject.moments)))
