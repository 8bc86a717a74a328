"""Weight files of training runs: which of a file's sets of tensors are the weights, and which their moving average.

    weights = read("checkpoint.ckpt")      # tensors by name; a dict, which also says:
    weights.taken, weights.averaged        # "ema_state_dict", True
    weights.others                         # ("state_dict",)

Diffusion models are sampled with the moving average of their weights. It lies beside them: as ``ema``,
``ema_state_dict``, ``state_dict_ema``, ``model_ema``, ``ema_params``, ``shadow`` and the like, at any depth; under a
prefix within one state dict (``ema_model.``, ``model_ema.``; there also without the dots, as in latent diffusion); as a
list of tensors in the order of the weights (``shadow_params``); last in a list of model, optimizer, epoch, step. It is
taken where it exists, and a line in the log says so (logger of this module, level WARNING). A name alone does not make
an average: its tensors have to be most of the model's, in their shapes. The state of an optimizer (``exp_avg``) is
never taken.

Only tensors are read from a file: safetensors, or torch's format with ``weights_only=True``.
"""

from __future__ import annotations

import io
import logging
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["Read", "is_average", "read", "shown"]

LOG = logging.getLogger(__name__)
AVERAGED = re.compile(r"(?<![a-z])(emas?|ewmas?|shadows?|averag(e|ed|es)|avgs?|swa|polyak)(?![a-z])")
#: names of an optimizer's state, some of which is called an average as well
OPTIMIZER = re.compile(
    r"^opt(_states?)?$|momentum(_buffers?)?$|(?<![a-z])(optims?|optimi[sz]ers?|adamw?|(square|grad)_avg)(?![a-z])"
    r"|(?<![a-z])exp_?(avg|average)"
)
#: names that may or may not be those of an average
PERHAPS = re.compile(r"(?<![a-z])(target|teacher|slow|smoothed)(?![a-z])")
#: names of the model's set among several, where none is a moving average; the first that exists is taken
USUAL = (
    "state_dict",
    "model_state_dict",
    "model",
    "params",
    "net",
    "network",
    "unet",
    "denoiser",
    "generator",
    "weights",
)
#: counters that are kept among the tensors
COUNTERS = {"n_averaged", "num_updates", "decay", "initted", "step", "updates", "epoch", "global_step"}
#: names of tensors that belong to an optimizer
MOMENTS = re.compile(r"(^|\.)(optimizers?|(max_)?exp_avg(_sq)?s?|momentum_buffer|square_avg)(\.|$)")
WRAPPERS = ("module.", "_orig_mod.")  # of data-parallel training and of torch.compile


class Read(dict[str, Tensor]):
    """Tensors by name, and where in the file they were.

    ``taken`` is the place, such as "ema_state_dict" or "[3].ema"; "" is the file itself. ``averaged`` says whether it
    is a moving average. ``others`` are the places of the other sets of weights in the file.
    """

    def __init__(self, tensors: Mapping[str, Tensor], taken: str, averaged: bool, others: Iterable[str]) -> None:
        super().__init__(tensors)
        self.taken, self.averaged, self.others = taken, averaged, tuple(others)

    @property
    def said(self) -> str:
        """What was taken, in words; empty where there was nothing to choose."""
        if not self.averaged and not self.others:
            return ""
        beside = f", not what is under {', '.join(map(repr, self.others))}" if self.others else ""
        taken = f"under {self.taken!r}" if self.taken else "of the file itself"
        if self.averaged:
            return f"the moving average {taken} was taken{beside}"
        perhaps = [x for x in self.others if PERHAPS.search(_words(x))]
        may = f"; {', '.join(map(repr, perhaps))} may be one by its name: save that alone, if it is" if perhaps else ""
        return f"the weights {taken} were taken{beside}; no moving average was found{may}"


def read(path: str | Path) -> Read:
    """The tensors of a weight file by name: ``.safetensors``, or anything that ``torch.load(weights_only=True)`` takes.

    Raises FileNotFoundError where there is no file, and ValueError, listing the file's keys, for a file that holds
    anything else, no weights, or several sets of which none is the usual one.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder: expected a weight file; it holds: {shown(x.name for x in path.iterdir())}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no weight file {path}")
    try:
        content = _content(path)
    except Exception as error:  # torch's reader can raise anything on garbage
        hit = re.search(r"GLOBAL (\S+)", str(error))
        asked = f": it asks for {hit[1]}" if hit else f" ({type(error).__name__})"
        keys = f" Names in it: {shown(names)}." if (names := _glimpse(path)) else ""
        raise ValueError(
            f"{path} is refused, it is damaged or holds more than tensors{asked}. Unpickling such a file can run code "
            f"that came with it. If you trust its source, save its tensors alone (safetensors) and load those.{keys}"
        ) from None
    try:
        found = _chosen(list(_sets(content)), list(_unnamed(content)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; the file holds {_outline(content)}") from None
    if found is None:
        raise ValueError(f"{path} holds no state dict: expected tensors by name, got {_outline(content)}")
    if found.said:
        LOG.warning("%s: %s", path, found.said)
    return found


def shown(names: Iterable[Any], first: int = 8) -> str:
    """The first few of these names, as text."""
    found = [str(x) for x in names]
    return ", ".join(found[:first]) + (f" and {len(found) - first} more" if len(found) > first else "")


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        import safetensors.torch

        return safetensors.torch.load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are about the pickle's protocol; what matters is raised
        return torch.load(path, map_location="cpu", weights_only=True)


@dataclass(frozen=True)
class _Set:
    """Tensors by name that lie together; ``listed``: at a place in a list instead of under a name."""

    where: str
    tensors: dict[str, Tensor]
    averaged: bool
    listed: bool = False


def is_average(name: Any) -> bool:
    """Whether this is a name of a moving average."""
    return AVERAGED.search(_words(name)) is not None and not _is_optimizer(name)


def _words(name: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", str(name)).lower()


def _is_optimizer(name: Any) -> bool:
    return OPTIMIZER.search(_words(name)) is not None


def _children(content: Any, where: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield (place, value, whether its name is an average's) of what may hold weights; an optimizer may not."""
    if isinstance(content, Mapping) and "param_groups" not in content:
        for key, value in content.items():
            if not _is_optimizer(key):
                yield f"{where}.{key}".lstrip("."), value, is_average(key)
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield f"{where}[{i}]", value, False


def _sets(
    content: Any, where: str = "", averaged: bool = False, depth: int = 0, listed: bool = False
) -> Iterator[_Set]:
    """Yield all sets of weights in the content of a file."""
    if depth > 6:
        return
    inner: list[_Set] = []
    for place, value, is_average in _children(content, where):
        if not isinstance(value, Tensor):
            inner += _sets(value, place, averaged or is_average, depth + 1, isinstance(content, list | tuple))
    if isinstance(content, Mapping) and "param_groups" not in content:
        tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
        for wrapper in WRAPPERS:
            tensors = {k.removeprefix(wrapper): v for k, v in tensors.items()}
        tensors = {k: v for k, v in tensors.items() if not (k in COUNTERS and v.numel() == 1)}
        kept = {k: v for k, v in tensors.items() if not MOMENTS.search(k)}
        tensors = kept or tensors
        if tensors and (any("." in k for k in tensors) or not (inner or all(v.numel() == 1 for v in tensors.values()))):
            yield from _split(_Set(where, tensors, averaged, listed))
    yield from inner


def _split(whole: _Set) -> Iterator[_Set]:
    """The set; or the two sets where a moving average lies in it under a prefix of its own."""
    heads = {k.partition(".")[0] for k in whole.tensors if "." in k}
    rest = {k: v for k, v in whole.tensors.items() if not is_average(k.partition(".")[0])}
    found = []
    for head in sorted(h for h in heads if is_average(h)):
        part = {k.partition(".")[2]: v for k, v in whole.tensors.items() if k.startswith(f"{head}.")}
        part = {k: v for k, v in part.items() if not (k in COUNTERS and v.numel() == 1)}
        names = _names_of_most(part, rest) if rest else {k: k for k in part}
        if part and names is not None:
            found.append(_Set(f"{whole.where}.{head}.*".lstrip("."), {names[k]: v for k, v in part.items()}, True))
    if not found:
        yield whole
        return
    yield from found
    if rest:
        yield _Set(whole.where or "the other names", rest, whole.averaged, whole.listed)


def _names(average: Iterable[str], weights: Iterable[str]) -> dict[str, str] | None:
    """The dotted name of each of an average's tensors, where all of them are among the weights; else None.

    A first part of the weights' names (``model.``) may be left out, and all dots.
    """
    table: dict[str, str] = {}
    for key in weights:
        for name in (key, key.partition(".")[2]):
            table.setdefault(name, name)
            table.setdefault(name.replace(".", ""), name)
    found = {k: table.get(k) for k in average}
    return {k: v for k, v in found.items() if v} if all(found.values()) else None


def _names_of_most(average: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, str] | None:
    """``_names``, where these are most of the parameters, or of those under the largest prefix, in the same shapes.

    Else it is None, and so it is for names without a dot, which are those of a single layer.
    """
    names = _names(average, weights)
    if names is None or not all("." in name for name in names.values()):
        return None
    heads: dict[str, set[str]] = {}
    for key in filter(_is_parameter, weights):
        head, _, tail = key.partition(".")
        heads.setdefault(head, set()).add(tail)
    largest = max(heads, key=lambda head: len(heads[head]))
    found = set(names.values())
    for owner in ({k: k for k in weights}, {tail: f"{largest}.{tail}" for tail in heads[largest]}):
        asked = {k for k in owner if _is_parameter(k)}
        fits = all(average[k].shape == weights[owner[name]].shape for k, name in names.items() if name in owner)
        if fits and 2 * len(found & asked) > len(asked):
            return names
    return None


def _is_parameter(name: str) -> bool:
    """Whether this is not the name of a buffer of a normalization, which averages leave out."""
    return re.search(r"running_(mean|var)$|num_batches", name) is None


def _unnamed(
    content: Any, where: str = "", averaged: bool = False, depth: int = 0
) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield averages that are lists of tensors, and their places."""
    listed = isinstance(content, list | tuple) and len(content) > 0 and all(isinstance(x, Tensor) for x in content)
    if listed and averaged:
        yield where, list(content)
    elif depth <= 6:
        for place, value, is_average in _children(content, where):
            yield from _unnamed(value, place, averaged or is_average, depth + 1)


def _chosen(sets: Sequence[_Set], unnamed: Sequence[tuple[str, list[Tensor]]]) -> Read | None:
    """The moving average, where there is one, else the weights. Raises ValueError where it is not known which."""
    plain, averages = [s for s in sets if not s.averaged], [s for s in sets if s.averaged]
    for where, tensors in unnamed[:1]:
        averages.append(_Set(where, _named(where, tensors, plain), True))
    alike = all(s.listed and s.tensors.keys() == plain[0].tensors.keys() for s in plain)
    if not averages and len(plain) > 1 and alike:  # the average is last, where it has no name
        averages, plain = [plain[-1]], plain[:-1]
    others = [s.where for s in sets] + [where for where, _ in unnamed]
    if averages:
        pairs = [(a, s) for a in averages for s in plain if _names(a.tensors, s.tensors)]
        average, owner = pairs[0] if pairs else (averages[0], None)
        if owner is None and plain:
            raise ValueError(
                f"the moving average under {average.where!r} ({shown(average.tensors, 4)}) has other names than the "
                f"weights under {plain[0].where!r} ({shown(plain[0].tensors, 4)}): save the one that you want alone"
            )
        parameters = [k for k in owner.tensors if _is_parameter(k)] if owner is not None else []
        if owner is not None and 2 * len(average.tensors) <= len(parameters):
            raise ValueError(
                f"what is under {average.where!r} ({shown(average.tensors, 4)}) is called a moving average and has "
                f"{len(average.tensors)} of the {len(parameters)} weights under {owner.where!r}: save the weights alone"
            )
        merged = dict(average.tensors)
        if owner is not None and set(merged) < set(owner.tensors):  # averages hold parameters, not buffers
            merged = {k: merged.get(k, v) for k, v in owner.tensors.items()}
        return Read(merged, average.where, True, (x for x in others if x != average.where))
    if len(plain) > 1:
        by_name = {s.where.rpartition(".")[2]: s for s in reversed(plain)}
        usual = next((by_name[name] for name in USUAL if name in by_name), None)
        if usual is None:
            raise ValueError(
                f"it holds several sets of weights, under {shown(repr(s.where) for s in plain)}: save one alone"
            )
        plain = [usual]
    return Read(plain[0].tensors, plain[0].where, False, (x for x in others if x != plain[0].where)) if plain else None


def _named(where: str, tensors: list[Tensor], plain: Sequence[_Set]) -> dict[str, Tensor]:
    """Names for a list in the order of the parameters: those of the weights beside it."""
    for weights in plain:
        parameters = {k: v for k, v in weights.tensors.items() if _is_parameter(k)}
        for owner in (weights.tensors, parameters):
            if [x.shape for x in owner.values()] == [x.shape for x in tensors]:
                return dict(zip(owner, tensors, strict=True))
    raise ValueError(
        f"the moving average under {where!r} is a list of {len(tensors)} tensors without names, which fits no set of "
        "weights beside it by number and shapes: save it by name"
    )


def _outline(content: Any, depth: int = 0) -> str:
    """The type and the keys of the content, in words."""
    kind = type(content).__name__
    if isinstance(content, Mapping):
        return f"{kind} with the keys {shown(content) or 'none'}" if len(content) else f"{kind} without keys"
    if isinstance(content, list | tuple) and depth == 0:
        return f"{kind} of {len(content)}: " + "; ".join(_outline(x, 1) for x in islice(content, 6))
    return kind


def _glimpse(path: Path) -> list[str]:
    """The first names in a pickle, whose instructions are read and not run."""
    names: dict[str, None] = {}
    with suppress(Exception):  # whatever is wrong with it
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next(x for x in archive.namelist() if x.endswith("data.pkl"))
                with archive.open(inner) as file:
                    stream = io.BytesIO(file.read(1 << 20))
        else:
            with path.open("rb") as raw:
                stream = io.BytesIO(raw.read(1 << 20))
        for _ in range(4):  # torch's old format has four of them
            for operation, value, _ in pickletools.genops(stream):
                if "UNICODE" in operation.name and re.fullmatch(r"[A-Za-z_][\w.\-]{0,80}", str(value)):
                    names.setdefault(str(value))
                if len(names) > 40:
                    break
    outside = {"storage", "cpu", "protocol_version", "little_endian", "type_sizes", "short", "int", "long"}
    return [name for name in names if name not in outside]
