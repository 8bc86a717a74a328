"""The report: one self-contained HTML page made from the output folder (verdicts, arms, figures, manifests)."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.store import StoreError, sha256, versions, write_atomic
from modiff_sim.sweeps.verification import verify

from .experiments.sizes import effort_of
from .tables.layouts import TABLES
from .tables.rows import committed
from .tables.write import EXCESS, page, save
from .typeset import in_html

HERE = Path(__file__).parent
#: figures in the order in which they should be read; others follow by name
READING_ORDER = (
    "sample_grids", "bit_sweep", "middle_block", "violins", "error_growth", "bounds_per_norm",
)  # fmt: skip
#: the model at the beginning of a statement, and what is said of it
MODEL = re.compile(r"On ((?:the|two) [^()]+) \(([^()]*)\): ")


def _figures(folder: Path) -> list[dict[str, Any]]:
    found = []
    for manifest in folder.glob("*.json"):
        about = json.loads(manifest.read_text(encoding="utf-8"))
        if not {"name", "title", "caption", "alt", "claims"} <= set(about):
            continue  # not the manifest of a figure, or of another model or other bits, for somebody's own use
        png = manifest.with_suffix(".png")
        encoded = base64.b64encode(_small(png.read_bytes())).decode()
        files = {f.name: sha256(f) for f in (png, png.with_suffix(".npz"))}
        found.append({**about, "png": encoded, "files": files})
    order = {name: i for i, name in enumerate(READING_ORDER)}
    return sorted(found, key=lambda f: (order.get(f["name"], len(order)), f["name"]))


def _small(png: bytes) -> bytes:
    """Return a picture in 256 colours, which is enough for lines and small images, and a third of the bytes."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _short(value: float | None) -> str:
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _claim(claim: dict[str, Any]) -> dict[str, Any]:
    """Return a claim with its statement apart from the model that it is about."""
    about = MODEL.match(claim["statement"])
    if about is None:
        return {**claim, "said": claim["statement"], "model": "", "details": ""}
    said = claim["statement"][about.end() :]
    begun = said[0].upper() + said[1:] if re.match(r"[a-z]{2}|a ", said) else said  # a word, and not a variable
    return {**claim, "said": begun, "model": about[1], "details": about[2]}


def build(out: Path, effort: str, rows: list[dict[str, Any]]) -> Path:
    """Write ``out/tables`` and ``out/report.html``, and return the path of the latter.

    Raises StoreError if a stored result is damaged, or where rows of a table are missing.
    """
    import jinja2
    from markupsafe import Markup

    count, problems = verify(out / "results")
    if problems:
        raise StoreError("; ".join(problems) + ": delete these folders and run again")
    checks = json.loads((out / "results" / "checks.json").read_text(encoding="utf-8"))
    if checks["effort"] != effort:
        raise StoreError(f"checks.json is of effort {checks['effort']}, not {effort}: run the paper checks again")
    figures = _figures(out / "figures")
    shown_in = defaultdict(list)
    for number, figure in enumerate(figures, start=1):
        figure["number"] = number
        for name in figure["claims"]:
            shown_in[name].append(figure)
    tables = {name: page(name, table, committed(table.model), EXCESS) for name, table in TABLES.items()}
    save(tables, out / "tables")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"short": _short, "math": lambda text: Markup(in_html(text))}
    manifest = {
        "effort": vars(effort_of(effort)), "versions": versions(), "stored results verified": count,
        "figures": {f["name"]: f["files"] for f in figures}, "checks.json": sha256(out / "results" / "checks.json"),
        "arms.csv": sha256(out / "results" / "arms.csv"),
    }  # fmt: skip
    template = environment.from_string((HERE / "report.html.j2").read_text(encoding="utf-8"))
    claims = [_claim(claim) for claim in checks["claims"]]
    made = template.render(
        tables=tables,
        counts=Counter(c["verdict"] for c in claims),
        known={c["id"]: c for c in claims},
        errata=[c for c in claims if c["erratum"]],
        effort=effort_of(effort),
        claims=claims,
        figures=figures,
        shown_in=shown_in,
        docs=os.path.relpath(HERE.parent, out),
        rows=rows,
        manifest=json.dumps(manifest, indent=1, sort_keys=True, default=str),
    )
    target = out / "report.html"
    write_atomic(target, made)
    return target
