"""A call of a model that succeeded is taken back where a hook that somebody has put on the model raises after it.

Torch runs the hooks of a module when its forward is over. Ours has to be the last of them, whenever the others came,
and is called after an exception, too. It exists only while there are others. An interrupt (Ctrl-C) in such a hook is
not noticed: the call stays made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules import module as _global

from .patching import Hook
from .undo import Undo


class AfterHooks:
    """Watches the hooks of the modules by which a model is entered, and takes its calls back where they fail."""

    def __init__(self) -> None:
        self._undo = Undo()
        self._hooks: dict[nn.Module, Hook] = {}
        self._watching = False
        self._back: Callable[[], Any] | None = None  # takes the last call back
        self._handled: BaseException | None = None  # the exception that was being handled around that call

    def watch(self, module: nn.Module) -> None:
        """A call of this module's forward has begun: make our hook the last of the module's hooks, if it has any."""
        mine = self._hooks.get(module)
        others = any(hook is not mine for hook in module._forward_hooks.values()) or _global._global_forward_hooks
        if not others:
            return
        if mine is None:
            mine = self._hooks[module] = Hook.of(module, self._over, after=True, always=True)
            self._undo.note(mine.remove)
        mine.remove()
        mine.put()
        self._watching = True

    def ended(self, back: Callable[[], Any]) -> None:
        """The call has succeeded; ``back`` would take it back."""
        if self._watching:
            self._back, self._handled = back, sys.exc_info()[1]

    def forget(self) -> None:
        """The last call stays made: another call begins, or the states were reset."""
        self._back = self._handled = None
        self._watching = False

    def _over(self, *_: Any) -> None:
        back, handled = self._back, self._handled
        self.forget()
        if back is not None and sys.exc_info()[1] is not handled:
            back()

    def remove(self) -> None:
        """Take the hooks off."""
        self.forget()
        self._undo.all()
        self._hooks.clear()
