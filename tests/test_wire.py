"""Numbers on their way: rounded as torch rounds, and what is not finite stays so."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toy import settings

from workbench import memory
from workbench.training.wire import narrow, wide

BFLOAT16 = settings(wire="bfloat16")


@given(hnp.arrays(np.float32, st.integers(0, 99), elements=st.floats(width=32)))
def test_rounding_is_torchs(x):
    """To the nearest, ties to even; infinities and what is no number included."""
    rounded = wide(narrow(x, BFLOAT16))
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, torch.from_numpy(x).to(torch.bfloat16).float().numpy())
    assert narrow(rounded, BFLOAT16).tobytes() == narrow(x, BFLOAT16).tobytes()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_no_bits_are_taken_for_a_number(bits):
    """Whatever the payload of a NaN, it does not become zero or infinity."""
    x = np.array(bits, np.uint32).view(np.float32)
    assert np.array_equal(np.isnan(wide(narrow(x, BFLOAT16))), np.isnan(x))


def test_float32_is_left_alone():
    """Without the setting nothing is copied; with it, half the bytes lie in memory that can be shared."""
    x = np.ones(1 << 16, np.float32)
    assert narrow(x, settings()) is x and wide(x) is x
    half = narrow(x, BFLOAT16)
    assert half.nbytes * 2 == x.nbytes and memory.loan_of(half) is not None
    out = np.zeros_like(x)
    assert wide(half, out) is out and (out == 1).all()
