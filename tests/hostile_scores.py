"""Hostile scores for the compiled code: `make bounds`, or

    PYTHONPATH=tests NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=EMPTY python tests/hostile_scores.py

With NUMBA_BOUNDSCHECK=1 an index that leaves its array raises IndexError, where it would otherwise
read or end the process. What is compiled so must not be kept beside what is compiled without.
Every round is drawn from its own number, which a failure names.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numba import config
from oracles import tiny_graph, tiny_task

from workbench.hmm.align import best_arcs
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import BROKEN_SCORES, BadScores
from workbench.language.ngram import estimate
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattice_pair import acoustic_scores
from workbench.sequence.occupancy import best_path, occupancies
from workbench.sequence.outer_gradient import decode_outer
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search
from workbench.settings import Settings

TASK = tiny_task(1)
TEXT = ("a ab ba", "ba a a", "bah ab", "a", "ab ba a", "ba bah", "ba ba a", "a ab")
TRIGRAM = estimate([line.split() for line in TEXT], TASK.lexicon.words, 3)
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
REFERENCES = ((1,), (2, 1), (3, 3, 2), (1, 1, 1, 1))


def _random(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.normal(0, 2, size)


def _scale(rng: np.random.Generator) -> float:
    """A magnitude, mostly near the limit of what is searched."""
    return float(10 ** rng.uniform(*rng.choice([(3, 7), (3, 7), (5, 6), (6, 38)])))


def _huge(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.normal(0, _scale(rng), size)


def _one_hot(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    scores = np.full(size, -_scale(rng))
    scores[np.arange(size[0]), rng.integers(0, size[1], size[0])] = 0
    return scores


def _equal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return np.full(size, rng.choice([0.0, -1e-30, 5.0, -1e5, 1e6, -LARGEST]))


def _denormal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.integers(-3, 4, size) * SMALLEST


def _steps(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return 10.0 ** rng.integers(0, 6) * rng.integers(-3, 4, size)


def _spoilt(value: float) -> Callable[[np.random.Generator, tuple[int, int]], np.ndarray]:
    def scores(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        found = _random(rng, size)
        found[rng.random(size) < rng.choice([0.01, 0.3, 1.0])] = value
        return found

    return scores


SCORES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "random": _random,
    "huge": _huge,
    "one hot": _one_hot,
    "equal": _equal,
    "denormal": _denormal,
    "steps": _steps,
    "NaN": _spoilt(np.nan),
    "infinite": _spoilt(np.inf),
    "forbidden": _spoilt(-np.inf),
    "largest": _spoilt(LARGEST),
    "smallest": _spoilt(-LARGEST),
}


def check_lattice(lattice: Lattice) -> None:
    """The sums of a lattice are finite, and its best path has one state per frame."""
    total, gamma = occupancies(lattice)
    assert np.isfinite(total)
    np.testing.assert_allclose(gamma.dense(gamma.states.max() + 1).sum(1), 1, atol=1e-6)
    assert len(best_path(lattice).states) == lattice.frames


def try_search(rng: np.random.Generator, scores: np.ndarray, graph: Graph) -> str:
    """Search, rescore and align; return what came of the search."""
    beam = float(rng.choice([0.5, 8.0, 100.0, np.inf]))
    width = float(rng.choice([0.5, 6.0, 100.0, np.inf]))
    with suppress(NoPath, BadScores):
        arcs, score = best_arcs(graph, scores)
        assert len(arcs) == len(scores)
        assert np.isfinite(score)

    try:
        lattice = search(graph, scores, beam, width, int(rng.choice([1, 3, 10**6])))
    except NoPath:
        return "no path"
    except BadScores:
        return "refused"

    check_lattice(lattice)
    if graph is TASK.denominator:
        with suppress(NoPath):
            rescore(lattice, TRIGRAM, TASK.unigram, 1.0, float(rng.choice([1.0, 10.0, np.inf])))
    return "lattice"


def try_outer_gradient(rng: np.random.Generator, log_posteriors: np.ndarray) -> str:
    """Decode an utterance; return what came of it."""
    settings = Settings.of(
        criterion=str(rng.choice(["mmi", "bmmi", "mpe", "smbr"])),
        acoustic_scale=float(rng.choice([0.001, 0.1, 2.0])),
        beam=float(rng.choice([0.5, 10.0, 100.0])),
        lattice_beam=float(rng.choice([0.5, 6.0, 100.0])),
        boost=0.5,
        smoothing=float(rng.choice([0.0, 0.1])),
    )
    if settings.criterion.name == "mmi" and rng.random() < 0.2:
        settings = settings.replace(lattice_engine="exact")
    prior = np.log(np.full(TASK.states.count, 1 / TASK.states.count))
    reference = TASK.reference(REFERENCES[rng.integers(len(REFERENCES))])
    decoded = decode_outer(log_posteriors, reference, TASK.denominator, prior, settings)

    assert np.isfinite(decoded.values).all()
    assert decoded.reason or np.isfinite(decoded.value)
    scores = acoustic_scores(np.float32(log_posteriors), prior, settings.criterion)
    if not np.isfinite(scores).all():
        assert decoded.reason in BROKEN_SCORES
        assert not len(decoded.kept)
    return "set aside" if decoded.reason else "value"


def try_round(number: int) -> tuple[str, str]:
    """One round; return the kind of scores with what came of the search and of the decoding."""
    rng = np.random.default_rng(number)
    kind = list(SCORES)[number % len(SCORES)]
    frames = int(rng.choice([1, 2, 7, 12, 40]))
    small = tiny_graph(rng, states=int(rng.integers(2, 8)), arcs=20, tied=TASK.states.count)
    graph = small if rng.random() < 0.5 else TASK.denominator
    with np.errstate(all="ignore"):
        scores = SCORES[kind](rng, (frames, TASK.states.count)).astype(np.float32)
        searched = try_search(rng, scores, graph)
        decoded = try_outer_gradient(rng, scores)
    return f"{kind}: {searched}", f"{kind}: {decoded}"


def fuzz(rounds: int, first: int = 0) -> Counter[str]:
    """Try so many rounds from number ``first`` on; return how often each outcome was seen."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + rounds):
        try:
            outcomes.update(try_round(number))
        except Exception as error:
            error.add_note(f"in round {number} of tests/hostile_scores.py")
            raise
    return outcomes


def main() -> None:
    """Run the rounds that the command line asks for, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    for outcome, count in sorted(fuzz(arguments.rounds, arguments.first).items()):
        print(f"{count:6d}  {outcome}")
    checks = "with" if config.BOUNDSCHECK else "without"
    print(f"{arguments.rounds} rounds {checks} bounds checks")


if __name__ == "__main__":
    main()
