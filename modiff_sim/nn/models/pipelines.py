"""Whole diffusers pipelines as an arm: which network is the denoiser, and when a sampling run begins.

What a pipeline does around its denoiser (text encoders, VAE, scheduler) stays in full precision.

Classifier-free guidance: a doubled batch is one batch, in which each sample has its own scale and state. Pipelines that
call the denoiser once per prompt get states of their own for each of these passes instead, as two models would have.
Some pipelines announce the passes with diffusers' ``cache_context``. For the others (Flux image to image, Chroma,
Lumina 2, CogView 4, Wan, skip-layer guidance), the calls between two steps of the scheduler are told apart by their
arguments (``nn.run.passes``). A pipeline that doubles the batch and switches guidance off half way continues with a
state of its own for the smaller batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any

from torch import nn

from ...names import takes
from ..hooks.patching import Hook, Patch
from ..hooks.undo import Context, Undo
from ..modulate import OPTIONS, modulated
from ..run.run import Run

__all__ = ["denoiser", "modulated_pipeline", "pipeline_resets"]


def denoiser(what: Any, component: str | None = None) -> nn.Module:
    """The network of a pipeline that is called at every step; a model is returned as it is.

    Parameters
    ----------
    what : diffusers.DiffusionPipeline or torch.nn.Module
        A diffusers pipeline, a U-Net or transformer of diffusers, or any torch module of your own.
    component : str, optional
        Its name in the pipeline ("unet", "transformer", "prior", ...), needed where there are several.

    Raises
    ------
    TypeError
        For what is neither, and for models of diffusers that do not denoise (VAE, controlnet).
    ValueError
        For a pipeline without a denoiser or with several, naming them.
    """
    if isinstance(what, nn.Module):
        if component is not None:
            raise ValueError(f"component={component!r} is for pipelines; {type(what).__name__} is a model")
        if not _denoises(what) and _of(what, "diffusers."):
            raise TypeError(f"{type(what).__name__} is a model of diffusers, but neither a U-Net nor a transformer")
        return what
    parts = getattr(what, "components", None)
    if not isinstance(parts, dict):
        raise TypeError(f"expected a diffusers pipeline or a torch.nn.Module, got {type(what).__name__}")
    parts = {name: part for name, part in parts.items() if part is not None}
    if component is not None:
        if not isinstance(parts.get(component), nn.Module):
            modules = [name for name, part in parts.items() if isinstance(part, nn.Module)]
            raise ValueError(f"{type(what).__name__} has no network {component!r}; it has: {', '.join(modules)}")
        return parts[component]
    found = [name for name, part in parts.items() if _denoises(part)]
    if len(found) != 1:
        have = f"several denoisers, {', '.join(found)}" if found else f"no denoiser among {', '.join(parts)}"
        raise ValueError(f"{type(what).__name__} has {have}: say which network with component=")
    return parts[found[0]]


def _of(module: Any, package: str) -> bool:
    """Whether the class, or one that it derives from, is defined in this package."""
    return any(cls.__module__.startswith(package) for cls in type(module).__mro__)


def _denoises(part: Any) -> bool:
    if not isinstance(part, nn.Module) or type(part).__name__ == "MotionAdapter":  # a part of a U-Net, not one
        return False
    return _of(part, "diffusers.models.unets") or _of(part, "diffusers.models.transformers")


def modulated_pipeline(pipeline: Any, *, component: str | None = None, **options: Any) -> AbstractContextManager[Run]:
    """``modulated`` on the pipeline's denoiser, reset at every call of the pipeline.

    Parameters
    ----------
    pipeline : diffusers.DiffusionPipeline
        The pipeline.
    component : str, optional
        Which of its networks; see ``adapters.denoiser``.
    **options
        Those of ``modulated``.

    Returns
    -------
    context manager of Run
        Entering it patches the denoiser and its schedulers and yields the ``Run``; leaving it restores them.

    Raises
    ------
    TypeError, ValueError
        As ``adapters.denoiser``, ``adapters.pipeline_resets`` and ``modulated``.

    Examples
    --------
    >>> from diffusers import DDIMScheduler, DDPMPipeline
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import modulated_pipeline, zoo
    >>> pipeline = DDPMPipeline(unet=zoo.load("digits"), scheduler=DDIMScheduler())
    >>> pipeline.set_progress_bar_config(disable=True)
    >>> with modulated_pipeline(pipeline, activations=ms.AbsMax(4)) as run:
    ...     images = pipeline(num_inference_steps=2, output_type="np").images
    >>> run.audit().model_calls, run.audit().call_share
    (2, 0.5)
    """
    model = denoiser(pipeline, component)
    takes("modulated_pipeline", options, [*OPTIONS, "component"])

    def enter(undo: Undo) -> Run:
        run = undo.enter(modulated(model, **options))
        undo.enter(pipeline_resets(pipeline, run))
        return run

    return Context(enter)


def pipeline_resets(pipeline: Any, run: Run) -> Context[None]:
    """Reset the run whenever one of the pipeline's schedulers is given new timesteps, which begins a sampling run.

    It also keeps the states of guidance's separate passes apart, which the steps of the scheduler reveal. Leaving
    undoes everything, after an exception too. Inside, RuntimeError is raised by a call whose scheduler was exchanged
    while the context was open.

    Parameters
    ----------
    pipeline : diffusers.DiffusionPipeline
        The pipeline.
    run : Run
        What ``modulated`` yields for one of its networks.

    Raises
    ------
    ValueError
        For a pipeline without a scheduler, and for one that the run's model is not part of.
    """
    parts = {name: part for name, part in getattr(pipeline, "components", {}).items() if part is not None}
    schedulers = {name: part for name, part in parts.items() if callable(getattr(part, "set_timesteps", None))}
    if not schedulers:
        raise ValueError(f"{type(pipeline).__name__} has no scheduler whose set_timesteps would begin a sampling run")
    if not any(part is run.model for part in parts.values()):
        raise ValueError(
            f"{run!r} is of a {type(run.model).__name__} that is not part of this {type(pipeline).__name__}"
        )

    def same(*_: Any) -> None:
        for name, scheduler in schedulers.items():
            if getattr(pipeline, name) is not scheduler:
                raise RuntimeError(f"the pipeline's {name} was exchanged: leave the context first, else nothing resets")

    active = [run]  # emptied at the end: copies of a scheduler, and its subclass, may live longer than the context

    def begin() -> None:
        for told in active:
            told.reset()

    def step() -> None:
        for told in active:
            told.passes.step()

    def enter(undo: Undo) -> None:
        for scheduler in {id(x): x for x in schedulers.values()}.values():
            undo.put(_Telling(scheduler, begin, step))
        undo.note(lambda: run.passes.watch(False))
        run.passes.watch(True)
        if hasattr(run.model, "cache_context"):
            undo.put(Patch(run.model, partial(_apart, run), name="cache_context"))
        undo.put(Hook.of(run.model, same))
        undo.note(active.clear)

    return Context(enter)


#: the attribute of a scheduler's subclass that holds the change which made it
_BY = "_told_by"


class _Telling:
    """A change (see ``undo``): a scheduler reports when it is given timesteps and when it makes a step.

    It does so through a subclass of its own, because some pipelines copy the scheduler or exchange what it holds. Where
    several changes are on one scheduler, the last one to end restores its class, whatever the order in which they end.
    """

    def __init__(self, scheduler: Any, begin: Callable[[], None], step: Callable[[], None]) -> None:
        self._scheduler, self._over = scheduler, False
        self._own = own = type(scheduler)
        told: dict[str, Any] = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
        told[_BY] = self
        for name in dir(own):
            if callable(inner := getattr(own, name)) and (name == "step" or name.startswith("step_")):
                told[name] = _tells(inner, after=step)
        told["set_timesteps"] = _tells(own.set_timesteps, before=begin)
        self._told = type(own.__name__, (own,), told)

    def put(self) -> None:
        """Give the scheduler the subclass that reports."""
        self._scheduler.__class__ = self._told

    def remove(self) -> None:
        """Give the scheduler back its class, unless another change still reports."""
        self._over = True
        own = found = type(self._scheduler)
        while (by := vars(own).get(_BY)) is not None and by._over:
            own = by._own
        if own is not found:
            self._scheduler.__class__ = own


def _tells(inner: Any, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> Any:
    @wraps(inner)  # pipelines look at its signature
    def method(self: Any, *args: Any, **named: Any) -> Any:
        if before:
            before()
        out = inner(self, *args, **named)
        if after:
            after()
        return out

    return method


@contextmanager
def _apart(run: Run, cache_context: Any, name: str, *args: Any, **named: Any) -> Iterator[None]:
    """The ``cache_context(name)`` of diffusers, inside which the states are those of that pass."""
    with cache_context(name, *args, **named), run.apart(name):
        yield
