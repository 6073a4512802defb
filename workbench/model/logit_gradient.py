"""The outer gradient as the passes take it: dense, or from sparse rows."""

from typing import NamedTuple

import numpy as np
import torch

from workbench.model.torch_vector import tensor
from workbench.model.workspace import DeviceParameters, NetworkWorkspace


class SparseRows(NamedTuple):
    """Rows in CSR form: row t is ``values[indptr[t] : indptr[t + 1]]`` at the same places of
    ``states``.

    ``indptr`` integer [frames + 1]; ``states`` integer and ``values`` floating point [entries]. A
    state may occur more than once in a row.
    """

    indptr: np.ndarray
    states: np.ndarray
    values: np.ndarray


class LogitGradient(NamedTuple):
    """The derivative at the softmax input, ``delta`` [frames, columns], in the columns that are not
    all zero.

    ``columns`` int64: the states that they are; None: all states.
    """

    delta: torch.Tensor
    columns: torch.Tensor | None


def logit_gradient(
    p: DeviceParameters, space: NetworkWorkspace, outer: np.ndarray | SparseRows
) -> LogitGradient:
    """Return ``outer`` as factors; raises ValueError if it does not fit frames and states."""
    frames = space.frames
    states = p.topology.states
    if not isinstance(outer, np.ndarray):
        return _sparse_logit_gradient(p, space, SparseRows(*(np.asarray(a) for a in outer)))
    if outer.shape != (frames, states):
        raise ValueError(f"outer of shape {outer.shape} for {frames} frames and {states} states")
    return LogitGradient(space.factor(tensor(np.ascontiguousarray(outer)), "logits"), None)


def _sparse_logit_gradient(
    p: DeviceParameters, space: NetworkWorkspace, rows: SparseRows
) -> LogitGradient:
    frames = space.frames
    states = p.topology.states
    entries = len(rows.states)
    if len(rows.indptr) != frames + 1 or not rows.indptr[-1] == entries == len(rows.values):
        raise ValueError(
            f"CSR rows {len(rows.indptr) - 1} of {entries} states, {len(rows.values)} values, "
            f"for {frames} frames"
        )

    if p.kernel.own_memory:
        return _scattered_logit_gradient(p, space, rows)

    columns, column = np.unique(rows.states, return_inverse=True)
    if len(columns) and (columns[0] < 0 or columns[-1] >= states):
        raise ValueError(
            f"states {columns[0]}..{columns[-1]} of CSR rows lie outside 0..{states - 1}"
        )

    # With most states in use, gathering rows of the weights would cost more than it saves.
    all_states = 2 * len(columns) > states
    place = rows.states if all_states else column
    width = states if all_states else len(columns)
    row = np.repeat(np.arange(frames), np.diff(rows.indptr))
    dense = np.bincount(row * width + place, rows.values, frames * width).reshape(frames, width)
    delta = space.factor(torch.from_numpy(dense), "logits")
    if all_states:
        return LogitGradient(delta, None)
    return LogitGradient(delta, torch.from_numpy(columns.astype(np.int64)).to(p.device))


def _scattered_logit_gradient(
    p: DeviceParameters, space: NetworkWorkspace, rows: SparseRows
) -> LogitGradient:
    """Return all columns, scattered on the device from the entries, which are few.

    States that occur twice in a row are added on the host. So each place is written once, and the
    order in which the device writes does not matter.
    """
    states = p.topology.states
    row = np.repeat(np.arange(space.frames), np.diff(rows.indptr))
    places, entry = np.unique(row * states + rows.states, return_inverse=True)
    if len(rows.states) and (rows.states.min() < 0 or rows.states.max() >= states):
        raise ValueError(f"states of CSR rows lie outside 0..{states - 1}")

    values = np.bincount(entry, rows.values, len(places))
    delta = space.buffer("logits", space.frames, states).zero_()
    delta.view(-1).index_copy_(
        0,
        torch.from_numpy(places).to(p.device),
        torch.from_numpy(values).to(p.device, p.dtype),
    )
    return LogitGradient(delta, None)
