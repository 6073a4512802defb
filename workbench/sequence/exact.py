"""Exact occupancies and expected accuracies of a search graph on any device: all paths, nothing
pruned.

For graphs small enough that every state can be kept at every frame, and for GPUs: on a CPU the
pruned search is 17 to 100 times faster. Probabilities are summed instead of logarithms. The scores
of a frame are taken relative to the largest, and the masses of a frame are divided by their sum;
the logarithms of these sums add up to the total. In double precision only paths less likely than
e^-700 are lost that way.

    α_{t+1}(j) ∝ Σ_{i -> j} α_t(i) e^{weight + score},
    β_t(i) ∝ Σ_{i -> j} e^{weight + score} β_{t+1}(j),
    γ_t(s) ∝ Σ_{i -> j that consume s} α_t(i) e^{weight + score} β_{t+1}(j)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.model.device import device
from workbench.sequence.occupancy import Occupancies
from workbench.sequence.search_graph import once_per_graph

TOO_FAR_APART = "the scores are too far apart for a sum over all paths"
LEAST = 1e-14  # occupancies below this are not kept; all of a row's together stay below rounding


class DeviceArcs(NamedTuple):
    """A graph's arcs with their probabilities, and its final probabilities, on the device that
    computes.

    ``source``, ``target``, ``state`` int64 [arcs]; ``probability`` float64 [arcs, 1]; ``final``
    float64 [states, 1].
    """

    source: torch.Tensor
    target: torch.Tensor
    state: torch.Tensor
    probability: torch.Tensor
    final: torch.Tensor


def exact_occupancies(
    graph: Graph, scores: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[Occupancies]]:
    """Return (log totals float64 [utterances], the occupancies of each utterance).

    ``scores``: one array [T, tied states] for each utterance; T may differ. Memory: 8 bytes for
    each frame, utterance and state of the graph. Raises NoPath where an utterance has no complete
    path, or where paths from the start and paths to the end meet in no double number.
    """
    lengths = torch.tensor([len(x) for x in scores], device=device())
    shape = (max(len(x) for x in scores), scores[0].shape[1], len(scores))
    padded = torch.full(shape, -torch.inf, dtype=torch.float64, device=device())
    for b, x in enumerate(scores):
        padded[: len(x), :, b] = torch.from_numpy(x)

    totals, gamma = _forward_backward(device_arcs(graph), padded, lengths)
    if not torch.isfinite(totals).all():
        raise NoPath("no complete path")
    inside = torch.arange(len(gamma), device=gamma.device)[:, None] < lengths
    if not ((gamma.sum(1) > 0) | ~inside).all():
        raise NoPath(TOO_FAR_APART)

    dense = gamma.permute(2, 0, 1).cpu().numpy()
    rows = [sparse_rows(dense[b, : len(x)]) for b, x in enumerate(scores)]
    return totals.cpu().numpy(), rows


@once_per_graph
def device_arcs(graph: Graph) -> DeviceArcs:
    """Return the arrays of ``graph``, made at its first use."""

    def indices(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.int64, device=device())

    def probabilities(logarithms: np.ndarray) -> torch.Tensor:
        return torch.tensor(logarithms, dtype=torch.float64, device=device()).exp()[:, None]

    return DeviceArcs(
        source=indices(graph.sources()),
        target=indices(graph.target),
        state=indices(graph.state),
        probability=probabilities(graph.weight),
        final=probabilities(graph.final),
    )


def _forward_backward(
    arcs: DeviceArcs, scores: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (log totals float64 [B], γ [T, tied, B]) for ``scores`` [T, tied, B], -inf after an
    utterance's end.
    """
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

    gamma = torch.zeros_like(scores)
    beta = torch.zeros_like(alpha[0])
    for t in range(frames - 1, -1, -1):
        beta = torch.where(lengths == t + 1, arcs.final, beta)
        moved = arcs.probability * likelihood[t, arcs.state] * beta[arcs.target]
        gamma[t].index_add_(0, arcs.state, alpha[t, arcs.source] * moved)
        beta = torch.zeros_like(beta).index_add_(0, arcs.source, moved)
        beta = beta / beta.sum(0).clamp_min(torch.finfo(beta.dtype).tiny)
    row_sums = gamma.sum(1, keepdim=True).clamp_min(torch.finfo(gamma.dtype).tiny)
    return totals, gamma / row_sums


class ExpectedAccuracy(NamedTuple):
    """The expected number of right frames, the log total of all paths, and the gradient."""

    value: float
    den: float
    gradient: Occupancies


def exact_expected_accuracy(
    graph: Graph, scores: np.ndarray, right: np.ndarray
) -> ExpectedAccuracy:
    """Return the expected number of right frames over all paths, and its gradient.

    ``scores`` [T, tied states]; ``right`` bool [T, arcs]: which arcs of the graph are right at a
    frame. With α and β as above, a and b the mean accuracies of the paths before and behind, and p
    the probability of an arc with its score,

        γ_t(s) [Ā_t(s) - Ā] ∝ Σ_{i -> j that consume s} α_i p β_j (a_i + right + b_j - Ā)

    The gradient is with respect to the scaled scores, and sums to zero in every frame. Memory: one
    byte for each frame and arc. Raises NoPath as `exact_occupancies` does.
    """
    arcs = device_arcs(graph)
    padded = torch.tensor(scores, dtype=torch.float64, device=device())
    largest = padded.amax(1, keepdim=True)
    likelihood = (padded - largest).exp()
    log_total = largest.sum()
    right_at = torch.from_numpy(right).to(device())
    probability = arcs.probability[:, 0]
    final = arcs.final[:, 0]
    frames = len(scores)

    alpha = padded.new_zeros((frames + 1, len(final)))
    before = torch.zeros_like(alpha)  # α times the mean accuracy of the paths that end there
    alpha[0, 0] = 1
    for t in range(frames):
        moving = probability * likelihood[t, arcs.state]
        mass = alpha[t, arcs.source] * moving
        gain = before[t, arcs.source] * moving + mass * right_at[t]
        alpha[t + 1].index_add_(0, arcs.target, mass)
        before[t + 1].index_add_(0, arcs.target, gain)
        total = alpha[t + 1].sum()
        log_total = log_total + total.log()
        alpha[t + 1] /= total
        before[t + 1] /= total

    ending = alpha[frames] @ final
    if not ending > 0:  # NaN too, where no arc goes on
        raise NoPath("no complete path")
    expected = (before[frames] @ final) / ending

    rows = torch.zeros_like(padded)
    beta = final
    behind = torch.zeros_like(final)  # β times the mean accuracy of the paths that begin there
    for t in range(frames - 1, -1, -1):
        moving = probability * likelihood[t, arcs.state]
        mass = moving * beta[arcs.target]
        gain = moving * behind[arcs.target] + mass * right_at[t]
        here = alpha[t, arcs.source]
        through = before[t, arcs.source] * mass + here * (gain - mass * expected)
        rows[t].index_add_(0, arcs.state, through)
        rows[t] /= (here * mass).sum()
        total = mass.sum()
        beta = torch.zeros_like(beta).index_add_(0, arcs.source, mass) / total
        behind = torch.zeros_like(behind).index_add_(0, arcs.source, gain) / total

    den = float(log_total + ending.log())
    return ExpectedAccuracy(float(expected), den, sparse_rows(rows.cpu().numpy()))


def sparse_rows(dense: np.ndarray) -> Occupancies:
    """Return dense rows [T, tied states] as sparse ones, without what is smaller than LEAST.

    Raises NoPath if forward and backward probabilities met in no double number.
    """
    if not np.isfinite(dense).all():
        raise NoPath(TOO_FAR_APART)
    frame, state = np.nonzero(np.abs(dense) > LEAST)
    indptr = np.searchsorted(frame, np.arange(len(dense) + 1))
    return Occupancies(indptr, state.astype(np.int32), dense[frame, state])
