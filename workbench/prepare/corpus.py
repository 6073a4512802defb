"""A prepared corpus, opened from its folder: frame stores, lexicon, language models, tied states, graphs.

corpus.json       what it was made from and how, counts, what was set aside and why; written last
source/           the data directory, where it was synthesised here
lexiconp.txt      words and phones          lm-1.arpa, lm-3.arpa   the language models
states.npz        tied states               priors.npy             log prior of each
denominator.safetensors   the unigram search graph
ngram.safetensors         that of the test, made when it is first asked for
set_aside.tsv     every utterance that cannot be used, with its reason and place
train/ heldout/ test/     one memory-mapped frame store each, with alignments
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.graphs.ngram import NGramGraph, ngram_graph
from workbench.hmm.graphs.numerator import numerator
from workbench.hmm.states import TiedStates
from workbench.language.arpa import read_arpa
from workbench.language.backoff import NGram
from workbench.language.lexicon import Lexicon, read_lexicon
from workbench.sequence.lattice_pair import Reference
from workbench.settings import UserError
from workbench.storage.run import home, read_json

SPLITS = ("train", "heldout", "test")


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus, opened from its folder; cheap to pickle, its parts are read when asked for."""

    folder: Path

    @classmethod
    def open(cls, name: str) -> "Corpus":
        """The corpus of this name under data/corpora, or in this folder."""
        for folder in (home() / "corpora" / name, Path(name)):
            if (folder / "corpus.json").exists():
                return cls(folder)
        known = (
            ", ".join(sorted(p.parent.name for p in (home() / "corpora").glob("*/corpus.json")))
            or "none yet"
        )
        raise UserError(f"{name}: no such corpus; prepared: {known}")

    def __getstate__(self):
        return {"folder": self.folder}

    def __setstate__(self, state):
        object.__setattr__(self, "folder", state["folder"])

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def info(self) -> dict[str, Any]:
        return read_json(self.folder / "corpus.json")

    @cached_property
    def lexicon(self) -> Lexicon:
        return read_lexicon(self.folder / "lexiconp.txt")

    @cached_property
    def states(self) -> TiedStates:
        return TiedStates.load(self.folder / "states.npz")

    @cached_property
    def unigram(self) -> NGram:
        return read_arpa(self.folder / "lm-1.arpa", self.lexicon.words)

    @cached_property
    def ngram(self) -> NGram:
        """The language model of the test (trigram)."""
        return read_arpa(next(self.folder.glob("lm-[2-9].arpa")), self.lexicon.words)

    @cached_property
    def denominator(self) -> Graph:
        return Graph.load(self.folder / "denominator.safetensors")

    @cached_property
    def ngram_graph(self) -> NGramGraph:
        """The search graph of the test; kept in the folder, since a large one takes a minute to make."""
        path = self.folder / "ngram.safetensors"
        if not path.exists():
            graph = ngram_graph(
                self.lexicon, self.ngram, self.states, self.info["preparation"]["silence"]
            )
            partial = path.with_suffix(f".{os.getpid()}.partial")
            graph.save(partial)
            os.replace(partial, path)
        return NGramGraph.load(path)

    @cached_property
    def log_prior(self) -> np.ndarray:
        """Natural logarithm of the state priors, float32 [states]."""
        return np.load(self.folder / "priors.npy")

    def split(self, name: str) -> FrameStore:
        """The frame store of train, heldout or test."""
        return FrameStore.open(self.folder / name)

    def reference(self, words: Iterable[str]) -> Reference:
        """A reference transcript; its graph has all pronunciations and optional silence."""
        ids = tuple(self.lexicon.word_id(w) for w in words)
        return Reference(ids, lambda: self.numerator(ids))

    def numerator(self, ids: Sequence[int]) -> Graph:
        """The graph of the reference with these words."""
        silence = self.info["preparation"]["silence"]
        return numerator(
            ids, self.lexicon, self.states, self.unigram.unigram(), silence_probability=silence
        )
