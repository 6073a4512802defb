"""A trained model that transcribes speech, with one of two searches.

``rescoring``: a wide unigram lattice, on which the n-gram is exact. ``graph``: one search through
the static graph of the n-gram. Each is the independent check of the other;
``tests/benchmarks/BENCHMARKS.md`` shows why the first is the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import BadScores
from workbench.language.backoff import NGram
from workbench.progress import Progress, no_progress
from workbench.runs import trained_model
from workbench.runs.posteriors import with_posteriors
from workbench.runs.task import Task
from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search
from workbench.settings import UserError
from workbench.storage.run import Run
from workbench.system.vectors import Vector

Words = tuple[str, ...]
Search = Literal["graph", "rescoring"]
SEARCH: Search = "rescoring"


class Limits(NamedTuple):
    """How wide a search is; beams are differences of log probabilities."""

    beam: float
    lattice_beam: float
    max_active: int  # graph states per frame


LIMITS: dict[Search, Limits] = {
    # A path that backs off is far behind for a while.
    "graph": Limits(18.0, 6.0, 20000),
    # The n-gram's best path must be in the unigram lattice.
    "rescoring": Limits(16.0, 11.0, 10000),
}


class Recognition(NamedTuple):
    """What was recognised in some utterances.

    ``words``: of each utterance for each scale of the n-gram, none where the search found no path;
    ``no_path``: in how many utterances that was so.
    """

    words: list[list[Words]]
    no_path: int


@dataclass(frozen=True)
class Recogniser:
    """A model and how its scores are scaled.

    ``lm_scale`` is that of the n-gram in the graph, if the search is ``graph``; with ``rescoring``
    the scale is chosen for each lattice. ``language`` takes the place of the corpus's n-gram.
    """

    task: Task
    theta: Vector  # float32 [parameters]
    acoustic_scale: float
    prior_scale: float
    search: Search = SEARCH
    lm_scale: float = 1.0
    language: NGram | None = None

    def __post_init__(self) -> None:
        if self.language is not None and self.search != "rescoring":
            raise UserError("a language model of one's own needs --search rescoring")

    @classmethod
    def of(cls, run: Run, search: Search = SEARCH) -> "Recogniser":
        """Return the model of a run with the scales that it was trained with."""
        task, theta = trained_model(run)
        criterion = task.settings.criterion
        return cls(task, theta, criterion.acoustic_scale, criterion.prior_scale, search)

    @property
    def description(self) -> str:
        """The search and its limits, for the record of a test."""
        limits = ":".join(f"{limit:g}" for limit in LIMITS[self.search])
        return f"{self.search} {limits}"

    @cached_property
    def graph(self) -> Graph:
        """The graph that is searched."""
        corpus = self.task.corpus
        if self.search == "graph":
            return self.task.scale_transitions(corpus.ngram_graph.scaled(self.lm_scale))
        return self.task.denominator

    def scaled(self, logp: np.ndarray) -> np.ndarray:
        """Return κ (log p(s|x) - prior_scale log p(s)), float32 [frames, states]."""
        return self.acoustic_scale * (logp - self.prior_scale * self.task.corpus.log_prior)

    def lattice(self, windows: np.ndarray) -> Lattice:
        """Return the lattice of windows float32 [frames, inputs]; raises NoPath without a path."""
        return self.lattice_of(self.task.log_posteriors(self.theta, windows))

    def lattice_of(self, logp: np.ndarray) -> Lattice:
        """Return the same for log posteriors float32 [frames, states]."""
        return search(self.graph, self.scaled(logp), *LIMITS[self.search])

    def words(self, lattice: Lattice, lm_scales: Sequence[float]) -> list[Words]:
        """Return the best words for each scale of the n-gram; exact on the lattice."""
        if self.search == "rescoring":
            best = [self._rescored(lattice, scale) for scale in lm_scales]
        else:
            best = [self._rescaled(lattice, scale) for scale in lm_scales]
        lexicon = self.task.corpus.lexicon
        return [tuple(lexicon.words[word] for word in words) for words in best]

    def _rescored(self, lattice: Lattice, lm_scale: float) -> Sequence[int]:
        """The best words of a unigram lattice whose unigram is replaced by the n-gram."""
        corpus = self.task.corpus
        ngram = self.language or corpus.ngram
        words, *_ = rescore(lattice, ngram, corpus.unigram.unigram(), lm_scale)
        return words

    def _rescaled(self, lattice: Lattice, lm_scale: float) -> Sequence[int]:
        """The best words of a lattice of the n-gram's graph, at another scale of the n-gram."""
        lm = self.task.corpus.ngram_graph.lm[lattice.arc].astype(np.float64)
        weight = lattice.weight + (lm_scale - self.lm_scale) * lm
        return best_path(replace(lattice, weight=weight)).words

    def transcripts(
        self,
        store: FrameStore,
        utterances: Sequence[int],
        lm_scales: Sequence[float],
        progress: Progress = no_progress,
        what: str = "",
    ) -> Recognition:
        """Return the best words of each utterance for each scale."""

        def words_of(utterance: int, logp: np.ndarray) -> list[Words] | None:
            try:
                return self.words(self.lattice_of(logp), lm_scales)
            except (NoPath, BadScores):
                return None

        nothing: list[Words] = [()] * len(lm_scales)
        transcripts = []
        no_path = 0
        for words in with_posteriors(self.task, self.theta, store, utterances, words_of):
            no_path += words is None
            transcripts.append(nothing if words is None else words)
            progress(len(transcripts), len(utterances), what)

        return Recognition(transcripts, no_path)
