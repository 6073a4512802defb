"""The search graph of the test: all word sequences under a back-off n-gram, with its weights kept apart.

`segments` plans it phone by phone, `expansion` makes tied states of the phones.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from workbench.hmm.graphs.denominator import SILENCE_PROBABILITY
from workbench.hmm.graphs.graph import TYPES, Graph, mapped
from workbench.hmm.graphs.ngram_plan import segments
from workbench.hmm.graphs.ngram_states import expanded
from workbench.hmm.states import TiedStates
from workbench.language.backoff import NGram
from workbench.language.lexicon import Lexicon
from workbench.language.trie import trie_of


@dataclass(frozen=True)
class NGramGraph:
    """``graph``, whose weights hold ``lm`` float32 [arcs], what the language model adds (look-ahead included)."""

    graph: Graph
    lm: np.ndarray

    def scaled(self, lm_scale: float = 1.0, insertion: float = 0.0) -> Graph:
        """The graph with the language model's log probabilities scaled, and ``insertion`` added per word."""
        graph = self.graph
        if lm_scale == 1 and insertion == 0:
            return graph
        weight = (
            graph.weight
            + np.float32(lm_scale - 1) * self.lm
            + np.float32(insertion) * (graph.word > 0)
        )
        return replace(graph, weight=weight)

    def save(self, path: Path) -> None:
        """Write all arrays to one safetensors file."""
        save_file({name: getattr(self.graph, name) for name in TYPES} | {"lm": self.lm}, path)

    @classmethod
    def load(cls, path: Path) -> "NGramGraph":
        """Map what ``save`` wrote into memory."""
        return cls(Graph.load(path), **mapped(path, {"lm": np.float32}))


def ngram_graph(
    lexicon: Lexicon,
    ngram: NGram,
    states: TiedStates,
    silence_probability: float = SILENCE_PROBABILITY,
) -> NGramGraph:
    """All sentences under ``ngram``; a word listed after a history can be reached by backing off too.

    So a word sequence has one path for every choice of back-offs, and its best path is that of ``ngram.score`` unless
    backing off is likelier than a listed probability. ValueError if the model has no words or sentences cannot end.
    """
    plan = segments(lexicon, trie_of(ngram), ngram.eos, silence_probability)
    return NGramGraph(*expanded(plan, states))
