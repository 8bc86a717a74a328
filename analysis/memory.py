"""``python -m analysis.memory``: the memory that the states of a compensated run would take, planned from shapes alone.

For every model it shows its MACs, its weights and, for every way to keep â and ô, the MiB per image, the peak, and what
one step costs then. No weights are read or drawn; SDXL takes seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modiff_sim import AbsMax, Static, Storage, cost
from modiff_sim.console import one_line

from .running import interrupts
from .running.limits import Parser

MIB = 2**20
WEIGHT_BITS = (32, 16, 8, 4)
DEFAULT = ("cifar10", "dit-xl-2", "sd15", "sdxl")
PAGE = Path(__file__).parent.parent / "docs" / "memory.md"
DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class StateForm:
    """One way to keep the states.

    ``packed``: two 4-bit codes share a byte. ``share``: q, k and v keep one â. ``aligned``: residuals lie on the grid
    of the codes.
    """

    label: str
    storage: Storage
    packed: bool = False
    share: bool = False
    aligned: bool = False


SCHEMES = (
    StateForm("float32 / float32", Storage("float32", "float32")),
    StateForm("float16 / float16", Storage("float16", "float16")),
    StateForm("8-bit codes / float16", Storage(AbsMax(8), "float16")),
    StateForm("8-bit codes, aligned / float16", Storage(Static(8), "float16"), aligned=True),
    StateForm("4-bit codes, packed / float16", Storage(AbsMax(4), "float16"), packed=True),
    StateForm("8-bit codes / recomputed", Storage(AbsMax(8), "recompute")),
    StateForm("8-bit codes, one for q, k, v / recomputed", Storage(AbsMax(8), "recompute"), share=True),
    StateForm("4-bit codes, packed / recomputed", Storage(AbsMax(4), "recompute"), packed=True),
)


def plan(
    name: str,
    *,
    images: int = 1,
    bits: int = 3,
    weight_bits: int = 8,
    dtype: str = "float32",
    rows: int | None = None,
) -> dict[str, Any]:
    """Return the plan of a known model or of a local diffusers folder, as plain numbers.

    They are bytes unless the key says otherwise. ``images`` is the number of images at once. ``bits`` and
    ``weight_bits`` are those of residuals and weights, for the cost of a step and the peak. ``dtype`` is that of the
    model's arithmetic. ``rows`` is the number of rows of the batch per image, by default 2 for the known models that
    are guided and 1 for others.

    Raises ValueError for an unknown model, FileNotFoundError for a folder without a config.
    """
    from modiff_sim.nn import architectures

    for what, value in (("images", images), ("bits", bits), ("weight_bits", weight_bits), ("rows", rows)):
        if value is not None and value < 1:
            raise ValueError(f"{what} must be at least 1, got {value}")
    known = architectures.ARCHITECTURES.get(name)
    if known is None and not Path(name).is_dir():
        architectures.architecture(name)  # raises, listing what is known
    shapes = architectures.shapes_of(name) if known else architectures.shapes_of_folder(name)
    rows = (known.rows if known else 1) if rows is None else rows
    itemsize, batch = DTYPES[dtype], rows * images
    work = cost.working_set(shapes.layers, batch, itemsize=itemsize)
    weights = {str(b): shapes.parameters * b // 8 for b in (*WEIGHT_BITS, weight_bits)}
    schemes = []
    for s in SCHEMES:
        held = cost.cache_bytes(
            shapes.layers, s.storage, batch, itemsize=itemsize, packed=s.packed, share_inputs=s.share
        )
        operand = cost.operand_bits(s.storage, bits, aligned=s.aligned)
        schemes.append(
            {
                "scheme": s.label, "ref": held.ref, "o_hat": held.o_hat, "total": held.total,
                "per_image": held.total / images, "peak": weights[str(weight_bits)] + held.total + work,
                "operand_bits": operand, "step_bops": cost.bops(shapes.macs * batch, weight_bits, operand),
            }
        )  # fmt: skip
    return {
        "model": name, "label": known.label if known else str(name), "parameters": shapes.parameters,
        "layers": len(shapes.occurrences()), "layer_calls": len(shapes.layers), "images": images, "rows": rows,
        "dtype": dtype, "bits": bits, "weight_bits": weight_bits, "weights": weights, "working_set": work,
        "direct_bops": cost.bops(shapes.macs * batch, weight_bits, 8),
        "macs": shapes.macs * rows, "attention_macs": shapes.attention_macs * rows,
        "unseen_macs": shapes.product_macs("weight") * rows, "schemes": schemes,
    }  # fmt: skip


#: the line in bits b and images B that fits the paper's memory for its CIFAR-10 model, in MiB
PRINTED = (34.09, 0.60)
PAPER_HEAD = ("b", "B", "printed fit", "weights + conv â", "weights + â + ô", "both in float32")


def paper(bits: Sequence[int] = (8, 6, 4, 3, 2), images: Sequence[int] = (1, 16, 64)) -> list[dict[str, float]]:
    """Rebuild the paper's memory tables for the CIFAR-10 U-Net, in MiB: 8-bit weights and caches at b bits, packed.

    Only the line that fits the tables is known here, not their cells. Beside it stand â of the convolutions alone,
    which is what the line counts; both states of all layers, which a run has to keep; and both in float32, as in the
    released code.
    """
    from modiff_sim.nn.models.architectures import shapes_of

    shapes = shapes_of("cifar10")
    weights = shapes.parameters / MIB
    every = cost.cache_bytes(shapes.layers)
    entries = every.total / 4
    conv = cost.cache_bytes([x for x in shapes.layers if x.kind.startswith("Conv")]).ref / 4
    return [
        {
            "bits": b, "images": n, "printed": PRINTED[0] + PRINTED[1] * b * n,
            "conv_ref": weights + conv * n * b / 8 / MIB, "both": weights + entries * n * b / 8 / MIB,
            "float32": weights + every.total * n / MIB,
        }
        for n in images
        for b in bits
    ]  # fmt: skip


def paper_cells() -> list[list[str]]:
    """Return the cells of the paper's tables as text."""
    return [
        [f"{r['bits']}", f"{r['images']}", *(number(r[k]) for k in ("printed", "conv_ref", "both", "float32"))]
        for r in paper()
    ]


def number(value: float) -> str:
    """Format a number: at least three digits from 1 on, two digits below 0.1, with thousands separated."""
    if 0 < value < 0.1:
        return f"{value:.2g}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _mib(value: float) -> str:
    return number(value / MIB)


HEAD = ("kept between calls: â / ô", "â", "ô", "both", "peak", "operand", "a step")
UNITS = ("", "MiB", "MiB", "MiB", "MiB", "bits", "GBOPs")


def cells(p: dict[str, Any]) -> list[list[str]]:
    """Return the table of one plan: memory of all images at once, bits of the operand, cost of a step."""
    return [
        [s["scheme"], _mib(s["ref"]), _mib(s["o_hat"]), _mib(s["total"]), _mib(s["peak"]), f"{s['operand_bits']:g}",
         number(s["step_bops"] / 1e9)]
        for s in p["schemes"]
    ]  # fmt: skip


def facts(p: dict[str, Any]) -> list[str]:
    """Return the lines above the table."""
    each = "1 row of the batch per image" if p["rows"] == 1 else f"{p['rows']} rows of the batch per image (guidance)"
    macs = f"{number(p['macs'] / 1e9)} GMAC in layers, {number(p['attention_macs'] / 1e9)} GMAC in attention products"
    if p["unseen_macs"]:
        macs += f", {number(p['unseen_macs'] / 1e9)} GMAC in weights outside such layers"
    weights = ", ".join(f"{_mib(p['weights'][str(b)])} at {b} bits" for b in WEIGHT_BITS)
    return [
        f"{p['parameters']:,} parameters; {p['layer_calls']} calls of {p['layers']} conv and linear layers; {each}",
        f"one call, per image: {macs}",
        f"weights, MiB: {weights}",
    ]


def text(p: dict[str, Any]) -> str:
    """Return the plan as text for a terminal, below 100 columns wide."""
    count = f"{p['images']} image{'s' if p['images'] > 1 else ''} at once"
    lines = [p["label"], *(f"  {line}" for line in facts(p)), ""]
    direct = f"direct W{p['weight_bits']}A8: no states, {number(p['direct_bops'] / 1e9)} GBOPs a step"
    lines.append(f"  {count}, {p['dtype']}, W{p['weight_bits']}A{p['bits']} ({direct}):")
    return "\n".join([*lines, *_aligned([list(HEAD), list(UNITS)], cells(p))])


def _aligned(head: list[list[str]], body: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*head, *body, strict=True)]

    def line(row: list[str]) -> str:
        first, *rest = zip(row, widths, strict=True)
        return f"  {first[0].ljust(first[1])}  {'  '.join(c.rjust(w) for c, w in rest)}".rstrip()

    return [*map(line, head), "  " + "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, body)]


NOTES = """\
peak: weights, states, and the largest layer at work (input, residual, product, output). The model's own activations
come on top and are the same without modulation. Codes have one scale per sample, which is counted.
operand: bits of what A is applied to in a step of the closed loop, from which the cost of a step in the layers follows.
As computed it is the residual. Where â is kept in another format, it is the change of the stored â, which has more
bits, unless the residuals lie on the grid of the codes (aligned: Static codes, GridAligned residuals). A recomputed ô
is one A(stored â): it takes the same MACs, but at the bits of â instead of those of the residual."""


def markdown(plans: Sequence[dict[str, Any]]) -> str:
    """Return the tables of docs/memory.md."""
    blocks = []
    for p in plans:
        head = "| " + " | ".join(f"{h}, {u}" if u else h for h, u in zip(HEAD, UNITS, strict=True)) + " |"
        rows = ["| " + " | ".join(c.strip() for c in row) + " |" for row in cells(p)]
        rule = "|---|" + "---:|" * (len(HEAD) - 1)
        above = "\n".join(f"- {line}" for line in facts(p))
        blocks.append(f"### {p['label']}\n\n{above}\n\n" + "\n".join([head, rule, *rows]))
    return "\n\n".join(blocks)


def paper_markdown() -> str:
    """Return the paper's tables, rebuilt, for docs/memory.md."""
    rows = ["| " + " | ".join(row) + " |" for row in (list(PAPER_HEAD), *paper_cells())]
    return "\n".join([rows[0], "|" + "---:|" * len(PAPER_HEAD), *rows[1:]])


def page(text: str) -> str:
    """Return docs/memory.md with new tables: what stands between two marks is replaced.

    Raises ValueError where a mark is missing.
    """
    for name, table in (("plan", markdown([plan(name) for name in DEFAULT])), ("paper", paper_markdown())):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{PAGE.name}: the marks {begin.strip()} and {end} are missing")
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text


def _paper_text() -> str:
    return "\n".join(["CIFAR-10 DDPM U-Net, MiB for B images, caches at b bits, 8-bit weights", "",
                      *_aligned([list(PAPER_HEAD)], paper_cells())])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.memory",
        description="Plan the memory and the cost of a compensated run from a model's shapes: no weights, no GPU.",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        metavar="NAME",
        help="digits, cifar10, dit-xl-2, sd15, sdxl, or a local diffusers folder (default: all but digits)",
    )
    parser.add_argument("--images", type=int, default=1, help="images at once (default: 1)")
    parser.add_argument("--bits", type=int, default=3, help="bits of the residuals (default: 3)")
    parser.add_argument(
        "--weight-bits", type=int, default=8, help="bits of the weights, for peak and cost (default: 8)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="type of the model's arithmetic (default: float32)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        help="rows of the batch per image, 2 with guidance (default: as the model is used; 1 for folders)",
    )
    parser.add_argument("--paper", action="store_true", help="rebuild the paper's memory tables for its CIFAR-10 model")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: bytes, MACs and BOPs as whole numbers")
    form.add_argument("--page", action="store_true", help="write the tables of docs/memory.md again")
    args = parser.parse_args(argv)
    if args.page:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    if args.paper:
        print(json.dumps(paper()) if args.json else _paper_text())
        return 0
    options = {name: getattr(args, name) for name in ("images", "bits", "weight_bits", "dtype", "rows")}
    try:
        plans = [plan(name, **options) for name in args.model or DEFAULT]
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(plans, ensure_ascii=False))
    else:
        print("\n\n".join(text(p) for p in plans))
        print(f"\n{NOTES}")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.memory"))
