"""From words and frames to an alignment: on frames drawn from known phones, and on speech with known times."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from workbench.corpus.kaldi import read_kaldi_splits
from workbench.corpus.synthesis import synthesise
from workbench.features.phones import TruePhones
from workbench.features.prepare import prepare_features
from workbench.hmm.align import segments
from workbench.hmm.gaussians.bootstrap import Plan, bootstrap, train
from workbench.hmm.gaussians.cepstra import CEPSTRA, cepstra
from workbench.hmm.gaussians.flat_start import first_guess, loud_part
from workbench.hmm.gaussians.mixtures import Mixtures, accumulate, grow, no_sums, single, update
from workbench.hmm.realign import align_store
from workbench.language.lexicon import Lexicon, Pronunciation, read_lexicon
from workbench.settings import UserError

LETTERS = "aeiostmr"
WORDS = ("ma", "tas", "rime", "so", "sat", "mare", "to", "ris")
LEXICON = Lexicon(
    ("<eps>", *WORDS),
    ("SIL", *LETTERS),
    tuple(
        Pronunciation(w, tuple(LETTERS.index(c) + 1 for c in word), 0.0)
        for w, word in enumerate(WORDS, 1)
    ),
)


@dataclass
class Frames:
    """What the bootstrap needs of a frame store, in memory."""

    features: np.ndarray
    offsets: np.ndarray
    words: list[tuple[str, ...]]
    true_phones: np.ndarray

    def span(self, u: int) -> tuple[int, int]:
        return int(self.offsets[u]), int(self.offsets[u + 1])

    def __len__(self) -> int:
        return len(self.words)


def drawn(utterances: int, seed: int = 0) -> Frames:
    """Utterances of two or three words between silences; every phone has a spectrum, silence is quiet."""
    draw = np.random.default_rng(seed)
    shapes = np.random.default_rng(99).normal(0, 1, (9, 6)) @ np.cos(
        np.pi / 40 * np.outer(np.arange(6), np.arange(40))
    )
    shapes[0] = -3
    features, words, phones = [], [], []
    for _ in range(utterances):
        said = tuple(draw.choice(WORDS, draw.integers(2, 4)).tolist())
        spoken = [0, *(LETTERS.index(c) + 1 for word in said for c in word), 0]
        true = np.repeat(spoken, draw.integers(4, 12, len(spoken)) + 8 * (np.array(spoken) == 0))
        features.append(shapes[true] + draw.normal(0, 0.7, (len(true), 40)))
        words.append(said)
        phones.append(true)
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in phones])])
    return Frames(
        np.concatenate(features).astype(np.float16), offsets, words, np.concatenate(phones)
    )


@cache
def data() -> Frames:
    return drawn(120)


@cache
def outcome():
    return bootstrap(data(), LEXICON, 50)


def agreement(states, alignment, true) -> float:
    """Share of frames with a known phone that are aligned to it."""
    known = (true >= 0) & (alignment >= 0)
    return float((states.phone[alignment] == true)[known].mean())


def test_phones_are_found_where_they_are():
    """On frames drawn from phones with clear spectra, nearly every frame is aligned to the phone it was drawn from."""
    states, alignment, set_aside = outcome()
    assert set_aside == []
    assert states.count == 50
    assert agreement(states, alignment, data().true_phones) > 0.98  # 1.0 measured


def test_true_phone_times_are_found_in_speech(tmp_path):
    """On minutes of synthetic speech with noise, most frames are aligned to the phone that was being said."""
    pytest.importorskip("espeakng_loader")
    source = synthesise(tmp_path / "tiny", "is", "tiny", jobs=1)
    lexicon = read_lexicon(source / "lexicon.txt")
    speech = read_kaldi_splits(source)["train"]
    times = source / "true" / "train.jsonl"
    truth = TruePhones(times, lexicon.phones)
    store = prepare_features(speech, tmp_path / "store", truth=truth)
    states, alignment, _ = bootstrap(store, lexicon, 3 * len(lexicon.phones))
    # 0.70 measured for this minute and a half, 0.83 for the 1.25 hours of the demo.
    assert agreement(states, alignment, np.asarray(store.true_phones)) > 0.62


def test_alignments_spell_the_words():
    """The phones of each alignment, silences left out, are those of the words."""
    states, alignment, _ = outcome()
    for u, words in enumerate(data().words):
        runs = [p for p, _, _ in segments(states.phone[alignment[slice(*data().span(u))]]) if p]
        spelt = [LETTERS.index(c) + 1 for word in words for c in word]
        assert runs == [p for p, q in zip(spelt, [None, *spelt], strict=False) if p != q]


def test_same_seed_same_alignment():
    """Everything is determined by the data and the seed."""
    states, alignment, _ = bootstrap(data(), LEXICON, 50)
    assert np.array_equal(alignment, outcome()[1])
    assert np.array_equal(states.self_loop, outcome()[0].self_loop)


def test_staying_is_estimated():
    """Phones of 7.5 frames on average stay in each third of them about 60 % of the time."""
    stay = np.exp(outcome()[0].self_loop[3:])
    assert 0.5 < np.average(stay) < 0.7


def test_what_cannot_be_aligned_is_set_aside():
    """Unknown words, and words longer than the utterance, leave no states but a reason; others are not touched."""
    frames = drawn(40, seed=1)
    frames.words[3] = ("nothing",)
    frames.words[5] = WORDS * 9
    _, alignment, set_aside = bootstrap(frames, LEXICON, 27, Plan(monophone=(1,), tied=(1,)))
    assert set_aside == [(3, "word not in lexicon"), (5, "too short for its words")]
    for u in range(len(frames)):
        assert (alignment[slice(*frames.span(u))] < 0).all() == (u in (3, 5))
    frames.words = [("nothing",)] * 40
    with pytest.raises(UserError, match="no utterance"):
        train(frames, LEXICON, 27)


def test_too_few_states_are_refused():
    """Each phone needs three states; asking for fewer is something a user can mend."""
    with pytest.raises(UserError, match="at least 27"):
        train(data(), LEXICON, 26)


def test_any_scores_align():
    """A split is aligned by whatever scores states, here one that knows the truth; every frame is reported once."""
    states, _, _ = outcome()
    frames = drawn(10, seed=2)
    told = []

    def oracle(u, wanted):
        true = frames.true_phones[slice(*frames.span(u))]
        return np.where(states.phone[wanted] == true[:, None], 0, -9).astype(np.float32)

    alignment, _ = align_store(frames, LEXICON, states, oracle, lambda *step: told.append(step))
    assert agreement(states, alignment, frames.true_phones) == 1
    assert told == [(10, 10, "aligning")]


def test_progress_counts_to_its_total():
    """Progress rises with every report and ends where it said it would."""
    told = []
    train(
        drawn(60, seed=3),
        LEXICON,
        27,
        Plan(monophone=(1, 2), tied=(1,)),
        progress=lambda *step: told.append(step[:2]),
    )
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == told[-1][1]


def test_loudness_finds_the_words():
    """The loud stretch is found exactly, keeps its least length, and is everything where nothing stands out."""
    loud = np.repeat([0.0, 1.0, 0.0], [7, 20, 4])
    assert loud_part(loud, 9) == (7, 27)
    first, last = loud_part(np.repeat([0.0, 5.0, 0.0], [10, 2, 10]), 9)
    assert last - first == 9
    assert first <= 10 < 12 <= last
    assert loud_part(np.zeros(12), 9) == (0, 12)
    assert first_guess([2], loud).tolist() == [0, 0, 0, 1, 1, 2, 2] + [6] * 7 + [7] * 7 + [
        8
    ] * 6 + [0, 0, 1, 2]


def test_cepstra_know_shape_and_slope():
    """A constant spectrum has cepstrum 0 alone and no slopes; a steady rise has its slope, away from the edges."""
    flat = cepstra(np.full((9, 40), 2.0))
    assert flat[:, 0] == pytest.approx(2 * np.sqrt(40))
    assert np.abs(flat[:, 1:]).max() < 1e-5
    rising = cepstra(np.arange(20.0)[:, None] * np.ones(40))
    assert rising[4:-4, CEPSTRA] == pytest.approx(np.sqrt(40), rel=1e-4)
    assert rising[4:-4, 2 * CEPSTRA] == pytest.approx(0, abs=1e-4)


def test_scores_are_log_densities():
    """The matrix product gives the log density of each mixture, for the states asked for, in their order."""
    draw = np.random.default_rng(0)
    first, size = np.array([0, 2, 3, 6]), 4
    weight = np.log(np.concatenate([draw.dirichlet([1] * n) for n in np.diff(first)]))
    mixtures = Mixtures(first, weight, draw.normal(size=(6, size)), draw.uniform(0.5, 2, (6, size)))
    x = draw.normal(size=(5, size)).astype(np.float32)
    deviation = (x[:, None] - mixtures.mean) ** 2 / mixtures.variance + np.log(
        2 * np.pi * mixtures.variance
    )
    each = np.exp(weight - 0.5 * deviation.sum(axis=2))
    expected = np.log(np.add.reduceat(each, first[:-1], axis=1))
    assert mixtures.scores(x, np.array([2, 0])) == pytest.approx(expected[:, [2, 0]], abs=1e-4)


def test_updates_never_lose_likelihood():
    """Every update of the mixtures raises the likelihood of the frames they were updated from, growth included."""
    draw = np.random.default_rng(1)
    x = np.concatenate([draw.normal(m, 0.5, (200, 2)) for m in (-3, 0, 4)]).astype(np.float32)
    states, floor = np.zeros(len(x), np.int32), np.full(2, 1e-3)
    mixtures = single(np.concatenate([[len(x)], x.sum(axis=0), (x**2).sum(axis=0)])[None], floor)
    before = mixtures.scores(x, np.array([0])).mean()
    for _ in range(2):
        mixtures = grow(mixtures, np.array([len(x)]), np.array([4]), 20)
        for _ in range(6):
            sums = no_sums(mixtures)
            accumulate(mixtures, x, states, sums)
            mixtures = update(mixtures, sums, floor)
            after = mixtures.scores(x, np.array([0])).mean()
            assert after > before - 0.05 * (
                len(mixtures.weight) == 2
            )  # halves begin a little beside the whole
            before = after
    assert len(mixtures.weight) == 4
    assert np.exp(mixtures.weight).sum() == pytest.approx(1)
