"""State tying: questions found in the data, splits that only gain, tables for all contexts."""

from itertools import product

import numpy as np
import pytest

from workbench.hmm.gaussians.contexts import Contexts
from workbench.hmm.gaussians.questions import clusters, log_likelihood, phone_sets
from workbench.hmm.gaussians.tree import self_loops, tie

PHONES = ("SIL", "a", "e", "p", "t", "z")
SIL = 0
VOWELS = (1, 2)
STOPS = (3, 4)
SEEN = range(5)  # "z" does not occur
FLOOR = np.full(2, 1e-3)


def sums_of(x: np.ndarray) -> np.ndarray:
    """Number of frames, first and second moments of observations [frames, size]."""
    return np.concatenate([[len(x)], x.sum(axis=0), (x**2).sum(axis=0)])


def planted_contexts(seed: int = 0, frames: int = 30) -> Contexts:
    """Contexts without effect but one: a stop behind a vowel shifts its last state by 1."""
    draw = np.random.default_rng(seed)
    keys = []
    sums = []
    for phone, left, right, position in product(SEEN, SEEN, SEEN, range(3)):
        mean = planted_mean(phone)
        if phone in VOWELS and position == 2 and right in STOPS:
            mean = mean + [0, 1.0]
        context = (SIL, SIL, SIL) if phone == SIL else (left, phone, right)
        keys.append((*context, position))
        sums.append(sums_of(draw.normal(mean, 0.3, (frames, 2))))

    key, row = np.unique(np.array(keys, np.int16), axis=0, return_inverse=True)
    total = np.zeros((len(key), 5))
    np.add.at(total, row.ravel(), np.array(sums))
    return Contexts(key, visits=total[:, 0] / 4, sums=total)


def planted_mean(phone: int) -> np.ndarray:
    """The mean of a phone's observations: vowels, stops and silence are far apart."""
    first = 3.0 * (phone in VOWELS) + 0.3 * phone - 5 * (phone == SIL)
    return np.array([first, float(phone)])


def test_likelihood_is_that_of_the_own_gaussian():
    """Sums give the log likelihood under the maximum-likelihood Gaussian, without constants."""
    x = np.random.default_rng(0).normal([1, -2], [0.5, 2], (50, 2))
    mean = x.mean(axis=0)
    variance = x.var(axis=0)
    full = (-0.5 * np.log(2 * np.pi * variance) - (x - mean) ** 2 / (2 * variance)).sum()
    constant = -0.5 * x.size * (1 + np.log(2 * np.pi))
    assert log_likelihood(sums_of(x), FLOOR) == pytest.approx(full - constant)
    assert log_likelihood(np.zeros(5), FLOOR) == 0


def test_phones_that_sound_alike_meet_first():
    """Clustering merges the nearest Gaussians first, ends with all, and leaves out the unseen."""
    draw = np.random.default_rng(1)
    means = [0.0, 10.0, 10.5, 0.4, 30.0]
    seen = [sums_of(draw.normal(mean, 1, (100, 2))) for mean in means]
    found = [
        set(np.flatnonzero(c).tolist()) for c in clusters(np.stack([*seen, np.zeros(5)]), FLOOR)
    ]
    assert found[:2] in ([{0, 3}, {1, 2}], [{1, 2}, {0, 3}])
    assert found[2:] == [{0, 1, 2, 3}, {0, 1, 2, 3, 4}]


def test_questions_are_found_in_the_data():
    """Vowels and stops come out as sets though none was given, and no question comes twice."""
    sets = phone_sets(planted_contexts(), len(PHONES), FLOOR)
    found = {tuple(np.flatnonzero(s).tolist()) for s in sets}
    assert {VOWELS, STOPS} <= found
    assert {(phone,) for phone in range(len(PHONES))} <= found
    questions = {min(s.tobytes(), (~s).tobytes()) for s in sets}
    assert len(questions) == len(sets)


def test_the_planted_dependence_is_the_first_to_be_split():
    """With two states to spare, exactly the last states of vowels are split, by what follows."""
    table = tie(planted_contexts(), PHONES, 20, 50, FLOOR).states.table
    for phone, position in product(range(len(PHONES)), range(3)):
        states = table[:, phone, :, position]
        if phone in VOWELS and position == 2:
            assert len(np.unique(states)) == 2
            assert len(np.unique(states[:, STOPS])) == 1
            assert len(np.unique(states[:, [0, 1, 2]])) == 1
        else:
            assert len(np.unique(states)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_never_falls_with_more_states(seed):
    """More states fit the frames at least as well, and there are as many as asked for."""
    contexts = planted_contexts(seed)
    ties = [tie(contexts, PHONES, count, 30, FLOOR) for count in (18, 20, 25, 40, 80)]
    assert [tying.states.count for tying in ties] == [18, 20, 25, 40, 80]
    likelihoods = [tying.log_likelihood for tying in ties]
    assert likelihoods == sorted(likelihoods)


def test_the_table_answers_for_every_context():
    """Seen or not, every context has a state of its phone and position, and each state is used."""
    states = tie(planted_contexts(), PHONES, 60, 30, FLOOR).states
    assert states.silence.tolist() == [0, 1, 2]
    owner = {}
    for (_, phone, _, position), state in np.ndenumerate(states.table):
        assert owner.setdefault(state, (phone, position)) == (phone, position)
    assert sorted(owner) == list(range(60))
    assert np.array_equal(states.phone, [owner[state][0] for state in range(60)])


def test_states_have_the_frames_asked_for():
    """Splitting stops where halves would have too few frames, however many states were wanted."""
    contexts = planted_contexts()
    tying = tie(contexts, PHONES, 10_000, 200, FLOOR)
    assert tying.states.count < 100
    frames = tying.sums[:, 0]
    assert (frames[frames > 0] >= 200).all()
    assert frames.sum() == contexts.sums[:, 0].sum()


def test_fewer_states_than_phones_have_positions():
    """Fewer than three states for each phone raise ValueError."""
    with pytest.raises(ValueError, match="at least 18"):
        tie(planted_contexts(), PHONES, 17, 30, FLOOR)


def test_staying_follows_the_counts():
    """p(stay) is about 1 - visits / frames, never 0 or 1, and 1/2 where nothing was seen."""
    frames = np.array([1000.0, 10.0, 0.0, 1e6])
    visits = np.array([250.0, 10.0, 0.0, 1.0])
    stay = np.exp(self_loops(frames, visits))
    assert stay == pytest.approx([0.75, 1 - 11 / 12, 0.5, 0.98], abs=2e-3)
