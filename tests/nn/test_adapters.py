"""Models of diffusers: by name, and in every arm. Tiny random weights, nothing is downloaded."""

import importlib.util
import json
import pickle
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from models import FAMILIES, Several, ddim_pipeline, family, family_calls, vae
from torch import nn

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.nn import adapters, modulated, sample, zoo
from modiff_sim.nn.models import checkpoints


def outputs(model, name, **options):
    with torch.no_grad():
        return [model(**call)[0] for call in family_calls(name, **options)]


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- every arm on every family ---------------------------------------------------------------------------------------


@cache
def of_family(name):
    """The model and its outputs; whoever takes it leaves it as it was."""
    model = family(name)
    return model, outputs(model, name)


@pytest.mark.parametrize("recursion", rec.RECURSIONS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_arm_runs_every_family(name, recursion):
    """The call share is exact: everything in the direct arm, all but the first of three calls in the loops."""
    model, plain = of_family(name)
    calls = len(plain)
    found = {}
    for bits in (2, 8):
        with modulated(model, activations=ms.AbsMax(bits), weights=ms.AbsMax(8), recursion=recursion) as run:
            found[bits] = outputs(model, name)
        audit = run.audit()
        assert all(y.isfinite().all() and y.shape == z.shape for y, z in zip(found[bits], plain, strict=True))
        share = 1.0 if recursion == "direct" else (calls - 1) / calls
        assert audit.call_share == share
        assert audit.mac_share == pytest.approx(share, abs=1e-12)
        assert audit.activation_bits == pytest.approx(bits * share + 32 * (1 - share))
        assert audit.model_calls == calls
        assert audit.uncalled == ()
    error = {bits: max(float((y - z).abs().max()) for y, z in zip(found[bits], plain, strict=True)) for bits in found}
    assert 0 < error[8] < error[2]
    assert equal(outputs(model, name), plain)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_identity_arm_of_every_family_is_the_model(name):
    model, plain = of_family(name)
    with modulated(model, activations=ms.Identity(), recursion="direct") as run:
        assert equal(outputs(model, name), plain)
    assert run.audit().call_share == 0


# -- loading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_local_folder_of_every_family(name, tmp_path):
    model = family(name)
    model.save_pretrained(tmp_path)
    loaded = adapters.load(tmp_path)
    assert type(loaded.denoiser) is type(model)
    assert loaded.pipeline is None
    assert not loaded.denoiser.training
    assert not any(p.requires_grad for p in loaded.denoiser.parameters())
    assert equal(outputs(loaded.denoiser, name), outputs(model, name))
    half = adapters.load(str(tmp_path), dtype=torch.bfloat16, device="cpu").denoiser
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_a_pipeline_folder(tmp_path):
    pipeline = ddim_pipeline()
    pipeline.save_pretrained(tmp_path)
    loaded = adapters.load(tmp_path)
    assert type(loaded.pipeline) is type(pipeline)
    assert loaded.denoiser is loaded.pipeline.unet
    part = adapters.load(tmp_path, subfolder="unet")
    assert part.pipeline is None
    for found in (loaded.denoiser, part.denoiser):
        assert equal(outputs(found, "unet"), outputs(pipeline.unet, "unet"))


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks`:UserWarning")  # diffusers' own
@pytest.mark.parametrize("pipe", [True, False])
def test_a_hub_name(pipe, tmp_path):
    """From a hub cache made by hand, without a connection."""
    commit, repository = "0" * 40, tmp_path / "models--some--model"
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    options = {"cache_dir": str(tmp_path), "local_files_only": True}
    if pipe:
        family("unet").save_pretrained(folder / "unet")
        (folder / "model_index.json").write_text(
            "{}", encoding="utf-8"
        )  # that there is one must not hide the subfolder
        options["subfolder"] = "unet"
    else:
        family("unet").save_pretrained(folder)
    loaded = adapters.load("some/model", **options)
    assert equal(outputs(loaded.denoiser, "unet"), outputs(family("unet"), "unet"))
    for name, why in (
        ("no/model", "the hub does not give"), ("not a name", "not a possible"), ("a/b/too/deep", "not a possible"),
    ):  # fmt: skip
        with pytest.raises(FileNotFoundError, match=f"not a local folder or file, and {why}"):
            adapters.load(name, **options)


def test_an_original_checkpoint_file(tmp_path):
    from test_ddpm_checkpoint import LSUN, original

    torch.save(original(**LSUN).state_dict(), tmp_path / "ema.ckpt")
    loaded = adapters.load(tmp_path / "ema.ckpt", dtype=torch.float32)
    assert type(loaded.denoiser).__name__ == "UNet2DModel"
    assert loaded.denoiser.dtype == torch.float32
    with pytest.raises(ValueError, match="is a file"):
        adapters.load(tmp_path / "ema.ckpt", subfolder="unet")


def as_pickle(folder):
    """The same folder as older models have it."""
    import safetensors.torch

    path = folder / "diffusion_pytorch_model.safetensors"
    torch.save(safetensors.torch.load_file(path), path.with_suffix(".bin"))
    path.unlink()
    return path.with_suffix(".bin")


def test_pickled_weights_are_refused_and_can_be_converted(tmp_path):
    pipeline = ddim_pipeline()
    pipeline.save_pretrained(tmp_path)
    as_pickle(tmp_path / "unet")
    for options in ({}, {"subfolder": "unet"}):
        with pytest.raises(ValueError, match=r"model\.bin: weights as pickles are not read.*to_safetensors"):
            adapters.load(tmp_path, **options)
    assert [x.name for x in adapters.to_safetensors(tmp_path)] == ["diffusion_pytorch_model.safetensors"]
    assert equal(outputs(adapters.load(tmp_path).denoiser, "unet"), outputs(pipeline.unet, "unet"))
    with pytest.raises(ValueError, match=r"no \.bin weights without safetensors"):
        adapters.to_safetensors(tmp_path)
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "diffusion_pytorch_model-00001-of-00002.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="one of several shards"):
        adapters.to_safetensors(tmp_path)


def test_a_malicious_pickle_in_a_folder_is_never_run(tmp_path):
    made = tmp_path / "made"

    class Payload:
        def __reduce__(self):
            return (open, (str(made), "w"))

    folder = tmp_path / "model"
    family("unet").save_pretrained(folder)
    path = as_pickle(folder)
    path.write_bytes(pickle.dumps({"conv_in.weight": Payload()}, protocol=2))
    for attempt in (adapters.load, adapters.to_safetensors):
        with pytest.raises(ValueError, match=r"not read|is refused.*asks for \S*open"):
            attempt(folder)
        assert not made.exists()


def test_weights_that_are_not_there_are_missed(tmp_path):
    """diffusers itself would draw them at random and print a line."""
    import safetensors.torch

    ddim_pipeline().save_pretrained(tmp_path)
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights = safetensors.torch.load_file(path)
    del weights["mid_block.resnets.0.conv1.bias"]
    safetensors.torch.save_file(weights, path)
    for options in ({}, {"subfolder": "unet"}):
        with pytest.raises(ValueError, match=r"1 weights of its UNet2DModel .* mid_block\.resnets\.0\.conv1\.bias"):
            adapters.load(tmp_path, **options)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"unet/diffusion_pytorch_model\.safetensors is damaged"):
        adapters.load(tmp_path)


def test_folders_that_hold_no_model_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model_index\.json or config\.json"):
        adapters.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no config\.json in .*unet"):
        adapters.load(tmp_path, subfolder="unet")
    for name in (None, "Evil", ["evil", "Evil"], "__version__"):
        (tmp_path / "config.json").write_text(json.dumps({"_class_name": name}), encoding="utf-8")
        with pytest.raises(ValueError, match=r"names the class .* not a model or pipeline of diffusers"):
            adapters.load(tmp_path)
    for text in ("{", "[" * 100_000):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"config\.json is damaged, it is not JSON"):
            adapters.load(tmp_path)
    for text in ("[]", "3", "null"):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"config\.json is not a config of diffusers"):
            adapters.load(tmp_path)
    (tmp_path / "model_index.json").write_text(
        json.dumps({"_class_name": "DDPMPipeline", "unet": ["diffusers"]}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"model_index\.json is not a config of diffusers"):
        adapters.load(tmp_path)
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}), encoding="utf-8")
    with pytest.raises(OSError, match=r"could not load it.*safetensors"):
        adapters.load(tmp_path)


def test_a_pipeline_that_needs_another_package_says_so(tmp_path):
    if importlib.util.find_spec("transformers"):
        pytest.skip("the package transformers is there")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}), encoding="utf-8")
    with pytest.raises(ImportError, match="transformers"):
        adapters.load(tmp_path)


# -- the denoiser ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_the_denoiser_of_a_model_or_pipeline(name):
    model = family(name)
    assert adapters.denoiser(model) is model
    assert adapters.denoiser(Several(vae=vae(), net=model, safety_checker=None, scheduler=object())) is model


def test_what_is_no_denoiser_is_refused():
    own = nn.Linear(2, 2)
    assert adapters.denoiser(own) is own
    unet, autoencoder = family("unet"), vae()
    two = Several(unet=unet, prior=family("dit"), vae=autoencoder)
    assert adapters.denoiser(two, "unet") is unet
    assert adapters.denoiser(Several(mine=own), "mine") is own
    for what, component, error, message in [
        (two, None, ValueError, "several denoisers, unet, prior: say which"),
        (two, "decoder", ValueError, "no network 'decoder'; it has: unet, prior, vae"),
        (Several(vae=autoencoder), None, ValueError, "no denoiser among vae"),
        (autoencoder, None, TypeError, "AutoencoderKL is a model of diffusers, but neither"),
        (unet, "unet", ValueError, "is for pipelines"),
        ("unet", None, TypeError, "expected a diffusers pipeline or a torch.nn.Module, got str"),
    ]:
        with pytest.raises(error, match=message):
            adapters.denoiser(what, component)


# -- the scheduler beside a model ------------------------------------------------------------------------------------


def described_pipeline(tmp_path, **options):
    from diffusers import DDIMPipeline, DDIMScheduler

    options = {"prediction_type": "v_prediction", "num_train_timesteps": 100, "timestep_spacing": "trailing"} | options
    pipeline = DDIMPipeline(family("unet"), DDIMScheduler(**options))
    pipeline.save_pretrained(tmp_path / "pipe")
    return pipeline, tmp_path / "pipe"


def test_the_scheduler_is_found_wherever_the_model_is_loaded_from(tmp_path):
    pipeline, folder = described_pipeline(tmp_path)
    expected = sample(pipeline.unet, images=2, steps=4, batch=2, schedule=pipeline.scheduler)
    for loaded in (adapters.load(folder), adapters.load(folder, subfolder="unet"), adapters.load(folder / "unet")):
        assert loaded.schedule.prediction == "v_prediction"
        assert loaded.schedule.T == 100
        for what in (loaded, loaded.denoiser):
            assert np.array_equal(sample(what, images=2, steps=4, batch=2), expected)
    assert not np.array_equal(sample(pipeline.unet, images=2, steps=4, batch=2), expected)


def test_a_model_by_itself_has_none(tmp_path):
    family("unet").save_pretrained(tmp_path / "bare")
    loaded = adapters.load(tmp_path / "bare")
    assert (loaded.scheduler, loaded.schedule, loaded.notes) == (None, None, ())


def test_a_scheduler_that_cannot_be_followed_is_loaded_and_not_sampled(tmp_path):
    from diffusers import FlowMatchEulerDiscreteScheduler

    _, folder = described_pipeline(tmp_path)
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    loaded = adapters.load(folder / "unet")
    for attempt in (
        lambda: loaded.schedule,
        lambda: sample(loaded, images=1),
        lambda: sample(loaded.denoiser, images=1),
    ):
        with pytest.raises(ValueError, match="FlowMatchEulerDiscreteScheduler cannot be followed"):
            attempt()


def test_several_schedulers_are_told_apart_by_the_names_of_their_models():
    from diffusers import DDIMScheduler, DDPMScheduler

    unet, prior = family("unet"), family("dit")
    parts = Several(prior=prior, prior_scheduler=DDPMScheduler(), unet=unet, scheduler=DDIMScheduler())
    assert adapters._scheduler_of(parts, unet)["_class_name"] == "DDIMScheduler"
    assert adapters._scheduler_of(parts, prior)["_class_name"] == "DDPMScheduler"
    parts = Several(net=unet, a_scheduler=DDPMScheduler(), b_scheduler=DDIMScheduler())
    assert "several schedulers (a_scheduler, b_scheduler)" in adapters._scheduler_of(parts, unet)["_class_name"]


# -- weights that do not fit, and what lies beside them --------------------------------------------------------------


def changed(folder, change):
    import safetensors.torch

    path = folder / "diffusion_pytorch_model.safetensors"
    weights = safetensors.torch.load_file(path)
    change(weights)
    safetensors.torch.save_file(weights, path)


WRONG = {
    "more": (lambda w: w.update({"extra.weight": torch.zeros(1)}), r"1 weights in the files do not .*extra\.weight"),
    "less": (lambda w: w.pop("conv_in.bias"), r"1 weights of its UNet2DModel are not in the files.*conv_in\.bias"),
    "shape": (
        lambda w: w.update({"conv_in.bias": torch.zeros(9)}),
        r"other shapes than its UNet2DModel.*conv_in\.bias",
    ),
    "both": (
        lambda w: w.update({"b": w.pop("conv_in.bias")}),
        r"are not in the files.*conv_in\.bias; 1 weights .*such as b",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("pipe", [True, False])
def test_weights_that_do_not_fit_the_config_are_refused_by_name(wrong, pipe, tmp_path):
    _, folder = described_pipeline(tmp_path)
    change, why = WRONG[wrong]
    changed(folder / "unet", change)
    with pytest.raises(ValueError, match=why):
        adapters.load(folder if pipe else folder / "unet")
    if wrong == "shape":
        with pytest.raises(ValueError, match=why):
            adapters.load(folder / "unet", ignore_mismatched_sizes=True)


def test_a_moving_average_beside_the_weights_is_named(tmp_path, caplog):
    pipeline, folder = described_pipeline(tmp_path)
    pipeline.unet.save_pretrained(folder / "unet_ema")
    for options in ({}, {"subfolder": "unet"}):
        loaded = adapters.load(folder, **options)
        assert "unet_ema beside it is a moving average" in loaded.notes[0]
        assert loaded.notes[0] in caplog.text
    assert adapters.load(folder, subfolder="unet_ema").notes == ()
    pipeline.unet.save_pretrained(folder / "unet", variant="non_ema")
    assert any("variant='non_ema'" in note for note in adapters.load(folder / "unet").notes)
    taken = adapters.load(folder / "unet", variant="non_ema").notes
    assert any("the weights were taken, not their moving average" in note for note in taken)


@pytest.mark.parametrize("name", ["ema.safetensors", "diffusion_pytorch_model_ema.safetensors", "unet_ema.safetensors",
                                  "ema_weights.pt"])  # fmt: skip
def test_a_file_with_a_moving_average_is_named_with_the_way_to_take_it(name, tmp_path, caplog):
    import safetensors.torch

    pipeline, folder = described_pipeline(tmp_path)
    average = {k: v + 1 for k, v in pipeline.unet.state_dict().items()}
    file = folder / "unet" / name
    (safetensors.torch.save_file if file.suffix == ".safetensors" else torch.save)(average, file)
    for options in ({}, {"subfolder": "unet"}):
        loaded = adapters.load(folder, **options)
        (note,) = loaded.notes
        assert note in caplog.text
        assert f"{file} beside the weights that were taken is a moving average by its name; to take it" in note
        assert torch.equal(loaded.denoiser.conv_in.weight, pipeline.unet.conv_in.weight)
    exec(note.partition("to take it: ")[2], {"loaded": loaded, "checkpoints": checkpoints})
    assert torch.equal(loaded.denoiser.conv_in.weight, average["conv_in.weight"])


def test_a_variant_with_a_moving_average_is_named(tmp_path):
    pipeline, folder = described_pipeline(tmp_path)
    with torch.no_grad():
        pipeline.unet.conv_in.weight.add_(1)
    pipeline.unet.save_pretrained(folder / "unet", variant="ema")
    pipeline.unet.save_pretrained(folder / "unet", variant="fp16")
    loaded = adapters.load(folder)
    (note,) = loaded.notes
    assert note.endswith("is a moving average by its name, load(..., variant='ema') takes that")
    taken = adapters.load(folder, subfolder="unet", variant="ema")
    assert taken.notes == ()
    assert torch.equal(taken.denoiser.conv_in.weight, loaded.denoiser.conv_in.weight + 1)


# -- damaged and edited configs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "why"), [
    ("{", "is damaged, it is not JSON.*copy it anew"), ("[1]", "not a config of diffusers.*got a list"),
    ({"beta_schedule": "cosine"}, "beta_schedule='cosine'.*Correct the file, or pass scheduler="),
    ({"num_train_timesteps": "1000"}, "num_train_timesteps='1000'.*integer.*Correct the file"),
    ({"num_train_timesteps": 1000.0}, "num_train_timesteps=1000.0.*integer.*Correct the file"),
    ({"beta_start": None}, "beta_start=None.*number.*Correct the file"), ({"beta_end": "a"}, "beta_end='a'.*Correct"),
    ({"trained_betas": "x"}, "trained_betas='x'.*Correct the file"),
])  # fmt: skip
def test_a_schedulers_config_that_diffusers_cannot_use_is_named(content, why, tmp_path):
    from diffusers import DDIMScheduler

    _, folder = described_pipeline(tmp_path)
    file = folder / "scheduler" / "scheduler_config.json"
    text = json.dumps(json.loads(file.read_text(encoding="utf-8")) | content) if isinstance(content, dict) else content
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{file}.*{why}"):
        adapters.load(folder)
    assert adapters.load(folder, scheduler=DDIMScheduler()).scheduler["_class_name"] == "DDIMScheduler"
    if not isinstance(content, dict):
        with pytest.raises(ValueError, match=f"{file}.*{why}"):
            adapters.load(folder, subfolder="unet")


@pytest.mark.parametrize("change", [{"steps_offset": 1.5}, {"steps_offset": "1"}, {"set_alpha_to_one": 0}])
def test_a_schedulers_option_of_the_wrong_type_is_not_sampled_by(change, tmp_path):
    _, folder = described_pipeline(tmp_path)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ValueError, match=f"{next(iter(change))}=.*correct it in the scheduler's config"):
        sample(adapters.load(folder), images=1, steps=2)


def test_a_pipeline_without_its_scheduler_says_so(tmp_path):
    _, folder = described_pipeline(tmp_path)
    shutil.rmtree(folder / "scheduler")
    with pytest.raises(
        ValueError, match=r"names a DDIMScheduler, and there is no .*scheduler_config\.json: copy it from"
    ):
        adapters.load(folder)
    assert adapters.load(folder, subfolder="unet").scheduler is None


def test_a_checkpoint_says_which_weights_it_gave(tmp_path):
    from test_ddpm_checkpoint import LSUN, original

    weights, average = (original(seed, **LSUN).state_dict() for seed in (0, 1))
    torch.save({"state_dict": weights, "ema_state_dict": average}, tmp_path / "x.ckpt")
    loaded = adapters.load(tmp_path / "x.ckpt")
    assert loaded.notes == ("the moving average under 'ema_state_dict' was taken, not what is under 'state_dict'",)
    assert torch.equal(loaded.denoiser.conv_in.weight, average["conv_in.weight"])
    torch.save({f"model.{k}": v for k, v in weights.items()}, tmp_path / "inside.ckpt")
    loaded = adapters.load(tmp_path / "inside.ckpt")
    assert torch.equal(loaded.denoiser.conv_in.weight, weights["conv_in.weight"])


def test_what_diffusers_raises_is_said_once(tmp_path, capfd):
    """It prints the same sentence on a line of its own before."""
    (tmp_path / "config.json").write_text(
        json.dumps({"_class_name": "UNet2DModel", **zoo.card("digits")["config"]}), encoding="utf-8"
    )
    with pytest.raises(OSError, match="diffusers could not load it: Error no file named"):
        adapters.load(tmp_path)
    assert capfd.readouterr() == ("", "")
