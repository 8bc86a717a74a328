"""Trains the networks that this project ships.

    python -m analysis.train digits       the diffusion model; copy OUT/digits.* to modiff_sim/nn/zoo
    python -m analysis.train classifier   the classifier whose features measure quality (under a minute)
    python -m analysis.train quality      measures the zoo's model and stores the numbers in its json

Same seed, threads and versions: same bytes, also after a kill and ``--resume``.
"""

from __future__ import annotations

import argparse
import io
import json
import math
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

from analysis import metrics
from analysis.data import SPLIT_SEED, digits, split
from modiff_sim.nn import image_noise, sample, zoo
from modiff_sim.schedules import linear
from modiff_sim.store import sha256, write_atomic

# One attention block (in the middle, 4 heads), 0.65 M parameters: 12,800 forwards in 6 s on 2 idle cores.
UNET: dict[str, Any] = {
    "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1,
    "block_out_channels": [32, 64], "norm_num_groups": 8, "attention_head_dim": 16,
    "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights; a checkpoint made with other settings is not resumed."""

    steps: int = 12_000
    batch: int = 64
    lr: float = 1e-3
    warmup: int = 500
    ema: float = 0.999
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.threads) < 1:
            raise ValueError(f"steps, batch and threads must be at least 1, got {self}")

    def lr_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ...: linear warm-up, then a cosine to zero at the last step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def write_json(path: Path, value: object) -> None:
    write_atomic(path, json.dumps(value, indent=1) + "\n")


def progress(start: int, stop: int, describe: Callable[[], str], every: float = 30.0) -> Iterator[int]:
    """range(start, stop) with a bar on a terminal and a plain line every ``every`` seconds elsewhere."""
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


class Digits:
    """The training run: network, EMA, optimizer, random state and step, which is all a checkpoint holds."""

    def __init__(self, settings: Settings) -> None:
        from diffusers import UNet2DModel

        self.settings = settings
        torch.set_num_threads(settings.threads)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.model = UNet2DModel(**UNET)
        self.model.train()
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.opt = torch.optim.AdamW(self.model.parameters(), weight_decay=settings.weight_decay)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.step, self.seconds = 0, 0.0  # seconds: wall time over all sittings, reported, never used
        self.losses: list[float] = []
        self.data = torch.from_numpy(digits()[0])
        alpha_bar = torch.from_numpy(linear().alpha_bar.copy())
        self.signal, self.noise = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()

    def one_step(self) -> None:
        """Ho et al. 2020, algorithm 1, with the simple loss (14)."""
        s, T = self.settings, len(self.signal)
        index = torch.randint(len(self.data), (s.batch,), generator=self.rng)
        # one timestep from each of `batch` equal parts: uniform like independent draws, with less variance
        u = torch.rand(s.batch, generator=self.rng, dtype=torch.float64)
        t = ((torch.arange(s.batch) + u) * (T / s.batch)).long().clamp(max=T - 1)
        eps = torch.randn((s.batch, 1, 8, 8), generator=self.rng)
        x = self.signal[t, None, None, None] * self.data[index] + self.noise[t, None, None, None] * eps
        loss = (self.model(x, t).sample - eps).square().mean()
        for group in self.opt.param_groups:
            group["lr"] = s.lr_at(self.step)
        self.opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip_norm)
        self.opt.step()
        # short memory at the start, so that the EMA forgets the initial weights
        decay = min(s.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.model.state_dict().values()), 1 - decay)
        self.losses.append(float(loss.detach()))
        if not math.isfinite(self.losses[-1]):
            raise FloatingPointError(f"the loss is {self.losses[-1]} at step {self.step}; the last checkpoint stands")
        self.step += 1

    def mean_loss(self, last: int = 1000) -> float:
        return float(np.mean(self.losses[-last:]))

    def save(self, path: Path) -> None:
        state = {"settings": asdict(self.settings), "step": self.step, "seconds": self.seconds,
                 "losses": self.losses, "rng": self.rng.get_state(), "model": self.model.state_dict(),
                 "ema": self.ema, "opt": self.opt.state_dict()}  # fmt: skip
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        if state["settings"] != asdict(self.settings):
            raise ValueError(f"{path} was made with {state['settings']}; use those settings or another --out")
        self.model.load_state_dict(state["model"])
        self.opt.load_state_dict(state["opt"])
        self.ema, self.losses = state["ema"], state["losses"]
        self.rng.set_state(state["rng"])
        self.step, self.seconds = state["step"], state["seconds"]


def train_digits(out: Path, settings: Settings, *, minutes: float = math.inf, resume: bool = False,
                 save_every: float = 60.0) -> Path | None:  # fmt: skip
    """Writes ``out/digits.safetensors`` (EMA, float32), whose path is returned, and ``out/digits.json``.

    Args:
        minutes: stop after this long, leaving a checkpoint to resume from, and return None.
        resume: go on from ``out/checkpoint.pt`` if there is one.
        save_every: seconds between checkpoints.

    Raises:
        FileExistsError: there is a checkpoint and ``resume`` is False.
        ValueError: the checkpoint was made with other settings.
    """
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise FileExistsError(f"{checkpoint} exists: pass --resume to go on from it, or another --out")
    run = Digits(settings)
    if checkpoint.exists():
        run.load(checkpoint)
    before, begun = run.seconds, time.monotonic()
    saved = begun
    for _ in progress(run.step, settings.steps, lambda: f"loss {run.mean_loss():.4f}"):
        run.one_step()
        now = time.monotonic()
        run.seconds = before + now - begun
        out_of_time = now - begun > 60 * minutes and run.step < settings.steps
        if now - saved > save_every or out_of_time:
            run.save(checkpoint)
            saved = now
        if out_of_time:
            return None
    run.save(checkpoint)
    weights = out / "digits.safetensors"
    write_atomic(weights, safetensors.torch.save(run.ema))
    training = {
        **asdict(settings), "torch": torch.__version__, "images_seen": settings.steps * settings.batch,
        "minutes": round(run.seconds / 60, 1), "steps_per_second": round(settings.steps / run.seconds, 2),
        "final_loss": round(run.mean_loss(), 5),
    }  # fmt: skip
    about = {
        "name": "digits", "class": "UNet2DModel", "sha256": sha256(weights),
        "parameters": sum(v.numel() for v in run.ema.values()), "config": UNET, "training": training,
    }  # fmt: skip
    write_json(out / "digits.json", about)
    return weights


def train_classifier(out: Path, *, epochs: int = 60, seed: int = 0) -> dict[str, Any]:
    """Trains on the train part; writes ``out`` (safetensors) and the json beside it, which is returned.

    One thread, because the name of the features contains the sha256 of these weights.
    """
    batch, lr, weight_decay, jitter = 64, 3e-3, 0.05, 0.1  # jitter: noise on the inputs; grey levels are 1/8 apart
    torch.set_num_threads(1)
    x, y = (torch.from_numpy(v) for v in digits())
    train, test = split(len(x))
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = metrics.network()
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay)
    per_epoch = len(train) // batch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * per_epoch)
    losses: list[float] = []
    for _ in progress(0, epochs, lambda: f"loss {losses[-1]:.4f}"):
        order = torch.from_numpy(train)[torch.randperm(len(train), generator=rng)]
        for part in order[: per_epoch * batch].split(batch):
            noisy = x[part] + jitter * torch.randn((batch, 1, 8, 8), generator=rng)
            loss = torch.nn.functional.cross_entropy(net(noisy), y[part])
            opt.zero_grad()
            loss.backward()
            opt.step()
            schedule.step()
            losses.append(float(loss.detach()))
    right = (net(x).argmax(dim=1) == y).numpy()
    write_atomic(out, safetensors.torch.save(net.state_dict()))
    about = {"name": "digit_classifier", "sha256": sha256(out), "features": metrics.FEATURES,
             "test_accuracy": round(float(right[test].mean()), 4), "test_images": len(test),
             "train_accuracy": round(float(right[train].mean()), 4), "train_images": len(train),
             "split_seed": SPLIT_SEED, "epochs": epochs, "batch": batch, "lr": lr, "jitter": jitter,
             "weight_decay": weight_decay, "seed": seed, "torch": torch.__version__}  # fmt: skip
    write_json(out.with_suffix(".json"), about)
    return about


def measure(model: torch.nn.Module, images: int = 1024, steps: int = 50) -> dict[str, Any]:
    """Full-precision quality of the digits model (DDIM, eta 0, quad), beside what real digits and noise score."""

    def report(images: np.ndarray) -> dict[str, Any]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in metrics.classifier_report(images).items()}

    samples = sample(model, images=images, steps=steps, spacing="quad", shape=(1, 8, 8))
    noise = np.stack([image_noise(0, i).standard_normal((1, 8, 8), dtype=np.float32) for i in range(images)])
    real, _ = digits()
    half, other = split(len(real), test_share=0.5)
    f, f_real = metrics.features(samples), metrics.features(real)
    near, within = metrics.nearest_distance(samples, real), metrics.nearest_distance(real)
    return {
        "images": images, "sampler": f"ddim, eta 0, quad, {steps} steps", "seed": 0,
        "threads": torch.get_num_threads(), "features": metrics.FEATURE_NAME,
        "frechet": round(metrics.frechet_distance(f, f_real), 3),
        "frechet_first_256": round(metrics.frechet_distance(f[:256], f_real), 3),
        "frechet_real_halves": round(metrics.frechet_distance(f_real[half], f_real[other]), 3),
        "frechet_noise": round(metrics.frechet_distance(metrics.features(noise), f_real), 1),
        "samples": report(samples), "real_test_part": report(real[split(len(real))[1]]),
        "nearest_training_image_p1_p50_p99": np.quantile(near, [0.01, 0.5, 0.99]).round(3).tolist(),
        "real_to_nearest_real_p1_p50_p99": np.quantile(within, [0.01, 0.5, 0.99]).round(3).tolist(),
        "share_nearer_than_p1_of_real": round(float((near < np.quantile(within, 0.01)).mean()), 4),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis.train", description="Trains the networks shipped here.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("digits", help="the diffusion model")
    one.add_argument("--out", type=Path, default=Path("runs/digits"))
    one.add_argument("--steps", type=int, default=Settings.steps)
    one.add_argument("--minutes", type=float, default=math.inf, help="stop then; go on with --resume")
    one.add_argument("--threads", type=int, default=Settings.threads)
    one.add_argument("--seed", type=int, default=Settings.seed)
    one.add_argument("--resume", action="store_true")
    commands.add_parser("classifier", help="the classifier of the metrics")
    commands.add_parser("quality", help="full-precision quality of the zoo's model")
    args = parser.parse_args(argv)
    if args.command == "digits":
        try:
            settings = Settings(steps=args.steps, threads=args.threads, seed=args.seed)
            done = train_digits(args.out, settings, minutes=args.minutes, resume=args.resume)
        except (FileExistsError, ValueError) as problem:
            parser.error(str(problem))
        print(f"wrote {done}" if done else f"stopped; go on with --resume --out {args.out}")
    elif args.command == "classifier":
        print(json.dumps(train_classifier(metrics.WEIGHTS), indent=1))
    else:
        torch.set_num_threads(1)
        about = {**zoo.card("digits"), "quality": measure(zoo.load("digits"))}
        write_json(Path(zoo.__file__).with_name("digits.json"), about)
        print(json.dumps(about["quality"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
