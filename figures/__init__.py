"""The figures, each in a module ``fig_<name>.py`` that is found by its name. ``make`` computes their data and draws.

A figure module has ``TITLE`` and ``CAPTION``, ``PARAMS`` (effort -> what decides its data, including the seed),
``data(effort) -> dict of arrays`` and ``plot(data) -> Figure``. ``ALT`` says what there is to see, for those who do not
see it, and ``CLAIMS`` which claims it shows: pages link the two by it. The data is saved first, and the picture is
drawn from the file as it was read back, so that what is stored is what is shown:

    OUT/<name>.npz    the arrays          OUT/<name>.json   parameters, versions, sha256
    OUT/<name>.png    150 dpi             OUT/<name>.svg

The same key (name, effort, parameters, versions, source) gives the same bytes. Data whose key has not changed is not
computed again. At effort quick, figures of a trained model are drawn from data that was measured before at effort full
(``MEASURED``, written by ``python -m figures --keep``), but for those whose file says ``LIVE = True``.

A figure of a trained model says in ``BITS_TAKEN`` whether it takes many numbers of bits or one, and is then made for
any model and any bits (``figures.chosen``). Its ``TEXT`` is that part of the caption which holds for all of them.

A figure whose number of panels depends on the effort has ``outline(effort, committed)``, data of the same layout that
is not computed (``figures.foreseen``).

A new figure is a copy of ``_template.py``, filled in; nothing else has to be touched.
"""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from analysis.running.efforts import EFFORTS as EFFORTS
from analysis.running.efforts import checked
from analysis.typeset import markdown

from . import chosen

if TYPE_CHECKING:
    from analysis.experiments.sizes import Effort

PREFIX = "fig_"
INTRODUCTION = """# The figures

`python -m figures` computes and draws them into `out/figures`, `python -m figures NAME` one of them; `make reproduce`
puts them into the report. Each is one file, `figures/fig_NAME.py`: [extending.md](extending.md) shows how to add one.

For a paper of your own:

```
python -m figures bit_sweep --bits 6 4 3 --model fashion32 --width 3.3 --format pdf
python -m figures error_growth --width 6.8 --panels a c --format pdf svg
```

`--model` (of the zoo, a folder of diffusers, a file or a hub name) and `--bits` measure a figure of a trained model
again, with 50 steps and 128 images, or with few of both at `--effort quick`. `--width` is that of a column or page in
inches, at which all text has 8 points; `--panels` are letters of panels. The caption with all parameters lies beside
the picture as text.

This page is made by `make pages` (a test compares the two).
"""
_ROOT = Path(__file__).parent.parent
MEASURED = Path(__file__).parent / "measured"


@dataclass(frozen=True)
class Made:
    """One finished figure: its files, its texts, and the origin of its data.

    ``origin`` is "computed" now, "found" in the same folder, or "committed" after a measurement at effort full.
    """

    name: str
    title: str
    caption: str
    png: Path
    svg: Path
    data: Path
    manifest: Path
    origin: str
    seconds: float


#: what raises ``Unfit`` for a figure and its data
Fits = Callable[[ModuleType, dict[str, Any]], Any]


class Unfit(ValueError):
    """A figure does not fit onto the page that it is wanted for."""


def names() -> list[str]:
    """Return the names of all figures, sorted."""
    found = (m.name for m in pkgutil.iter_modules(__path__))
    return sorted(n.removeprefix(PREFIX) for n in found if n.startswith(PREFIX))


def load(name: str) -> ModuleType:
    """Return the module of a figure. Raises ValueError, which lists the known ones, for an unknown name."""
    if name not in names():
        raise ValueError(f"unknown figure {name!r}; known: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{PREFIX}{name}")


def document() -> str:
    """The text of docs/figures.md: every figure with its caption; nothing is computed."""
    parts = [INTRODUCTION]
    for name in names():
        module = load(name)
        of = "what a trained model does" if is_practice(module) else "theory and simulation"
        parts.append(f"## `{name}`: {module.TITLE}\n\n*{of}*\n\n{markdown(module.CAPTION)}\n")
        if shown := description(module)["claims"]:
            links = ", ".join(f"[`{claim}`](claims.md#claim_{claim})" for claim in shown)
            parts.append(f"Claims that it shows: {links}.\n")
    return "\n".join(parts)


def description(module: ModuleType) -> dict[str, Any]:
    """Return what a figure says of itself: title, caption, what there is to see, and the claims that it shows.

    Without ``ALT``, what there is to see is its title and the first sentence of its caption.
    """
    first = module.CAPTION.partition(". ")[0].rstrip(".")
    return {
        "title": module.TITLE, "caption": module.CAPTION, "alt": getattr(module, "ALT", f"{module.TITLE}. {first}."),
        "claims": list(getattr(module, "CLAIMS", ())),
    }  # fmt: skip


def make(
    only: Sequence[str] | None = None,
    effort: str = "quick",
    out: str | Path = "out/figures",
    *,
    model: str | None = None,
    bits: Sequence[int] | None = None,
    report: Callable[[Made], Any] = lambda made: None,
    fits: Fits | None = None,
    refused: Callable[[str, Unfit], Any] | None = None,
) -> list[Made]:
    """Make figures (None: all of them) in a folder. ``report`` is called with every finished figure.

    With ``model`` (of the zoo, a folder, a file or a hub name), with ``bits``, or with both, figures of a trained model
    are measured on that model and at those bits, at any effort, and their files are named after them.

    ``fits``, if there is one, is called with a figure and its data before it is drawn, and before anything is computed
    where the layout is foreseen. It raises ``Unfit`` for a figure that is not wanted so. This is passed to ``refused``,
    if there is one, and the others are made.

    Raises ValueError for an unknown name or effort and for a figure that takes no model or no such bits, before
    anything is computed, and StoreError where data that should be committed is missing, damaged, or of other
    parameters.
    """
    checked(effort)
    modules = {name: load(name) for name in (names() if only is None else dict.fromkeys(only))}
    wanted: str | Effort = effort
    if model is not None or bits:
        wanted = chosen.effort(effort, model, bits)
        for name, module in modules.items():
            chosen.check(name, module, wanted)
    made: list[Made] = []

    def tried(name: str, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except Unfit as error:
            if refused is None:
                raise
            refused(name, error)
            return None

    fitting = [name for name, module in modules.items() if tried(name, partial(_foreseen, name, module, wanted, fits))]
    for name in fitting:
        if one := tried(name, partial(_make_one, name, modules[name], wanted, Path(out), fits)):
            made.append(one)
            report(one)
    return made


def _foreseen(name: str, module: ModuleType, effort: str | Effort, fits: Fits | None) -> bool:
    """Return True, or raise ``Unfit`` where the layout is known and does not fit."""
    from .foreseen import foreseen

    if fits is not None and (data := foreseen(name, module, effort)) is not None:
        fits(module, data)
    return True


def draw(module: ModuleType, data: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return (PNG, SVG) of a figure. The same data gives the same bytes: the files hold no dates and no random ids."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from modiff_sim.plot import style

    with style.applied():
        figure = module.plot(data)
        figure.set_dpi(150)
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")  # computed once for both pictures: it takes as long as drawing
        png, svg = io.BytesIO(), io.BytesIO()
        # savefig would draw everything once more to find out what it covers
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def _make_one(name: str, module: ModuleType, effort: str | Effort, out: Path, fits: Fits | None) -> Made:
    import numpy as np

    from modiff_sim.sweeps.store import npz_bytes, sha256, write_atomic

    start = time.perf_counter()
    stem, (title, caption) = chosen.stem(name, effort), chosen.texts(module, effort)
    png, svg, arrays, manifest = (out / f"{stem}.{kind}" for kind in ("png", "svg", "npz", "json"))
    says = description(module) if isinstance(effort, str) else {"title": title, "caption": caption, "chosen": True}
    if effort == "quick" and not is_live(module):
        origin, (key, content) = "committed", kept(name, module)
    else:
        key, content = key_of(name, module, effort), None
        origin = "found" if _matches(manifest, arrays, key) else "computed"
    if origin != "found":
        manifest.unlink(missing_ok=True)  # a kill between the two writes must not leave the old manifest valid
        write_atomic(arrays, content or npz_bytes({k: np.asarray(v) for k, v in module.data(effort).items()}))
        text = json.dumps(key | says | {"sha256": sha256(arrays)}, sort_keys=True, indent=1, ensure_ascii=False)
        write_atomic(manifest, text + "\n")
    with np.load(arrays, allow_pickle=False) as archive:
        data = {k: archive[k] for k in archive.files}
    if fits is not None:
        fits(module, data)
    for path, picture in zip((png, svg), draw(module, data), strict=True):
        write_atomic(path, picture)
    seconds = time.perf_counter() - start
    return Made(stem, title, caption, png, svg, arrays, manifest, origin, seconds)


def key_of(name: str, module: ModuleType, effort: str | Effort) -> dict[str, Any]:
    """Return what decides the data of a figure, and is in its manifest."""
    from modiff_sim.sweeps.store import plain, versions

    return {
        "name": name, "effort": effort if isinstance(effort, str) else effort.name,
        "params": plain(chosen.params(module, effort)), "versions": versions(), "source": _source(module),
    }  # fmt: skip


def is_live(module: ModuleType) -> bool:
    """Whether the data of a figure is computed at every effort."""
    same = module.PARAMS["quick"] == module.PARAMS["full"]
    return getattr(module, "LIVE", False) or same or not is_practice(module)


def keep(made: Made) -> None:
    """Keep the data of a figure that was made at effort full, for runs at effort quick."""
    from modiff_sim.sweeps.store import write_atomic

    for path in (made.data, made.manifest):  # the manifest last
        write_atomic(MEASURED / path.name, path.read_bytes())


def kept(name: str, module: ModuleType) -> tuple[dict[str, Any], bytes]:
    """Return the key and the data (.npz) of a figure as they were committed.

    Raises StoreError where they are missing, damaged, or of other parameters than the figure has at effort full.
    """
    from modiff_sim.sweeps.store import StoreError, digest_of, plain

    again = f"measure it again (python -m figures --effort full --keep --only {name})"
    try:
        about = json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))
        content = (MEASURED / f"{name}.npz").read_bytes()
        whole = about["sha256"] == digest_of(content)
        key = {part: about[part] for part in ("name", "effort", "params", "versions", "source")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"figure {name}: no committed data ({type(error).__name__}: {error}): {again}") from None
    if not whole:
        raise StoreError(f"figure {name}: the committed data has another sha256 than its manifest says: {again}")
    if key["params"] != plain(module.PARAMS["full"]):
        raise StoreError(f"figure {name}: the committed data was measured with other parameters: {again}")
    return key, content


def _matches(manifest: Path, arrays: Path, key: dict[str, Any]) -> bool:
    """Whether the data on disk was made under this key and is undamaged."""
    from modiff_sim.sweeps.store import sha256

    try:
        about = json.loads(manifest.read_text(encoding="utf-8"))
        return all(about.get(k) == v for k, v in key.items()) and about.get("sha256") == sha256(arrays)
    except (OSError, ValueError, AttributeError):
        return False


def is_practice(module: ModuleType) -> bool:
    """Return whether a figure shows what a trained model does; its file then names ``analysis`` or ``practice``."""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    return "analysis" in text or "practice" in text


def _leads_to(module: ModuleType) -> list[Path]:
    """Return the file of a figure, and those of this package that its imports lead to."""
    found: list[Path] = []
    waiting = [Path(str(module.__file__))]
    while waiting:
        if (path := waiting.pop()) not in found and path.is_file():
            found.append(path)
            names = re.findall(r"^from \.(\w*) import (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
            parts = [each for name, rest in names for each in ([name] if name else rest.split(", "))]
            waiting += [path.with_name(f"{part}.py") for part in parts]
    return [found[0], *sorted(found[1:])]


def _source(module: ModuleType) -> str:
    """Return a hash of what computes a figure's data: its file and the figures that it imports, the core, ``analysis``.

    ``analysis`` and the torch path count where it imports the former.

    The packages are hashed as a whole: a stale picture is worse than computing one again.
    """
    from modiff_sim.sweeps.store import digest

    core, nn = _ROOT / "modiff_sim", _ROOT / "modiff_sim" / "nn"
    files = [*_leads_to(module), *(path for path in sorted(core.rglob("*.py")) if nn not in path.parents)]
    if is_practice(module):
        files += sorted(nn.rglob("*.py")) + sorted((_ROOT / "analysis").rglob("*.py"))
    return digest(files)
