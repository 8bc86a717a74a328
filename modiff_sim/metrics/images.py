"""The check of images: every metric, judge, grid and saver asks here whether it was given floats in [-1, 1].

Images of another kind would give a number as well, but a wrong one: grey levels 0..255 would be cut to white, and
images in [0, 1] would lack their dark half. What is certainly wrong is refused, and what is probably wrong gives a
warning; both say what to do.

    dtype    float16, float32 and float64 are accepted (NumPy, lists, torch on any device), and no others
    values   must be finite: NaN and Inf are refused
    range    is judged by the set as a whole (see ``_range``): samples may overshoot, and an arm that fails may diverge,
             so a large value alone is not an error
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MANY = 16  # images from which on it is not an accident if none has a dark pixel
LOOKED_AT = 1_000_000  # values from which the shape of a distribution is judged
LEVELS = 256  # different values that grey levels of 8 bits have, in whatever range
FEW = 16  # the most different values of an arm that diverged to the ends of a coarse quantizer
WHITES = (16, 255, 4095, 65535)  # white in grey levels: scikit-learn's digits, and 8, 12 and 16 bits

Array = NDArray[Any]


def plain(name: str, x: Any, *, whole: bool = False, limit: float = 1.0, remedy: str = "") -> Array:
    """Return x as a float32 or float64 array; float16 becomes float32.

    Parameters
    ----------
    whole
        Whether to accept whole numbers too, as float64.
    limit
        Images should lie in [-limit, limit]; errors say how to map them there.
    remedy
        What errors advise instead, where x does not hold images, or holds images of any range.

    Raises
    ------
    ValueError
        The array is masked, complex, or holds text, dates or objects, or integers or booleans without ``whole``; or its
        parts have different shapes.
    """
    parts = x if isinstance(x, list | tuple) else (x,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(f"{name} are masked, and a mask would be lost: leave those rows out and give {name}.data")
    try:
        a = np.asarray(_from_torch(x))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} do not form an array ({error}): give one NumPy array, parts of one shape") from error
    if a.dtype.kind == "f":
        return a.astype(np.float32 if a.dtype.itemsize < 4 else np.float64) if a.dtype.itemsize not in (4, 8) else a
    if a.dtype.kind in "iub" and whole:
        return a.astype(np.float64)
    if a.dtype.kind == "b":
        how = remedy or f"for images, give {2.0 * limit} * {name} - {limit:g}"
        raise ValueError(f"{name} {'are' if name.endswith('s') else 'is'} boolean; floats are needed: {how}")
    have = "have" if name.endswith("s") else "has"
    if a.dtype.kind in "iu":
        how = remedy or (_remedy(float(a.min()), float(a.max()), limit) if a.size else "give float32 or float64")
        raise ValueError(f"{name} {have} an integer dtype ({a.dtype}) but must be floats: {how}")
    raise ValueError(f"{name} {have} the dtype {a.dtype}, but real floats are needed: give float32 or float64")


def _from_torch(x: Any) -> Any:
    """Return the numbers of a tensor on any device; bfloat16, which NumPy lacks, as float32. Others are left as is."""
    if isinstance(x, list | tuple):
        return [_from_torch(part) for part in x] if any(hasattr(part, "detach") for part in x) else x
    if not hasattr(x, "detach"):
        return x
    x = x.detach().cpu()
    return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()


def finite(name: str, x: Array) -> None:
    """Raise ValueError where x holds NaN or Inf, saying how many."""
    if not np.isfinite(x).all():
        raise ValueError(f"{name} contain NaN or Inf ({int((~np.isfinite(x)).sum())} of {x.size} values)")


def checked(
    name: str, x: Any, *, judged: bool = False, limit: float = 1.0, axes: int | None = None, anything: bool = False
) -> Array:
    """Return x (n, ...) as float32 or float64, after the checks of the module's docstring.

    Parameters
    ----------
    name
        The name of x in messages.
    judged
        Whether a number about the whole set will be made. Then a set of ``MANY`` images that is probably in another
        range is refused; otherwise it gives a warning.
    limit
        The images should lie in [-limit, limit].
    axes
        How many axes are needed. 4 are (n, C, H, W), and channels that come last are refused.
    anything
        Whether to accept any range.

    Raises
    ------
    ValueError
        As for ``plain``; or there are no images, the axes are others, or the range is certainly another one.
    """
    a = _shaped(name, plain(name, x, limit=limit), axes)
    if not anything:
        _say(name, a, _range(a, limit), judged)
    return a


def pair(x: Any, y: Any, *, limit: float = 1.0, axes: int | None = None, anything: bool = False) -> tuple[Array, Array]:
    """Return both as ``checked`` does. They must have one shape and one range, and messages call them x and y.

    Raises
    ------
    ValueError
        As for ``checked``; or the shapes differ, or one begins at 0 and the other is in [-limit, limit].
    """
    a, b = (
        plain(name, z, limit=limit, remedy=f"give {name}.astype(float)" if anything else "")
        for name, z in (("x", x), ("y", y))
    )
    if a.shape != b.shape:
        raise ValueError(f"images of different shapes: {a.shape} and {b.shape}")
    a, b = _shaped("x", a, axes), _shaped("y", b, axes)
    if not anything:
        alike({"x": a, "y": b}, limit)
    return a, b


def alike(both: dict[str, Array], limit: float = 1.0) -> None:
    """Check the ranges of two sets, by name, of images that have been through ``plain``. Their n may differ.

    Raises
    ------
    ValueError
        One begins at 0 and the other is in [-limit, limit], or one is certainly in another range.
    """
    found = {name: _range(a, limit) for name, a in both.items()}
    for name, theirs in zip(found, reversed(both.values()), strict=True):
        if (mine := found[name]) and mine.from_zero and theirs.min() < -0.5 * limit:
            raise ValueError(
                f"{_subject(name)} {mine.said}; the others range from {theirs.min():.5g} to {theirs.max():.5g}"
            )
    for name, a in both.items():
        _say(name, a, found[name])


def _shaped(name: str, a: Array, axes: int | None) -> Array:
    """Return a, which must be finite and hold at least one image with the wanted axes."""
    if a.ndim < 2 or a.size == 0 or (axes is not None and a.ndim != axes):
        wanted = "images (n, C, H, W)" if axes == 4 else "images (n, ...)"
        raise ValueError(f"{name} must be a non-empty batch of {wanted}, got shape {a.shape}")
    if axes == 4 and channels_last(a.shape):
        raise ValueError(f"{name} {a.shape} have their channels last: give {name}.transpose(0, 3, 1, 2)")
    finite(name, a)
    return a


def _say(name: str, a: Array, found: Finding | None, judged: bool = False) -> None:
    """Refuse or warn where the range is another one."""
    if found is None:
        return
    if found.certain or (judged and found.probable and len(a) >= MANY):
        raise ValueError(f"{_subject(name)} {found.said}")
    warnings.warn(f"{_subject(name)} {found.said}", stacklevel=4)


def _subject(name: str) -> str:
    return name if name.endswith("s") else f"the images in {name}"


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether (n, a, b, c) can only mean (n, H, W, C): c is 1, 3 or 4, and a is more than 4."""
    return len(shape) == 4 and shape[1] > 4 and shape[3] in (1, 3, 4)


@dataclass(frozen=True)
class Finding:
    """A finding about a range.

    ``said`` is what was found and what to do. ``certain`` means that no set of images in [-1, 1] looks like this,
    ``probable`` that no set of many images does, and ``from_zero`` that black is exactly 0.
    """

    said: str
    certain: bool = False
    probable: bool = False
    from_zero: bool = False


def _range(a: Array, limit: float) -> Finding | None:
    """Return what is wrong with the range of finite images (n, ...); None where nothing is, or it cannot be told.

    Constant images do not tell anything: zeros are grey in [-1, 1] and black in [0, 1]. None of the following refuses
    the set of an arm that diverged: it has both signs, and either no grid of levels or very few of them. Quantiles
    stand for the ends of the set, because a single value that overshoots must not decide.
    """
    low, high = float(a.min()), float(a.max())
    if low == high:
        return None
    some = a[:: -(-a.size // LOOKED_AT)] if a.size > LOOKED_AT else a
    darkest, top = float(np.quantile(some, 0.01)), float(np.quantile(some, 0.99, method="lower"))
    if 0 <= low <= 0.02 * limit and top < 0.5 * limit:
        top = high  # black is 0, and so few values are bright that the upper quantile is black as well
    seen, must = f"range from {low:.5g} to {high:.5g}", f"images must lie in [{-limit:g}, {limit:g}]"
    ends = f"map black to {-limit:g} and white to {limit:g}"
    if max(-low, high) > 2 * limit and (some == np.rint(some)).all():
        certain = _distinct(some) > FEW or (low >= 0 and any(0.75 * white <= high <= white for white in WHITES))
        said = f"{seen} in whole numbers, {'which are grey levels' if certain else 'as grey levels do'}; {must}"
        return Finding(f"{said}: {_remedy(low, high, limit)}", certain, from_zero=certain and low == 0)
    if (contrast := _contrast(some)) == 0:
        return None
    bright = darkest > -0.25 * top and -0.5 * top < low <= 0.25 * top
    if bright and darkest > -0.5 * limit and contrast >= 0.5 * (top - max(low, 0.0)):
        from_zero = abs(low) <= min(0.02 * top, 0.5 * limit)
        certain = low >= 0 and top >= 1.5 * limit
        said = f"{seen}, with almost no dark values; {must}: {_remedy(low, top if top < 0.5 * high else high, limit)}"
        if certain or from_zero or len(a) >= MANY:
            return Finding(said, certain, top >= 0.75 * limit, from_zero)
        return None
    if max(-darkest, top) > 1.25 * limit and _few_levels(some):
        # standardised or rescaled images never have a black above 0: these are from an arm that drifted
        probable = low <= 0.02 * limit and _distinct(some) > FEW
        said = f"{seen} and take at most {LEVELS} distinct values, as 8-bit pictures in another range do"
        return Finding(f"{said}; {must}: {ends}", probable=probable)
    size = np.abs(some)
    large = len(a) >= MANY and (size > 1.5 * limit).mean() > 0.25
    if large and (bright or (size > 0.5 * max(-low, high)).mean() > 0.25):
        return Finding(f"{seen} and are spread over that whole range; {must}: {ends}")
    return _half(low, high, limit, len(a) >= MANY, f"{seen}; {must}") if contrast > 0.5 * limit else None


def _half(low: float, high: float, limit: float, many: bool, said: str) -> Finding | None:
    """Find out whether only half of the range is used: its middle or, for many images, its dark half."""

    def near(value: float, end: float) -> bool:
        return abs(value - end) <= 0.05 * limit

    if near(low, -0.5 * limit) and near(high, 0.5 * limit):
        return Finding(f"{said}: if black is {-0.5 * limit:g} and white {0.5 * limit:g}, double them")
    if many and near(low, -limit) and near(high, 0.0):
        return Finding(f"{said}: if black is {-limit:g} and white is 0, give 2 * images + {limit:g}")
    return None


def _remedy(low: float, high: float, limit: float) -> str:
    """Say how to map images that range from low to high to [-limit, limit].

    Black is taken to be 0, and white to be 1, 255, 65535 or the largest value. Where low is far from 0 and white is not
    one of these, black is low, as in standardised images.
    """
    if low < -0.25 * high:
        return f"map black to {-limit:g} and white to {limit:g}"
    if high <= 1.5:
        return f"if black is 0 and white is 1, give {_times(2 * limit, 'images')} - {limit:g}"
    known = 255 if 16 < high <= 255.5 else 65535 if 4096 < high <= 65535.5 else None
    if low < -0.02 * high and known is None:
        scaled = f"{2 * limit:g} * (images + {-low:.5g}) / {high - low:.5g}"
        return f"if black is {low:.5g} and white is {high:.5g}, give {scaled} - {limit:g}"
    top = known or high
    half = top / (2 * limit)
    scaled = "images" if abs(half - 1) < 1e-5 else f"images / {half:.6g}"
    return f"if black is 0 and white is {top:.5g}, give {scaled} - {limit:g}"


def _times(factor: float, name: str) -> str:
    return name if factor == 1 else f"{factor:g} * {name}"


def _distinct(a: Array) -> int:
    return len(np.unique(a))


def _contrast(a: Array) -> float:
    """Return the largest range within one image."""
    rows = a.reshape(len(a), -1)
    return float((rows.max(axis=1) - rows.min(axis=1)).max())


def _few_levels(a: Array) -> bool:
    """Whether every channel has at most as many values as 8 bits, although it has several times as many pixels."""
    channels = np.moveaxis(a, 1, 0) if a.ndim == 4 and a.shape[1] <= 4 else a[None]
    return channels[0].size >= 4 * LEVELS and all(len(np.unique(channel)) <= LEVELS for channel in channels)
