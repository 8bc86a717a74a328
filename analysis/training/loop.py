"""Training a diffusion model: one loop for every recipe, on a CPU or a GPU. A resumed run gives the same bytes."""

from __future__ import annotations

import io
import json
import logging
import math
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from tqdm import tqdm

from modiff_sim.diffusion.schedules import linear
from modiff_sim.names import one_of
from modiff_sim.nn import sample
from modiff_sim.sweeps.store import sha256, write_atomic

from ..datasets import Images
from ..running.limits import MOST_SEED, MOST_THREADS, writable
from ..running.sitting import Sitting
from ..sampling.pictures import save_grid
from . import checkpoints

#: whole numbers among the settings, and their ranges
RANGES = {"steps": (1, 10**7), "batch": (1, 2**16), "threads": (1, MOST_THREADS), "seed": (0, MOST_SEED)}
PRECISIONS = ("float32", "tf32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """Everything besides the data that decides the weights. A checkpoint made with other settings is not resumed.

    ``precision`` is "float32", "tf32" (products are rounded by the GPU) or "bfloat16" (autocast: layers in bfloat16;
    weights, optimizer and loss in float32). With ``flips`` every image is mirrored with probability ½.
    """

    steps: int = 12_000
    batch: int = 64
    lr: float = 1e-3
    warmup: int = 500
    ema: float = 0.999
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    threads: int = 1
    precision: str = "float32"
    flips: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= (value := getattr(self, name)) <= most:
                bound = f"at least {least}" if value < least else f"at most {most}"
                raise ValueError(f"{name} must be {bound}, got {value}")
        one_of("precision", self.precision, PRECISIONS)
        if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", self.device):
            raise ValueError(f"unknown device {self.device!r}; known: cpu, cuda, cuda:NUMBER")

    def lr_at(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ...: a linear warm-up, then a cosine to zero at the last step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=1) + "\n")


def progress(start: int, stop: int, describe: Callable[[], str], every: float = 30.0) -> Iterator[int]:
    """Yield range(start, stop), with a bar on a terminal and a plain line every ``every`` seconds elsewhere."""
    if sys.stderr.isatty():
        with tqdm(range(start, stop), initial=start, total=stop) as bar:
            for i in bar:
                yield i
                bar.set_postfix_str(describe(), refresh=False)
        return
    last = time.monotonic()
    for i in range(start, stop):
        yield i
        if time.monotonic() - last > every or i == stop - 1:
            print(f"step {i + 1}/{stop} {describe()}", file=sys.stderr, flush=True)
            last = time.monotonic()


class Training:
    """A training run: network, EMA, optimizer, random state and step, which is all that a checkpoint holds.

    ``config`` has the arguments of ``diffusers.UNet2DModel``, and ``data`` images in [-1, 1] of the network's shape.
    """

    def __init__(self, config: dict[str, Any], data: Images, settings: Settings) -> None:
        from diffusers import UNet2DModel

        wanted = (config["in_channels"], config["sample_size"], config["sample_size"])
        if data.images.shape[1:] != wanted:
            raise ValueError(f"{data.name} has images {data.images.shape[1:]}, the network takes {wanted}")
        self.config, self.settings, self.device = config, settings, torch.device(settings.device)
        torch.set_num_threads(settings.threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.model = UNet2DModel(**config)
        self.model.to(self.device).train()
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.opt = torch.optim.AdamW(self.model.parameters(), weight_decay=settings.weight_decay)
        self.rng = torch.Generator(self.device).manual_seed(settings.seed)
        self.step, self.seconds = 0, 0.0  # seconds: wall time over all sittings, which is only reported
        self.begun_from: dict[str, Any] | None = None  # weights that an earlier run left, see ``begin_from``
        self.losses: list[float] = []
        self.data, self.data_sha256 = torch.from_numpy(data.images).to(self.device), data.sha256
        alpha_bar = torch.from_numpy(linear().alpha_bar.copy())
        self.signal = alpha_bar.sqrt().float().to(self.device)
        self.noise = (1 - alpha_bar).sqrt().float().to(self.device)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw (x_t, t, ε) from the run's own generator."""
        s, T, device = self.settings, len(self.signal), self.device
        index = torch.randint(len(self.data), (s.batch,), generator=self.rng, device=device)
        # one timestep from each of `batch` equal parts: uniform like independent draws, with less variance
        u = torch.rand(s.batch, generator=self.rng, dtype=torch.float64, device=device)
        t = ((torch.arange(s.batch, device=device) + u) * (T / s.batch)).long().clamp(max=T - 1)
        x = self.data[index]
        eps = torch.randn(x.shape, generator=self.rng, device=device)
        if s.flips:
            mirrored = torch.rand((s.batch, 1, 1, 1), generator=self.rng, device=device) < 0.5
            x = torch.where(mirrored, x.flip(-1), x)
        return self.signal[t, None, None, None] * x + self.noise[t, None, None, None] * eps, t, eps

    def one_step(self) -> None:
        """Train one step: algorithm 1 of Ho et al. 2020, with the simple loss (14)."""
        s = self.settings
        x, t, eps = self.batch()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=s.precision == "bfloat16"):
            predicted = self.model(x, t).sample
        loss = (predicted.float() - eps).square().mean()
        for group in self.opt.param_groups:
            group["lr"] = s.lr_at(self.step)
        self.opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip_norm)
        self.opt.step()
        # a short memory at the start lets the EMA forget the initial weights
        decay = min(s.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.model.state_dict().values()), 1 - decay)
        self.losses.append(float(loss.detach()))
        if not math.isfinite(self.losses[-1]):
            raise FloatingPointError(f"the loss is {self.losses[-1]} at step {self.step}; the last checkpoint is kept")
        self.step += 1

    def mean_loss(self, last: int = 1000) -> float:
        """Return the mean loss of the last steps."""
        return float(np.mean(self.losses[-last:]))

    def samples(self, images: int, steps: int) -> np.ndarray:
        """Sample images with the current averaged weights, from noise that is the same at every call."""
        from diffusers import UNet2DModel

        with torch.device("meta"):  # so that initial weights are not drawn
            averaged = UNet2DModel(**self.config)
        averaged.load_state_dict(self.ema, assign=True)
        return sample(averaged.eval(), images=images, steps=steps, batch=images)

    def _about(self) -> dict[str, Any]:
        return {"settings": asdict(self.settings), "config": self.config, "data": self.data_sha256}

    def begin_from(self, weights: Path) -> None:
        """Start from the averaged weights that an earlier run left, where its checkpoint is lost.

        The step is the one in the manifest beside the weights. The optimizer starts again, and random numbers come from
        a new stream, so the result has other bytes than that of an uninterrupted run; the manifest says so.

        Raises
        ------
        ValueError
            The file is not the one its manifest describes, is damaged, or is of another network.
        OSError
            The file or its manifest is missing.
        """
        for path, what in ((weights, ""), (weights.with_suffix(".json"), f", the manifest that belongs to {weights}")):
            if not path.is_file():
                raise FileNotFoundError(f"{path} does not exist{what}")
        digest, own = sha256(weights), self.model.state_dict()
        values, step = checkpoints.read_weights(weights, digest, self.config, own, self.settings.steps)
        self.model.load_state_dict(values)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step = step
        self.rng.manual_seed(self.settings.seed + self.step)
        self.begun_from = {"sha256": digest, "step": step}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = self._about() | {
            "begun_from": self.begun_from,
            "step": self.step, "seconds": self.seconds, "losses": self.losses, "rng": self.rng.get_state(),
            "model": self.model.state_dict(), "ema": self.ema, "opt": self.opt.state_dict(),
        }  # fmt: skip
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ValueError for one that is damaged, or of another run."""
        like = {
            "model": self.model.state_dict(), "opt": self.opt.state_dict(), "rng": self.rng.get_state(),
            "parameters": [name for name, _ in self.model.named_parameters()],
        }  # fmt: skip
        state = checkpoints.read(path, self._about(), like, self.device)
        self.model.load_state_dict(state["model"])
        self.opt.load_state_dict(state["opt"])
        self.ema, self.losses = state["ema"], state["losses"]
        try:
            self.rng.set_state(state["rng"].cpu())
        except RuntimeError as error:
            why = "is damaged, its random state is invalid"
            raise checkpoints.Unusable(f"{path} {why}: {checkpoints.ADVICE}") from error
        self.step, self.seconds = state["step"], state["seconds"]
        self.begun_from = state.get("begun_from")

    def write_weights(self, out: Path, name: str, data: Images, stored: torch.dtype) -> Path:
        """Write the current averaged weights, ``out/NAME.safetensors``, and the manifest ``out/NAME.json``."""
        weights = out / f"{name}.safetensors"
        values = {k: v.to("cpu", stored).contiguous() for k, v in self.ema.items()}
        write_atomic(weights, safetensors.torch.save(values))
        training = {
            **asdict(self.settings), "torch": torch.__version__, "machine": platform.machine(),
            "steps_done": self.step, "images_seen": self.step * self.settings.batch,
            "minutes": round(self.seconds / 60, 1), "steps_per_second": round(len(self.losses) / self.seconds, 2),
            "final_loss": round(self.mean_loss(), 5), "begun_from": self.begun_from,
        }  # fmt: skip
        about = {
            "name": name, "class": "UNet2DModel", "sha256": sha256(weights),
            "parameters": sum(v.numel() for v in values.values()), "dtype": str(stored).removeprefix("torch."),
            "config": self.config, "data": {"name": data.name, "images": len(data), "sha256": data.sha256},
            "training": training,
        }  # fmt: skip
        write_json(out / f"{name}.json", about)
        return weights


def _save_samples(run: Training, path: Path) -> None:
    """Save a picture of 16 samples. If it cannot be made, this is logged, and the training goes on without it."""
    try:
        save_grid(run.samples(16, 20), path)
    except Exception as error:  # such as NaN among the samples, a full GPU, or a warning turned into an error
        logging.getLogger(__name__).warning("step %d: no picture %s of samples: %s", run.step, path, error)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training run is begun, interrupted, watched and written; the ``Settings`` decide what is trained.

    Parameters
    ----------
    minutes
        Time after which to stop and return None, leaving a checkpoint to resume from beside the weights so far.
    resume
        Whether to go on from ``out/checkpoint.pt``, if there is one.
    begin_from
        Weights of an earlier run to go on from where there is no checkpoint (``Training.begin_from``).
    save_every
        Seconds between checkpoints.
    grid_every
        Steps between pictures of 16 samples, ``out/samples-STEP.png``, or 0 for none. A picture that cannot be made is
        logged and left out.
    stored
        Dtype of the weights in the file.
    """

    minutes: float = math.inf
    resume: bool = False
    begin_from: Path | None = None
    save_every: float = 60.0
    grid_every: int = 0
    stored: torch.dtype = torch.float32


def train(
    name: str, config: dict[str, Any], data: Images, settings: Settings, out: Path, course: Course | None = None
) -> Path | None:
    """Train, and write ``out/NAME.safetensors`` (averaged weights) and the manifest ``out/NAME.json``.

    Returns
    -------
    Path or None
        The path of the weights, None where the training stopped before its last step.

    Raises
    ------
    FileExistsError
        There is a checkpoint and ``course.resume`` is False.
    ValueError
        The checkpoint is damaged, or was made with other settings, data or another network.
    OSError
        Files cannot be written, or can no longer be written. The message says what is kept.
    Stopped
        For Ctrl-C. The current step is finished and kept; a second Ctrl-C does not wait for it.
    """
    course = course or Course()
    checkpoint = out / "checkpoint.pt"
    writable(out)
    if checkpoint.exists() and not course.resume:
        raise FileExistsError(f"{checkpoint} exists: pass --resume to go on from it, or another --out")
    run = Training(config, data, settings)
    if checkpoint.exists():
        run.load(checkpoint)
    elif course.begin_from is not None:
        run.begin_from(course.begin_from)
    sitting = Sitting(run, checkpoint, run.step if checkpoint.exists() else 0)
    before, begun = run.seconds, time.monotonic()
    saved = begun
    with sitting.interrupted():
        for _ in progress(run.step, settings.steps, lambda: f"loss {run.mean_loss():.4f}"):
            sitting.one_step()
            if course.grid_every and run.step % course.grid_every == 0:
                _save_samples(run, out / f"samples-{run.step:06d}.png")
            now = time.monotonic()
            run.seconds = before + now - begun
            out_of_time = now - begun > 60 * course.minutes and run.step < settings.steps
            if now - saved > course.save_every or out_of_time:
                sitting.save()
                saved = now
            if out_of_time:
                break
        sitting.save()
        with sitting.kept_if_full(f"the weights in {out}"):
            weights = run.write_weights(out, name, data, course.stored)
    return weights if run.step == settings.steps else None
