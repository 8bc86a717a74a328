"""The RMS transfer of a torch model: where the energy of noise in a layer's input goes, as in ``modiff_sim.transfer``.

    from modiff_sim.nn.measure.transfer import probed, transfer
    found = transfer(model, x, t)                    # one call: found.upstream[l, m, i], found.output[l, i]
    with probed(model, timesteps=[999, 950, ...]) as network:     # a whole sampling run
        along = modiff_sim.transfer.measure_transfer(network, x.numpy(), steps)

Layers are the model's Conv1d, Conv2d and Linear modules (those that ``where`` keeps), in the order in which they are
called. A module that is called several times within one model call is listed as "name", "name#1", ... Every layer's
input must have the samples on axis 0. The model is left as it was, after an exception too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...transfer import CallTransfer, Edit, call_transfer
from ..hooks.calling import caller, likeliest
from ..hooks.calls import Calls
from ..hooks.modes import inference
from ..hooks.modules import check_module
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo
from ..layers import Chosen, Operator, find, occurrence_name
from ..run.run import active_run

#: (rows of x, call index) -> output, a tensor
Forward = Callable[[Tensor, int], Tensor]


class Probed:
    """A torch model as a ``modiff_sim.transfer.Network``: NumPy in, NumPy out. Made by ``probed``."""

    def __init__(self, modules: dict[str, nn.Module], forward: Forward, like: Tensor, calls: Calls) -> None:
        self._operators = {name: Operator(name, module, None) for name, module in modules.items()}
        self._forward, self._like, self._calls = forward, like, calls
        self._order: dict[str, int] = {}
        self._edit: Edit | None = None
        self._rows = 0

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in the order of the calls.

        Raises RuntimeError before the first call, which finds that order.
        """
        if not self._order:
            raise RuntimeError("the order of the layers is known after a first call: call discover(x) once")
        return tuple(self._order)

    def discover(self, x: np.ndarray, call: int = 0) -> None:
        """Run the model once to learn in which order it calls its layers."""
        self(x, call, lambda layer, a: a)

    def __call__(self, x: np.ndarray, call: int, edit: Edit) -> np.ndarray:
        """The model's output (float32, or float64 for a float64 model) for rows x, every layer's input edited."""
        self._edit, self._rows = edit, len(x)
        try:
            with inference():
                out = self._forward(self._tensor(x), call)
        finally:
            self._edit = None
        return self._array(out)

    def linear(self, layer: int, a: np.ndarray) -> np.ndarray:
        """A(a) of a layer, without its bias."""
        name = self.layers[layer].partition("#")[0]
        with inference():
            return self._array(self._operators[name].linear(self._tensor(a)))

    def _tensor(self, a: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(a)).to(self._like.device, self._like.dtype)

    @staticmethod
    def _array(a: Tensor) -> np.ndarray:
        wide = a if a.dtype == torch.float64 else a.float()
        return wide.detach().cpu().numpy()

    def _hook(self, name: str, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._edit is None:
            return None
        a: Tensor = inputs[0] if inputs else named["input"]
        full = occurrence_name(name, self._calls.take(name))
        if a.shape[0] != self._rows:
            raise ValueError(
                f"layer '{full}': its input {tuple(a.shape)} does not have the {self._rows} samples on axis 0; leave "
                "it out with where=, or give the model one condition per sample"
            )
        edited = self._tensor(self._edit(self._order.setdefault(full, len(self._order)), self._array(a)))
        return ((edited, *inputs[1:]), named) if inputs else (inputs, {**named, "input": edited})


def probed(
    model: nn.Module,
    *,
    timesteps: Sequence[int] | None = None,
    forward: Forward | None = None,
    where: Chosen = None,
) -> Context[Probed]:
    """The model as a network whose transfer can be measured, while the context is open.

    Parameters
    ----------
    model : torch.nn.Module
        The model, in eval mode.
    timesteps : sequence of int, optional
        Timesteps of the calls: call i is model(x, timesteps[i]), called and answered as in ``nn.hooks.calling``.
    forward : callable, optional
        (rows of x, call) -> output, for models that are called in another way. Exactly one of ``timesteps`` and
        ``forward`` is needed.
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.

    Returns
    -------
    context manager of Probed
        Entering it hooks the layers and yields the ``Probed`` network; leaving it restores the model.

    Raises
    ------
    TypeError
        For what is not a module.
    ValueError
        For a model without such layers or in training mode, and unless exactly one of ``timesteps`` and ``forward`` is
        given.
    RuntimeError
        Inside ``modulated``.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from modiff_sim.nn import probed
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.Linear(4, 2)).eval()
    >>> with probed(model, forward=lambda x, call: model(x)) as network:
    ...     network.discover(np.ones((3, 4), np.float32))
    >>> network.layers
    ('0', '2')
    """
    check_module(model)
    if (timesteps is None) == (forward is None):
        raise ValueError("pass timesteps=, one per call, or forward=, (x, call) -> output; not both")
    if model.training:
        raise ValueError("the model is in training mode (dropout would be active): call model.eval() first")
    if active_run(model) is not None:
        raise RuntimeError("the model is modulated: its transfer is measured in full precision")
    modules = find(model, where)
    if not modules:
        raise ValueError(f"{type(model).__name__}: no Conv1d, Conv2d or Linear layer (after where=): nothing to probe")

    def at_timestep(x: Tensor, call: int) -> Tensor:
        assert timesteps is not None
        return likeliest(caller(model)(x, timesteps[call]), type(model).__name__)

    like = next(model.parameters())
    calls = Calls(model)
    network = Probed(modules, forward or at_timestep, like, calls)

    def enter(undo: Undo) -> Probed:
        undo.put(calls)
        for name, module in modules.items():
            undo.put(Hook.of(module, network._hook, name))
        return network

    return Context(enter)


def transfer(
    model: nn.Module, x: Tensor, *args: Any, where: Chosen = None, levels: float = 100.0, seed: int = 0
) -> CallTransfer:
    """The RMS transfer within one call, model(x, *args), for every sample of x and each of its L layers.

    Parameters
    ----------
    model : torch.nn.Module
        The model, in eval mode.
    x : torch.Tensor
        Floating, (n, ...).
    *args
        Passed on as they are: a timestep, or conditions that do not depend on the row (rows are repeated inside).
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.
    levels : float, default 100
        The noise has standard deviation max|.|/levels, small enough for the model to be linear; above 1.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    CallTransfer
        float64 arrays: ``upstream`` (L, L, n), the energy that noise of energy 1 at the output of layer l's linear
        operator has at the input of layer m; ``output`` (L, n), the energy that it has in the model's output; ``a`` (L,
        n), energies of the inputs; ``entered`` (L, n) and ``through`` (n,), the energy of noise of energy 1 in x there.
        Roots are RMS gains.

    Raises
    ------
    ValueError
        For an x that is not a non-empty floating batch, levels <= 1, and as ``probed``.
    RuntimeError
        As ``probed``.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import transfer
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.Linear(4, 2)).eval()
    >>> found = transfer(model, torch.ones(3, 4))
    >>> found.upstream.shape, found.output.shape
    ((2, 2, 3), (2, 3))
    """
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or not x.numel():
        raise ValueError(f"x must be a non-empty floating tensor (samples, ...), got {getattr(x, 'shape', x)!r}")
    if not levels > 1:
        raise ValueError(f"levels must be above 1, got {levels}")

    def forward(rows: Tensor, _call: int) -> Tensor:
        out = model(rows, *args)
        return getattr(out, "sample", out)

    with probed(model, forward=forward, where=where) as network:
        start = Probed._array(x)
        network.discover(start)
        return call_transfer(network, start, levels=levels, rng=np.random.default_rng(seed))
