"""Making the denominator graph from 39 phones and 2,400 tied states: seconds and megabytes at three
vocabularies.

    PYTHONPATH=tests python -m benchmarks.bench_graph [--words 3000 10000 29000] [--rounds 3]

* peer: the lexicon as a transducer with the words' weights, determinised and minimised by OpenFst
  (kaldifst), without context and without states: a part of what the usual chain of compositions
  does.
* limit: reading the finished graph from its file.

A reference's own graph is timed too, and the test's: of a trigram from as many sentences as a
corpus of that vocabulary has (100,000 for 29,000 words), in which a word has a few likely
successors. Processor time.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.lattice_task import Recogniser, recogniser
from benchmarks.rounds import medians, peak_megabytes, print_heading, print_row

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.graphs.ngram import ngram_graph
from workbench.hmm.graphs.numerator import numerator
from workbench.language.ngram import estimate

WORDS_OF_A_QUERY = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--words", type=int, nargs="+", default=[3000, 10000, 29000])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print_heading("words", "what", "seconds", "x the peer", "states", "arcs", "MB")
    with TemporaryDirectory() as folder:
        for words in options.words:
            compare(recogniser(words), words, Path(folder), options.rounds)
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def compare(task: Recogniser, words: int, folder: Path, rounds: int) -> None:
    task.graph.save(folder / "graph.safetensors")
    drawn = np.random.default_rng(0).choice(words, (50, WORDS_OF_A_QUERY), p=task.share)
    queries = [(1 + query).tolist() for query in drawn]
    ways: dict[str, Callable[[], object]] = {
        "denominator": lambda: denominator(task.lexicon, task.unigram, task.states),
        "peer: lexicon by OpenFst": openfst(task),
        "limit: reading it": lambda: Graph.load(folder / "graph.safetensors").weight.sum(),
        "a reference": lambda: [
            numerator(query, task.lexicon, task.states, task.unigram) for query in queries
        ],
    }
    ngram = estimate(sentences(task, int(3.4 * words)), task.lexicon.words)
    ways["trigram"] = lambda: ngram_graph(task.lexicon, ngram, task.states)
    found = medians(ways, rounds, turn=0.0)
    found["a reference"] /= len(queries)
    one = numerator(queries[0], task.lexicon, task.states, task.unigram)
    test = ngram_graph(task.lexicon, ngram, task.states).graph
    for name, seconds in found.items():
        graph = {"denominator": task.graph, "a reference": one, "trigram": test}.get(name)
        size = (
            (f"{graph.states:,}", f"{graph.arcs:,}", f"{graph.nbytes / 1e6:.3g}")
            if graph
            else ("", "", "")
        )
        ratio = found["peer: lexicon by OpenFst"] / seconds
        print_row(
            f"{words:,}",
            name,
            f"{seconds:.3g}",
            f"{ratio:.1f}" if name == "denominator" else "",
            *size,
        )


def sentences(task: Recogniser, count: int) -> list[list[str]]:
    """Sentences of two to four words; likely successors of a word are a few others, by
    Zipf's law.
    """
    draw = np.random.default_rng(0)
    words = len(task.share)
    length = draw.integers(2, 5, count)
    rank = draw.zipf(1.5, (count, 4)) % words
    said = np.empty((count, 4), np.int64)
    said[:, 0] = draw.choice(words, count, p=task.share)
    for k in range(1, 4):
        said[:, k] = (7919 * said[:, k - 1] + rank[:, k]) % words
    return [
        [task.lexicon.words[1 + w] for w in row[:n]]
        for row, n in zip(said.tolist(), length, strict=True)
    ]


def openfst(task: Recogniser) -> Callable[[], object]:
    """Determinise and minimise the lexicon with its words' weights; the words are made to end
    differently.
    """
    import kaldifst

    def made() -> object:
        fst = kaldifst.StdVectorFst()
        root = fst.add_state()
        fst.start = root
        fst.set_final(root, 0.0)
        alike: dict[tuple[int, ...], int] = {}
        for p in task.lexicon.pronunciations:
            mark = 1000 + alike.setdefault(p.phones, 0)
            alike[p.phones] += 1
            state = root
            labels = (*p.phones, mark)
            for k, label in enumerate(labels):
                target = root if k + 1 == len(labels) else fst.add_state()
                weight = -float(task.unigram[p.word]) if k == 0 else 0.0
                fst.add_arc(state, kaldifst.StdArc(label, p.word if k == 0 else 0, weight, target))
                state = target
        return fst

    base = made()

    def work() -> object:
        fst = base.copy()
        kaldifst.determinize_star(fst)
        kaldifst.minimize_encoded(fst)
        return fst

    return work


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
