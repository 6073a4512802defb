"""Tied states: the table, its limits, and what survives the disk."""

import numpy as np
import pytest

from workbench.hmm.states import TiedStates, monophone

PHONES = ("SIL", "a", "b", "c")


def test_monophone_ignores_context():
    """A monophone's state is 3 p + k in every context."""
    states = monophone(PHONES)
    assert states.count == 12
    assert {states.pdf(left, 2, right, 1) for left in range(4) for right in range(4)} == {7}
    assert states.silence.tolist() == [0, 1, 2]
    assert states.phone.tolist() == [p for p in range(4) for _ in range(3)]


def test_staying_and_leaving_sum_to_one():
    """exp(self_loop) + exp(leave) = 1 for every state."""
    states = monophone(PHONES, stay=0.9)
    assert np.allclose(np.exp(states.self_loop) + np.exp(states.leave), 1, atol=1e-6)


def test_save_and_load(tmp_path):
    """What is loaded equals what was saved, phones with letters outside ASCII included."""
    states = monophone(("SIL", "ð", "θ"))
    states.save(tmp_path / "states")
    again = TiedStates.load(tmp_path / "states")
    assert again.phones == states.phones
    assert np.array_equal(again.table, states.table)
    assert np.array_equal(again.self_loop, states.self_loop)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, loop: (table[:3], loop), "shape"),
        (lambda table, loop: (table, loop[:-1]), "of 11"),
        (lambda table, loop: (table, np.append(loop, -1)), "no phone uses"),
        (lambda table, loop: (table, loop * 0), "below 0"),
        (
            lambda table, loop: (
                np.where(np.arange(4)[:, None, None, None] == 1, 5, table),
                loop,
            ),
            "context",
        ),
    ],
)
def test_inconsistent_states_are_refused(change, message):
    """A table that is incomplete, out of range or gives silence a context raises ValueError."""
    good = monophone(PHONES)
    table, loop = change(good.table.copy(), good.self_loop.copy())
    with pytest.raises(ValueError, match=message):
        TiedStates(PHONES, table, loop)
