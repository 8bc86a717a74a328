"""The transfer of a network and its sampler: where the energy of a small error in one layer goes (measured, NumPy).

All quantities are energies, squared 2-norms per sample, along *one* run in full precision, x ← carry·x + add·ε̂. White
noise of small, known energy is put into the input of one layer. What counts is its energy behind the layer's linear
operator A, because that is where it enters the network. Nothing here depends on bits or on the recursion.

    upstream[t, l, m]   energy at the input of layer m, per unit of energy at the output of layer l, in the same call t
    output[t, l]        energy in the network's output ε̂, per unit of energy at the output of layer l
    impulse[s, t]       energy in x before call t (t = T: in the result), per unit of energy in ε̂ at call s < t
    moved[s, l, t]      energy of the *movement* of layer l's input from call t-1 to t that comes with it, through x

``impulse`` cannot be had as a product of one-step gains. White noise in x dies within a few steps of a denoiser, but
what remains of it does not (on the digits model the product is wrong by a factor of 5). So the noise is followed to the
end.
"""

from .call import Edit, Network, call_transfer, energy, linear_steps, random_sign_gain
from .driven import Driven, drive, same_for_all
from .measured import CallTransfer, Transfer
from .run import full_precision, measure_transfer

__all__ = [
    "CallTransfer", "Driven", "Edit", "Network", "Transfer", "call_transfer", "drive", "energy", "full_precision",
    "linear_steps", "measure_transfer", "random_sign_gain", "same_for_all",
]  # fmt: skip
