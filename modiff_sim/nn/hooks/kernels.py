"""Kernels that would pass a layer by, switched off while a modulated or recorded model runs.

* ``nn.TransformerEncoderLayer`` and ``nn.MultiheadAttention`` run as one fused kernel of torch in eval mode, which
  calls no layer. The switch is global: contexts that are open are counted, and the last one restores what was set.
* A model that was compiled (``torch.compile``) runs as it was traced, without our forwards: it is run eagerly.
"""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from .undo import Context

_lock = threading.RLock()  # a context may be given back by the garbage collector, at any time
_open: set[LayersAreCalled] = set()
_before: tuple[bool, Any] | None = None  # the switch, and torch's stance, as they were before the first context
_eager = False


class LayersAreCalled:
    """A change (see ``undo``): torch's fused encoder kernels are off, and compiled code runs eagerly."""

    def put(self) -> None:
        with _lock:
            _open.add(self)
            _switch()

    def remove(self) -> None:
        with _lock:
            _open.discard(self)
            _switch()


def layers_are_called() -> Context[None]:
    """Torch's fused encoder kernels are off, and compiled code runs eagerly, while this is open anywhere."""
    return Context(lambda undo: undo.put(LayersAreCalled()))


def _switch() -> None:
    """Make it as the open contexts want it. What was there before is noted first, and forgotten last."""
    global _before, _eager
    if _open and _before is None:
        _before = torch.backends.mha.get_fastpath_enabled(), _stance()
        torch.backends.mha.set_fastpath_enabled(False)
        _eager = not isinstance(eagerly(), nullcontext)  # which it is from now on
    elif not _open and _before is not None:
        fast, stance = _before
        torch.backends.mha.set_fastpath_enabled(fast)
        _eager = False
        now = _stance()
        if now is not stance and getattr(now, "stance", None) == "force_eager":
            if stance is None:  # an interrupt kept a call from giving it back, and the compiler is younger than we
                torch.compiler.set_stance("default")
            else:
                sys.modules["torch._dynamo.eval_frame"]._set_stance(stance)
        _before = None


def _stance() -> Any:
    """How torch's compiler deals with compiled code; None where it is not loaded, or too old to be told."""
    return getattr(sys.modules.get("torch._dynamo.eval_frame"), "_stance", None)


def eagerly() -> AbstractContextManager[Any]:
    """Compiled code runs as it was written. For a call as well as for a context: a compiler may be loaded later."""
    if _eager or "torch._dynamo.eval_frame" not in sys.modules or torch.compiler.is_compiling():
        return nullcontext()
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    return nullcontext() if set_stance is None else set_stance("force_eager")
