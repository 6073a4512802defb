"""Staleness from rows of pushes, against schedules whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import Toy, settings

from workbench.engine import Cost, Local, load_machine
from workbench.metrics.staleness import (
    expected_outer_age,
    histogram,
    kept_frames,
    staleness,
    summarise_ages,
)
from workbench.runs.toy import Exploration, expected_age, explore
from workbench.storage.rows import OuterAge, PushRow, Row


def push(
    versions: tuple[int, ...],
    inner_versions: tuple[int, ...],
    inner_seconds: float = 0.0,
    outer: OuterAge | None = None,
) -> PushRow:
    """A row as replicas emit it; what staleness does not depend on is left at 0."""
    shards = range(len(versions))
    inner = [versions[i] - inner_versions[i] for i in shards]
    return PushRow(
        replica=0,
        step=0,
        status="applied",
        batch=32,
        version=versions[0],
        versions=versions,
        inner_versions=inner_versions,
        staleness_inner=sum(inner) / len(inner),
        inner_seconds=inner_seconds,
        skew=max(inner_versions) - min(inner_versions),
        outer=outer,
        frames=32,
        idle_seconds=0.0,
    )


def outer_age(version: float, staleness: float, seconds: float) -> OuterAge:
    """The same age for all frames of a batch."""
    return OuterAge(
        version=version,
        version_min=version,
        version_max=version,
        staleness=staleness,
        staleness_min=staleness,
        staleness_max=staleness,
        seconds=seconds,
        seconds_min=seconds,
        seconds_max=seconds,
    )


def test_by_hand():
    """Staleness is the server's version less the used one, the mean over shards.

    A missing outer gradient is NaN.
    """
    pushes = [
        push((4,), (4,), 0.1, outer_age(version=1.5, staleness=2.5, seconds=2.0)),
        push((9, 9), (5, 7), 0.5),
        push((5, 7), (5, 6), 0.25, outer_age(version=3.0, staleness=3.0, seconds=4.0)),
    ]
    found = staleness(pushes)
    np.testing.assert_array_equal(found.inner, [0, 3, 0.5])
    np.testing.assert_array_equal(found.outer, [2.5, math.nan, 3])
    np.testing.assert_array_equal(found.inner_seconds, [0.1, 0.5, 0.25])
    np.testing.assert_array_equal(found.outer_seconds, [2.0, math.nan, 4.0])
    np.testing.assert_array_equal(found.skew, [0, 2, 1])


@pytest.mark.parametrize("criterion", ["ce", "mmi"])
def test_it_agrees_with_the_columns_that_replicas_write(criterion):
    """In a run, the ages computed from versions and times are those in the columns of its rows."""
    rows: list[PushRow] = []
    toy = Toy()
    s = settings(criterion=criterion, replicas=5, shards=3)

    def keep(row: Row) -> None:
        if isinstance(row, PushRow):
            rows.append(row)

    shards = toy.shards(s)
    executor = Local(Cost(load_machine("paper"), seed=1), s.asynchrony.channel)
    executor.run(toy.processes(s, shards), shards.servers(s), keep)

    found = staleness(rows)
    assert len(rows) > 10 and found.inner.max() > 1 and found.inner_seconds.min() > 0
    np.testing.assert_allclose(found.inner, [r.staleness_inner for r in rows])
    np.testing.assert_array_equal(found.inner_seconds, [r.inner_seconds for r in rows])
    np.testing.assert_array_equal(found.skew, [r.skew for r in rows])
    if criterion == "mmi":
        assert all(r.outer for r in rows)
        np.testing.assert_allclose(found.outer, [r.outer.staleness for r in rows])
        np.testing.assert_array_equal(found.outer_seconds, [r.outer.seconds for r in rows])
    else:
        assert np.isnan(found.outer).all() and np.isnan(found.outer_seconds).all()


@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_replicas_in_lockstep(replicas):
    """Where n equal replicas push in turn and fetch after each push, staleness becomes n - 1."""
    fetched = [0] * replicas
    rows = []
    for version in range(10 * replicas):
        replica = version % replicas
        rows.append(push((version,), (fetched[replica],)))
        fetched[replica] = version + 1
    found = staleness(rows)
    assert (found.inner[replicas:] == replicas - 1).all() and (found.skew == 0).all()


def test_parameters_from_the_future_are_refused():
    """A push cannot have used a version that the server did not have yet."""
    with pytest.raises(ValueError, match="push 1 used inner"):
        staleness([push((3,), (3,)), push((3,), (4,))])
    with pytest.raises(ValueError, match="outer"):
        staleness([push((3,), (3,), outer=outer_age(version=3.5, staleness=-0.5, seconds=0.0))])


def test_summary_by_hand():
    """Missing values are left out; a summary of nothing counts 0 and has NaN for the rest."""
    found = summarise_ages(np.array([1.0, math.nan, 2.0, 9.0]))
    assert (found.count, found.mean, found.median, found.max) == (3, 4.0, 2.0, 9.0)
    assert found.p95 == pytest.approx(2 + 0.9 * 7)
    empty = summarise_ages(np.array([]))
    assert empty.count == 0 and math.isnan(empty.p95)
    assert staleness([]).inner.shape == (0,)


@given(st.lists(st.integers(0, 1000), max_size=50), st.booleans(), st.integers(1, 60))
def test_histogram_counts_every_value_once(values, whole, bins):
    """All values fall into at most ``bins`` bins; whole bins are centred on numbers."""
    found = histogram(np.array([*values, math.nan]), bins, whole)
    assert found.counts.sum() == len(values) and 1 <= len(found.counts) <= bins
    assert len(found.edges) == len(found.counts) + 1
    if whole:
        assert not ((found.edges - 0.5) % 1).any() and found.edges[0] == -0.5


def test_the_closed_form_by_hand() -> None:
    """Frames of an utterance that keeps k are 0 to k - 1 steps old; each replica makes a step."""
    kept = kept_frames(np.array([3, 0, 1]))
    assert kept is not None
    assert kept == (2.0, 2.5)
    by_frame = np.mean([0, 1, 2, 0])  # three frames of one utterance, one of the other
    assert (kept.weighted - 1) / 2 == by_frame
    age = expected_outer_age(kept, replicas=10, batch=4, channel=3)
    assert age.low == pytest.approx(10 * (by_frame + 2.0 / 4))
    assert age.high == pytest.approx(10 * (by_frame + (1 + 3) * 2.0 / 4))
    assert kept_frames(np.zeros(5)) is None


@pytest.mark.slow
@pytest.mark.parametrize("replicas, batch", [(1, 32), (4, 128)])
def test_the_closed_form_foretells_the_machine(replicas: int, batch: int) -> None:
    """Replicas, decoders and channels on the cost clock come within a tenth of it."""
    exploration = Exploration(replicas=replicas, batch=batch, utterances=1200 * replicas)
    rows = explore(exploration)
    pushes = rows[rows.kind == "push"]
    middle = pushes.seconds.between(*(share * pushes.seconds.max() for share in (0.4, 0.8)))
    age = expected_age(exploration)
    measured = pushes[middle].staleness_outer.mean()
    assert 0.9 * age.low < measured < 1.1 * age.high
