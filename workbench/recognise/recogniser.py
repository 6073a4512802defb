"""A trained model that transcribes: unigram lattices rescored by the n-gram, or the search graph of the n-gram itself.

``rescoring``: a wide unigram lattice, on which the n-gram is exact. ``graph``: one search through the static graph of
the n-gram. Each is the independent check of the other; BENCHMARKS.md says why the first is the default.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.progress import Progress
from workbench.runs.task import Task
from workbench.runs.train import trained_model
from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search
from workbench.storage.run import Run

Search = Literal["graph", "rescoring"]
SEARCH: Search = "rescoring"
# Search beam, lattice beam, active states. A unigram lattice must be wide for the n-gram's path to be in it; in the
# graph of the n-gram the beam must be wide, since a path that backs off is far behind for a while.
LIMITS = {"graph": (18.0, 6.0, 20000), "rescoring": (16.0, 11.0, 10000)}


@dataclass(frozen=True)
class Recogniser:
    """A model and how its scores are scaled; ``lm_scale``: of the n-gram in the ``graph``, if that is the search."""

    task: Task
    theta: np.ndarray
    acoustic_scale: float
    prior_scale: float
    search: Search = SEARCH
    lm_scale: float = 1.0

    @classmethod
    def of(cls, run: Run, search: Search = SEARCH) -> "Recogniser":
        task, theta = trained_model(run)
        return cls(
            task,
            theta,
            task.settings.criterion.acoustic_scale,
            task.settings.criterion.prior_scale,
            search,
        )

    @property
    def how(self) -> str:
        """The search and its limits, for the record."""
        return f"{self.search} {':'.join(f'{limit:g}' for limit in LIMITS[self.search])}"

    @cached_property
    def graph(self) -> Graph:
        """What is searched."""
        corpus = self.task.corpus
        return (
            corpus.ngram_graph.scaled(self.lm_scale)
            if self.search == "graph"
            else corpus.denominator
        )

    def scores(self, windows: np.ndarray) -> np.ndarray:
        """κ (log p(s|x) - prior_scale log p(s)), float32 [frames, states]."""
        logp = self.task.log_posteriors(self.theta, windows)
        return self.acoustic_scale * (logp - self.prior_scale * self.task.corpus.log_prior)

    def lattice(self, windows: np.ndarray) -> Lattice:
        """The lattice of the graph; NoPath where nothing is found."""
        return search(self.graph, self.scores(windows), *LIMITS[self.search])

    def words(self, lattice: Lattice, lm_scales: Sequence[float]) -> list[tuple[str, ...]]:
        """The best words for each scale of the n-gram; exact on the lattice."""
        corpus = self.task.corpus
        if self.search == "rescoring":
            unigram = corpus.unigram.unigram()
            found = [rescore(lattice, corpus.ngram, unigram, scale)[0] for scale in lm_scales]
        else:
            lm = corpus.ngram_graph.lm[lattice.arc].astype(np.float64)
            weights = (lattice.weight + (scale - self.lm_scale) * lm for scale in lm_scales)
            found = [best_path(replace(lattice, weight=weight)).words for weight in weights]
        return [tuple(corpus.lexicon.words[w] for w in words) for words in found]

    def transcripts(
        self,
        store: FrameStore,
        utterances: Sequence[int],
        lm_scales: Sequence[float],
        progress: Progress | None,
        what: str,
    ) -> list[list[tuple[str, ...]]]:
        """Per utterance, the best words for each scale; nothing where no path was found."""

        def one(u: int) -> list[tuple[str, ...]]:
            try:
                return self.words(self.lattice(store.utterance_windows(u)), lm_scales)
            except NoPath:
                return [()] * len(lm_scales)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            out = []
            for n, words in enumerate(pool.map(one, utterances), 1):
                out.append(words)
                if progress:
                    progress(n, len(utterances), what)
        return out
