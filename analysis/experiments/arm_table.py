"""The arms of the paper and of this project on one model: what ``python -m analysis.experiments.arms`` prints.

Every arm starts from the same noise. The columns are:

    SQNR        of each image against that of full precision: 10·log10(Σ x²/Σ (x - x̂)²), dB; median over images
    Fréchet     distance to the training images in features of a classifier, where the zoo has one; noisy at few images
    GBOPs       10⁹ bit operations (MACs · weight bits · bits of the operand) per image over all calls, of convolutions
                and linear layers; those of attention products only where they are quantized
    cache MiB   memory that is kept between calls, per image, as measured (without temporaries)
    quantized   share of MACs on quantized values, skipped ones included
    skipped     share of MACs that were not computed
    bits        effective bits of what is quantized: mean over MACs, full-precision calls counted as 32, skipped MACs as
                0; where â is stored rounded the operand has more bits, which GBOPs count
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim.console import one_line
from modiff_sim.nn import (
    AdaRound,
    Attention,
    Audit,
    adaround,
    aligned,
    calibrate,
    deepcache,
    modulated,
    mse_optimal,
    presets,
    quantize_weights,
)
from modiff_sim.sweeps.store import write_atomic

from .. import metrics
from ..running.limits import MOST_SEED, MOST_THREADS, Parser, check_file, whole
from ..sampling.subjects import Subject, subject
from .arms import CALIBRATION_SEED

Options = Mapping[str, Any]
W8 = ms.AbsMax(8, granularity=ms.PerChannel(0))
W4 = ms.AbsMax(4, granularity=ms.PerChannel(0))


@dataclass(frozen=True)
class Setting:
    """What all arms share: the subject, how it is sampled, and its calibrations, each of which is made once."""

    subject: Subject
    images: int = 64
    steps: int = 20
    spacing: str = ""  # empty: the subject's own
    batch: int = 64
    seed: int = 0
    calibration_images: int = 16
    adaround_iterations: int = AdaRound.iterations

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", self.spacing or self.subject.spacing)

    def sample(self, **options: Any) -> np.ndarray:
        """Sample the images as the subject is now. Options replace those of the setting."""
        chosen = {"steps": self.steps, "spacing": self.spacing, "batch": self.batch, "seed": self.seed} | options
        return self.subject.sample(self.images, **chosen)

    @cached_property
    def full(self) -> np.ndarray:
        """The images of full precision."""
        return self.sample()

    @cached_property
    def judge(self) -> metrics.Judge:
        """The judge of the images of a model of the zoo. Raises ValueError for other models: see ``judged``."""
        return metrics.Judge(self.subject.name)

    def run(self, options: Options) -> tuple[np.ndarray, float, Audit]:
        """Run an arm: return its images, the MiB of state that it holds per image, and its audit."""
        held = []
        with modulated(self.subject.model, **options) as run:
            made = self.sample(run=run, callback=lambda *_: held.append(run.state_bytes()))
        return made, max(held) / 2**20 / self.batch, run.audit()

    def calibration(self, images: int) -> Callable[[Any], object]:
        """Return a function that samples a calibration set. It is given what to call before every micro-batch."""
        options = {"steps": self.steps, "spacing": self.spacing, "batch": images, "seed": CALIBRATION_SEED}
        return lambda on_batch: self.subject.sample(images, on_batch=on_batch, **options)

    def static(self, **options: Any) -> Any:
        """Calibrate static scales on images that no arm is judged on."""
        return calibrate(self.subject.model, self.calibration(self.calibration_images), **options)

    @cached_property
    def input_ranges(self) -> Any:
        """The calibrated ranges of the layers' inputs, symmetric, at 8 bits."""
        return self.static(bits=8, target="input", symmetric=True)

    @cached_property
    def adarounded(self) -> Any:
        """The weights at 4 bits, rounded by AdaRound."""
        run = self.calibration(2 * self.calibration_images)
        settings = AdaRound(iterations=self.adaround_iterations)
        return adaround(self.subject.model, mse_optimal(4), lambda _: run(()), settings=settings)


Make = Callable[[Setting], Options]


def _fixed(**options: Any) -> Make:
    return lambda setting: options


def _closed(bits: int, **more: Any) -> dict[str, Any]:
    return {"activations": ms.AbsMax(bits), "weights": W8, "recursion": "closed_loop"} | more


def _attention(bits: int) -> Attention:
    return Attention(
        q=ms.AbsMax(bits), k=ms.AbsMax(bits), v=ms.AbsMax(bits), softmax=ms.MinMax(bits), recursion="direct"
    )


EIGHT = ms.Storage(ref=ms.AbsMax(8), o_hat="float16")
RECOMPUTE = ms.Storage(ref=ms.AbsMax(8), o_hat="recompute")

#: label -> options of ``modulated`` on a setting. A new arm is one line here.
ARMS: dict[str, Make] = {
    "full precision": _fixed(activations=ms.Identity(), recursion="direct"),
    "W8A32": _fixed(activations=ms.Identity(), weights=W8, recursion="direct"),
    "W8A8 direct": _fixed(activations=ms.AbsMax(8), weights=W8, recursion="direct"),
    "W8A4 direct": _fixed(activations=ms.AbsMax(4), weights=W8, recursion="direct"),
    "W8A4 open loop": _fixed(activations=ms.AbsMax(4), weights=W8, recursion="open_loop"),
    "W8A4 closed loop": _fixed(**_closed(4)),
    "W8A3 closed loop": _fixed(**_closed(3)),
    "W4A4 closed, nearest": _fixed(**_closed(4, weights=W4)),
    "W4A4 closed, MSE weights": lambda s: _closed(4, weights=quantize_weights(s.subject.model, mse_optimal(4))),
    "W4A4 closed, AdaRound": lambda s: _closed(4, weights=s.adarounded),
    "W8A4 closed, one scale per batch": _fixed(**_closed(4, activations=ms.AbsMax(4, granularity=ms.PerBatch()))),
    "W8A4 closed, static from differences": lambda s: _closed(
        4, activations=s.static(bits=4, target="difference", quantizer="mse")
    ),
    "W8A4 closed, static from the loop": lambda s: _closed(
        4, activations=s.static(bits=4, target="closed_loop", quantizer="mse", weights=W8)
    ),
    "W8A4 closed, attention 8 bits": _fixed(**_closed(4, attention=_attention(8))),
    "W8A4 closed, int8 â, fp16 ô": _fixed(**_closed(4, storage=EIGHT)),
    "W8A4 closed, int8 â, ô recomputed": _fixed(**_closed(4, storage=RECOMPUTE)),
    "W8A4 closed, grid-aligned int8 â": lambda s: _closed(4) | aligned(s.input_ranges, bits=4),
    "W8A4 closed, skip below 5 %": _fixed(**_closed(4, skip=ms.Threshold(0.05))),
    "reuse every 3": _fixed(activations=ms.Zero(), recursion="closed_loop", refresh=3),
    "DeepCache every 3": lambda s: {
        "activations": ms.Identity(), "recursion": "direct", "reuse": deepcache(s.subject.model, every=3)
    },
    "DeepCache every 3, W8A4 closed": lambda s: _closed(4, reuse=deepcache(s.subject.model, every=3)),
    **{f"{name}, W8A4": (lambda s, make=make: dict(make(4))) for name, make in presets.PRESETS.items()},
}  # fmt: skip


def fixed_options(label: str) -> dict[str, Any]:
    """Return the options of an arm that do not depend on the model."""
    return dict(ARMS[label](None))  # type: ignore[arg-type]


def sqnr_per_image(full: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Return the SQNR of every image in dB, shape (images,). It is inf where the images are equal."""
    signal = np.square(full.astype(np.float64)).sum(axis=(1, 2, 3))
    lost = np.square(full.astype(np.float64) - made).sum(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(signal / lost)


def row(setting: Setting, label: str) -> dict[str, Any]:
    """Return the numbers of one arm. Where the arm does not fit the model, ``problem`` says why."""
    out: dict[str, Any] = {"arm": label, "images": setting.images, "steps": setting.steps} | setting.subject.key()
    try:
        options = ARMS[label](setting)
    except (TypeError, ValueError) as error:
        return out | {"problem": str(error)}
    made, held, audit = setting.run(options)
    total = audit.summary()
    computed = -(-setting.images // setting.batch) * setting.batch  # the last micro-batch is computed in full
    return out | {
        "sqnr": float(np.median(sqnr_per_image(setting.full, made))), "gbops": total["bops"] / computed / 1e9,
        "cache_mib": held,
        "mac_share": total["mac_share"], "skipped_share": total["skipped_macs"] / max(total["macs"], 1),
        "activation_bits": total["activation_bits"], "saturated_share": total["saturated_share"],
        "unsupported": total["unsupported"], "products_share": _share(total),
    } | _quality(setting, made)  # fmt: skip


def _share(total: dict[str, Any]) -> float:
    both = total["product_macs"] + total["macs"]
    return total["product_macs"] / both if both else 0.0


def _quality(setting: Setting, images: np.ndarray) -> dict[str, Any]:
    if not judged(setting.subject, len(images)):
        return {}
    distance = setting.judge.frechet(images)
    return {"frechet": distance.value, "features": distance.features}


def judged(about: Subject, images: int) -> bool:
    """Whether a Fréchet distance can be computed: there is a classifier, and there are more images than features."""
    judge = metrics.of_model(about.name)
    return judge is not None and images > judge.width


def header(width: int, judged: bool) -> str:
    """Return the first line of the table."""
    quality = "  Fréchet" if judged else ""
    return f"{'arm':<{width}}  SQNR dB{quality}     GBOPs  cache MiB  quantized  skipped   bits"


def line(r: dict[str, Any], width: int, judged: bool) -> str:
    """Return one arm as a line of the table."""
    if "problem" in r:
        return f"{r['arm']:<{width}}  not possible here: {r['problem']}"
    sqnr = "      ∞" if np.isinf(r["sqnr"]) else f"{r['sqnr']:>7.1f}"
    quality = f"  {r['frechet']:>7.1f}" if judged else ""
    return (
        f"{r['arm']:<{width}}  {sqnr}{quality}  {r['gbops']:>8.4g}  {r['cache_mib']:>9.4g}  {r['mac_share']:>9.1%}  "
        f"{r['skipped_share']:>7.1%}  {r['activation_bits']:>5.2f}"
    )


def _parser() -> Parser:
    parser = Parser(
        prog="python -m analysis.experiments.arms",
        description=__doc__.replace("``", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default="digits", help="zoo name, diffusers folder, hub name or DDPM checkpoint (default: digits)"
    )
    parser.add_argument("--arms", default="*", help="pattern for the arms' names, such as '*closed*' (default: all)")
    parser.add_argument("--images", type=whole(1, 10**6), default=64, help="images per arm (default: 64)")
    parser.add_argument("--steps", type=whole(1, 10**5), default=20, help="DDIM steps (default: 20)")
    parser.add_argument("--batch", type=whole(1, 2**20), help="micro-batch (default: all images, at most 64)")
    parser.add_argument(
        "--seed", type=whole(0, MOST_SEED), default=0, help="seed of the noise and of fixed conditions (default: 0)"
    )
    parser.add_argument(
        "--threads",
        type=whole(1, MOST_THREADS),
        default=1,
        help="torch threads, which can change the last bits of the images (default: 1)",
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--list", action="store_true", help="print the arms' names and stop")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``python -m analysis.experiments.arms`` and return its exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    labels = [label for label in ARMS if fnmatchcase(label, chosen.arms)]
    if not labels:
        parser.error(f"no arm's name matches {chosen.arms!r}; --list prints the names")
    if chosen.list:
        print(*labels, sep="\n")
        return 0
    torch.set_num_threads(chosen.threads)
    try:
        if chosen.json:
            check_file(chosen.json)
        about = subject(chosen.model, seed=chosen.seed)
        batch = chosen.batch or min(chosen.images, 64)
        setting = Setting(
            about,
            images=chosen.images,
            steps=chosen.steps,
            batch=batch,
            seed=chosen.seed,
            calibration_images=min(16, batch),
        )
        start = time.perf_counter()
        setting.full  # noqa: B018 - computed here, so that a model that cannot be sampled says so before the table
    except (OSError, TypeError, ValueError, ImportError) as error:
        said = one_line(error)
        print(said if said.startswith(chosen.model) else f"{chosen.model}: {said}", file=sys.stderr)
        return 2
    _introduce(setting)
    print(f"full precision takes {time.perf_counter() - start:.1f} s; {len(labels)} arm{'s' * (len(labels) > 1)}\n")
    rows = _printed_rows(setting, labels)
    print(f"\n{_notes(rows)}")
    if chosen.json:
        write_atomic(chosen.json, json.dumps(rows, indent=1))
    return 0


def _introduce(setting: Setting) -> None:
    """Print what the table is about."""
    about = setting.subject
    sampled = f"{setting.images} images, DDIM {setting.steps} steps ({setting.spacing}), seed {setting.seed}"
    print(f"{about.name} ({type(about.model).__name__}, {_millions(about.model):.2f} M parameters): {sampled}")
    for sentence in about.about:
        print(sentence)
    if about.conditions:
        print(f"fixed random conditions, so the images depict nothing: {', '.join(about.conditions)}")


def _printed_rows(setting: Setting, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of these arms, each printed as soon as it is there."""
    width, shown = max(map(len, labels)), judged(setting.subject, setting.images)
    print(header(width, shown), flush=True)
    rows = []
    for label in labels:
        rows.append(row(setting, label))
        print(line(rows[-1], width, shown), flush=True)
    return rows


def _millions(model: Any) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def _notes(rows: list[dict[str, Any]]) -> str:
    """Return the notes below the table: what its columns leave out."""
    shown = [r for r in rows if "problem" not in r]
    notes = [
        "Arithmetic is simulated: values on the quantization grid, in the model's dtype. SQNR: median over images.",
        "GBOPs and cache are per image; `bits` counts what is quantized: a rounded â makes the operand of A wider.",
    ]
    if products := max((r["products_share"] for r in shown), default=0.0):
        notes.append(f"Attention products in full precision are {products:.1%} of all MACs; GBOPs do not count them.")
    if names := sorted({name for r in shown for name in r["unsupported"]}):
        notes.append(f"These layers are not quantized, because of their type: {', '.join(names)}.")
    if features := {r["features"] for r in shown if "features" in r}:
        notes.append(f"Fréchet distances are in features of {', '.join(features)}; compare them only at equal n.")
    return "\n".join(notes)
