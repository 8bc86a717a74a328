"""Whole pipelines as an arm: reset at every call, guidance, schedulers; tiny random weights, nothing is downloaded."""

import copy

import pytest
import torch
from models import Several, ddim_pipeline, family, quiet, shallow_condition, vae
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import adapters, modulated


def guided(scheduler=None, passes=False):
    """Classifier-free guidance around a U-Net with cross attention, or in two passes around a transformer."""
    from diffusers import DDIMScheduler, DiffusionPipeline

    class Guided(DiffusionPipeline):
        def __init__(self, unet, scheduler):
            super().__init__()
            self.register_modules(unet=unet, scheduler=scheduler)

        @torch.no_grad()
        def __call__(self, seed, steps=4, batch=2, scale=3.0):
            g = torch.Generator().manual_seed(seed)
            x, wish = torch.randn(batch, 4, 8, 8, generator=g), torch.randn(batch, 3, 6, generator=g)
            self.scheduler.set_timesteps(steps)
            x = x * self.scheduler.init_noise_sigma
            for t in self.scheduler.timesteps:
                both, conditions = torch.cat([x, x]), torch.cat([wish, torch.zeros_like(wish)])
                both = self.scheduler.scale_model_input(both, t)
                if passes:
                    tokens = both.flatten(2).mT
                    places, time = (torch.zeros(tokens.shape[1], 3), torch.zeros(3, 3)), t.expand(batch) / 1000
                    halves = []
                    for name, half, c in zip("ab", tokens.chunk(2), conditions.chunk(2), strict=True):
                        with self.unet.cache_context(name):
                            eps = self.unet(half, c, c.mean(1), time, *places, return_dict=False)[0]
                        halves.append(eps.mT.reshape(x.shape))
                else:
                    halves = self.unet(both, t, conditions).sample.chunk(2)
                eps = halves[1] + scale * (halves[0] - halves[1])
                x = self.scheduler.step(eps, t, x, return_dict=False)[0]
            return x

    return Guided(family("flux") if passes else shallow_condition(), scheduler or DDIMScheduler(clip_sample=False))


def dit_pipeline():
    from diffusers import DDIMScheduler, DiTPipeline

    return quiet(DiTPipeline(family("dit"), vae(), DDIMScheduler()))


def run_ddim(pipeline, seed, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return pipeline(batch, generator, num_inference_steps=4, output_type="np").images


def run_dit(pipeline, seed, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return pipeline([1] * batch, generator=generator, num_inference_steps=4, output_type="np").images


PIPELINES = {
    "ddim": (ddim_pipeline, run_ddim),
    "dit": (dit_pipeline, run_dit),
    "guided": (guided, lambda pipeline, seed, batch=2: pipeline(seed, batch=batch).numpy()),
    "two_passes": (lambda: guided(passes=True), lambda pipeline, seed, batch=2: pipeline(seed, batch=batch).numpy()),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_starts_anew_at_every_call(name):
    """Same seed, same images, whatever ran in between, another batch size included. The negative control: without
    the resets the second call begins from the first one's states, and another batch size is an error."""
    make, call = PIPELINES[name]
    pipeline = make()
    plain = call(pipeline, 0)
    options = {"activations": ms.AbsMax(3), "recursion": "closed_loop"}
    with adapters.modulated_pipeline(pipeline, **options) as run:
        first = call(pipeline, 0)
        other = call(pipeline, 1)
        larger = call(pipeline, 0, batch=3)
        again = call(pipeline, 0)
    audit = run.audit()
    assert (first == again).all()
    assert not (first == other).all()
    assert not (first == plain).all()
    assert larger.shape[0] == 3
    assert audit.resets == 3
    assert audit.call_share == 3 / 4  # of four steps the first is in full precision
    assert audit.model_calls == 4 * 4 * (2 if name == "two_passes" else 1)
    assert (call(pipeline, 0) == plain).all()

    with modulated(adapters.denoiser(pipeline), **options):
        leaked = [call(pipeline, 0)]
        with pytest.warns(UserWarning, match="a second batch goes on where the first one ended"):
            leaked.append(call(pipeline, 0))
        assert not (leaked[0] == leaked[1]).all()
        with pytest.raises(ValueError, match=r"shape changed.*run\.reset"):
            call(pipeline, 0, batch=3)


def test_the_identity_arm_of_a_pipeline_is_the_pipeline():
    for make, call in PIPELINES.values():
        pipeline = make()
        plain = call(pipeline, 0)
        with adapters.modulated_pipeline(pipeline, activations=ms.Identity(), recursion="direct"):
            assert (call(pipeline, 0) == plain).all()


def test_separate_passes_have_states_of_their_own():
    """Guidance in two calls per step gives what two modulated models give, one for each pass, bit for bit."""
    options = {"activations": ms.AbsMax(3), "weights": ms.AbsMax(6)}
    pipeline = guided(passes=True)
    with adapters.modulated_pipeline(pipeline, **options) as run:
        pipeline(7)
        ours = pipeline(0)
        both = run.state_bytes()
    assert run.audit().call_share == 3 / 4

    class Two(nn.Module):
        """One model per pass."""

        def __init__(self):
            super().__init__()
            self.models = nn.ModuleDict({name: family("flux") for name in "ab"})

        def cache_context(self, name):
            import contextlib

            self.now = self.models[name]
            return contextlib.nullcontext()

        def forward(self, *args, **named):
            return self.now(*args, **named)

    two = Two()
    pipeline.unet = two
    with modulated(two.models["a"], **options) as a, modulated(two.models["b"], **options) as b:
        assert torch.equal(pipeline(0), ours)
        assert both == a.state_bytes() + b.state_bytes() > 0


def test_leaving_a_pipeline_restores_it():
    """Scheduler, model and their attributes, after an exception too."""
    for passes in (False, True):
        pipeline = guided(passes=passes)
        attributes = [(x, dict(vars(x))) for x in (pipeline.scheduler, pipeline.unet)]
        foreign = pipeline.scheduler.set_timesteps
        for before in (None, foreign):
            if before is not None:  # another library's patch, an instance attribute
                pipeline.scheduler.set_timesteps = before
            with pytest.raises(KeyError), adapters.modulated_pipeline(pipeline, activations=ms.AbsMax(4)):
                raise KeyError(vars(pipeline.scheduler)["set_timesteps"])
            assert vars(pipeline.scheduler).get("set_timesteps") is before
        vars(pipeline.scheduler).pop("set_timesteps")
        for owner, before in attributes:
            assert vars(owner) == before
        assert not pipeline.unet._forward_pre_hooks
        assert not pipeline.unet._forward_hooks


def test_a_copied_scheduler_resets_too():
    """Some pipelines copy their scheduler and give timesteps to the copy: it must be the copy that gets them."""
    pipeline = guided()
    with adapters.modulated_pipeline(pipeline, activations=ms.AbsMax(4)) as run:
        pipeline(0, steps=3)
        twin = copy.deepcopy(pipeline.scheduler)
        assert run.state_bytes() > 0
        twin.set_timesteps(num_inference_steps=5)
        assert run.state_bytes() == 0
        assert (len(twin.timesteps), len(pipeline.scheduler.timesteps)) == (5, 3)
    twin.set_timesteps(2)  # out of the context it is a scheduler like any other
    assert len(twin.timesteps) == 2


@pytest.mark.parametrize("last_first", [True, False])
def test_pipelines_that_share_a_scheduler_give_it_back_in_any_order(last_first):
    first = guided()
    second = guided(first.scheduler)
    own, before = type(first.scheduler), dict(vars(first.scheduler))
    contexts = [adapters.modulated_pipeline(p, activations=ms.AbsMax(4)) for p in (first, second)]
    for context in contexts:
        context.__enter__()

    def starts_anew(pipeline):
        return torch.equal(pipeline(0), pipeline(0))

    assert starts_anew(first)
    assert starts_anew(second)
    left, stays = (1, 0) if last_first else (0, 1)
    contexts[left].__exit__(None, None, None)
    assert starts_anew((first, second)[stays])
    contexts[stays].__exit__(None, None, None)
    assert type(first.scheduler) is own
    assert vars(first.scheduler).keys() == before.keys() | {"num_inference_steps"}


def test_pipelines_that_cannot_be_reset_are_refused():
    from diffusers import DDIMScheduler

    pipeline = guided()
    with modulated(pipeline.unet, activations=ms.AbsMax(4)) as run:
        with pytest.raises(ValueError, match="no scheduler"), adapters.pipeline_resets(Several(unet=1), run):
            pass
        with pytest.raises(ValueError, match="not part of this"), adapters.pipeline_resets(guided(), run):
            pass
    with adapters.modulated_pipeline(pipeline, activations=ms.AbsMax(4)) as run:
        pipeline(0)
        pipeline.scheduler = DDIMScheduler()
        with pytest.raises(RuntimeError, match="scheduler was exchanged"):
            pipeline(0)
    assert run.audit().model_calls == 4


SCHEDULERS = ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
              "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler",
              "LMSDiscreteScheduler", "DEISMultistepScheduler", "KDPM2DiscreteScheduler"]  # fmt: skip
#: those that begin otherwise than the rest, call the model otherwise, or scale what they give it (Euler)
KINDS = ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
         "DPMSolverSinglestepScheduler", "KDPM2DiscreteScheduler"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # diffusers' own, of several schedulers
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in KINDS else pytest.mark.slow) for name in SCHEDULERS]
)
def test_any_scheduler_works(name):
    """Also those that call the model several times per step or begin with another method."""
    import diffusers

    pipeline = guided(getattr(diffusers, name)())
    plain = pipeline(0)
    assert plain.isfinite().all()
    with adapters.modulated_pipeline(pipeline, activations=ms.Identity(), recursion="direct"):
        assert torch.equal(pipeline(0), plain)
    with adapters.modulated_pipeline(pipeline, activations=ms.AbsMax(8)) as run:
        images = [pipeline(0) for _ in range(2)]
    calls, audit = len(pipeline.scheduler.timesteps), run.audit()
    assert torch.equal(*images)
    assert images[0].isfinite().all()
    assert 0 < float((images[0] - plain).norm() / plain.norm()) < 0.1
    assert audit.model_calls == 2 * calls
    assert audit.call_share == (calls - 1) / calls


def test_stable_diffusion(tmp_path):
    """The whole of it, where the package transformers is there for its text encoder."""
    transformers = pytest.importorskip("transformers")
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    text = transformers.CLIPTextConfig(
        hidden_size=6,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=16,
        max_position_embeddings=3,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = transformers.CLIPTextModel(text).eval()
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    parts = (vae(), encoder, None, family("unet_condition"), scheduler, None, None)
    pipeline = quiet(StableDiffusionPipeline(*parts, requires_safety_checker=False))
    g = torch.Generator().manual_seed(0)
    prompts = {"prompt_embeds": torch.randn(2, 3, 6, generator=g), "negative_prompt_embeds": torch.zeros(2, 3, 6)}

    def call():
        generator = torch.Generator().manual_seed(0)
        options = {"num_inference_steps": 4, "output_type": "np", "height": 16, "width": 16}
        return pipeline(**prompts, generator=generator, **options).images

    plain = call()
    assert adapters.denoiser(pipeline) is pipeline.unet
    with adapters.modulated_pipeline(pipeline, activations=ms.AbsMax(3)) as run:
        first, again = call(), call()
    assert (first == again).all()
    assert not (first == plain).all()
    assert run.audit().call_share == 3 / 4
    assert (call() == plain).all()
    pipeline.save_pretrained(tmp_path)
    pipeline = quiet(adapters.load(tmp_path, tokenizer=None, feature_extractor=None, safety_checker=None).pipeline)
    assert (call() == plain).all()
