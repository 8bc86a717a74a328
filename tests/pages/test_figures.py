"""The figures: files, bytes, re-use of data, and what a reader needs: nothing clipped, nothing overlapping."""

import functools
import importlib
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from readable import defects

import figures
import paper_checks
from modiff_sim.plot import style, violins

#: what needs the trained model: drawn here from data made up to look like it
PRACTICE = tuple(name for name in figures.names() if figures.is_practice(figures.load(name)))
THEORY = tuple(name for name in figures.names() if name not in PRACTICE)


# -- what a reader needs ----------------------------------------


def test_the_eye_sees_defects():
    """Negative control: overlapping, clipped and small text and a legend on a panel are all found."""
    with style.applied():
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label="line")
        axes.text(0.5, 0.5, "first text")
        axes.text(0.51, 0.5, "second text")
        axes.text(0.1, 0.9, "small", fontsize=5)
        figure.text(0.95, 0.5, "beyond the edge")
        figure.legend(loc="center")
        figure.draw_without_rendering()
        words = " ".join(defects(figure))
    for part in ("'first text' and 'second text'", "small print: 'small'", "clipped", "the legend covers"):
        assert part in words


# -- data like that of the experiments ----------------------------------------


def rows():
    """As ``analysis.experiments.trained.ablation``, with arms that diverge."""

    def row(recursion, bits, weights, psnr, l2):
        return {
            "recursion": recursion, "bits": bits, "weight_bits": weights, "n": 64, "psnr": psnr, "relative_l2": l2,
            "audit_share": 0.95,
        }  # fmt: skip

    made = [row("direct", 32, 32, None, 0.0), row("direct", 32, 8, 45.0, 0.0125)]
    for recursion, cliff in (("direct", 5), ("open_loop", 6), ("closed_loop", 3)):
        for bits in (8, 6, 4, 3, 2):
            lost = max(0, cliff - bits)
            made.append(row(recursion, bits, 8, 40 - 14 * lost, 0.02 * 5.0**lost * (1e4 if lost == 4 else 1)))
    return made


def images(row, effort, n):
    noise = np.random.default_rng(row["bits"]).standard_normal((n, 1, 8, 8)).astype(np.float32)
    return noise * (50 if row["bits"] == 2 else 0.5)


def middle_block(effort):
    rng = np.random.default_rng(0)
    steps, bits = np.arange(20), (8, 6, 4, 3, 2)
    level = np.array([[r * 2.0**-b for b in bits] for r in (1, 2, 0.3)])
    table = level[..., None, None] * (1 + steps[:, None]) * rng.lognormal(size=(3, 5, 20, 8))
    return {
        "bits": np.array(bits), "recursions": np.array(["direct", "open_loop", "closed_loop"]),
        "relative_l2": table, "weights_only": 0.002 * rng.lognormal(size=(20, 8)),
    }  # fmt: skip


def distributions(effort, layers=None, steps=20):
    """As ``trained.distributions``: heavy tails, a layer that is always zero, nothing at step 0."""
    rng = np.random.default_rng(0)
    blocks = ["down_blocks.0.downsamplers.0", "mid_block.resnets.0", "up_blocks.1.resnets.0"]
    ends = ["conv", "conv1", "conv_shortcut"]
    named = [f"{b}.{e}" for b, e in itertools.product(blocks, ends)]
    layers = layers or ["conv_in", "time_embedding.linear_1", *named, "conv_out"]
    levels = np.array([0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0])
    out = {"layers": np.array(layers), "steps": np.arange(steps), "levels": levels, "bits": np.array(3)}
    for q, size in (("a", 3.0), ("d", 0.2), ("r", 0.25)):
        values = size * rng.standard_t(4, (len(layers), steps, 2000))
        values[-1] = 0
        out[f"quantiles_{q}"] = np.quantile(values, levels, axis=-1).transpose(1, 2, 0)
        out[f"absmax_{q}"] = np.abs(values).max(axis=-1)
        out[f"norm_{q}"] = np.linalg.norm(values, axis=-1)
        out[f"c_{q}"] = rng.uniform(0.02, 0.9, (len(layers), steps))
        out[f"kappa_{q}"] = rng.uniform(0.8, 1, (len(layers), steps)) / 6
        for name in ("quantiles", "absmax", "norm", "c", "kappa"):
            if q != "a":
                out[f"{name}_{q}"][:, 0] = np.nan
    return out


def layer_inputs(effort, *, layers, steps, images, **options):
    rng = np.random.default_rng(0)
    drift = 1 + 0.3 * rng.standard_normal((steps, images, 32))
    return dict.fromkeys(layers, 10 + np.cumsum(0.01 * drift, axis=0).astype(np.float32))


def comparison(effort):
    """As of ``analysis.experiments.prediction``: exact starts of the loops, arms that are lost, one off by a factor."""
    rng = np.random.default_rng(0)
    bits, calls = np.arange(2, 9), np.arange(20)
    level = np.array([30.0, 10.0, 3.0])[:, None, None] * 2.0 ** -(2.0 * bits[:, None])
    predicted = np.minimum(level * np.sqrt(calls + 1), 20.0)
    predicted[1:, :, 0] = 0
    measured = predicted[..., None] * np.exp(0.3 * rng.standard_normal((3, 7, 20, 8)))
    measured[0, 0] *= 10
    return {
        "recursions": np.array(["direct", "open_loop", "closed_loop"]), "bits": bits, "loop_gain": np.array(260.0),
        "predicted": np.repeat(predicted[..., None], 4, axis=-1), "measured": measured,
    }  # fmt: skip


def schemes(effort):
    """As of ``analysis.experiments.caching``: sawtooth errors, one scheme that is lost, zeros only where codes are."""
    from analysis.experiments.schemes import SCHEMES, SPARSE

    rng = np.random.default_rng(0)
    made = []
    for i, scheme in enumerate(SCHEMES):
        level = (1e-3 * 1.4**i) if scheme != SCHEMES[-1] else 20.0
        saw = 0.1 * (np.arange(20)[:, None] % 5) * rng.lognormal(size=(20, 8))
        zeros = rng.uniform() if scheme.kind in SPARSE else np.nan
        made.append({"scheme": scheme, "bits": rng.uniform(2, 32), "zeros": zeros, "middle": saw,
                     "error": level * rng.lognormal(size=8)})  # fmt: skip
    return made


def times(effort):
    """As of timing.measure, whose times are those of a clock: two arms take nearly as long and are nearly as good."""
    taken = {
        "full precision": ("full precision", 1.0, 0.0), "direct, 8 bits": ("direct", 0.55, 0.05),
        "direct, 4 bits": ("direct", 0.5, 0.8), "closed loop, 8 bits": ("closed_loop", 0.77, 0.0430),
        "closed loop, 4 bits": ("closed_loop", 0.76, 0.0429), "DeepCache every 2": ("DeepCache", 0.9, 0.15),
    }  # fmt: skip
    looks, time, error = zip(*taken.values(), strict=True)
    return {"name": list(taken), "looks": looks, "time": time, "error": np.outer(error, [0.8, 1.0, 1.3])}


@pytest.fixture(scope="module")
def practice():
    """name -> module of a practice figure whose experiments are the stand-ins above."""
    from analysis.experiments import caching, prediction, recordings, timing, trained
    from figures import practice

    with pytest.MonkeyPatch.context() as patch:
        for name in ("images", "middle_block", "distributions"):
            patch.setattr(trained, name, globals()[name])
        patch.setattr(trained, "ablation", lambda effort: rows())
        patch.setattr(recordings, "layer_inputs", layer_inputs)
        patch.setattr(prediction, "comparison", comparison)
        patch.setattr(caching, "measure", schemes)
        patch.setattr(timing, "measure", times)
        practice.ablation.cache_clear()
        yield figures.load
        practice.ablation.cache_clear()


# -- all figures ----------------------------------------


def test_the_figures_are_found():
    assert {"violins", "few_steps", "growth"} <= set(PRACTICE)
    assert {"atlas", "error_growth"} <= set(THEORY)
    for name in figures.names():
        module = figures.load(name)
        assert module.TITLE
        assert module.CAPTION.endswith(".")
        assert set(module.PARAMS) == set(figures.EFFORTS)
        assert all("seed" in module.PARAMS[effort] for effort in figures.EFFORTS)
        if name in PRACTICE:
            assert "stands in" in module.CAPTION  # for the paper's models
        says = figures.description(module)
        assert says["alt"] == module.ALT != module.CAPTION
        assert 100 < len(module.ALT) < 500
        assert set(says["claims"]) <= {claim.CLAIM.id for claim in paper_checks.claims()}
    assert figures.description(SimpleNamespace(TITLE="Toy", CAPTION="A line. More."))["alt"] == "Toy. A line."


@pytest.mark.parametrize("name", THEORY)
def test_theory_figures_can_be_read(name, tmp_path, monkeypatch):
    """Laid out and drawn, but not into files: one function writes those of all, and of one in the next test."""
    found = []

    def drawn(module, data):
        with style.applied():
            figure = module.plot(data)
            figure.draw_without_rendering()
            found.append(defects(figure))
        return b"", b""

    monkeypatch.setattr(figures, "draw", drawn)
    (made,) = figures.make([name], "quick", tmp_path)
    assert found == [[]]
    about = json.loads(made.manifest.read_text(encoding="utf-8"))
    assert about["effort"] == "quick"
    assert about["params"] == figures.load(name).PARAMS["quick"]
    assert about["versions"]["numpy"] == np.__version__
    assert made.origin == "computed"


def test_a_real_figure_has_the_same_bytes_twice(tmp_path):
    (made,) = figures.make(["beyond_one_layer"], "quick", tmp_path / "made")
    assert made.png.read_bytes().startswith(b"\x89PNG")
    svg = made.svg.read_text(encoding="utf-8")
    assert "</svg>" in svg
    assert "<dc:date>" not in svg
    mpl.rcParams["lines.linewidth"] = 7  # the user's settings do not get in
    try:
        (again,) = figures.make(["beyond_one_layer"], "quick", tmp_path / "again")
    finally:
        mpl.rcdefaults()
    for one, two in ((made.png, again.png), (made.svg, again.svg), (made.data, again.data)):
        assert one.read_bytes() == two.read_bytes()


def test_the_template_filled_in_is_a_figure(tmp_path, monkeypatch):
    """A new figure is one new file: it is found, made, shown on its page, and can be read."""
    blank = Path(figures.__file__).with_name("_template.py").read_text(encoding="utf-8")
    assert "_template" not in " ".join(figures.names())
    (tmp_path / "fig_filled_in.py").write_text(blank, encoding="utf-8")
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    assert "filled_in" in figures.names()
    module = figures.load("filled_in")
    assert not figures.is_practice(module)
    assert f"## `filled_in`: {module.TITLE}" in figures.document()
    (made,) = figures.make(["filled_in"], "quick", tmp_path / "out")
    assert made.png.is_file()
    with np.load(made.data) as data, style.applied():
        figure = module.plot(dict(data))
        figure.draw_without_rendering()
        assert defects(figure) == []
    del sys.modules["figures.fig_filled_in"]


@pytest.mark.parametrize("name", PRACTICE)
def test_practice_figures_are_drawn_from_data_like_the_experiments(practice, name):
    module = practice(name)
    data = {k: np.asarray(v) for k, v in module.data("quick").items()}
    assert all(v.dtype != object for v in data.values())  # or it could not be stored
    with style.applied():
        figure = module.plot(data)
        figure.draw_without_rendering()
        assert defects(figure) == []


def test_the_bit_sweep_without_divergence(practice):
    module = practice("bit_sweep")
    kept = [r for r in rows() if r["relative_l2"] < 1e3]
    with style.applied():
        figure = module.plot(module.columns([r for r in kept if r["bits"] != 2]))
        figure.draw_without_rendering()
        assert defects(figure) == []
    assert len(figure.axes) == 2


def test_violins_take_three_layers_of_any_model(practice):
    module = practice("violins")
    chosen = module.choose(distributions("quick", layers=[f"layer.{i}" for i in range(5)]))
    assert chosen["layers"].tolist() == ["layer.0", "layer.2", "layer.4"]
    named = module.choose(distributions("quick"))
    assert named["layers"].tolist() == list(module.LAYERS)


def test_a_violin_follows_its_quantiles():
    """Half of the area under the squared width lies below the median, whatever the shape."""
    levels = distributions("quick")["levels"]
    values = np.quantile(np.random.default_rng(0).gamma(2, size=20000), levels)
    axes = Figure().subplots()
    violins.violin(axes, 0.0, values, levels, style.QUANTITY["a"])
    outline = axes.collections[-1].get_paths()[0].vertices
    right = outline[outline[:, 0] > 0]
    y, first = np.unique(right[:, 1], return_index=True)
    density = right[first, 0] ** 2
    area = np.concatenate([[0], np.cumsum(np.diff(y) * (density[1:] + density[:-1]) / 2)])
    # 5 %: the trapezium rule on some 250 points
    assert np.interp(values[5], y, area / area[-1]) == pytest.approx(0.5, abs=0.05)


# -- colours ----------------------------------------

#: Machado et al. 2009, severity 1: linear RGB of a colour -> of how it is seen
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, blindness):
    """CIE L*a*b* (D65) of a colour as it is seen."""
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(BLINDNESS[blindness]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ seen / np.array([0.9505, 1, 1.089])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_stay_apart(blindness):
    """Distance 10 in L*a*b* is well above what can be told apart side by side (about 2); red and green fail it."""
    distance = functools.partial(lambda a, b: np.linalg.norm(lab(a, blindness) - lab(b, blindness)))
    for looks in (style.RECURSION, style.BOUND):
        for a, b in itertools.combinations({look.colour for look in looks.values()}, 2):
            assert distance(a, b) > 10, (a, b)
        for look in looks.values():
            assert distance(look.colour, "white") > 20, look
    if blindness == "deuteranopia":
        assert distance("#8f9a00", "#c68a00") < 10  # negative control: an olive and an ochre that look alike


def test_one_look_per_thing():
    """Within recursions and within bounds, colour, line and marker together are unique."""
    for looks in (style.RECURSION, style.BOUND):
        marks = [(look.colour, str(look.line), look.marker) for look in looks.values()]
        assert len(set(marks)) == len(marks)
    assert {look.colour for look in style.RECURSION.values()}.isdisjoint(look.colour for look in style.BOUND.values())
    assert style.ALARM not in {look.colour for looks in (style.RECURSION, style.BOUND) for look in looks.values()}


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.123, "4.12"), (47.93, "47.9"), (1300.2, "1300"), (-29.4, "-29.4"), (9.3e6, r"$9\times10^{6}$")],
)
def test_numbers_are_short(value, text):
    assert style.number(value) == text
