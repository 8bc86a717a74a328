"""One picture file as grey levels 0..255. What cannot be read correctly is refused by name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .raw import LARGEST, Fits, quoted

#: formats that Pillow may try, whatever the name of a file: others run programs (EPS) or do not hold pixels
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM")
PIXELS = 2**24  # of one picture, 4096×4096: a small file may claim to hold more, which decoding would then allocate
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
WHITE_IS_ZERO = (262, 0)  # a tag of TIFF, and its value
GREY = ("1", "L", "LA", "La")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX")
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")


class Damaged(OSError, ValueError):
    """The file is not a complete picture. This is an OSError as well, which is what Pillow raises most often."""


class Refused(ValueError):
    """The picture was read, but its pixels are not what a data set holds."""


def picture(file: Any, name: str) -> NDArray[np.uint8]:
    """Read a path or an open file as uint8 (H, W, C), where C is 1 for grey pictures and 3 for others.

    16-bit grey is divided by 257 and rounded to 0..255. A palette becomes its colours, one bit becomes black and white,
    and alpha is dropped where it is opaque everywhere. A picture is turned if its EXIF orientation says so.

    Raises
    ------
    Damaged
        The file is damaged or cut short.
    Refused
        The picture has more than ``PIXELS`` pixels, transparent pixels (whose colour is unknown), inks, floats, 32
        bits, 16-bit colour (of which Pillow keeps 8 bits, except for PPM, which it divides as well) or several frames.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(file, Path) and file.exists() and not file.is_file():  # opening a pipe would wait for its writer
        raise Damaged(f"{name} is not a regular file: download it again or delete it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, which are checked here, and about damaged tags
            _check_sums(file)
            with Image.open(file, formats=FORMATS) as opened:
                return _pixels(opened, name)
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise Refused(f"{name} has more than {PIXELS} pixels: it is not a picture of a data set") from error
    except UnidentifiedImageError as error:
        raise Damaged(f"{name} is not a picture of a known format: download it again or delete it") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, EOFError, struct.error and others
        raise Damaged(f"{name} cannot be read as a picture ({quoted(error)}): download or delete it") from error


def _check_sums(file: Any) -> None:
    """Raise what Pillow raises for a PNG with a wrong checksum. Pillow does not check it when it reads pixels."""
    from PIL import Image

    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        is_png = stream.read(len(PNG)) == PNG
        stream.seek(0)
        if is_png:
            with Image.open(stream, formats=("PNG",)) as opened:
                opened.verify()
            stream.seek(0)


def _pixels(opened: Any, name: str) -> NDArray[np.uint8]:
    if math.prod(opened.size) > PIXELS:
        size = f"{opened.size[1]}×{opened.size[0]}"
        raise Refused(f"{name} has {size} pixels, more than {PIXELS}: it is not a picture of a data set")
    frames = getattr(opened, "n_frames", 1)
    if frames != 1:
        raise Refused(f"{name} holds {frames} frames: save each as a picture of its own, or delete it")
    stored = " ".join(str(tile[-1]) for tile in opened.tile)  # how the file packs its pixels; load() forgets it
    opened.load()
    _upright(opened)
    mode = opened.mode
    if mode in SIXTEEN or (mode == "I" and opened.format in ("PNG", "PPM")):  # 16 bits, though called I
        return _sixteen(opened, name, stored)
    if mode not in (*GREY, *COLOUR):
        what = {"CMYK": "inks (CMYK)", "F": "floats (F)", "I": "32-bit numbers (I)"}.get(mode, f"pixels of mode {mode}")
        raise Refused(f"{name} holds {what}, which are not grey levels 0..255: convert it to 8-bit grey or RGB")
    if ";16" in stored:
        raise Refused(f"{name} has 16 bits per channel, of which Pillow reads 8: convert it to 8 bits")
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in opened.info:
        opened = opened.convert("RGBA")
        if seen_through := int((np.asarray(opened)[..., 3] < 255).sum()):
            raise Refused(
                f"{name} has {seen_through} transparent pixels, whose colour is undefined: "
                f"flatten it onto a background and save it without alpha"
            )
    pixels = np.asarray(opened.convert("L" if mode in GREY else "RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _upright(opened: Any) -> None:
    """Turn and mirror the pixels in place as the EXIF orientation says. Without that tag nothing is changed."""
    from PIL import ImageOps

    try:
        orientation = opened.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF may raise nearly any exception, and the pixels are complete without it
        return
    if orientation != 1:
        ImageOps.exif_transpose(opened, in_place=True)


def _sixteen(opened: Any, name: str, stored: str) -> NDArray[np.uint8]:
    levels = np.asarray(opened).astype(np.int64)
    tag, value = WHITE_IS_ZERO
    if opened.format == "TIFF" and opened.tag_v2.get(tag) == value:  # Pillow inverts 8 bits, but not 16
        levels = 65535 - levels
    if ";12" in stored or levels.min() < 0 or levels.max() > 65535:
        raise Refused(f"{name} holds grey levels {levels.min()}..{levels.max()} of unknown white: convert it to 8 bits")
    if "transparency" in opened.info and (levels == opened.info["transparency"]).any():
        raise Refused(f"{name} has transparent pixels, whose colour is undefined: save it without alpha")
    return np.rint(levels / 257).astype(np.uint8)[..., None]


def same_size(files: Iterable[Any], names: Sequence[str], fits: Fits) -> NDArray[np.uint8]:
    """Read all pictures into one array (n, H, W, C). ``fits`` is told its shape as soon as the first one is read.

    Raises
    ------
    ValueError
        A picture cannot be read, there are too many, or they differ in size or in being grey. In the last case the
        message names two of them and counts the others.
    """
    pictures: list[NDArray[np.uint8]] = []
    size = 0
    for file, name in zip(files, names, strict=True):
        pictures.append(picture(file, name))
        if len(pictures) == 1:
            height, width, channels = pictures[0].shape
            fits((len(names), height, width, channels), True)
        size += pictures[-1].size
        if size > LARGEST:
            raise ValueError(f"{names[0]} and {len(pictures) - 1} more have over {LARGEST} bytes of grey levels")
    shapes = [p.shape for p in pictures]
    other = [i for i, shape in enumerate(shapes) if shape != shapes[0]]
    if other:
        raise ValueError(
            f"{names[0]} is {_said(shapes[0])} and {names[other[0]]} is {_said(shapes[other[0]])}: all must be alike, "
            f"and {len(other)} of {len(shapes)} differ from the first"
        )
    return np.stack(pictures)


def _said(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]} in {'grey' if shape[2] == 1 else 'colour'}"
