"""The metrics against libraries that other people wrote: POT (optimal transport) and prdc."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modiff_sim.metrics import frechet_distance, precision_recall, sliced_wasserstein
from modiff_sim.metrics.wasserstein import projected

SETS = st.tuples(st.integers(8, 40), st.integers(8, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))


def two_sets(drawn):
    n, m, k, seed = drawn
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, k)), 1.5 * rng.standard_normal((m, k)) + 0.5


@given(SETS)
def test_the_sliced_distance_is_that_of_optimal_transport_along_the_same_directions(drawn):
    ot = pytest.importorskip("ot")
    x, y = two_sets(drawn)
    directions = projected(np.eye(x.shape[1]))
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions, p=2)
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=1e-9)


@given(SETS)
def test_the_frechet_distance_is_the_squared_bures_distance_of_both_gaussians(drawn):
    ot = pytest.importorskip("ot")
    x, y = two_sets(drawn)
    moments = [(z.mean(axis=0), np.cov(z, rowvar=False, bias=True).reshape(z.shape[1], -1)) for z in (x, y)]
    (mean_x, cov_x), (mean_y, cov_y) = moments
    expected = ot.gaussian.bures_wasserstein_distance(mean_x, mean_y, cov_x, cov_y) ** 2
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-6)


@given(SETS, st.integers(1, 5))
def test_precision_recall_density_and_coverage_are_those_of_their_authors(drawn, k):
    prdc = pytest.importorskip("prdc")
    made, real = two_sets(drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = prdc.compute_prdc(real_features=real, fake_features=made, nearest_k=k)
    found = precision_recall(made, real, k=k)
    assert {name: found[name] for name in expected} == pytest.approx({n: float(v) for n, v in expected.items()})
