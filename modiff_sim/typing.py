"""The types of arrays in signatures: an ``Array`` is used as it is, of an ``ArrayLike`` a NumPy array is made first.

Examples
--------
>>> from modiff_sim.typing import Array
>>> def halved(a: Array) -> Array:
...     return a / 2
"""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import ArrayLike

__all__ = ["Array", "ArrayLike"]

#: An array of NumPy, torch or another array-API namespace. All arrays of a call belong to one namespace, and the result
#: does, too. The code uses ``shape``, ``dtype``, ``ndim`` and ``device``, arithmetic, comparisons, indexing, and the
#: functions of the namespace. To a type checker an ``Array`` is ``Any``. As a protocol, a quantizer's result would be
#: neither a ``numpy.ndarray`` nor a ``torch.Tensor``: no function of either library would take it without a cast.
Array: TypeAlias = Any
