"""How often equal systems are called different, by several methods, where voices differ.

    PYTHONPATH=tests python tests/benchmarks/bench_verdicts.py [--trials 2000] [--seed 0]

Two systems have the same error rate over all voices. Each voice has an ease of its own, and suits
each system more or less: both are normal on the logit scale, with standard deviations of 0.5 and
of what the table says. Voices say equally many words, or some many more than others (log-normal,
0.8). Six in ten errors of the better system are made by both. A method keeps its level if it finds
a difference, at 5 %, in 5 % of the trials. Bootstraps and sign flips make 499 draws in a tenth of
the trials. The last column: how often the jackknife's interval of one system's error rate holds
the rate over all voices; 95 % is right.
"""

import argparse
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from workbench.metrics.significance import estimate_rate
from workbench.settings import rng

BASE = 0.15  # word error rate of a voice of middling ease
EASE = 0.5  # standard deviation over voices, on the logit scale
UTTERANCE = 4  # words
SHARED = 0.6
LEVEL = 0.05
DRAWS = 499
SHAPES = ((3, 200), (5, 200), (8, 100), (12, 40), (20, 60), (80, 60))
TITLES = (
    "speakers",
    "words each",
    "sizes",
    "own sd",
    "bootstrap, utterances",
    "bootstrap, speakers",
    "sandwich, t(G-1)",
    "jackknife, t(G-1)",
    "jackknife, t(effective)",
    "sign flips",
    "coverage",
)


class Trials(NamedTuple):
    """Errors of two systems and words said, int [trials, speakers]."""

    a: np.ndarray
    b: np.ndarray
    both: np.ndarray  # errors that both systems make
    words: np.ndarray


def simulate(
    stream: np.random.Generator, shape: tuple[int, int], words: int, own: float, even: bool
) -> Trials:
    """Return trials in which nothing differs over all voices."""
    said = np.full(shape, words)
    if not even:
        size = np.exp(stream.normal(0, 0.8, shape))
        said = np.maximum(UTTERANCE, words * size / size.mean(1, keepdims=True)).astype(int)
    ease = stream.normal(0, EASE, shape) + np.log(BASE / (1 - BASE))
    rate_a = 1 / (1 + np.exp(-ease - stream.normal(0, own, shape)))
    rate_b = 1 / (1 + np.exp(-ease - stream.normal(0, own, shape)))

    both = SHARED * np.minimum(rate_a, rate_b)
    shared = stream.binomial(said, both)
    a = shared + stream.binomial(said - shared, (rate_a - both) / (1 - both))
    b = shared + stream.binomial(said - shared, (rate_b - both) / (1 - both))
    return Trials(a, b, shared, said)


def student(value: np.ndarray, error: np.ndarray, degrees: np.ndarray) -> float:
    """Return the share of trials that Student's test calls different."""
    safe = np.where(error > 0, error, np.inf)
    return float(np.mean(2 * stdtr(degrees, -np.abs(value) / safe) < LEVEL))


def sandwich(trials: Trials) -> float:
    """The usual cluster-robust standard error, with one degree of freedom less than speakers."""
    difference = trials.b - trials.a
    total = trials.words.sum(1, keepdims=True)
    value = difference.sum(1, keepdims=True) / total
    speakers = difference.shape[1]
    residuals = (difference - value * trials.words) / total
    error = np.sqrt(speakers / (speakers - 1) * (residuals**2).sum(1))
    return student(value[:, 0], error, np.full(len(error), speakers - 1.0))


def bootstrap(stream: np.random.Generator, differences: list[np.ndarray]) -> float:
    """Bisani and Ney's bootstrap over the units of each trial."""
    found = 0
    for units in differences:
        draws = stream.multinomial(len(units), np.full(len(units), 1 / len(units)), DRAWS)
        sums = draws @ units
        sides = min(np.count_nonzero(sums >= 0), np.count_nonzero(sums <= 0)) + 1
        found += 2 * sides / (DRAWS + 1) < LEVEL
    return found / len(differences)


def sign_flips(stream: np.random.Generator, differences: list[np.ndarray]) -> float:
    """The permutation test that exchanges the systems for each speaker."""
    found = 0
    for units in differences:
        signs = 2 * stream.integers(0, 2, (DRAWS, len(units))) - 1
        larger = np.count_nonzero(np.abs(signs @ units) >= abs(units.sum()))
        found += (larger + 1) / (DRAWS + 1) < LEVEL
    return found / len(differences)


def by_utterance(stream: np.random.Generator, trials: Trials, trial: int) -> np.ndarray:
    """The differences of one trial, the errors of each speaker dealt out to utterances.

    Errors that both systems make fall on the same utterance and cancel.
    """
    only_a = trials.a[trial] - trials.both[trial]
    only_b = trials.b[trial] - trials.both[trial]
    parts = []
    for a, b, words in zip(only_a, only_b, trials.words[trial], strict=True):
        utterances = max(1, words // UTTERANCE)
        place_a = np.bincount(stream.integers(0, utterances, a), minlength=utterances)
        place_b = np.bincount(stream.integers(0, utterances, b), minlength=utterances)
        parts.append(place_b - place_a)
    return np.concatenate(parts)


def coverage(trials: Trials, stream: np.random.Generator, own: float) -> float:
    """How often the interval of the first system's error rate holds the rate over all voices."""
    many = stream.normal(np.log(BASE / (1 - BASE)), np.hypot(EASE, own), 1_000_000)
    truth = (1 / (1 + np.exp(-many))).mean()
    found = estimate_rate(trials.a, trials.words)
    half = stdtrit(found.degrees, 1 - LEVEL / 2) * found.standard_error
    return float(np.mean(np.abs(found.value - truth) <= half))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    print(" | ".join(TITLES))
    for even in (True, False):
        for own in (0.0, 0.4):
            for speakers, words in SHAPES:
                row = f"{speakers} | {words} | {'equal' if even else 'unequal'} | {own}"
                stream = rng(options.seed, "null", row)
                trials = simulate(stream, (options.trials, speakers), words, own, even)
                numbers = shares(stream, trials, own)
                print(row, *(f"{number:.3f}" for number in numbers), sep=" | ", flush=True)


def shares(stream: np.random.Generator, trials: Trials, own: float) -> list[float]:
    """The numbers of one row, in the order of the titles."""
    few = range(len(trials.a) // 10)
    speakers = [trials.b[i] - trials.a[i] for i in few]
    utterances = [by_utterance(stream, trials, i) for i in few]
    found = estimate_rate(trials.b - trials.a, trials.words)
    plain = np.full(len(trials.a), trials.a.shape[1] - 1.0)
    return [
        bootstrap(stream, utterances),
        bootstrap(stream, speakers),
        sandwich(trials),
        student(found.value, found.standard_error, plain),
        student(found.value, found.standard_error, found.degrees),
        sign_flips(stream, speakers),
        coverage(trials, stream, own),
    ]


if __name__ == "__main__":
    main()
