"""Drift is measured on some utterances, at the age that they have then, and changes nothing."""

from collections import Counter

import numpy as np
import pytest
from toy import Toy, digest, of_kind, settings

from workbench.engine import Cost, free, load_machine
from workbench.training import OuterSource

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)
MMI = settings(criterion="mmi", replicas=5, epochs=3.0)
FORMS = {
    "free": (MMI, free),
    "cost": (MMI, PAPER),
    "bound and shards": (MMI.replace(staleness_bound=2, shards=3), PAPER),
    "prefetch": (MMI.replace(prefetch=True, fetch_every=2), PAPER),
    "common fetch": (MMI.replace(decoder_fetch="synchronous", decoder_seconds=2.0), PAPER),
    "no shuffling": (MMI.replace(shuffling="none"), PAPER),
    "fresh": (MMI.replace(auxiliary="fresh"), PAPER),
}


def without_drift(rows) -> list[dict]:
    """All rows but those of drift."""
    return [row for row in rows if row["kind"] != "drift"]


@pytest.mark.parametrize("form", FORMS)
def test_measuring_drift_changes_nothing_else(form):
    """Parameters, rows and their times are those of a run that measures none."""
    chosen, clock = FORMS[form]
    plain = TOY.run(chosen, clock)
    measured = TOY.run(chosen.replace(drift_every=2), clock)
    assert of_kind(measured.rows, "drift")
    assert not of_kind(plain.rows, "drift")
    assert np.array_equal(measured.theta, plain.theta)
    assert digest(without_drift(measured.rows)) == digest(plain.rows)
    assert measured.outcome.ticks == plain.outcome.ticks


@pytest.mark.parametrize("form", FORMS)
def test_each_utterance_that_trains_is_measured_once(form):
    """With drift_every=1, as often as it was decoded with kept frames, and never twice."""
    chosen, clock = FORMS[form]
    rows = TOY.run(chosen.replace(drift_every=1), clock).rows
    decoded = Counter(row["utterance"] for row in of_kind(rows, "decode") if row["kept"])
    assert Counter(row["utterance"] for row in of_kind(rows, "drift")) == decoded


def test_utterances_are_drawn_at_random_in_the_share_that_was_asked_for():
    """Of many, about one in four; all replicas and all parts of the training have some."""
    toy = Toy(utterances=400)
    rows = toy.run(MMI.replace(drift_every=4), PAPER).rows
    drifts = of_kind(rows, "drift")
    decoded = sum(row["kept"] > 0 for row in of_kind(rows, "decode"))
    assert len(drifts) == pytest.approx(decoded / 4, rel=0.2)
    assert {row["process"] for row in drifts} == {f"replica {i}" for i in range(5)}
    thirds = np.array([row["version"] for row in drifts]) * 3 // len(of_kind(rows, "push"))
    assert set(thirds) == {0, 1, 2}


def test_ages_are_those_between_the_two_sets_of_parameters():
    """Updates between the versions, and seconds between the times at which they were current."""
    rows = TOY.run(MMI.replace(drift_every=1, shards=2), PAPER).rows
    drifts = of_kind(rows, "drift")
    for row in drifts:
        behind = np.subtract(row["versions"], row["outer_versions"])
        assert row["staleness"] == behind.mean() >= 0
        assert 0 <= row["age_seconds"] <= row["seconds"]
        assert (row["distances"][0] == 0) == (row["staleness"] == 0)
        if row["staleness"] == 0:
            assert row["cosine"] == pytest.approx(1, abs=1e-6)

    ages = [row["age_seconds"] for row in drifts]
    outer = [row["outer_seconds"] - row["inner_seconds"] for row in of_kind(rows, "push")]
    assert np.mean(ages) == pytest.approx(np.mean(outer), rel=0.25)


def test_older_outer_gradients_have_turned_further():
    """Where decoders never fetch again, distance grows and the cosine falls with age."""
    chosen = MMI.replace(
        drift_every=1, decoder_fetch="synchronous", decoder_seconds=1e6, epochs=6.0
    )
    drifts = of_kind(TOY.run(chosen, PAPER).rows, "drift")
    young = [row for row in drifts if row["staleness"] < 20]
    old = [row for row in drifts if row["staleness"] > 60]
    for name, sign in (("distances", 1), ("cosine", -1)):
        assert sign * np.mean([row[name] for row in old]) > sign * np.mean(
            [row[name] for row in young]
        )


def test_a_source_needs_to_know_how_drift_is_measured():
    """Without a function it is refused where the replica is wired, not when drift is due."""
    with pytest.raises(ValueError, match="drift_every needs a function"):
        OuterSource("decoded 0", MMI.replace(drift_every=5))
