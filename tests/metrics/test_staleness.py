"""Staleness from the rows of pushes, against schedules whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metrics.staleness import histogram, staleness, summary

ROWS = [
    {
        "kind": "push",
        "version": 4,
        "inner_version": 4,
        "outer_version": 1.5,
        "seconds": 0.1,
        "outer_seconds": 2.0,
    },
    {"kind": "fetch", "version": 99},
    {"kind": "push", "version": 9, "inner_versions": [5, 7], "outer_version": None, "seconds": 0.5},
    {"version": [8, 10], "inner_versions": [7, 7], "outer_version": 3.0},
]


def test_by_hand():
    """Inner and outer staleness are the server's version less theirs, averaged over shards; what is missing is nan."""
    found = staleness(ROWS)
    np.testing.assert_array_equal(found.inner, [0, 3, 2])
    np.testing.assert_array_equal(found.outer, [2.5, math.nan, 6])
    np.testing.assert_array_equal(found.skew, [0, 2, 0])
    np.testing.assert_array_equal(found.inner_seconds, [0.1, 0.5, math.nan])
    np.testing.assert_array_equal(found.outer_seconds, [2.0, math.nan, math.nan])
    ahead = [
        {"version": 5, "versions": [5, 7], "inner_versions": [5, 6]}
    ]  # the second shard is ahead of the first
    np.testing.assert_array_equal(staleness(ahead).inner, [0.5])


def test_a_table_is_read_like_its_rows():
    """A DataFrame, in which missing fields are NaN, gives the same columns as the dicts that it was made from."""
    rows, table = staleness(ROWS[:3]), staleness(pd.DataFrame(ROWS[:3]))
    for name in ("inner", "outer", "inner_seconds", "outer_seconds", "skew"):
        np.testing.assert_array_equal(getattr(table, name), getattr(rows, name))


@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_replicas_in_lockstep(replicas):
    """Where n equal replicas push in turn and fetch after each push, staleness is n - 1 once they are under way."""
    fetched, rows = [0] * replicas, []
    for version in range(10 * replicas):
        replica = version % replicas
        rows.append({"version": version, "inner_version": fetched[replica]})
        fetched[replica] = version + 1
    found = staleness(rows)
    assert (found.inner[replicas:] == replicas - 1).all() and (found.skew == 0).all()


def test_parameters_from_the_future_are_refused():
    """A push cannot have used a version that the server did not have yet."""
    with pytest.raises(ValueError, match="push 1 used inner"):
        staleness([{"version": 3, "inner_version": 3}, {"version": 3, "inner_version": 4}])
    with pytest.raises(ValueError, match="outer"):
        staleness([{"version": 3, "outer_version": 3.5}])


def test_summary_by_hand():
    """Missing values are left out; of nothing there is nothing to say."""
    found = summary(np.array([1.0, math.nan, 2.0, 9.0]))
    assert (found.count, found.mean, found.median, found.max) == (3, 4.0, 2.0, 9.0)
    assert found.p95 == pytest.approx(2 + 0.9 * 7)
    assert summary(np.array([])).count == 0 and math.isnan(summary(np.array([])).p95)
    assert staleness([]).inner.shape == (0,)


@given(st.lists(st.integers(0, 1000), max_size=50), st.booleans(), st.integers(1, 60))
def test_histogram_counts_every_value_once(values, whole, bins):
    """All values fall into the bins, of which there are no more than asked for; whole bins are centred on numbers."""
    found = histogram(np.array([*values, math.nan]), bins, whole)
    assert found.counts.sum() == len(values) and 1 <= len(found.counts) <= bins
    assert len(found.edges) == len(found.counts) + 1
    if whole:
        assert not ((found.edges - 0.5) % 1).any() and found.edges[0] == -0.5
