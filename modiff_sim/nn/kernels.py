"""Kernels that would pass a layer by, switched off while a modulated or recorded model runs.

* ``nn.TransformerEncoderLayer`` and ``nn.MultiheadAttention`` run as one fused kernel of torch in eval mode, which
  calls no layer. The switch is global: contexts that are open are counted, and the last one restores what was set.
* A model that was compiled (``torch.compile``) runs as it was traced, without our forwards: it is run eagerly.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch

_lock = threading.Lock()
_open = 0
_before = True
_stance, _eager = ExitStack(), False


@contextmanager
def layers_are_called() -> Iterator[None]:
    """Torch's fused encoder kernels are off, and compiled code runs eagerly, while this is open anywhere."""
    global _open, _before, _eager
    with _lock:
        if _open == 0:
            _before = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
            _stance.enter_context(stance := eagerly())
            _eager = not isinstance(stance, nullcontext)
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                torch.backends.mha.set_fastpath_enabled(_before)
                _stance.close()
                _eager = False


def eagerly() -> AbstractContextManager[Any]:
    """Compiled code runs as it was written. For a call as well as for a context: a compiler may be loaded later."""
    if _eager or "torch._dynamo.eval_frame" not in sys.modules or torch.compiler.is_compiling():
        return nullcontext()
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    return nullcontext() if set_stance is None else set_stance("force_eager")
