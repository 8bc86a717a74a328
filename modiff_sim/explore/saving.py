"""A view as a file that reproduces it: a claim for ``paper_checks/ROOM``, or a figure for ``figures``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evidence import Claim, Evidence, judge
from ..sweeps.files import write_atomic
from .settings import Settings
from .view import View, against, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMS = {"2": "2-norm", "inf": "max norm"}
CLAIM = '''"""{statement}"""

from dataclasses import replace

from modiff_sim import Claim, Verdict
from modiff_sim.explore import Settings, evidence

SETTINGS = {settings}
CLAIM = Claim(
    id="{name}",
    statement="{statement}",
    source="explored",
    relation="upper",
    expected=Verdict.{verdict},
)


def check(effort: str = "quick", *, factor: float = 1.0, **changed):
    """Simulate the view with four times the trials at effort full; ``factor`` scales the bound."""
    trials = SETTINGS.trials * (1 if effort == "quick" else 4)
    return evidence(replace(SETTINGS, trials=trials, **changed), {bound!r}, factor=factor)


CONTROLS = [({{"factor": {factor}}}, Verdict.{other})]
'''

FIGURE = '''"""{title}"""

import numpy as np
from matplotlib.figure import Figure

from modiff_sim.explore import Settings, look
from modiff_sim.explore.saving import drawn

SETTINGS = {settings}
TITLE = "{title}"
CAPTION = (
    "Error per model call in the 2-norm and in the max norm, mean and largest of the trials, against every bound that "
    "applies. {about}."
)
PARAMS = {{effort: {{"settings": repr(SETTINGS), "seed": SETTINGS.seed}} for effort in ("quick", "full")}}


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the curves as "<norm> <name>", (steps,)."""
    view = look(SETTINGS)
    return {{f"{{norm}} {{name}}": y for norm, curves in view.curves.items() for name, y in curves.items()}}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw a panel per norm."""
    return drawn(data, SETTINGS.recursion)
'''


def evidence(settings: Settings, bound: str, *, factor: float = 1.0) -> Evidence:
    """The errors of a view against one of its bounds, per call.

    Parameters
    ----------
    settings : Settings
        What is looked at.
    bound : str
        A name in ``View.curves``, such as "max norm" or "printed (31)".
    factor : float, default 1.0
        What the bound is multiplied by: a control makes it too small.

    Returns
    -------
    Evidence
        The errors, and the bound on each.

    Raises
    ------
    ValueError
        Where the bound does not apply to these settings; the message lists those that do.

    Examples
    --------
    >>> from modiff_sim.explore import Settings, evidence
    >>> found = evidence(Settings(d=16, steps=10, trials=4), "max norm")
    >>> bool((found.measured <= found.claimed + found.atol).all())
    True
    """
    return _evidence(look(settings), bound, factor=factor)


def _evidence(view: View, bound: str, *, factor: float = 1.0) -> Evidence:
    about = {"settings": view.settings.code()}
    return against(view.result, bound, factor=factor, seed=view.settings.seed, params=about)


def as_claim(view: View, path: str | Path, bound: str = "max norm") -> Path:
    """Write a claim that checks one bound of a view, as a file for ``paper_checks/ROOM``; returns the path.

    Its id is the name of the file, and its expected verdict what is found now. Raises ValueError for a name that is no
    identifier, a bound that does not apply, and a file that is there already.
    """
    path = _free(path)
    found = _evidence(view, bound)
    claim = Claim(path.stem, "explored", "explored", "upper")
    verdict = judge(claim, found).verdict
    scaled = {"HOLDS": (1e-6, "VIOLATED"), "VIOLATED": (1e9, "HOLDS")}
    factor, other = scaled.get(str(verdict), (1e-6, str(verdict)))
    statement = f"the error of {_about(view.settings)} is at most the bound '{bound}' at every call"
    text = CLAIM.format(
        name=path.stem, statement=statement, settings=view.settings.code(), verdict=verdict.name, bound=bound,
        factor=factor, other=other,
    )  # fmt: skip
    write_atomic(path, text)
    return path


def as_figure(view: View, path: str | Path) -> Path:
    """Write a figure that shows a view, as a file for ``figures``, fig_NAME.py; returns the path.

    Raises ValueError for a name that is no identifier, and a file that is there already.
    """
    path = _free(path)
    title = f"Error of {_about(view.settings)}"
    about = f"{view.settings.trials} trials, seed {view.settings.seed}"
    write_atomic(path, FIGURE.format(title=title, about=about, settings=view.settings.code()))
    return path


def drawn(
    curves: Mapping[str, Any], recursion: str = "closed_loop", norms: Mapping[str, str] = NORMS, **size: float
) -> Figure:
    """Draw curves "<norm> <name>" (steps,), a panel per norm: the data of a saved figure or a view's (extra [plot])."""
    import numpy as np

    from ..plot import panels, style

    figure, axes = style.grid(1, len(norms), **({"height": 3.4} | size))
    names = list(dict.fromkeys(name.split(" ", 1)[1] for name in curves if name.split(" ", 1)[0] in norms))
    known = {"sharp": "sharp", "max norm": "max_norm", "Young, corrected": "young"}
    looks = {}
    for name in names:
        if name in ("mean", "largest", "rms", "together"):
            line = "-" if name == "mean" else (0, (4, 1.5))
            looks[name] = style.Look(f"{name} error", style.recursions([recursion])[recursion].colour, line)
        else:
            key = known.get(name, "printed_sampling" if "sampling" in name else "printed_paper")
            said = {"sharp": "sharp bound", "max norm": "max-norm bound"}.get(name, name)
            looks[name] = style.Look(said, style.BOUND[key].colour, style.BOUND[key].line)
    for panel, (norm, title) in zip(axes[0], norms.items(), strict=True):
        for name, look_ in looks.items():
            y = curves.get(f"{norm} {name}")
            if y is not None:
                values = panels.positive(np.asarray(y, float))
                style.curve(panel, np.arange(len(values)), values, color=look_.colour, ls=look_.line)
        panel.set_title(title)
        panel.set_xlabel("model call")
        panels.logarithmic(panel)
        panels.whole_numbers(panel)
    axes[0, 0].set_ylabel("error")
    style.legend(figure, [style.key(each) for each in looks.values()], columns=2 * len(norms))
    return figure


def _about(settings: Settings) -> str:
    """Return the settings in words, for a title."""
    moved = settings.inputs
    if moved == "drift":
        moved = f"drift {settings.rho:g} of {settings.distribution} inputs"
    of = settings.layer or settings.recording if settings.inputs == "recorded" else f"{moved}, d = {settings.d}"
    return f"{settings.quantizer} at {settings.bits} bits, {settings.recursion.replace('_', ' ')}, {of}"


def _free(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".py" or not re.fullmatch(r"[A-Za-z_]\w*", path.stem):
        raise ValueError(f"a file NAME.py is wanted, NAME of letters, digits and underscores, got {path.name!r}")
    if path.exists():
        raise ValueError(f"{path} is there already: choose another name")
    return path
