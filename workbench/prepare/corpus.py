"""A prepared corpus, opened from its folder.

The folder holds:

    corpus.json              source, settings, counts, what was set aside and why; written last
    source/                  the data directory, if it was synthesised here
    lexiconp.txt             words and phones
    lm-1.arpa, lm-3.arpa     the language models of training and of the test, by their order
    states.npz               tied states
    priors.npy               the log prior of each state
    denominator.safetensors  the unigram search graph
    ngram.safetensors        the search graph of the test, made when it is first needed
    set_aside.tsv            every utterance that cannot be used, with its reason and place
    train/ heldout/ test/    one memory-mapped frame store each, with alignments
"""

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
from workbench.prepare.files import (
    TEST_MODEL,
    UNIGRAM,
    check_complete,
    corpus_manifest,
    language_model_file,
    opened,
)
from workbench.sequence.lattice_pair import Reference
from workbench.settings import UserError, no_such
from workbench.storage.files import is_file
from workbench.storage.home import data_folder
from workbench.storage.manifest import Manifest
from workbench.storage.records import read_object

SPLITS = ("train", "heldout", "test")


def corpora_folder() -> Path:
    """Return the folder that holds all prepared corpora."""
    return data_folder() / "corpora"


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus, opened from its folder; its parts are read when they are first needed.

    It is cheap to pickle, since only the folder travels.
    """

    folder: Path

    @classmethod
    def open(cls, name: str) -> "Corpus":
        """Return the corpus of this name under data/corpora, or in this folder.

        Raises UserError, which lists the corpora there are, if there is no such corpus.
        """
        corpora = corpora_folder()
        for folder in (corpora / name, Path(name)):
            if is_file(folder / "corpus.json"):
                return cls(folder)
        known = [path.parent.name for path in corpora.glob("*/corpus.json")]
        if not known:
            raise UserError(
                f"{name}: no such corpus; there is none in {corpora} yet: `workbench prepare` "
                "makes one, and WORKBENCH_DATA says where data are"
            )
        raise no_such("corpus", name, known)

    @property
    def argument(self) -> str:
        """How the command line names it: by its name, or by its folder if that is elsewhere."""
        folder = self.folder.resolve()
        known = folder == (corpora_folder() / self.name).resolve()
        return self.name if known else str(folder)

    def __getstate__(self) -> dict[str, Path]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Path]) -> None:
        object.__setattr__(self, "folder", state["folder"])

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @cached_property
    def info(self) -> dict[str, Any]:
        """The content of corpus.json."""
        return read_object(self.folder / "corpus.json")

    @cached_property
    def _manifest(self) -> Manifest:
        complete = is_file(self.folder / "corpus.json")  # it is written last
        return corpus_manifest(self.folder, self.info if complete else {})

    @property
    def silence_probability(self) -> float:
        """The probability of silence between two words."""
        return self.info["preparation"]["silence"]

    @cached_property
    def lexicon(self) -> Lexicon:
        """Words, phones and pronunciations."""
        with opened(self._manifest, "lexiconp.txt") as path:
            return read_lexicon(path)

    @cached_property
    def states(self) -> TiedStates:
        """The tied states."""
        with opened(self._manifest, "states.npz") as path:
            return TiedStates.load(path)

    @cached_property
    def unigram(self) -> NGram:
        """The language model of training."""
        with opened(self._manifest, UNIGRAM) as path:
            return read_arpa(path, self.lexicon.words)

    @cached_property
    def ngram(self) -> NGram:
        """The language model of the test, by default a trigram."""
        found = [path.name for path in self.folder.glob(TEST_MODEL)]
        with opened(self._manifest, found[0] if found else language_model_file(3)) as path:
            return read_arpa(path, self.lexicon.words)

    @cached_property
    def denominator(self) -> Graph:
        """The search graph of the unigram."""
        with opened(self._manifest, "denominator.safetensors") as path:
            return Graph.load(path)

    @cached_property
    def ngram_graph(self) -> NGramGraph:
        """The search graph of the test, kept in a file since a large one takes a minute."""
        path = self.folder / "ngram.safetensors"
        if not path.exists():
            graph = ngram_graph(self.lexicon, self.ngram, self.states, self.silence_probability)
            graph.save(path)
        return NGramGraph.load(path)

    @cached_property
    def log_prior(self) -> np.ndarray:
        """Natural logarithm of the state priors, float32 [states]."""
        with opened(self._manifest, "priors.npy") as path:
            return np.load(path, allow_pickle=False)

    def split(self, name: str) -> FrameStore:
        """Return the frame store of train, heldout or test."""
        return FrameStore.open(self.folder / name)

    def check_files(self) -> None:
        """Raise UserError that names the first file, frame stores aside, that was changed."""
        self._manifest.verify()
        check_complete(self._manifest)

    def verify(self) -> None:
        """Read all files; raise UserError that names the first one that was changed."""
        self.check_files()
        for split in SPLITS:
            self.split(split).verify()

    def reference(self, words: Iterable[str]) -> Reference:
        """Return a reference transcript, whose graph is made when it is first needed.

        The graph has all pronunciations and optional silence.
        """
        ids = tuple(self.lexicon.word_id(word) for word in words)
        return Reference(ids, lambda: self.numerator(ids))

    def numerator(self, ids: Sequence[int]) -> Graph:
        """Return the graph of the reference with these word ids."""
        return numerator(
            ids,
            self.lexicon,
            self.states,
            self.unigram.unigram(),
            silence_probability=self.silence_probability,
        )
