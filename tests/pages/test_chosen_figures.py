"""Figures of a chosen model at chosen bits: what is measured, what the files are called, and what they say."""

import json

import numpy as np
import pytest
from readable import defects

import figures
from analysis.experiments import sizes, trained
from figures import chosen
from figures.__main__ import main
from modiff_sim.plot import style

TAKING = [name for name in figures.names() if hasattr(figures.load(name), "BITS_TAKEN")]
TINY = sizes.Effort("quick", steps=4, n=4, weight_bits=(8,), n_recorded=4, batch=4)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Experiments of seconds, and the folder of their results."""
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    monkeypatch.setenv("MODIFF_WORKERS", "1")
    monkeypatch.setitem(sizes.EFFORTS, "quick", TINY)
    return tmp_path / "figures"


def test_every_figure_of_a_trained_model_takes_bits_or_says_why_not():
    practice = {name for name in figures.names() if figures.is_practice(figures.load(name))}
    fixed = {name for name in practice if hasattr(figures.load(name), "FIXED")}
    assert set(TAKING) | fixed == practice
    assert fixed == {"arms_at_32"}
    for name in TAKING:
        module = figures.load(name)
        filled = module.TEXT.format(bits=getattr(module, "OWN_BITS", 0))
        assert module.CAPTION.startswith(filled)
        assert ("{bits}" in module.TEXT) <= (module.BITS_TAKEN == "one")


def test_the_bits_and_the_model_are_measured_and_named(tiny):
    """The sweep on the 32×32 model at two numbers of bits: measured at any effort, drawn without defects, labelled."""
    (made,) = figures.make(["bit_sweep"], "quick", tiny, model="fashion32", bits=[4, 3])
    assert (made.name, made.origin) == ("bit_sweep-fashion32-4-3", "computed")
    with np.load(made.data) as archive:
        data = dict(archive)
    assert set(data["bits"].tolist()) == {32, 4, 3}
    wanted = trained.ablation(chosen.effort("quick", "fashion32", [4, 3]))
    assert data["relative_l2"].tolist() == [row["relative_l2"] for row in wanted]
    assert trained.arm_images(trained.FULL, chosen.effort("quick", "fashion32", [4, 3]), 2).shape == (2, 1, 32, 32)
    about = json.loads(made.manifest.read_text(encoding="utf-8"))
    assert (about["params"]["name of the model"], about["params"]["bits"]) == ("fashion32", [4, 3])
    assert "32×32 clothes, DDIM, 4 quad steps" in about["caption"]
    assert "digits" not in about["caption"]
    with style.applied():
        figure = figures.load("bit_sweep").plot(data)
        figure.draw_without_rendering()
        assert defects(figure) == []


def test_one_number_of_bits_replaces_that_of_the_figure(tiny):
    (made,) = figures.make(["violins"], "quick", tiny, bits=[5])
    assert made.name == "violins-digits-5"
    assert "(absmax, 5 bits)" in made.caption
    at = {}
    for bits in (5, 2):
        found = trained.distributions(chosen.effort("quick", bits=[bits]))
        assert found["bits"] == bits
        at[bits] = np.nanmean(found["c_r"])
    assert at[2] > 5 * at[5]  # c falls by about 4 with every bit


@pytest.mark.parametrize("name", ["middle_block", "sample_grids", "phase_diagram", "few_steps"])
def test_few_bits_can_be_read(name, tiny):
    """Fewer panels than usual, or fewer rows, have no defects either."""
    module = figures.load(name)
    data = {k: np.asarray(v) for k, v in module.data(chosen.effort("quick", bits=[4, 3])).items()}
    with style.applied():
        figure = module.plot(data)
        figure.draw_without_rendering()
        assert defects(figure) == []


def test_a_model_without_the_usual_layers_shows_others():
    from analysis.experiments.recordings import LAYERS, layers_like

    assert layers_like(LAYERS, "fashion32") == LAYERS
    some = layers_like(["no.such.layer", "nor.this", "nor.that"], "fashion32")
    assert len(set(some)) == 3
    assert "conv_in" not in some  # evenly spaced, without the ends


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["atlas", "--model", "fashion32"], "figure atlas takes neither --model nor --bits: it is about theory"),
        (["arms_at_32", "--bits", "4"], "committed rows of fashion32 at 4 and 3 bits"),
        (["violins", "--bits", "4", "3"], "figure violins shows one number of bits, got 4 3"),
        (["few_steps", "--bits", "5"], "figure few_steps has no 5 bits; known: 6 4 3"),
        (["few_steps", "--model", "fashion32"], "committed rows, which are of digits"),
        (["bit_sweep", "--bits", "1"], "2 to 16 bits, got 1"),
        (["bit_sweep", "--model", "fashion23"], "did you mean 'fashion32'?"),
        (["--bits", "4"], "name one"),
        (["bit_sweep", "--bits", "4", "--effort", "full", "--keep"], "takes neither --model nor --bits"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_computed(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*arguments, "--out", str(tmp_path / "out")])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list((tmp_path / "out").glob("*"))


def test_the_command_measures_a_choice_at_effort_full(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr("figures.__main__.make", lambda only, effort, out, **how: seen.append((effort, how)) or [])
    assert main(["bit_sweep", "--bits", "4", "3", "--out", str(tiny)]) == 0
    assert main(["bit_sweep", "--out", str(tiny)]) == 0
    assert [effort for effort, _ in seen] == ["full", "quick"]
    assert seen[0][1]["bits"] == [4, 3]
