"""Kernels that would bypass a layer are switched off while a modulated or recorded model runs.

* ``nn.TransformerEncoderLayer`` and ``nn.MultiheadAttention`` run as one fused kernel of torch in eval mode, which
  calls no layer. The switch is global: open contexts are counted, and the last one restores the setting.
* A compiled model (``torch.compile``) runs as it was traced, without our forwards, so it is run eagerly instead.
"""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from .undo import Context

_lock = threading.RLock()  # reentrant: the garbage collector may end a context at any time
_open: set[LayersAreCalled] = set()
_before: tuple[bool, Any] | None = None  # the switch, and torch's stance, as they were before the first context
_eager = False


class LayersAreCalled:
    """A change (see ``undo``): torch's fused encoder kernels are off, and compiled code runs eagerly."""

    def put(self) -> None:
        """Switch the kernels off."""
        with _lock:
            _open.add(self)
            _switch()

    def remove(self) -> None:
        """Restore the setting, unless another context is open."""
        with _lock:
            _open.discard(self)
            _switch()


def layers_are_called() -> Context[None]:
    """A context: torch's fused encoder kernels are off, and compiled code runs eagerly, while one is open anywhere."""
    return Context(lambda undo: undo.put(LayersAreCalled()))


def _switch() -> None:
    """Set the switches as the open contexts need them. The setting before is noted first, and forgotten last."""
    global _before, _eager
    if _open and _before is None:
        _before = torch.backends.mha.get_fastpath_enabled(), _stance()
        torch.backends.mha.set_fastpath_enabled(False)
        _eager = not isinstance(eagerly(), nullcontext)  # from now on compiled code runs eagerly
    elif not _open and _before is not None:
        fast, stance = _before
        torch.backends.mha.set_fastpath_enabled(fast)
        _eager = False
        now = _stance()
        if now is not stance and getattr(now, "stance", None) == "force_eager":
            if stance is None:  # an interrupt kept a call from restoring it, and the compiler was loaded later
                torch.compiler.set_stance("default")
            else:
                sys.modules["torch._dynamo.eval_frame"]._set_stance(stance)
        _before = None


def _stance() -> Any:
    """How torch's compiler treats compiled code; None where it is not loaded, or too old to say."""
    return getattr(sys.modules.get("torch._dynamo.eval_frame"), "_stance", None)


def eagerly() -> AbstractContextManager[Any]:
    """A context in which compiled code runs as it was written.

    It is needed for a call as well as for a context, because a compiler may be loaded later.
    """
    if _eager or "torch._dynamo.eval_frame" not in sys.modules or torch.compiler.is_compiling():
        return nullcontext()
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    return nullcontext() if set_stance is None else set_stance("force_eager")
