"""``python -m analysis.site``: build the documentation as a site, OUT/html, without network (extra [site]).

The pages of docs/ are taken as they are, beside pages of the API that are made from the public names. Formulas become
MathML, which browsers show without help. Warnings of Sphinx are errors.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from modiff_sim.console import one_line
from modiff_sim.sweeps.store import write_atomic

from .running import interrupts
from .running.limits import Parser

ROOT = Path(__file__).parent.parent
#: pages from outside of docs/, and their names in the site
OTHERS = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
#: packages and modules whose public names make the reference, in order
API = (
    "modiff_sim", "modiff_sim.quantizers", "modiff_sim.quantizers.granularity", "modiff_sim.recursion",
    "modiff_sim.simulation", "modiff_sim.simulation.processes", "modiff_sim.bounds", "modiff_sim.bounds.growth",
    "modiff_sim.bounds.certificates", "modiff_sim.contraction", "modiff_sim.contraction.atlas", "modiff_sim.transfer",
    "modiff_sim.transfer.prediction", "modiff_sim.advice.regimes", "modiff_sim.advice.recommendation",
    "modiff_sim.diffusion.schedules", "modiff_sim.diffusion.samplers", "modiff_sim.diffusion.mixtures",
    "modiff_sim.metrics", "modiff_sim.evidence", "modiff_sim.testing", "modiff_sim.sweeps.sweep",
    "modiff_sim.sweeps.store", "modiff_sim.cost", "modiff_sim.plot.style", "modiff_sim.nn", "modiff_sim.nn.zoo",
    "modiff_sim.nn.models.adapters", "modiff_sim.nn.models.memory", "modiff_sim.nn.measure.sparsity",
    "modiff_sim.nn.plans.presets", "modiff_sim.nn.plans.select",
)  # fmt: skip


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield (name, object) of what a module offers: its ``__all__``, or what it defines without an underscore."""
    names = getattr(module, "__all__", None)
    own = names is None
    for name in sorted(vars(module) if names is None else names, key=str.lower):
        thing = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(thing):
            continue
        if own and getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield name, thing


def reference(name: str, shown: set[int]) -> str:
    """Return the page of a module: its docstring, and each public name that no page before it has shown."""
    module = importlib.import_module(name)
    lines = [f"# {name}", "", *(inspect.getdoc(module) or "").splitlines()[:1], ""]
    for each, thing in public(module):
        if id(thing) in shown:
            continue
        shown.add(id(thing))
        kind = "autoclass" if inspect.isclass(thing) else "autofunction"
        lines += ["```{eval-rst}", f".. {kind}:: {name}.{each}", "```", ""]
    return "\n".join(lines)


def stage(folder: Path) -> None:
    """Write everything that Sphinx reads into a folder: docs/, the other pages, pictures, and the pages of the API."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in OTHERS.items():
        shutil.copy2(ROOT / source, folder / target)
    for page in folder.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        base = ROOT if page.name in OTHERS.values() else ROOT / "docs"
        page.write_text(_links(text, base, folder), encoding="utf-8")
    (folder / "api").mkdir()
    shown: set[int] = set()
    pages = {name: reference(name, shown) for name in API}
    for name, text in pages.items():
        (folder / "api" / f"{name}.md").write_text(text, encoding="utf-8")
    listed = "\n".join(pages)
    said = "\n".join(f"| [{name}]({name}.md) | {text.splitlines()[2]} |" for name, text in pages.items())
    table = f"| module | what it holds |\n|---|---|\n{said}\n"
    index = f"# API\n\nEverything public, by module.\n\n{table}\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    (folder / "api" / "index.md").write_text(index, encoding="utf-8")


def _links(text: str, base: Path, folder: Path) -> str:
    """Return a page whose links work in the site: pages among themselves, other files as copies beside them."""

    def moved(match: re.Match[str]) -> str:
        before, target, rest = match.groups()
        if re.match(r"https?:|#|mailto:", target):
            return match.group(0)
        path = (base / target).resolve()
        if path.parent == ROOT / "docs":
            return f"{before}({path.name}{rest})"
        relative = path.relative_to(ROOT)
        if str(relative) in OTHERS:
            return f"{before}({OTHERS[str(relative)]}{rest})"
        if not path.is_file():
            return match.group(0)
        copy = folder / "files" / (relative if path.suffix != ".md" else relative.with_suffix(".md.txt"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
        shown = copy.relative_to(folder)
        return f"{before}({shown}{rest})" if before.startswith("!") else f"{{download}}`{before[1:-1]} <{shown}>`"

    text = re.sub(r'<a id="(\w+)"></a>\n+', r"(\1)=\n", text)
    text = re.sub(r'<a id="(\w+)"></a>(`\w+`)', r"[\2]{#\1}", text)  # in a table
    return re.sub(r"(!?\[[^\]\n]*\])\(([^)#\s]+)((?:#[^)\s]*)?)\)", moved, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 2 where Sphinx is missing or warns of anything."""
    parser = Parser(prog="python -m analysis.site", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/site"), help="folder (default: out/site)")
    out = parser.parse_args(arguments).out
    if importlib.util.find_spec("sphinx") is None:
        print("site: Sphinx is missing: pip install -c constraints.txt -e '.[site]'", file=sys.stderr)
        return 2
    try:
        stage(out / "source")
    except OSError as error:
        print(f"site: {one_line(error)}", file=sys.stderr)
        return 2
    command = ["-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-E", "-j", "auto"]
    done = subprocess.run([sys.executable, *command, str(out / "source"), str(out / "html")], check=False)
    if done.returncode:
        print("site: Sphinx warned (see above)", file=sys.stderr)
        return 2
    write_atomic(out / "html" / ".nojekyll", "")
    print(f"wrote {out / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.site"))
