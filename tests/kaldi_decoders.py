"""Kaldi's decoders on our graphs: independent peers of the search.

kaldi-hmm-gmm has LatticeFasterDecoder, and FasterDecoder, which makes no lattice.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from workbench.hmm.graphs.graph import Graph


class KaldiPath(NamedTuple):
    """The best path of a decoder: its words and its log score."""

    words: tuple[int, ...]
    score: float


def import_kaldi() -> tuple[ModuleType, ModuleType]:
    """Return (kaldi_hmm_gmm, kaldifst); skips the test where they are not installed.

    In this order: imported the other way round, the second import never returns.
    """
    kaldi = pytest.importorskip("kaldi_hmm_gmm")
    return kaldi, pytest.importorskip("kaldifst")


def openfst_graph(graph: Graph) -> object:
    """Return the graph as an OpenFst acceptor over tied state + 1, with costs."""
    _, fst = import_kaldi()
    out = fst.StdVectorFst()
    for _ in range(graph.states):
        out.add_state()
    out.start = 0

    for state, weight in enumerate(graph.final.tolist()):
        if weight > -np.inf:
            out.set_final(state, -weight)
    for arc, source in enumerate(graph.sources().tolist()):
        label = int(graph.state[arc]) + 1
        cost = -float(graph.weight[arc])
        out.add_arc(source, fst.StdArc(label, int(graph.word[arc]), cost, int(graph.target[arc])))
    return fst.StdConstFst(out)


class KaldiGraph:
    """A graph that Kaldi's decoders search; ``beam`` etc. as in `workbench.sequence.search`."""

    def __init__(self, graph: Graph, beam: float, lattice_beam: float, max_active: int):
        self.kaldi, self.fst = import_kaldi()
        self.graph = openfst_graph(graph)  # the decoders hold only pointers to it
        self.lattice_options = self.kaldi.LatticeFasterDecoderConfig(
            beam=beam, max_active=max_active, lattice_beam=lattice_beam, determinize_lattice=False
        )
        self.best_options = self.kaldi.FasterDecoderOptions(beam=beam, max_active=max_active)
        self.transitions = self._unused_transitions()

    def decode_lattice(self, scores: np.ndarray) -> KaldiPath:
        """Make a lattice by LatticeFasterDecoder and return its best path."""
        decoder = self.kaldi.LatticeFasterDecoderStdConstFst(self.graph, self.lattice_options)
        decodable = self.kaldi.DecodableCtc(scores)  # kept: the decoder holds only a pointer
        _, _, words, score = self.kaldi.decode_utterance_lattice_faster(
            decoder, decodable, self.transitions, "utterance", False
        )
        return KaldiPath(tuple(words), score)

    def decode_best(self, scores: np.ndarray) -> KaldiPath:
        """Return the best path by FasterDecoder."""
        decoder = self.kaldi.FasterDecoder(self.graph, self.best_options)
        decodable = self.kaldi.DecodableCtc(scores)
        decoder.decode(decodable)
        _, path = decoder.get_best_path()
        _, _, words, weight = self.fst.get_linear_symbol_sequence(path)
        return KaldiPath(tuple(words), -(weight.value1 + weight.value2))

    def _unused_transitions(self) -> object:
        """A transition model of one phone, which the lattice decoder asks for.

        The graph has the transitions; only determinisation would look at this.
        """
        topology = self.kaldi.HmmTopology()
        topology.read(
            "<Topology> <TopologyEntry> <ForPhones> 1 </ForPhones> "
            "<State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.5 </State> "
            "<State> 1 </State> </TopologyEntry> </Topology>"
        )
        context = self.kaldi.monophone_context_dependency([1], [0, 1])
        return self.kaldi.TransitionModel(context, topology)
