"""A whole quantized sampler against the exact distribution: samples, log-likelihood, few steps.

Nothing is trained: the denoiser is that of a Gaussian mixture, which is exact in full precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

import modiff_sim as ms
from modiff_sim import mixtures
from modiff_sim.diffusion.mixture_sampling import injected_variance, quantized_sampling, sample_mixture
from modiff_sim.diffusion.noise import FixedNoise
from modiff_sim.diffusion.schedules import linear
from modiff_sim.plot import style

TITLE = "Quantized sampling against the exact distribution: MoDiff works at 2 bits, given enough steps"
CAPTION = (
    "The exact denoiser of a mixture of 64 Gaussians in 64 dimensions (means in a plane, σ = 0.2), its two linear "
    "layers quantized (absmax, one scale per sample, exact start). Top: samples from the same noise in the plane of "
    "the means, DDIM, 50 calls, 3 bits; contours: the exact density. Bottom left: log-likelihood lost against full "
    "precision, 50 calls, with 95 % intervals, paired by the noise; band: where exact samples lie. Bottom right: RMS "
    "distance to full precision from the same noise at 3 bits per number of calls n, and in grey what is modulated, "
    "the RMS difference ||x_{t-1} - x_t|| between calls. It falls as 1/n in DDIM and as 1/√n in DDPM, where it cannot "
    "fall below the injected noise σ_t√d. So with few calls MoDiff's advantage is gone, with DDPM's noise it is "
    "smaller, and there the open loop is worse than no modulation."
)
ALT = (
    "Scatter plots of samples over the contours of 64 modes: with the closed loop at 3 bits they lie in the contours "
    "as in full precision, with direct quantization and the open loop many lie between them. Below, the likelihood "
    "that is lost against bits, least for the closed loop; and the distance to full precision against the number of "
    "calls, which falls for the closed loop alone."
)
CLAIMS = (
    "mixture_closed_beats_direct", "mixture_cliff", "mixture_few_steps", "mixture_ddpm_noise_floor",
    "mixture_difference_slopes", "mixture_ddpm_gains_less", "mixture_open_loop_ddpm",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about
PARTS = {"Top: ": "abcd", "Bottom left: ": "ef", "Bottom right: ": "gh"}
ARMS = ("full_precision", "direct", "open_loop", "closed_loop")
_COMMON = {"seed": 0, "mixture": "grid(side=8, d=64)", "spacing": "quad", "steps": 50, "sample_bits": 3}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "shown": 250, "images": 48, "bits": [2, 3, 4, 6], "calls": [5, 10, 20, 40]},
    "full": {**_COMMON, "shown": 600, "images": 256, "bits": [2, 3, 4, 5, 6, 8], "calls": [5, 10, 20, 50, 100, 200]},
}
SAMPLERS = ("ddim", "ddpm")


def data(effort: str) -> dict[str, np.ndarray]:
    """Return samples per arm with the density, losses per sampler, arm and bits, and distances per number of calls."""
    p = PARAMS[effort]
    mixture = mixtures.grid(side=8, d=64)
    plane = mixtures.GaussianMixture(mixture.means[:, :2], mixture.sigma, mixture.w)
    axis = np.linspace(-4.6, 4.6, 116)
    points = np.stack([g.ravel() for g in np.meshgrid(axis, axis)], axis=1)
    out = {"axis": axis, "density": np.exp(plane.log_density(points)).reshape(len(axis), len(axis))}
    noise = FixedNoise(p["seed"] + 1, p["shown"], mixture.d)
    for name in ARMS:
        Q, recursion = (None, "direct") if name == "full_precision" else (ms.AbsMax(p["sample_bits"]), name)
        x = sample_mixture(mixture, Q, recursion, noise=noise, steps=p["steps"], spacing=p["spacing"])
        out[f"{name}_samples"] = x[:, :2]

    common = {
        "images": p["images"], "seed": p["seed"], "spacing": p["spacing"], "samplers": SAMPLERS, "recursions": ARMS[1:],
    }  # fmt: skip
    sweep = quantized_sampling(mixture, bits=p["bits"], steps=(p["steps"],), **common)
    ladder = quantized_sampling(mixture, bits=(p["sample_bits"],), steps=p["calls"], **common)
    out |= {"bits": np.array(p["bits"]), "calls": np.array(p["calls"])}
    for sampler in SAMPLERS:
        for name in ARMS:
            rows = [r for r in sweep if (r["sampler"], r["recursion"]) == (sampler, name)]
            out[f"{sampler}_{name}_lost"] = np.array([(r["lost"], r["lost_half_width"]) for r in rows]).T
            if name == "full_precision":  # for it, the loss of exact samples
                gap, half = (
                    rows[0]["log_likelihood"] - rows[0]["exact_log_likelihood"],
                    rows[0]["log_likelihood_half_width"],
                )
                out[f"{sampler}_exact"] = np.array([gap - half, gap + half])
            rows = [r for r in ladder if (r["sampler"], r["recursion"]) == (sampler, name)]
            out[f"{sampler}_{name}_path"] = np.array([r["path_rms"] for r in rows])
            if name == "full_precision":
                out[f"{sampler}_differences"] = np.array([r["difference_rms"] for r in rows])
    chosen = [linear().spaced(n, spacing=p["spacing"]) for n in p["calls"]]
    injected = [injected_variance(schedule)[:-1].mean() for schedule in chosen]  # the last noise is not seen again
    out["injected"] = np.sqrt(mixture.d * np.array(injected))
    return out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw samples above, and losses and distances below."""
    figure = Figure(figsize=(style.WIDTH, 6.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[5, 5])
    clouds = upper.subplots(1, len(ARMS), sharex=True, sharey=True)
    for name, panel in zip(ARMS, clouds, strict=True):
        _cloud(panel, data, name)
    clouds[0].set_ylabel("second coordinate")
    panels = lower.subplots(1, 4, width_ratios=[1, 1, 1, 1])
    for i, sampler in enumerate(SAMPLERS):
        _per_bits(panels[i], data, sampler)
        _per_calls(panels[2 + i], data, sampler)
    for left, right in (panels[:2], panels[2:]):
        low, high = (f(left.get_ylim()[j], right.get_ylim()[j]) for j, f in enumerate((min, max)))
        for panel in (left, right):
            panel.set_ylim(low, high)
        right.tick_params(labelleft=False)
    panels[0].set_ylabel("log-likelihood lost, nats")
    panels[2].set_ylabel("RMS distance to full precision")
    style.legend(figure, _keys(), columns=4)
    return figure


def _cloud(panel: Any, data: dict[str, np.ndarray], name: str) -> None:
    density = data["density"]
    panel.contour(
        data["axis"],
        data["axis"],
        density,
        levels=density.max() * np.array([0.1, 0.5]),
        colors=style.NEUTRAL[0],
        linewidths=0.6,
    )
    x = data[f"{name}_samples"]
    panel.plot(x[:, 0], x[:, 1], ls="", marker=".", ms=2.6, mew=0, color=style.RECURSION[name].colour)
    panel.set_title(style.SHORT[name] + ("" if name == "full_precision" else ", 3 bits"))
    panel.set_xlabel("first coordinate")
    panel.set_aspect("equal")
    panel.set_xlim(data["axis"][0], data["axis"][-1])
    panel.set_ylim(data["axis"][0], data["axis"][-1])
    panel.grid(visible=False)


def _per_bits(panel: Any, data: dict[str, np.ndarray], sampler: str) -> None:
    panel.set_yscale("symlog", linthresh=0.1)
    panel.yaxis.set_minor_locator(NullLocator())
    for shift, name in zip((-0.08, 0.0, 0.08), ARMS[1:], strict=True):
        look = style.RECURSION[name]
        lost, half = data[f"{sampler}_{name}_lost"]
        panel.errorbar(data["bits"] + shift, lost, half, color=look.colour, marker=look.marker, ls=look.line)
    panel.axhline(0, **_FULL)
    panel.axhspan(*data[f"{sampler}_exact"], **_EXACT)
    panel.set_xticks(data["bits"])
    panel.set_yticks([-0.1, 0, 0.1, 1, 10], ["-0.1", "0", "0.1", "1", "10"])
    panel.set_xlabel("bits")
    panel.set_title(f"{sampler.upper()}, 50 calls")


def _per_calls(panel: Any, data: dict[str, np.ndarray], sampler: str) -> None:
    style.logarithmic(panel)
    style.logarithmic(panel, which="x")
    calls = data["calls"]
    for name in ARMS[1:]:
        look = style.RECURSION[name]
        panel.plot(calls, data[f"{sampler}_{name}_path"], color=look.colour, marker=look.marker, ls=look.line)
    panel.plot(calls, data[f"{sampler}_differences"], **_DIFFERENCES)
    if sampler == "ddpm":
        panel.plot(calls, data["injected"], **_INJECTED)
    panel.set_xticks(calls, [str(c) for c in calls])
    # about one decade is shown, in which powers of ten alone would give a single label
    panel.yaxis.set_major_locator(FixedLocator([0.01, 0.03, 0.1, 0.3, 1, 3, 10]))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("model calls n")
    panel.set_title(f"{sampler.upper()}, 3 bits")


_FULL: dict[str, Any] = {"color": style.RECURSION["full_precision"].colour, "ls": (0, (4, 2)), "lw": 1}
_EXACT: dict[str, Any] = {"color": style.NEUTRAL[0], "alpha": 0.4, "lw": 0}


_DIFFERENCES: dict[str, Any] = {"color": style.NEUTRAL[1], "lw": 1.2, "marker": "x", "ms": 4}
_INJECTED: dict[str, Any] = {"color": style.NEUTRAL[1], "ls": (0, (4, 2)), "lw": 1}


def _keys() -> list[Any]:
    return [
        *(style.key(style.RECURSION[name]) for name in ARMS[1:]),
        Line2D([], [], label="full precision", **_FULL),
        Patch(label="exact distribution (95 %)", **_EXACT),
        Line2D([], [], label=r"$||x_{t-1}-x_t||$ between calls", **_DIFFERENCES),
        Line2D([], [], label=r"injected noise, $\sigma_t\sqrt{d}$", **_INJECTED),
    ]
