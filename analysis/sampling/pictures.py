"""Images as one picture file: tiles side by side, without axes."""

from __future__ import annotations

import io
import operator
from pathlib import Path

import numpy as np

from modiff_sim.metrics.images import checked
from modiff_sim.sweeps.store import write_atomic


def levels(images: np.ndarray) -> np.ndarray:
    """Return images (n, ...) in [-1, 1] as uint8 levels. Values beyond are cut, and halves are rounded to even.

    Raises ValueError for what is not images in [-1, 1]: see ``modiff_sim.metrics.images``.
    """
    return _levels(checked("images", images))


def _levels(images: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)


def fingerprint(images: np.ndarray) -> dict[str, float]:
    """Return mean and rms pixel, by which a set of images is recognised even where rounding differs.

    Raises ValueError for values that are not floats or not finite, and where there are no images. Any range will do.
    """
    x = checked("images", images, anything=True)
    return {"mean": float(x.mean()), "rms": float(np.sqrt(np.square(x).mean()))}


def tiles(images: np.ndarray, columns: int | None = None, *, gap: int = 1) -> np.ndarray:
    """Return a picture uint8 (H, W, C) of images (n, C, h, w) in [-1, 1], row by row on white. Values beyond are cut.

    ``columns`` is by default √n, rounded up. Raises ValueError for another shape, no images, columns that are not a
    whole number from 1, and what ``modiff_sim.metrics.images`` refuses.
    """
    images = checked("images", images, axes=4)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (n, 1 or 3, h, w) with n >= 1, got {images.shape}")
    n, channels, h, w = images.shape
    try:
        columns = int(np.ceil(np.sqrt(n))) if columns is None else operator.index(columns)
    except TypeError as error:
        raise ValueError(f"columns must be a whole number, got {columns!r}") from error
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    rows = -(-n // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, channels), 255, np.uint8)
    for k, image in enumerate(_levels(images)):
        y, x = k // columns * (h + gap), k % columns * (w + gap)
        out[y : y + h, x : x + w] = image.transpose(1, 2, 0)
    return out


def save_grid(images: np.ndarray, path: Path, columns: int | None = None, *, scale: int = 3) -> None:
    """Save the tiles as a PNG, in which each pixel is drawn scale × scale."""
    from PIL import Image

    made = tiles(images, columns).repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(made[..., 0] if made.shape[2] == 1 else made).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
