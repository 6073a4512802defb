"""Exact occupancies of a search graph for a batch of utterances on any device: all paths, nothing pruned.

For graphs small enough that every state can be kept at every frame, and for GPUs: on a CPU the pruned search is 17 to
100 times faster. Probabilities instead of logarithms: the scores of a frame are taken relative to the largest, and the
masses of a frame are divided by their sum, whose logarithms add up to the total. In double precision what is lost that
way is less likely than e^-700.

    α_{t+1}(j) ∝ Σ_{i -> j} α_t(i) e^{weight + score},     β_t(i) ∝ Σ_{i -> j} e^{weight + score} β_{t+1}(j),
    γ_t(s) ∝ Σ_{i -> j that consume s} α_t(i) e^{weight + score} β_{t+1}(j)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from workbench.hmm.graphs.graph import Graph
from workbench.model.kernels import device
from workbench.sequence.lattice import NoPath
from workbench.sequence.occupancy import Occupancies
from workbench.sequence.search_layout import once_per_graph

LEAST = 1e-14  # occupancies below this are not kept; all of a row's together stay below rounding


def exact_occupancies(
    graph: Graph, scores: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[Occupancies]]:
    """(log totals float64 [utterances], occupancies of each) for ``scores`` [T, tied states], which may differ in T.

    Raises NoPath where an utterance has no complete path. Memory: 8 bytes per frame, utterance and state of the graph.
    """
    lengths = torch.tensor([len(x) for x in scores], device=device())
    shape = max(map(len, scores)), scores[0].shape[1], len(scores)
    padded = torch.full(shape, -torch.inf, dtype=torch.float64, device=device())
    for b, x in enumerate(scores):
        padded[: len(x), :, b] = torch.from_numpy(x)
    totals, gamma = _forward_backward(on_device(graph), padded, lengths)
    if not torch.isfinite(totals).all():
        raise NoPath("no complete path")
    dense = gamma.permute(2, 0, 1).cpu().numpy()
    return totals.cpu().numpy(), [
        sparse(rows[: len(x)]) for rows, x in zip(dense, scores, strict=True)
    ]


class Arcs(NamedTuple):
    """A graph's arcs with their probabilities, and its final probabilities, on the device that computes."""

    source: torch.Tensor
    target: torch.Tensor
    state: torch.Tensor
    probability: torch.Tensor
    final: torch.Tensor


@once_per_graph
def on_device(graph: Graph) -> Arcs:
    """The arrays of ``graph``, made at its first use."""
    columns = (
        torch.tensor(a, dtype=torch.int64, device=device())
        for a in (graph.sources(), graph.target, graph.state)
    )
    logs = (
        torch.tensor(a, dtype=torch.float64, device=device()) for a in (graph.weight, graph.final)
    )
    return Arcs(*columns, *(a.exp()[:, None] for a in logs))


def _forward_backward(
    arcs: Arcs, scores: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(totals float64 [B], γ [T, tied, B]) for ``scores`` [T, tied, B], -inf behind the end of an utterance."""
    frames, _, batch = scores.shape
    inside = torch.arange(frames, device=scores.device)[:, None] < lengths  # [T, B]
    largest = torch.where(inside, scores.amax(1), torch.zeros_like(scores[:, 0]))
    likelihood = (scores - largest[:, None]).exp()
    alpha = scores.new_zeros((frames + 1, len(arcs.final), batch))
    alpha[0, 0] = 1
    totals = scores.new_zeros(batch)
    for t in range(frames):
        moved = alpha[t, arcs.source] * arcs.probability * likelihood[t, arcs.state]
        alpha[t + 1].index_add_(0, arcs.target, moved)
        mass = torch.where(inside[t], alpha[t + 1].sum(0), torch.ones_like(largest[t]))
        totals += torch.log(mass) + largest[t]
        alpha[t + 1] = torch.where(inside[t], alpha[t + 1] / mass, alpha[t])
    totals += torch.log((alpha[frames] * arcs.final).sum(0))
    gamma, beta = torch.zeros_like(scores), torch.zeros_like(alpha[0])
    for t in range(frames - 1, -1, -1):
        beta = torch.where(lengths == t + 1, arcs.final, beta)
        moved = arcs.probability * likelihood[t, arcs.state] * beta[arcs.target]
        gamma[t].index_add_(0, arcs.state, alpha[t, arcs.source] * moved)
        beta = torch.zeros_like(beta).index_add_(0, arcs.source, moved)
        beta = beta / beta.sum(0).clamp_min(torch.finfo(beta.dtype).tiny)
    return totals, gamma / gamma.sum(1, keepdim=True).clamp_min(torch.finfo(gamma.dtype).tiny)


def sparse(rows: np.ndarray) -> Occupancies:
    """Dense occupancies [T, tied] as sparse ones."""
    frame, state = np.nonzero(rows > LEAST)
    indptr = np.searchsorted(frame, np.arange(len(rows) + 1))
    return Occupancies(indptr, state.astype(np.int32), rows[frame, state])
