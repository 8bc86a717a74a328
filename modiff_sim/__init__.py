"""modiff-sim: iterative quantization with and without error compensation, its theory checked by running it.

    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(bits=4)
    >>> r = ms.simulate(ms.processes.random_walk(d=64), Q, recursion="closed_loop", steps=100, trials=64, seed=0)

``modiff_sim.nn`` (the torch path) is imported on its own and needs the extra ``[nn]``; nothing here imports torch.
Names are loaded when they are first used (PEP 562), so that ``modiff-sim --help`` does not wait for NumPy.
"""

from .faces import attach

__version__ = "0.1.0"
__getattr__, __dir__ = attach(__name__, __file__)
