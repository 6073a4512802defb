"""Distances between distributions, on samples whose distances are known."""

import math

import numpy as np
import pytest

from workbench.metrics.distance import Distance, distance


def test_equal_samples_have_no_distance():
    """The same values in another order, and values that are not numbers, make none."""
    values = np.array([3.0, 1.0, 2.0, 2.0])
    assert distance(values, np.array([math.nan, 1.0, 2.0, 2.0, 3.0])) == Distance(0.0, 0.0)


@pytest.mark.parametrize("shift", [0.5, 10.0])
def test_a_shift_is_the_distance_by_which_values_move(shift):
    """Wasserstein's distance is the shift, Kolmogorov and Smirnov's the share that left its bin."""
    values = np.arange(100, dtype=np.float64)
    found = distance(values, values + shift)
    assert found.wasserstein == pytest.approx(shift)
    assert found.kolmogorov_smirnov == pytest.approx(math.ceil(shift) / 100)


def test_distributions_that_do_not_meet():
    """Nothing in common is the largest distance; no sample has none at all."""
    assert distance(np.zeros(4), np.ones(7)) == Distance(1.0, 1.0)
    nothing = distance(np.zeros(4), np.array([math.nan]))
    assert math.isnan(nothing.kolmogorov_smirnov)
    assert math.isnan(nothing.wasserstein)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [5, 7, 13])
def test_samples_that_differ_in_one_value(count):
    """The exact p of these would be above one, which scipy warns of; nobody asks for it."""
    one = np.zeros(count)
    other = np.eye(1, count)[0]
    assert distance(one, other).kolmogorov_smirnov == pytest.approx(1 / count)
