"""The report: one self-contained HTML page made from the output folder (verdicts, arms, figures, manifests)."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.store import StoreError, sha256, versions, write_atomic
from modiff_sim.sweeps.verification import verify

from .experiments.sizes import effort_of
from .tables.layouts import TABLES
from .tables.rows import committed
from .tables.write import EXCESS, page, save

HERE = Path(__file__).parent
#: figures in the order in which they should be read; others follow by name
READING_ORDER = (
    "sample_grids", "bit_sweep", "middle_block", "violins", "error_growth", "bounds_per_norm",
)  # fmt: skip


def _figures(folder: Path) -> list[dict[str, Any]]:
    found = []
    for manifest in folder.glob("*.json"):
        about = json.loads(manifest.read_text(encoding="utf-8"))
        if not {"name", "title", "caption"} <= set(about):
            continue  # not the manifest of a figure
        if about.get("chosen"):
            continue  # of another model or at other bits, for somebody's own use
        png = manifest.with_suffix(".png")
        encoded = base64.b64encode(_small(png.read_bytes())).decode()
        found.append(
            {
                **about,
                "alt": _alt(about),
                "png": encoded,
                "files": {f.name: sha256(f) for f in (png, png.with_suffix(".npz"))},
            }
        )
    order = {name: i for i, name in enumerate(READING_ORDER)}
    return sorted(found, key=lambda f: (order.get(f["name"], len(order)), f["name"]))


def _small(png: bytes) -> bytes:
    """Return a picture in 256 colours, which is enough for lines and small images, and a third of the bytes."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _alt(about: dict[str, Any]) -> str:
    """Return what a figure shows: its title, and the first sentence of its caption."""
    first, stop, _ = about["caption"].partition(". ")
    return f"{about['title']}. {first}{stop.strip()}"


def _short(value: float | None) -> str:
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def build(out: Path, effort: str, rows: list[dict[str, Any]]) -> Path:
    """Write ``out/tables`` and ``out/report.html``, and return the path of the latter.

    Raises StoreError if a stored result is damaged, or where rows of a table are missing.
    """
    import jinja2

    count, problems = verify(out / "results")
    if problems:
        raise StoreError("; ".join(problems) + ": delete these folders and run again")
    checks = json.loads((out / "results" / "checks.json").read_text(encoding="utf-8"))
    if checks["effort"] != effort:
        raise StoreError(f"checks.json is of effort {checks['effort']}, not {effort}: run the paper checks again")
    figures = _figures(out / "figures")
    tables = {name: page(name, table, committed(table.model), EXCESS) for name, table in TABLES.items()}
    save(tables, out / "tables")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["short"] = _short
    manifest = {
        "effort": vars(effort_of(effort)), "versions": versions(), "stored results verified": count,
        "figures": {f["name"]: f["files"] for f in figures}, "checks.json": sha256(out / "results" / "checks.json"),
        "arms.csv": sha256(out / "results" / "arms.csv"),
    }  # fmt: skip
    template = environment.from_string((HERE / "report.html.j2").read_text(encoding="utf-8"))
    failing = ("VIOLATED", "VACUOUS", "PREMISE_FAILS")
    made = template.render(
        tables=list(tables.values()),
        counts=Counter(c["verdict"] for c in checks["claims"]),
        known={c["id"]: c for c in checks["claims"]},
        errata=[c for c in checks["claims"] if c["printed"] and c["verdict"] in failing],
        effort=effort_of(effort),
        claims=checks["claims"],
        figures=figures,
        rows=rows,
        manifest=json.dumps(manifest, indent=1, sort_keys=True, default=str),
    )
    target = out / "report.html"
    write_atomic(target, made)
    return target
