"""The measured transfer, of one call and along a run: arrays of energies with what they show of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import reals
from ..shown import Said, Shown, frame, pictures
from .energies import rms

if TYPE_CHECKING:
    from .pictures import CallPlots, TransferPlots


@dataclass(frozen=True, repr=False)
class Transfer(Shown):
    """The transfer along a run of T calls, for L layers and n samples. ``measure_transfer`` makes it.

    All arrays are energies, float64. The package's docstring defines the last four.

    Parameters
    ----------
    layers : tuple of str
        The names of the layers.
    a, d : numpy.ndarray, shape (T, L, n)
        Of the layers' inputs, and of their temporal differences (0 at call 0).
    x : numpy.ndarray, shape (T+1, n)
        Of the sampler's state.
    held : numpy.ndarray, shape (T+1, n)
        Of the error in x if ε̂ of call 0 is used in all calls, which is what 0 bits do.
    upstream, output, impulse, moved : numpy.ndarray, shapes (T, L, L, n), (T, L, n), (T, T+1, n), (T, L, T, n)
        The transfer.
    alignment : float
        How far the responses of x to one and the same noise in different calls point the same way: 1 if they are
        parallel, 0 if they are orthogonal (see ``prediction.predict``).

    Examples
    --------
    ``arrays`` and ``from_arrays`` store a transfer and read it back:

    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> none = {name: np.zeros((1, 1, 1)) for name in ms.transfer.Transfer.ARRAYS}
    >>> made = ms.transfer.Transfer(layers=("conv",), alignment=0.0, **none)
    >>> ms.transfer.Transfer.from_arrays(made.arrays()).layers
    ('conv',)
    """

    layers: tuple[str, ...]
    a: np.ndarray
    d: np.ndarray
    x: np.ndarray
    held: np.ndarray
    upstream: np.ndarray
    output: np.ndarray
    impulse: np.ndarray
    moved: np.ndarray
    alignment: float

    ARRAYS = ("a", "d", "x", "held", "upstream", "output", "impulse", "moved")

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields as arrays, to be stored; ``from_arrays`` reads them back."""
        own = {name: getattr(self, name) for name in self.ARRAYS}
        return own | {"layers": np.array(self.layers), "alignment": np.array(self.alignment)}

    @classmethod
    def from_arrays(cls, arrays: Any) -> Transfer:
        """The transfer that ``arrays`` made these arrays of."""
        return cls(
            layers=tuple(str(name) for name in arrays["layers"]),
            alignment=float(arrays["alignment"]),
            **{name: reals(name, arrays[name], dtype=None) for name in cls.ARRAYS},
        )

    def _said(self) -> Said:
        T, L, n = self.a.shape
        gain, result = rms(self.output), rms(self.impulse[:, -1])
        facts = {
            "calls": f"{T} calls, {L} layers ({said_names(self.layers)}), {n} samples", "alignment": self.alignment,
            "gain to the output": f"{gain.min():.4g} to {gain.max():.4g}, RMS, of layers at calls",
            "gain to the result": f"{result.min():.4g} to {result.max():.4g}, RMS, of the outputs of calls",
        }  # fmt: skip
        head = ["RMS gain to the output", "mean over calls", "first call", "last call"]
        rows = ([name, *map(float, (g.mean(), g[0], g[-1]))] for name, g in zip(self.layers, gain.T, strict=True))
        return Said("Transfer: where the energy of noise in layers goes, along a run", facts, head, rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer, step and sample.

        The columns are "layer"; "step", the model call in sampling order; "sample"; "a" and "d", energies (squared
        2-norms) of the layer's input and of its temporal difference; and "output", the energy in the network's output
        per unit of energy at the layer's output.
        """
        T, L, n = self.a.shape
        index = np.indices((T, L, n)).reshape(3, -1)
        columns = {"layer": np.array(self.layers)[index[1]], "step": index[0], "sample": index[2]}
        return frame(columns | {name: getattr(self, name).ravel() for name in ("a", "d", "output")})

    @property
    def plot(self) -> TransferPlots:
        """Pictures (extra [plot]): ``gains`` of layers, ``result`` of calls, ``upstream`` of layers on layers."""
        found: TransferPlots = pictures(self, f"{__package__}.pictures", "TransferPlots")
        return found

    def save(self, path: str | Path) -> None:
        """Write the transfer into the folder ``path``, with a manifest (``modiff_sim.sweeps.saved``).

        Raises ValueError where the path is that of something else.
        """
        from ..sweeps import saved

        saved.save(path, "Transfer", self.arrays(), {})

    @classmethod
    def load(cls, path: str | Path) -> Transfer:
        """Read a saved transfer. Raises FileNotFoundError, and StoreError where it is damaged or something else."""
        from ..sweeps import saved

        arrays, _ = saved.load(path, "Transfer")
        saved.same_names("Transfer", "its file", arrays, [*cls.ARRAYS, "layers", "alignment"])
        return cls.from_arrays(arrays)


@dataclass(frozen=True, repr=False)
class CallTransfer(Shown):
    """The transfer within one call of L layers, for n samples.

    Parameters
    ----------
    a : numpy.ndarray, shape (L, n)
        Energies of the layers' inputs.
    upstream, output : numpy.ndarray, shapes (L, L, n) and (L, n)
        As in the package's docstring.
    entered, through : numpy.ndarray, shapes (L, n) and (n,)
        Energies in the layers' inputs and in the output, per unit of energy in x.
    layers : tuple of str, optional
        The names of the layers.

    Examples
    --------
    ``call_transfer`` makes one; see there.

    >>> import modiff_sim as ms
    >>> sorted(ms.transfer.CallTransfer.__dataclass_fields__)
    ['a', 'entered', 'layers', 'output', 'through', 'upstream']
    """

    a: np.ndarray
    upstream: np.ndarray
    output: np.ndarray
    entered: np.ndarray
    through: np.ndarray
    layers: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, or their numbers where they have none."""
        return self.layers or tuple(map(str, range(len(self.a))))

    def _said(self) -> Said:
        (L, n), gain = self.a.shape, rms(self.output)
        facts = {
            "layers": f"{L} layers ({said_names(self.names)}), {n} samples",
            "gain to the output": f"{gain.min():.4g} to {gain.max():.4g}, RMS, of layers" if L else "-",
            "from x": f"{float(rms(self.through)):.4g}, RMS, to the output",
        }
        head = ["layer", "RMS gain to the output", "RMS gain from x"]
        rows = zip(self.names, map(float, gain), map(float, rms(self.entered)), strict=True)
        return Said("CallTransfer: where the energy of noise in layers goes, within one call", facts, head, rows)

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per layer and sample.

        The columns are "layer"; "sample"; "a", the energy (squared 2-norm) of the layer's input; "output", the energy
        in the network's output per unit of energy at the layer's output; and "entered", the energy in the layer's input
        per unit of energy in x.
        """
        L, n = self.a.shape
        columns: dict[str, Any] = {"layer": np.repeat(self.names, n), "sample": np.tile(np.arange(n), L)}
        return frame(columns | {name: getattr(self, name).ravel() for name in ("a", "output", "entered")})

    @property
    def plot(self) -> CallPlots:
        """Pictures (extra [plot]): ``gains`` of layers, and ``upstream`` of layers on layers."""
        found: CallPlots = pictures(self, f"{__package__}.pictures", "CallPlots")
        return found


def said_names(layers: Sequence[str]) -> str:
    """The first and the last of these names."""
    return ", ".join(layers) if len(layers) < 3 else f"{layers[0]} to {layers[-1]}"
