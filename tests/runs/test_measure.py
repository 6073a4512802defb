"""What the measurement of held-out utterances counts, sets aside, and calls a divergence."""

import math
from dataclasses import replace

import numpy as np
import pytest

from workbench import runs
from workbench.hmm.scores import NOT_FINITE, TOO_LARGE
from workbench.metrics.criterion import Criterion
from workbench.metrics.frames import count_frames
from workbench.metrics.words import word_errors
from workbench.prepare.corpus import Corpus
from workbench.runs.divergence import how_it_diverged
from workbench.runs.measure import (
    UtteranceMeasurement,
    held_out_criterion,
    is_broken,
    total_measurement,
)
from workbench.runs.task import Task
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice_pair import OUTSIDE, UNALIGNED
from workbench.settings import Settings, preset
from workbench.storage.rows import EvaluateRow
from workbench.storage.run import RunState, find_run
from workbench.training import Diverged
from workbench.training.schedule import Schedule

FRAMES = 4
STATES = 990


def decoded(value: float, reason: str | None, num: float = -9.0, den: float = -8.0) -> Decoded:
    """An utterance of four frames, all kept."""
    return Decoded(
        utterance=0,
        frames=FRAMES,
        kept=np.arange(FRAMES, dtype=np.int32),
        indptr=np.zeros(FRAMES + 1, np.int64),
        states=np.zeros(0, np.int32),
        values=np.zeros(0, np.float32),
        mass=0.0,
        value=value,
        reason=reason,
        rejected=0,
        cancelled=0,
        words=(),
        reference=(),
        numerator_states=np.zeros(FRAMES, np.int32),
        num=num,
        den=den,
        beam=8.0,
    )


def measured(trained: Criterion, **changes: bool) -> UtteranceMeasurement:
    """An utterance of one word in four frames, and its value of the criterion."""
    states = np.zeros(FRAMES, np.int64)
    part = UtteranceMeasurement(
        mmi=trained,
        trained=trained,
        speaker="s",
        words=word_errors(("a",), ("a",)),
        frames=count_frames(states, states, np.array([1])),
        log_posterior=-2.0,
        reference_lost=False,
        found_path=True,
        broken=False,
    )
    return replace(part, **changes)


@pytest.mark.parametrize("value", [3.0, 0.0])
def test_a_criterion_with_a_value_counts_although_the_reference_is_lost(value):
    """MPE and sMBR have a value on any lattice: 3 right frames of 4 are an average of 0.75."""
    part = held_out_criterion(decoded(value, OUTSIDE))
    assert part.per_frame == value / FRAMES
    assert part.set_aside_total == 0


def test_a_lost_reference_is_added_to_the_denominator():
    """MMI and bMMI have no value without the reference; with it the value is below 0."""
    part = held_out_criterion(decoded(math.nan, OUTSIDE))
    assert part.value == pytest.approx(-9.0 - np.logaddexp(-9.0, -8.0))
    assert part.set_aside_total == 0


def test_an_utterance_without_a_value_is_set_aside_by_its_reason():
    """It leaves the sum and the frames, and never counts as 0, the largest value of MMI."""
    for reason in (UNALIGNED, NOT_FINITE):
        part = held_out_criterion(decoded(math.nan, reason))
        assert part.frames_used == 0
        assert [count.reason for count in part.set_aside] == [reason]


def test_an_average_over_nothing_is_not_a_divergence():
    """If no utterance has a value there is no criterion: the run goes on, and the rate may fall."""
    nothing = held_out_criterion(decoded(math.nan, UNALIGNED))
    total = total_measurement([measured(nothing)] * 3, sequence=True)
    assert total.criterion is None
    assert total.mmi is None
    assert total.set_aside == 3
    assert not how_it_diverged(total, None, STATES)
    assert Schedule().after(total.criterion, Settings().updates).flat == 1


@pytest.mark.parametrize(("ce", "diverged"), [(-838.0, True), (-14.9, True), (-14.7, False)])
def test_posteriors_that_have_come_apart_are_a_divergence(ce, diverged):
    """MMI can stand at 0, its maximum, where every search fails; cross entropy then tells."""
    total = replace(total_measurement([measured(Criterion.of(0.0, FRAMES))], True), ce=ce)
    assert total.criterion == 0.0
    assert bool(how_it_diverged(total, -0.06, STATES)) == diverged


@pytest.mark.parametrize("reason", [NOT_FINITE, TOO_LARGE])
@pytest.mark.parametrize("sequence", [False, True])
def test_broken_scores_of_all_utterances_are_a_divergence(reason, sequence):
    """This holds for cross entropy too, whose own value may still be finite; one utterance in three
    is only counted.
    """
    fault = decoded(math.nan, reason)
    assert is_broken(fault)
    broken = measured(held_out_criterion(fault), broken=True, found_path=False)
    good = measured(Criterion.of(-1.0, FRAMES))

    total = total_measurement([broken] * 3, sequence)
    assert how_it_diverged(total, None, STATES)
    assert total.mmi is None

    total = total_measurement([good, broken, good], sequence)
    assert not how_it_diverged(total, None, STATES)
    assert total.mmi == -0.25
    assert total.broken == 1
    assert total.no_path == 1
    assert total.set_aside == 1


def test_what_is_set_aside_is_counted_for_the_criterion_that_is_trained():
    """Two utterances have F_MMI but no value of the trained criterion."""
    good = Criterion.of(-1.0, FRAMES)
    nothing = Criterion.of(math.nan, FRAMES, UNALIGNED)
    parts = [measured(good), *[replace(measured(nothing), mmi=good)] * 2]
    assert total_measurement(parts, sequence=True).set_aside == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 3.0, "evaluate_every": 0.25},
        {"optimizer": "adagrad", "learning_rate": 100.0},
        {"criterion": "mmi", "learning_rate": 100.0, "batch": 16},
    ],
)
def test_a_run_that_explodes_ends_as_diverged_or_in_numbers(tiny_home, changes):
    """It neither crashes nor ends as done with a criterion that is NaN."""
    corpus = Corpus.open("tiny")
    settings = preset("tiny", **{"epochs": 1.0, **changes})
    name = "-".join(str(value) for value in changes.values())
    try:
        run = runs.train(corpus, settings, name=name)
    except Diverged:
        assert find_run(name).status().state == RunState.DIVERGED
        return

    assert run.status().state == RunState.DONE
    for row in run.rows(EvaluateRow):
        assert row.measured.criterion is not None
        assert math.isfinite(row.measured.criterion)
        assert row.measured.mmi is None or row.measured.mmi < 0
        assert row.measured.broken is not None
        assert row.measured.broken < len(Task(corpus, settings).heldout)
