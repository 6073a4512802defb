"""State tying: questions found in the data, splits that only ever gain, tables that answer for every context."""

import numpy as np
import pytest

from workbench.hmm.gaussians.contexts import Contexts
from workbench.hmm.gaussians.questions import clusters, log_likelihood, phone_sets
from workbench.hmm.gaussians.tree import self_loops, tie

PHONES = ("SIL", "a", "e", "p", "t", "z")
FLOOR = np.full(2, 1e-3)


def sums_of(x: np.ndarray) -> np.ndarray:
    return np.concatenate([[len(x)], x.sum(axis=0), (x**2).sum(axis=0)])


def planted(seed: int = 0, frames: int = 30) -> Contexts:
    """Contexts of which only this is true: a stop on the right pulls the last state of a vowel, by one whole unit."""
    draw = np.random.default_rng(seed)
    keys, sums = [], []
    for phone in range(5):  # "z" is never seen
        for left in range(5):
            for right in range(5):
                for position in range(3):
                    mean = np.array(
                        [3.0 * (phone in (1, 2)) + 0.3 * phone - 5 * (phone == 0), float(phone)]
                    )
                    if phone in (1, 2) and position == 2 and right in (3, 4):
                        mean = mean + [0, 1.0]
                    context = (0, 0, 0) if phone == 0 else (left, phone, right)
                    keys.append((*context, position))
                    sums.append(sums_of(draw.normal(mean, 0.3, (frames, 2))))
    key, row = np.unique(np.array(keys, np.int16), axis=0, return_inverse=True)
    total = np.zeros((len(key), 5))
    np.add.at(total, row.ravel(), np.array(sums))
    return Contexts(key, total[:, 0] / 4, total)


def test_likelihood_is_that_of_the_own_gaussian():
    """Sums give the likelihood of the frames under their maximum-likelihood Gaussian, but for its constants."""
    x = np.random.default_rng(0).normal([1, -2], [0.5, 2], (50, 2))
    mean, variance = x.mean(axis=0), x.var(axis=0)
    full = (-0.5 * np.log(2 * np.pi * variance) - (x - mean) ** 2 / (2 * variance)).sum()
    constant = -0.5 * x.size * (1 + np.log(2 * np.pi))
    assert log_likelihood(sums_of(x), FLOOR) == pytest.approx(full - constant)
    assert log_likelihood(np.zeros(5), FLOOR) == 0


def test_phones_that_sound_alike_meet_first():
    """Clustering merges the nearest Gaussians first and ends with all that were seen; the unseen are in no cluster."""
    draw = np.random.default_rng(1)
    means = [0.0, 10.0, 10.5, 0.4, 30.0]
    sums = np.stack([sums_of(draw.normal(m, 1, (100, 2))) for m in means] + [np.zeros(5)])
    found = [set(np.flatnonzero(c).tolist()) for c in clusters(sums, FLOOR)]
    assert found[:3] in ([{0, 3}, {1, 2}, {0, 1, 2, 3}], [{1, 2}, {0, 3}, {0, 1, 2, 3}])
    assert found[3] == {0, 1, 2, 3, 4}


def test_questions_are_found_in_the_data():
    """Vowels and stops come out as sets though nobody named them, each phone alone too, and no question twice."""
    sets = phone_sets(planted(), len(PHONES), FLOOR)
    found = {tuple(np.flatnonzero(s).tolist()) for s in sets}
    assert {(1, 2), (3, 4)} <= found
    assert {(p,) for p in range(6)} <= found
    assert len({min(s.tobytes(), (~s).tobytes()) for s in sets}) == len(sets)


def test_the_planted_dependence_is_the_first_to_be_split():
    """With two states to spare, exactly the last states of the vowels are split, by what follows them."""
    table = tie(planted(), PHONES, 20, 50, FLOOR).states.table
    for phone in (1, 2):
        last = table[:, phone, :, 2]
        assert len(np.unique(last)) == 2
        assert len(np.unique(last[:, [3, 4]])) == len(np.unique(last[:, [0, 1, 2]])) == 1
    assert all(
        len(np.unique(table[:, p, :, k])) == 1
        for p in range(6)
        for k in range(3)
        if (p, k) not in ((1, 2), (2, 2))
    )


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_never_falls_with_more_states(seed):
    """More states fit the frames counted at least as well, and there are as many as asked for while the data last."""
    contexts = planted(seed)
    ties = [tie(contexts, PHONES, count, 30, FLOOR) for count in (18, 20, 25, 40, 80)]
    assert [t.states.count for t in ties] == [18, 20, 25, 40, 80]
    likelihoods = [t.log_likelihood for t in ties]
    assert likelihoods == sorted(likelihoods)


def test_the_table_answers_for_every_context():
    """Seen or not, every context has a state of its own phone and position, each state is used, silence has three."""
    states = tie(planted(), PHONES, 60, 30, FLOOR).states
    assert states.silence.tolist() == [0, 1, 2]
    owner = {}
    for (_, phone, _, position), state in np.ndenumerate(states.table):
        assert owner.setdefault(state, (phone, position)) == (phone, position)
    assert sorted(owner) == list(range(60))
    assert np.array_equal(states.phone, [owner[s][0] for s in range(60)])


def test_states_have_the_frames_asked_for():
    """Splitting stops where halves would have too few frames, however many states were wanted."""
    contexts = planted()
    tying = tie(contexts, PHONES, 10_000, 200, FLOOR)
    assert tying.states.count < 100
    seen = tying.sums[:, 0]
    assert (seen[seen > 0] >= 200).all()
    assert seen.sum() == contexts.sums[:, 0].sum()


def test_fewer_states_than_phones_have_positions():
    """Three states for each phone are the least."""
    with pytest.raises(ValueError, match="at least 18"):
        tie(planted(), PHONES, 17, 30, FLOOR)


def test_staying_follows_the_counts():
    """p(stay) is about 1 - visits / frames, never 0 or 1, and 1/2 where nothing was seen."""
    stay = np.exp(self_loops(np.array([1000.0, 10.0, 0.0, 1e6]), np.array([250.0, 10.0, 0.0, 1.0])))
    assert stay == pytest.approx([0.75, 1 - 11 / 12, 0.5, 0.98], abs=2e-3)
