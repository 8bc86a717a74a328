"""One folder of pictures per class: every picture is read or refused by name, and what is left out is counted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from .picture import picture, same_size
from .raw import Raw, hidden, visible

PICTURES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
})  # fmt: skip
PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
NAMED = 3  # examples that a note gives of what it counts


def class_folders(root: Path) -> Raw | None:
    """The pictures in the folders of root; labels number, by name, the folders that hold any. None where none does.

    Left out and noted: hidden files and folders, files that are no pictures by their suffix, pictures beside the class
    folders, folders within them, and class folders without pictures.

    Raises:
        ValueError: a picture that cannot be read rightly; different sizes; train and test for classes.
    """
    pictures, left_out = _sorted_out(root)
    if not pictures:
        return None
    classes = sorted({p.parent.name for p in pictures})
    if PARTS.issuperset(name.lower() for name in classes) and left_out["folders within class folders"]:
        raise ValueError(f"{root} holds {' and '.join(classes)}, which are no classes: give {root / classes[-1]}")
    if len(classes) > 1 and PARTS.issuperset(name.lower() for name in classes):
        raise ValueError(f"{root} holds {' and '.join(classes)}, which are no classes: sort the pictures by class")
    names = [str(p) for p in pictures]
    levels = same_size([picture(p, name) for p, name in zip(pictures, names, strict=True)], names)
    number = {name: i for i, name in enumerate(classes)}
    return Raw(
        levels, np.array([number[p.parent.name] for p in pictures]), _notes(root, left_out, len(pictures)), files=True
    )


def pictures_elsewhere(root: Path) -> str:
    """What to do where pictures lie in root itself or deeper than one folder per class; empty where there are none."""
    for depth in ("*", "*/*/*"):
        found = [p for p in visible(root, root.glob(depth)) if p.suffix.lower() in PICTURES]
        if found and depth == "*":
            return f"{len(found)} pictures lie in it directly: put each in a folder named after its class"
        if found:
            train = [p for p in found if p.parent.parent.name.lower().startswith("train")]
            return f"pictures lie deeper: give {(train or found)[0].parent.parent}"
    return ""


def _sorted_out(root: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The pictures in class folders, and all else by what it is. Raises OSError for a folder that cannot be listed."""
    pictures: list[Path] = []
    left_out: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if hidden(folder.name):
            left_out["hidden files and folders"].append(folder)
        elif not folder.is_dir():
            kind = "pictures beside the class folders" if folder.suffix.lower() in PICTURES else "files of other kinds"
            left_out[kind].append(folder)
        else:
            before = len(pictures)
            for path in sorted(folder.iterdir()):
                if hidden(path.name):
                    left_out["hidden files and folders"].append(path)
                elif path.is_dir():
                    left_out["folders within class folders"].append(path)
                elif path.suffix.lower() in PICTURES:
                    pictures.append(path)
                else:
                    left_out["files of other kinds"].append(path)
            if len(pictures) == before:
                left_out["class folders without pictures, which get no label,"].append(folder)
    return pictures, left_out


def _notes(root: Path, left_out: dict[str, list[Path]], read: int) -> tuple[str, ...]:
    notes = []
    for kind, paths in left_out.items():
        examples = ", ".join(str(p.relative_to(root)) for p in paths[:NAMED])
        more = ", …" if len(paths) > NAMED else ""
        notes.append(f"{kind} left out: {len(paths)} ({examples}{more}); pictures read: {read}")
    return tuple(notes)
