"""One folder of pictures per class: every picture is read or refused by name, and what is left out is counted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from .picture import same_size
from .raw import Fits, Raw, hidden, visible

PICTURES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
})  # fmt: skip
PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
#: formats of cameras and browsers that are not read here: some need a plugin, and all need a conversion
OTHER_PICTURES = frozenset({
    ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".ico", ".svg", ".psd", ".eps", ".exr", ".dng", ".raw",
})  # fmt: skip
WITHIN, EMPTY = "folders within class folders left out", "empty class folders skipped (they get no label)"
HIDDEN, BESIDE = "hidden files and folders left out", "pictures beside the class folders left out"
OTHERS = "files of other kinds left out"
NAMED = 3  # examples that a note gives of what it counts


def class_folders(root: Path, fits: Fits) -> Raw | None:
    """Read the pictures in the folders of root. Returns None where no folder holds any.

    Labels number the folders that hold pictures, in the order of their names as text, or as numbers where every name is
    a whole number. Where that makes a difference, a note says which label each folder has.

    The notes also say what is left out: hidden files and folders, files whose suffix is not that of a picture, pictures
    beside the class folders, folders within them, and class folders without pictures. A class called train, test or the
    like is noted as well.

    Raises
    ------
    ValueError
        A picture cannot be read correctly, pictures have different sizes, or the folders are train and test instead of
        classes.
    """
    pictures, left_out = _sorted_out(root)
    if not pictures:
        return None
    classes, notes = _numbered({p.parent.name for p in pictures})
    parts = [name for name in classes if name.lower() in PARTS]
    if parts == classes and WITHIN in left_out:
        raise ValueError(f"{root} holds {' and '.join(classes)}, which are not classes: give {root / classes[-1]}")
    if len(classes) > 1 and parts == classes:
        raise ValueError(f"{root} holds {' and '.join(classes)}, which are not classes: sort the pictures by class")
    if parts:
        notes += (f"taken as classes, though named like parts of a data set: {', '.join(parts)}",)
    names = [str(p) for p in pictures]
    levels = same_size(pictures, names, fits)
    number = {name: i for i, name in enumerate(classes)}
    return Raw(
        levels,
        np.array([number[p.parent.name] for p in pictures]),
        _notes(root, left_out, len(pictures)) + notes,
        files=True,
    )


def _numbered(names: set[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the classes in the order of their labels, and a note where that is not their text order."""
    as_text = sorted(names)
    if not all(name.isascii() and name.isdigit() for name in names):
        return as_text, ()
    as_numbers = sorted(names, key=lambda name: (int(name), name))
    if as_numbers == as_text:
        return as_text, ()
    said = ", ".join(f"{name} is {label}" for label, name in enumerate(as_numbers))
    return as_numbers, (f"class folders are numbers and sorted as such; the label of {said}",)


def pictures_elsewhere(root: Path) -> str:
    """Say what to do where pictures lie in root itself, lie deeper than one folder per class, or are of other kinds.

    Returns "" where there are none.
    """
    for depth in ("*", "*/*/*"):
        found = [p for p in visible(root, root.glob(depth)) if p.suffix.lower() in PICTURES]
        if found and depth == "*":
            return f"{len(found)} pictures lie in it directly: put each in a folder named after its class"
        if found:
            train = [p for p in found if p.parent.parent.name.lower().startswith("train")]
            return f"pictures lie deeper: give {(train or found)[0].parent.parent}"
    others = [p for p in visible(root, root.glob("*/*")) if p.suffix.lower() in OTHER_PICTURES]
    if others:
        kinds = ", ".join(sorted({p.suffix.lower() for p in others}))
        return f"it holds pictures of kinds that are not read ({kinds}): convert them to PNG"
    return ""


def _sorted_out(root: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Return the pictures in class folders, and all other files by their kind.

    Raises OSError for a folder that cannot be listed.
    """
    pictures: list[Path] = []
    left_out: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if hidden(folder.name):
            left_out[HIDDEN].append(folder)
        elif not folder.is_dir():
            kind = BESIDE if folder.suffix.lower() in PICTURES else OTHERS
            left_out[kind].append(folder)
        else:
            before = len(pictures)
            for path in sorted(folder.iterdir()):
                if hidden(path.name):
                    left_out[HIDDEN].append(path)
                elif path.is_dir():
                    left_out[WITHIN].append(path)
                elif path.suffix.lower() in PICTURES:
                    pictures.append(path)
                else:
                    left_out[OTHERS].append(path)
            if len(pictures) == before:
                left_out[EMPTY].append(folder)
    return pictures, dict(left_out)  # looking for a kind must not create it


def _notes(root: Path, left_out: dict[str, list[Path]], read: int) -> tuple[str, ...]:
    notes = []
    for kind, paths in left_out.items():
        examples = ", ".join(str(p.relative_to(root)) for p in paths[:NAMED])
        more = ", …" if len(paths) > NAMED else ""
        notes.append(f"{kind}: {len(paths)} ({examples}{more}); pictures read: {read}")
    return tuple(notes)
