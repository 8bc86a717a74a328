"""What a metric is, and what it is given: a file of this room adds one in its dictionary ``METRICS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from .arrays import Floats

#: how often each image counts (n,) -> value
Statistic = Callable[[Floats], float]


class Extractor(Protocol):
    """A network that sees images: their features and the probabilities of classes."""

    def features_and_probabilities(self, images: Any) -> tuple[Floats, Floats]:
        """Features (n, k) and probabilities (n, classes) of images (n, C, H, W)."""
        ...  # pragma: no cover - protocol


class Reference(Protocol):
    """What is kept of real images: their features (n, k), and what the metrics make of them."""

    @property
    def features(self) -> Floats:
        """Features of real images, (n, k)."""
        ...  # pragma: no cover - protocol


@dataclass(frozen=True)
class Metric:
    """A number that ``Judge`` gives, and that tables can show.

    Parameters
    ----------
    title : str
        How tables call it.
    of : callable
        What computes it; its arguments depend on ``over``.
    over : {"samples", "real", "pairs", "trajectories"}, default "samples"
        "samples": ``of(judged)`` is a function of how often each sample counts; its interval comes from drawing the
        samples anew. "real": likewise of how often each real image counts. "pairs": ``of(images, full)`` is a value per
        image against the same noise in full precision, of which the median is taken. "trajectories": likewise of all
        calls of a run; tables have none.
    biased : bool
        Whether the value has a bias in 1/n large enough to decide, which tables and claims take away.
    """

    title: str
    of: Callable[..., Any]
    over: Literal["samples", "real", "pairs", "trajectories"] = "samples"
    biased: bool = False


class Judged:
    """A set of images (n, C, H, W) as the metrics see it.

    features, probabilities: of the classifier, (n, k) and (n, classes). seen: the images clamped to [-1, 1].
    reference: statistics of real images. real: how many of those are compared with where the number matters, as many as
    there are samples, or all that are kept.
    """

    def __init__(self, images: np.ndarray, extractor: Extractor, reference: Any) -> None:
        self.features, self.probabilities = extractor.features_and_probabilities(images)
        self.images, self.seen, self.reference = images, np.clip(images, -1, 1), reference
        self.real = min(len(images), len(reference.features))
        self._made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made once for all metrics that ask for it by this name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
