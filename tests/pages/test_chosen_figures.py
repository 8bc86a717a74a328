"""Figures of a chosen model at chosen bits: what is measured, what the files are called, and what they say."""

import json
import shlex

import numpy as np
import pytest
import torch
from readable import defects

import figures
from analysis.experiments import sizes, trained
from figures import __main__ as program
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
    assert fixed == {"arms_at_32", "arms_in_colour"}
    for name in TAKING:
        module = figures.load(name)
        filled = module.TEXT.format(bits=getattr(module, "OWN_BITS", 0))
        assert module.CAPTION.startswith(filled)
        assert ("{bits}" in module.TEXT) <= (module.BITS_TAKEN == "one")


def test_the_bits_and_the_model_are_measured_and_named(tiny):
    """The sweep on the 32×32 model at two numbers of bits: measured at any effort, drawn without defects, labelled."""
    (made,) = figures.make(["bit_sweep"], "quick", tiny, model="fashion32", bits=[4, 3])
    assert (made.name, made.origin) == ("bit_sweep-fashion32-4-3-quick", "computed")
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
    assert made.name == "violins-digits-5-quick"
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


@pytest.mark.parametrize(("known", "wanted", "found"), [(3, 6, 3), (7, 6, 6), (2, 1, 1), (1, 3, 1), (50, 6, 6)])
def test_as_many_layers_are_shown_as_a_model_has(known, wanted, found, monkeypatch):
    from analysis.experiments import recordings

    names = {f"layer.{i}": None for i in range(known)}
    monkeypatch.setattr(recordings, "find", lambda model, where: names)
    some = recordings.layers_like([f"other.{i}" for i in range(wanted)], "fashion32")
    assert len(set(some)) == len(some) == found
    assert list(some) == sorted(some, key=list(names).index)


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


@pytest.fixture
def folders(tmp_path):
    """Two folders of one name with a U-Net of diffusers each, which differ in an option but not in their weights."""
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel

    torch.manual_seed(0)
    options = {"in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": (8, 8),
               "norm_num_groups": 4, "down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2,
               "mid_block_type": None}  # fmt: skip
    made = []
    for name, size in (("a", 8), ("b", 16)):
        torch.manual_seed(0)
        made.append(tmp_path / name / "net.v1")
        model = UNet2DModel(sample_size=size, **options)
        DDPMPipeline(model, DDIMScheduler(clip_sample=name == "b")).save_pretrained(made[-1])
    return list(map(str, made))


def test_models_of_one_name_are_told_apart(folders, tiny):
    """Their files, their stored images and their shapes: the weights are the same, the options are not."""
    made = [figures.make(["bit_sweep"], "quick", tiny, model=folder, bits=[4])[0] for folder in folders]
    assert len({each.name for each in made}) == 2
    assert all(each.name.startswith("bit_sweep-net.v1-") and each.name.endswith("-4-quick") for each in made)
    shapes = [trained.arm_images(trained.FULL, chosen.effort("quick", folder), 2).shape for folder in folders]
    assert shapes == [(2, 1, 8, 8), (2, 1, 16, 16)]


def test_what_such_a_model_cannot_show_is_told(folders, tiny):
    """It has no middle block, and the second is sampled with clipping, which no linear prediction describes."""
    with pytest.raises(ValueError, match="has no middle block"):
        figures.make(["middle_block"], "quick", tiny, model=folders[0])
    with pytest.raises(ValueError, match="clip"):
        figures.make(["prediction"], "quick", tiny, model=folders[1])


def test_captions_say_how_the_data_was_made():
    def caption(name, **how):
        return chosen.texts(figures.load(name), chosen.effort("full", **how))[1]

    assert caption("bit_sweep", bits=[4]).endswith("weights per output channel.")
    for name in ("prediction", "caching", "violins", "growth"):
        assert "weights per output channel" not in caption(name, bits=[4])
    assert "steps (where" not in caption("few_steps", bits=[4])
    judged = chosen.params(figures.load("violins"), chosen.effort("full", "fashion32"))["classifier"]
    assert judged not in (None, figures.load("violins").PARAMS["full"]["classifier"])


def test_a_figure_depends_on_the_figures_that_it_imports():
    names = [path.name for path in figures._leads_to(figures.load("error_growth_short"))]
    assert names == ["fig_error_growth_short.py", "fig_error_growth.py"]
    assert {path.name for path in figures._leads_to(figures.load("growth"))} == {
        "fig_growth.py", "fig_error_growth.py", "practice.py"
    }  # fmt: skip
    assert "practice.py" in {path.name for path in figures._leads_to(figures.load("prediction"))}


def test_one_figure_that_does_not_fit_does_not_stop_the_others(tmp_path, capsys):
    assert main(["error_growth", "error_growth_short", "--width", "1.6", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "error_growth: at 1.6 inches" in said.err
    assert (tmp_path / "error_growth_short_1.6in.pdf").is_file()


def test_the_command_measures_a_choice_at_effort_full(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr("figures.__main__.make", lambda only, effort, out, **how: seen.append((effort, how)) or [])
    assert main(["bit_sweep", "--bits", "4", "3", "--out", str(tiny)]) == 0
    assert main(["bit_sweep", "--out", str(tiny)]) == 0
    assert [effort for effort, _ in seen] == ["full", "quick"]
    assert seen[0][1]["bits"] == [4, 3]


def test_the_help_has_examples_of_figures_that_there_are(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    lines = [shlex.split(line) for line in capsys.readouterr().out.partition("examples:")[2].splitlines() if line]
    assert len(lines) == 3
    for line in lines:
        assert line[:3] == ["python", "-m", "figures"]
        given = program._parser().parse_args(line[3:])
        program._check(program._parser(), given)  # which ends the program where options do not fit together
        for name in given.only if given.bits else ():
            chosen.check(name, figures.load(name), chosen.effort("full", given.model, given.bits))
