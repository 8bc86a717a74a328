"""Which layers of a run go on integers, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...quantizers import AbsMax
from ...quantizers.base import Quantizer
from ..layers import Operator
from ..states import Step
from .codes import IntegerWeight
from .layer import Buffers, IntegerLayer, State, static_reason
from .machine_code import Processor, runnable, why_not

#: bits of codes that a byte holds
MAX_BITS = 8


def wrong_quantizer(Q: Quantizer) -> str:
    """Return the reason against a quantizer that the engine does not implement."""
    return f"its quantizer is {Q}, and not AbsMax of 2 to {MAX_BITS} bits with one scale per sample or batch"


class Engine:
    """The integer layers of one run.

    Parameters
    ----------
    kind : "simulated", "integer" or "auto"
        What ``modulated`` was asked for: no layers, layers of which at least one is needed, or those that there are.
    operators : mapping of str to Operator
        The layers.
    hindered : mapping of str to str
        Layers whose options keep them from integers, and why.
    processor : Processor, optional
        What the kernels are compiled for; by default the best that this processor runs.

    Attributes
    ----------
    declined : dict of str to str
        Layers that did not run on integers in some quantized call, and why; the first reason counts.

    Raises
    ------
    ValueError
        For "integer" where no layer can run on integers.
    """

    def __init__(
        self,
        kind: str,
        operators: Mapping[str, Operator],
        hindered: Mapping[str, str],
        processor: Processor | None = None,
    ) -> None:
        self.declined: dict[str, str] = {}
        self._layers: dict[str, IntegerLayer] = {}
        self._buffers, self._kind = Buffers(), kind
        if kind == "simulated":
            return
        why = why_not()
        processor = processor or (None if why else runnable()[0])
        for name, operator in operators.items():
            try:
                self._layers[name] = self._made(operator, processor, why or hindered.get(name, ""))
            except ValueError as error:
                self.decline(name, str(error))
        if kind == "integer" and not self._layers:
            name, why = next(iter(self.declined.items()))
            raise ValueError(
                f"engine='integer': none of the {len(operators)} layers can run on integers; '{name}': {why} "
                "(engine='auto' simulates such layers)"
            )

    def _made(self, operator: Operator, processor: Processor | None, hindered: str) -> IntegerLayer:
        """The layer on integers. Raises ValueError, which says why, where there is none."""
        if processor is None or (hindered := hindered or static_reason(operator)):
            raise ValueError(hindered)
        return IntegerLayer(operator, IntegerWeight.of(operator), processor, self._buffers)

    def step(self, name: str, Q: Quantizer, a: Tensor, state: State | None, recursion: str, spare: Any) -> Step | None:
        """The step of a layer (``IntegerLayer.step``); None where it has to be simulated, and the reason is noted."""
        if (layer := self._layers.get(name)) is None:
            return None
        if why := self._hinders(layer, Q, a):
            self.decline(name, why)
            return None
        if (made := layer.step(Q, a, state, recursion, spare)) is None:  # type: ignore[arg-type]
            self.decline(name, "its residual is so small that its scale is subnormal")
        return made

    def decline(self, name: str, why: str) -> None:
        """Note why a layer does not run on integers, unless that is known already, or nothing was to."""
        if self._kind != "simulated":
            self.declined.setdefault(name, why)

    @staticmethod
    def _hinders(layer: IntegerLayer, Q: Quantizer, a: Tensor) -> str:
        if type(Q) is not AbsMax or not 2 <= Q.bits <= MAX_BITS:
            return wrong_quantizer(Q)
        if a.dtype != torch.float32 or a.device.type != "cpu":
            return f"its input is {str(a.dtype).removeprefix('torch.')} on {a.device.type}, and not float32 on the cpu"
        if torch.is_autocast_enabled("cpu"):
            return "autocast chooses its dtype"
        if layer.operator.without_batch(a) or a.ndim < 2:
            return "its input has no batch axis"
        return layer.declines(Q)

    def clear(self) -> None:
        """Let go of the buffers between batches."""
        self._buffers.clear()

    def close(self) -> None:
        """Let go of the layers and their weights; what was declined stays readable."""
        self._layers.clear()
        self.clear()

    def bytes(self) -> int:
        """Bytes of packed weights and buffers."""
        return self._buffers.bytes() + sum(layer.packed.bytes() for layer in self._layers.values())
