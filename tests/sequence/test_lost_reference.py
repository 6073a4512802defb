"""MMI where the lattice has lost the reference: it has an upper bound, and the right gradient."""

import numpy as np
import pytest
from hypothesis import given
from oracles import log_softmax, slopes
from utterances import EXACT, FRAMES, KAPPA, SAID, SEEDS, few, paths_of, prior, random_logits, task

from workbench.sequence.lattice import restrict
from workbench.sequence.lattice_pair import LatticePair, acoustic_scores
from workbench.sequence.outer_gradient import FrameGradients, against_lattice
from workbench.sequence.search import search
from workbench.settings import Settings

OTHER = (1,)


def without_reference(logits: np.ndarray, settings: Settings = EXACT) -> FrameGradients:
    """The gradients against a lattice of other words only."""
    scores = acoustic_scores(log_softmax(logits).astype(np.float32), prior(), settings.criterion)
    lattice = search(task().denominator, scores, np.inf, np.inf, 10**6)
    pair = LatticePair(restrict(lattice, SAID), restrict(lattice, OTHER), outside=True)
    return against_lattice(pair, settings.criterion)


def joined_mmi(logits: np.ndarray) -> float:
    """log of the reference's share of the paths of the reference and of the other words."""
    paths = paths_of(logits)
    reference = paths.saying(SAID).total()
    return reference - float(np.logaddexp(reference, paths.saying(OTHER).total()))


@few
@given(SEEDS)
def test_a_lost_reference_is_added_to_the_denominator(seed):
    """The gradient is that of the reference's share among its paths and those of the lattice."""
    logits = random_logits(seed)
    found = without_reference(logits)
    gradient = KAPPA * found.rows.dense(task().states.count)
    np.testing.assert_allclose(gradient, slopes(joined_mmi, logits), atol=2e-6)
    assert np.isnan(found.value)
    assert found.num - np.logaddexp(found.num, found.den) == pytest.approx(joined_mmi(logits))


@pytest.mark.parametrize("criterion", ["mmi", "bmmi"])
def test_a_search_that_fails_is_not_rewarded(criterion):
    """Where the reference is far better than what was found, nothing is left to be gained."""
    logits = random_logits(3)
    best = paths_of(logits).saying(SAID).states[0]
    logits[np.arange(FRAMES), best] += 200.0
    found = without_reference(logits, EXACT.replace(criterion=criterion, boost=0.5))
    assert found.num > found.den + 50
    assert found.magnitude.max() < 1e-6

    logits[np.arange(FRAMES), best] -= 400.0
    found = without_reference(logits, EXACT.replace(criterion=criterion, boost=0.5))
    assert found.num < found.den - 50
    assert found.magnitude.max() > 0.5
