"""The figures: one module ``fig_<name>.py`` each, found by looking. ``make`` computes their data and draws them.

A figure module has ``TITLE`` and ``CAPTION``, ``PARAMS`` (effort -> what decides its data, the seed included),
``data(effort) -> dict of arrays`` and ``plot(data) -> Figure``. The data is saved first and the picture drawn from the
file that was read back, so that what is stored is what is shown:

    OUT/<name>.npz    the arrays          OUT/<name>.json   parameters, versions, sha256
    OUT/<name>.png    150 dpi             OUT/<name>.svg

Same key (name, effort, parameters, versions, source), same bytes; data whose key has not changed is not computed again.
"""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

EFFORTS = ("quick", "full")
PREFIX = "fig_"
_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Made:
    """One finished figure: its files, its words, and whether its data was computed now or found."""

    name: str
    title: str
    caption: str
    png: Path
    svg: Path
    data: Path
    manifest: Path
    reused: bool
    seconds: float


def names() -> list[str]:
    """Names of all figures, sorted."""
    found = (m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(n.removeprefix(PREFIX) for n in found if n.startswith(PREFIX))


def load(name: str) -> ModuleType:
    """The module of a figure; ValueError lists the known ones."""
    if name not in names():
        raise ValueError(f"unknown figure {name!r}; known: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{PREFIX}{name}")


def make(
    only: Sequence[str] | None = None,
    effort: str = "quick",
    out: str | Path = "out/figures",
    *,
    report: Callable[[str], Any] = lambda line: None,
) -> list[Made]:
    """Make figures (None: all of them) into a folder; ``report`` gets one line per finished figure.

    Raises ValueError for an unknown name or effort before anything is computed.
    """
    if effort not in EFFORTS:
        raise ValueError(f"unknown effort {effort!r}; known: {', '.join(EFFORTS)}")
    modules = {name: load(name) for name in (names() if only is None else dict.fromkeys(only))}
    made = []
    for name, module in modules.items():
        made.append(_make_one(name, module, effort, Path(out)))
        did = "data found" if made[-1].reused else "data computed"
        report(f"{name:<28} {made[-1].seconds:6.1f} s  {did}  {made[-1].png}")
    return made


def draw(module: ModuleType, data: dict[str, Any]) -> tuple[bytes, bytes]:
    """(PNG, SVG) of a figure: the same bytes for the same data, for neither date nor random ids get in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from . import style

    with style.applied():
        figure = module.plot(data)
        figure.set_dpi(150)
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")  # once for both pictures: it takes as long as drawing
        png, svg = io.BytesIO(), io.BytesIO()
        # not savefig, which draws everything once more to find out what it covers
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def _make_one(name: str, module: ModuleType, effort: str, out: Path) -> Made:
    import numpy as np

    from modiff_sim.sweeps.store import npz_bytes, plain, sha256, versions, write_atomic

    start = time.perf_counter()
    png, svg, arrays, manifest = (out / f"{name}.{kind}" for kind in ("png", "svg", "npz", "json"))
    key = {
        "name": name, "effort": effort, "params": plain(module.PARAMS[effort]), "versions": versions(),
        "source": _source(module),
    }  # fmt: skip
    reused = _matches(manifest, arrays, key)
    if not reused:
        manifest.unlink(missing_ok=True)  # a kill between the two writes must not leave the old manifest as valid
        write_atomic(arrays, npz_bytes({k: np.asarray(v) for k, v in module.data(effort).items()}))
        about = key | {"title": module.TITLE, "caption": module.CAPTION, "sha256": sha256(arrays)}
        write_atomic(manifest, json.dumps(about, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    with np.load(arrays, allow_pickle=False) as archive:
        data = {k: archive[k] for k in archive.files}
    for path, content in zip((png, svg), draw(module, data), strict=True):
        write_atomic(path, content)
    seconds = time.perf_counter() - start
    return Made(name, module.TITLE, module.CAPTION, png, svg, arrays, manifest, reused, seconds)


def _matches(manifest: Path, arrays: Path, key: dict[str, Any]) -> bool:
    """Whether the data on disk was made under this key and is unharmed."""
    from modiff_sim.sweeps.store import sha256

    try:
        about = json.loads(manifest.read_text(encoding="utf-8"))
        return all(about.get(k) == v for k, v in key.items()) and about.get("sha256") == sha256(arrays)
    except (OSError, ValueError, AttributeError):
        return False


def _source(module: ModuleType) -> str:
    """Hash over what computes a figure's data: its own file, the core, and the practice code where it imports that.

    The packages are hashed as a whole: a stale picture costs more than computing one again.
    """
    from modiff_sim.sweeps.store import digest

    own = Path(str(module.__file__))
    core, nn = _ROOT / "modiff_sim", _ROOT / "modiff_sim" / "nn"
    files = [own, *(path for path in sorted(core.rglob("*.py")) if nn not in path.parents)]
    text = own.read_text(encoding="utf-8")
    if "analysis" in text or "practice" in text:
        files.append(_ROOT / "figures" / "practice.py")
        files += sorted(nn.rglob("*.py")) + sorted((_ROOT / "analysis").rglob("*.py"))
    return digest(files)
