"""The search graph of the test: all word sequences under a back-off n-gram model.

`ngram_plan` makes a network of phones of it, `ngram_states` a graph of tied states. The weights of
the language model are kept apart, so that they can be scaled without making the graph again.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from workbench.hmm.graphs.denominator import SILENCE_PROBABILITY
from workbench.hmm.graphs.graph import TYPES, Graph, map_arrays
from workbench.hmm.graphs.ngram_plan import plan_phone_network
from workbench.hmm.graphs.ngram_states import state_graph
from workbench.hmm.states import TiedStates
from workbench.language.backoff import NGram
from workbench.language.lexicon import Lexicon
from workbench.language.trie import trie_of
from workbench.storage.files import write_file


@dataclass(frozen=True)
class NGramGraph:
    """A search graph and the share of the language model in its weights.

    ``lm``: float32 [arcs], natural log, look-ahead included; ``graph.weight`` contains it.
    """

    graph: Graph
    lm: np.ndarray

    def scaled(self, lm_scale: float = 1.0, insertion: float = 0.0) -> Graph:
        """Return the graph with the language model's log probabilities multiplied by ``lm_scale``.

        ``insertion`` is added to the weight of each word.
        """
        if lm_scale == 1 and insertion == 0:
            return self.graph

        change_of_lm = np.float32(lm_scale - 1) * self.lm
        reward = np.float32(insertion) * (self.graph.word > 0)
        return replace(self.graph, weight=self.graph.weight + change_of_lm + reward)

    def save(self, path: Path) -> None:
        """Write all arrays to one safetensors file."""
        arrays = {name: getattr(self.graph, name) for name in TYPES}
        write_file(path, save({**arrays, "lm": self.lm}))

    @classmethod
    def load(cls, path: Path) -> "NGramGraph":
        """Map a file that ``save`` wrote into memory."""
        return cls(Graph.load(path), **map_arrays(path, {"lm": np.float32}))


def ngram_graph(
    lexicon: Lexicon,
    ngram: NGram,
    states: TiedStates,
    silence_probability: float = SILENCE_PROBABILITY,
) -> NGramGraph:
    """Return the search graph of all sentences under ``ngram``.

    A word that is listed after a history can also be reached by backing off. So a word sequence
    has one path for every choice of back-offs, and its best path has the score of ``ngram.score``
    unless backing off is likelier than a listed probability. Raises ValueError if the model has no
    words or sentences cannot end.
    """
    network = plan_phone_network(lexicon, trie_of(ngram), ngram.eos, silence_probability)
    made = state_graph(network, states)
    return NGramGraph(made.graph, made.lm)
