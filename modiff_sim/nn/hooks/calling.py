"""How a model is called at a timestep, and which part of its answer is the prediction.

The timestep is a tensor, int64 (n,), on x's device: diffusers' models make such a tensor of a number, and nearly all
others need it. Its place follows from the signature of ``forward``: at its position, by its name where something else
comes between, before x where the model has it so. It is only passed to an argument that is named as a timestep, because
a noise level or a condition in its place would be accepted silently. The answer may be a tensor, an object with
``.sample``, a tuple or list that begins with a tensor, or a dict or dataclass with an entry of a known name
(``ANSWERS``) or with a single entry of the shape.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: names of a timestep, the surest first
TIMES = ("timestep", "timesteps", "t", "time", "times", "time_step", "time_steps", "ts", "step", "steps")
#: further names of a timestep, used where none of those occurs
TIMELIKE = re.compile(
    r"tt|t_\w+|(cur|curr|current|diffusion)_t|when|k|n|i|it|idx|index|iteration|(\w+_)?(time|timestep|timesteps|step)"
    r"(_\w+)?"
)
#: what makes such a name mean something else: an embedding, a number of steps
NOT_TIME = re.compile(r"(.*_)?(emb\w*|temb|ids?|mask|num|size|count|len\w*|text\w*|frames?)(_.*)?")
#: names that may be anything: a timestep, where the argument is annotated and the only one that has to be given
SHORT = ("tau", "s", "r", "u", "j")
#: names of a noise level in the timestep's place, where the number of a timestep would mean something else
LEVELS = ("sigma", "sigmas", "noise_labels", "noise_level", "noise_levels", "c_noise", "log_snr", "logsnr", "lambda_t",
          "alpha_bar", "noise_var", "gamma")  # fmt: skip
LEVELLIKE = re.compile(r"(.*_)?(sigmas?|\w*snr|alphas?|noise\w*|levels?|gammas?|lambdas?)(_.*)?")
#: what may also come second and is not a timestep
CONDITIONS = ("y", "c", "cond", "context", "label", "labels", "class_label", "class_labels", "encoder_hidden_states",
              "mask", "return_dict")  # fmt: skip
#: entries of an answer, in the order in which they are preferred as the prediction
ANSWERS = ("sample", "prediction", "pred", "model_output", "model_pred", "output", "out", "noise_pred", "eps_pred",
           "v_pred", "eps", "epsilon", "noise", "v")  # fmt: skip
BETWEEN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and data parallelism."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def caller(model: nn.Module, conditions: Collection[str] = ()) -> Callable[..., Any]:
    """The function (x, t, **named) -> the model's answer, with t an int.

    ``conditions`` are names among ``named``. Where one of them is the model's first argument, the image is passed by
    name.

    Raises ValueError for a model that takes no timestep, or a noise level in its place, and for one in which not
    exactly one argument is left for the image.
    """
    name = type(unwrapped(model)).__name__
    parameters = list(inspect.signature(type(unwrapped(model)).forward).parameters.values())
    if parameters[0].kind in BETWEEN:  # self
        del parameters[0]
    positional = [p for p in parameters if p.kind in BETWEEN]
    found, image = _timestep(name, parameters, positional), None
    first = next((p.name for p in positional if p is not found), None)
    if first is not None and first in conditions:
        left = [p for p in positional if p.name not in conditions]
        found = _timestep(name, [p for p in parameters if p.name not in conditions], left)
        image = _image(name, first, parameters, [p for p in left if p is not found])
    number = found is not None and found.annotation in (int, float, "int", "float")

    def call(x: Tensor, t: int, **named: Any) -> Any:
        time: Any = t if number else torch.full((len(x),), t, dtype=torch.int64, device=x.device)
        try:
            if found is not None and image is not None:
                return model(**{image.name: x, found.name: time}, **named)
            if found is None or (positional[1:] and found is positional[1]):
                return model(x, time, **named)
            if positional and found is positional[0]:
                return model(time, x, **named)
            return model(x, **{found.name: time}, **named)
        except (IndexError, RuntimeError, TypeError) as error:
            if not number:
                error.add_note(
                    f"{name} was called at timestep {t} as a tensor, int64 ({len(x)},). A model that wants it "
                    "otherwise can be wrapped in one whose forward(x, t) makes it so; an argument annotated int gets "
                    "a number."
                )
            raise

    return call


def _image(
    name: str, first: str, parameters: list[inspect.Parameter], left: list[inspect.Parameter]
) -> inspect.Parameter:
    """The argument for the image: the only one left, or the only one left that is required."""
    image = [p for p in left if p.default is p.empty] or left
    if len(image) != 1:
        raise ValueError(
            f"conditions: {first!r} is where {name}.forward has the image, if it is called by position, and of its "
            f"arguments ({', '.join(p.name for p in parameters)}) not one alone is left for the image, beside one for "
            "the timestep: name the other ones in conditions, or wrap the model in one whose forward begins with x, t"
        )
    return image[0]


def _timestep(
    name: str, parameters: list[inspect.Parameter], positional: list[inspect.Parameter]
) -> inspect.Parameter | None:
    """The argument for the timestep; None for the second of ``*args``. Raises ValueError where there is none."""
    named = [p for p in parameters if p.kind in (*BETWEEN, inspect.Parameter.KEYWORD_ONLY)]
    if sure := [p for p in named if p.name in TIMES]:
        return min(sure, key=lambda p: (p.default is not p.empty, TIMES.index(p.name)))
    further = [p for p in named if not positional or p is not positional[0]]
    required = [p for p in further if p.default is p.empty]
    suspects = [*required, *positional[1:2]]
    level = next((p.name for p in named if p.name in LEVELS), None) or next(
        (p.name for p in suspects if LEVELLIKE.fullmatch(p.name.lower())), None
    )
    if level:
        raise ValueError(
            f"{name}.forward takes a noise level, {level!r}, where a training timestep is passed: wrap the model in "
            "one whose forward(x, t) makes the level of t"
        )
    likely = [p for p in (*required, *further) if TIMELIKE.fullmatch(p.name) and not NOT_TIME.fullmatch(p.name)]
    if likely:
        return likely[0]
    annotated = [p for p in required if p.annotation in (int, float, Tensor, "int", "float", "Tensor", "torch.Tensor")]
    if len(required) == 1 and annotated == positional[1:2] and required[0].name in SHORT:
        return required[0]
    if len(positional) < 2 and inspect.Parameter.VAR_POSITIONAL in {p.kind for p in parameters}:
        return None
    raise ValueError(
        f"{name}.forward takes no timestep, it has {', '.join(p.name for p in parameters) or 'no arguments'}, and none "
        "of them is named as one, such as t or timestep: name it so, or wrap the model in one whose forward is (x, t)"
    )


def prediction(answer: Any, x: Tensor, name: str = "the model") -> Tensor:
    """The tensor of an answer that is the prediction, in x's shape.

    With twice the channels of x (a variance), it is the first half. Raises ValueError for an answer without a
    prediction, saying what it holds, and for several candidates without a known name.
    """
    parts, known = _parts(answer)
    fit = {key: part for key, part in parts.items() if _fits(part, x)}
    if len(fit) > 1 and not known:
        raise _undecided(name, answer, fit)
    for part in fit.values():
        return part[:, : x.shape[1]] if part.shape != x.shape else part
    shown = ", ".join(f"{key or 'itself'} {tuple(part.shape)}" for key, part in parts.items()) or "no tensor"
    raise ValueError(
        f"{name} returned a {type(answer).__name__} without a prediction in the shape of x, {tuple(x.shape)}, or with "
        f"twice its channels; it holds: {shown}. Wrap it in a model that returns the prediction alone"
    )


def likeliest(answer: Any, name: str = "the model") -> Tensor:
    """The tensor of an answer that is most likely meant, of whatever shape.

    Raises ValueError for an answer without a tensor, and for several of one shape without a known name.
    """
    parts, known = _parts(answer)
    for first in parts.values():
        alike = {key: part for key, part in parts.items() if part.shape == first.shape}
        if len(alike) > 1 and not known:
            raise _undecided(name, answer, alike)
        return first
    raise ValueError(f"{name} returned a {type(answer).__name__} that holds no tensor: wrap it in a model that does")


def _undecided(name: str, answer: Any, parts: Mapping[str, Tensor]) -> ValueError:
    return ValueError(
        f"{name} returned a {type(answer).__name__} in which {len(parts)} entries may be the prediction: "
        f"{', '.join(parts)}. Wrap it in a model that returns the prediction alone, or names it as one of: "
        f"{', '.join(ANSWERS)}"
    )


def _fits(part: Tensor, x: Tensor) -> bool:
    if part.ndim != x.ndim or part.ndim < 2:
        return part.shape == x.shape
    return part.shape[:1] + part.shape[2:] == x.shape[:1] + x.shape[2:] and part.shape[1] in (
        x.shape[1],
        2 * x.shape[1],
    )


def _parts(answer: Any) -> tuple[dict[str, Tensor], bool]:
    """The tensors of an answer that may be meant, the likeliest first, and whether their names are known ones."""
    if isinstance(answer, Tensor):
        return {"": answer}, False
    if isinstance(answer, Mapping):
        held = {str(k): v for k, v in answer.items()}
    elif is_dataclass(answer) and not isinstance(answer, type):
        held = {f.name: getattr(answer, f.name) for f in fields(answer)}
    elif isinstance(answer, tuple) and hasattr(answer, "_fields"):
        held = dict(zip(answer._fields, answer, strict=True))
    elif isinstance(answer, list | tuple):
        held = {f"[{i}]": v for i, v in enumerate(answer)}
        held = dict(list(held.items())[:1]) if held and isinstance(answer[0], Tensor) else held
    else:
        held = {n: v for n in ANSWERS if isinstance(v := getattr(answer, n, None), Tensor)}
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor)}
    named = [k for k in ANSWERS if k in tensors]
    return {k: tensors[k] for k in (named or tensors)}, bool(named)
