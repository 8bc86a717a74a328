"""A second batch without a reset is noticed by its times, and nothing that a sampler does is taken for one."""

import warnings

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline
from models import quiet, shallow
from test_passes import A, B, model, slowly

import modiff_sim as ms
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import linear
from modiff_sim.nn import Attention, ByCall, ByLayer, modulated, modulated_pipeline, record, sample
from modiff_sim.nn.hooks.batches import Batches

SAID = r"a second batch goes on where the first one ended.*is 900 again.*run\.reset\(\)"
TIMES = (900, 600, 300, 0)
#: schedulers of diffusers for images that are told a number of steps
SCHEDULERS = [
    name for name in dir(diffusers)
    if name.startswith(("DDIM", "DDPM", "DEIS", "DPM", "EDM", "Euler", "FlowMatch", "Heun", "IPNDM", "KDPM2", "LCM",
                        "LMS", "PNDM", "SASolver", "TCD", "UniPC"))
    and name.endswith("Scheduler") and name not in ("DDPMWuerstchenScheduler", "DPMSolverSDEScheduler")
]  # fmt: skip


def noise(seed):
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(seed))


def sampled(net, seed=0, times=TIMES):
    x = noise(seed)
    for t in times:
        x = x - 0.1 * net(x, t, A)
    return x


def alarms(calls):
    """At which of these calls, (x, t), a second batch was noticed."""
    batches, found = Batches("reset()"), []
    for k, (x, t) in enumerate(calls):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches.see({"x": x, "t": t}, 0)
        found += [k] * len(caught)
    return found


def moving(times, seed=0):
    """Calls at these times with an x that moves."""
    x = noise(seed)
    return [(x + 0.01 * k, t) for k, t in enumerate(times)]


def test_a_second_batch_is_said_to_go_on_with_the_states_of_the_first():
    net = model()
    with modulated(net, activations=ms.AbsMax(4)) as run:
        first = sampled(net)
        with pytest.warns(UserWarning, match=SAID) as caught:
            second = sampled(net, 1)
        assert [w.filename for w in caught] == [__file__]  # the line that called the model, and said once
        sampled(net, 2)  # it is not said again
        run.reset()
        assert torch.equal(sampled(net, 1), sampled_alone(1))
        assert not torch.equal(second, sampled_alone(1))
        run.reset()
        assert torch.equal(sampled(net), first)
        with pytest.warns(UserWarning, match=SAID):  # after a reset it is
            sampled(net, 1)


def sampled_alone(seed):
    net = model()
    with modulated(net, activations=ms.AbsMax(4)):
        return sampled(net, seed)


def test_the_same_noise_again_is_noticed_one_call_later():
    """At the first call it could be a step that an adaptive solver has rejected."""
    assert alarms([*moving(TIMES), *moving(TIMES)]) == [len(TIMES) + 1]
    assert alarms([*moving(TIMES), *moving(TIMES, seed=1)]) == [len(TIMES)]


def test_other_times_than_whole_numbers():
    for t in (torch.tensor(TIMES), torch.tensor(TIMES).repeat(4, 1).T, torch.tensor(TIMES) / 1000):
        assert alarms([*moving(t), *moving(t, seed=1)]) == [len(TIMES)]
    for t in ((0.0, 0.3, 0.6, 1.0), [1, 2, 3, 4]):  # flow matching, a number of the step
        assert alarms([*moving(t), *moving(t, seed=1)]) == [4]


def times_of(name, steps):
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(steps)
    return list(scheduler.timesteps)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_one_batch_with_every_scheduler_of_diffusers_and_a_second_one(name):
    """Heun, KDPM2 and PNDM call twice at one time or between two, inverse ones go up."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of diffusers with this NumPy
    for steps in (4, 10, 25):
        times = times_of(name, steps)
        assert alarms(moving(times)) == []
        assert alarms([*moving(times), *moving(times, seed=1)]) == [len(times)]


def restarts(low, high, rounds, all_times=range(20, -1, -1)):
    """Restart sampling: this part of the way several times."""
    part = [t for t in all_times if low <= t < high]
    return [*all_times[: 20 - low + 1], *part * rounds, *range(low - 1, -1, -1)]


#: what one batch may do: the times of its calls
WAYS = {
    "the way back after an inversion": [*range(20), *range(19, -1, -1)],
    "an inversion after sampling": [*range(20, -1, -1), *range(21)],
    "restarts": restarts(3, 9, 4),
    "time travel": [t for high in range(20, 0, -2) for t in (high, high - 1, high - 2, high, high - 1)],
    "resampling": [t for high in range(40, 0, -10) for _ in range(3) for t in range(high - 10, high)[::-1]],
    "churned noise levels": [t for k in range(20, 0, -1) for t in (k * 1.2, k - 1)],
    "two steps, again and again": [999, 499] * 5,
    "one time": [999] * 10,
    "a warm-up at another time": [1, *range(20, -1, -1)],
    "a solver that goes back to a midpoint": [t for k in range(20, 0, -1) for t in (k, k - 0.5, k - 1)],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_what_a_batch_may_do_is_not_taken_for_a_second_one(way):
    assert alarms(moving(way)) == []


def test_a_first_step_that_is_rejected_is_no_second_batch():
    """An adaptive solver goes back to the same x, and on to other times than before."""
    x = noise(0)
    tried = [(x, 20), (x + 1, 16), (x + 2, 12), (x, 20), (x + 0.5, 18), (x + 1, 16), (x + 2, 12)]
    assert alarms(tried) == []


def test_several_batches_at_once_and_times_of_their_own():
    times = torch.arange(20, 0, -1)[:, None] + torch.arange(4)
    assert alarms([*moving(times), *moving(times, seed=1)]) == []


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_is_one_batch_and_a_second_one_is_noticed(sampler):
    net = model()
    with modulated(net, activations=ms.AbsMax(6)):
        for seed in (0, 1):
            g, batch = torch.Generator().manual_seed(seed), linear().spaced(6)
            noise_of = {"noise": lambda _, g=g: torch.randn(4, 8, generator=g)}
            with pytest.warns(UserWarning, match="second batch") if seed else warnings.catch_warnings():
                SAMPLERS[sampler](lambda x, t: 0.1 * net(x, t, A), noise(seed), batch, **noise_of)


def test_passes_are_batches_of_their_own():
    net = model()
    with modulated(net, activations=ms.AbsMax(4)) as run:
        for seed in (0, 1):
            with run.apart(f"batch {seed}"):  # states of its own
                sampled(net, seed)
    with modulated(net, activations=ms.AbsMax(4)):  # guidance in two calls
        for seed in (0, 1):
            x = noise(seed)
            with pytest.warns(UserWarning, match=SAID) if seed else warnings.catch_warnings():
                for t in TIMES:
                    x = x - 0.1 * (2 * net(x, t, A) - net(x, t, B))


FOUR = ms.AbsMax(4)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [({"activations": FOUR}, False), ({"activations": ms.Stochastic(4)}, False),
     ({"activations": {"inner": "absmax:4", "*": "stochastic:4"}}, False), ({"activations": FOUR, "refresh": 3}, True),
     ({"activations": ByCall(lambda call: ms.AbsMax(8 if call < 2 else 4))}, True),
     ({"activations": ByLayer({"inner": ByCall(lambda call: FOUR)})}, True),
     ({"activations": FOUR, "attention": Attention(FOUR, recursion="closed_loop")}, True),
     ({"activations": FOUR, "attention": Attention(FOUR)}, False)],
)  # fmt: skip
def test_direct_quantization_goes_wrong_where_calls_are_counted_or_products_have_states(options, wrong):
    net = model()
    with modulated(net, recursion="direct", **options):
        sampled(net)
        with pytest.warns(UserWarning, match=SAID) if wrong else warnings.catch_warnings():
            sampled(net, 1)


def test_a_call_that_failed_was_no_call():
    """Else 800 would be the second time of the first batch, which the same noise is known again by."""
    net, bad = model(), torch.full((4, 8), float("nan"))
    with modulated(net, activations=FOUR):
        net(noise(0), TIMES[0], A)
        with pytest.raises(ValueError, match="not finite"):
            net(bad, 800, A)
        for t in TIMES[1:]:
            net(noise(0) + 0.01, t, A)
        net(noise(0), TIMES[0], A)
        with pytest.warns(UserWarning, match="second batch"):
            net(noise(0) + 0.01, TIMES[1], A)


def test_a_second_recording_is_noticed():
    net = model()
    with record(net, FOUR) as log:
        sampled(net)
        log.reset()
        sampled(net, 1)
        with pytest.warns(UserWarning, match=r"second batch.*reset\(\) of the recording"):
            sampled(net, 2)
    with modulated(net, activations=FOUR) as run, record(net, FOUR) as log:
        sampled(net)
        run.reset()
        with pytest.warns(UserWarning, match=r"second batch.*reset\(\) of the recording") as caught:
            sampled(net, 1)
        assert len(caught) == 1


def test_a_pipeline_that_is_called_twice():
    pipeline = quiet(DDPMPipeline(unet=shallow(), scheduler=DDIMScheduler()))

    def twice():
        for seed in (0, 1):
            pipeline(num_inference_steps=4, generator=torch.Generator().manual_seed(seed))

    with modulated_pipeline(pipeline, activations=FOUR):
        twice()
    with modulated(pipeline.unet, activations=FOUR), pytest.warns(UserWarning, match="second batch") as caught:
        twice()
    assert [w.filename for w in caught] == [__file__]


def test_sample_resets_between_batches():
    net = shallow()
    with modulated(net, activations=FOUR), record(net, FOUR) as log:
        sample(net, images=3, steps=4, batch=1, on_batch=[log.reset])


def test_without_a_time_nothing_is_known():
    net = model()
    with modulated(net, activations=FOUR):
        for _ in range(2):
            for x in slowly():
                net(x)
