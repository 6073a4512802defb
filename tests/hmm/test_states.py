"""Tied states: the table, what it may hold, and its file."""

import numpy as np
import pytest

from workbench.hmm.states import TiedStates, monophone

PHONES = ("SIL", "a", "b", "c")


def test_monophone_ignores_context():
    """A monophone's state is 3 p + k in every context."""
    states = monophone(PHONES)
    assert states.count == 12
    assert (states.table[:, 2, :, 1] == 7).all()
    assert states.silence.tolist() == [0, 1, 2]
    assert states.phone.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_phones_of_noise_are_known_by_their_names():
    """Those of Kaldi and Sphinx are silence too, in either case; phones of speech are not."""
    states = monophone(("SIL", "+NOISE+", "NSN", "a", "laɪ", "n", "spn"))
    assert states.silence_phones == (0, 1, 2, 6)
    assert GOOD.silence_phones == (0,)


def test_phones_of_noise_may_have_word_positions_and_signs():
    """Kaldi's ``_B _I _E _S`` and signs around a name do not hide noise; speech stays speech."""
    noise = ("SPN_S", "SPN_B", "SPN_I", "NSN_E", "{NOISE}", "{BRTH}", "BRTH", "[LAUGHTER]_S")
    speech = ("S_S", "N_B", "SPN_X", "NOISES", "B_E", "_S")
    states = monophone(("SIL", *noise, *speech))
    assert states.silence_phones == tuple(range(1 + len(noise)))


def test_staying_and_leaving_sum_to_one():
    """exp(self_loop) + exp(leave) = 1 for every state."""
    states = monophone(PHONES, stay=0.9)
    assert np.allclose(np.exp(states.self_loop) + np.exp(states.leave), 1, atol=1e-6)


def test_save_and_load(tmp_path):
    """Loaded states equal those that were saved, phones outside ASCII included."""
    states = monophone(("SIL", "ð", "θ"))
    states.save(tmp_path / "states")
    again = TiedStates.load(tmp_path / "states")
    assert again.phones == states.phones
    assert np.array_equal(again.table, states.table)
    assert np.array_equal(again.self_loop, states.self_loop)


GOOD = monophone(PHONES)
ONE_STATE_IN_SOME_CONTEXTS = GOOD.table.copy()
ONE_STATE_IN_SOME_CONTEXTS[1] = 5


@pytest.mark.parametrize(
    ("table", "self_loop", "message"),
    [
        (GOOD.table[:3], GOOD.self_loop, "shape"),
        (GOOD.table, GOOD.self_loop[:-1], "of 11"),
        (GOOD.table, np.append(GOOD.self_loop, -1), "no phone uses"),
        (GOOD.table, GOOD.self_loop * 0, "below 0"),
        (ONE_STATE_IN_SOME_CONTEXTS, GOOD.self_loop, "context"),
    ],
)
def test_inconsistent_states_are_refused(table, self_loop, message):
    """A table that is incomplete, out of range or gives silence a context raises ValueError."""
    with pytest.raises(ValueError, match=message):
        TiedStates(PHONES, table, self_loop)
