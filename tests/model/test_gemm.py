"""Products made tile by tile, against numpy in double precision.

Sizes include those that fill no tile.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.model.gemm import float32
from workbench.system import memory

SIZES = st.integers(1, 70)
MARK = 9.0  # what lies around a matrix
RATE = 0.0173


def matrix(random, rows, columns, dtype=np.float32):
    return torch.from_numpy(random.standard_normal((rows, columns)).astype(dtype))


def turned(matrix):
    """The same matrix in the other order in memory."""
    return matrix.t().contiguous().t()


def framed(rows, columns, dtype):
    """A matrix of marks within a larger one, and the larger one."""
    whole = torch.full((rows + 1, columns + 3), MARK, dtype=dtype)
    return whole[:rows, :columns], whole


def untouched(whole, rows, columns):
    """Whether everything around the matrix still is as it was."""
    return bool((whole[rows:] == MARK).all() and (whole[:, columns:] == MARK).all())


def tolerance(frames, inputs, outputs, dtype):
    """How far sums over any of these sizes may be from those in double precision."""
    return 60 * np.sqrt(inputs + outputs + frames) * np.finfo(dtype).eps


def near(found, exact, atol):
    return np.allclose(found, exact, rtol=0, atol=atol)


@given(SIZES, SIZES, SIZES, st.sampled_from([np.float32, np.float64]))
@settings(max_examples=25, deadline=None)
def test_products_equal_numpy(frames, inputs, outputs, dtype):
    """Each product equals numpy's to rounding, and nothing outside its matrix is written."""
    random = np.random.default_rng(frames)
    weight = matrix(random, outputs, inputs, dtype)
    bias = matrix(random, 1, outputs, dtype)[0]
    h = matrix(random, frames, inputs, dtype)
    delta = matrix(random, frames, outputs, dtype)
    atol = tolerance(frames, inputs, outputs, dtype)

    for rectify in (True, False):
        out, whole = framed(outputs, frames, weight.dtype)
        float32.affine(turned(h), weight, bias, out.t(), rectify)
        exact = h.double().numpy() @ weight.double().numpy().T + bias.double().numpy()
        assert near(out.t(), np.maximum(exact, 0) if rectify else exact, atol)
        assert untouched(whole, outputs, frames)

    out, whole = framed(frames, inputs, weight.dtype)
    float32.backward(delta, weight, out)
    assert near(out, delta.double() @ weight.double(), atol)
    assert untouched(whole, frames, inputs)

    out, whole = framed(outputs, inputs, weight.dtype)
    float32.gradient(delta, h, out)
    assert near(out, delta.double().t() @ h.double(), atol)
    assert untouched(whole, outputs, inputs)


@pytest.mark.parametrize("shape", [(300, 290, 530), (32, 64, 40)])
def test_many_blocks_and_either_order_in_memory(shape):
    """Sizes beyond every block are right, and the order in memory changes no bit."""
    frames, inputs, outputs = shape
    random = np.random.default_rng(0)
    weight = matrix(random, outputs, inputs)
    h = matrix(random, frames, inputs)
    delta = matrix(random, frames, outputs)
    results = []
    for either in (delta, turned(delta)):
        down = torch.empty(frames, inputs)
        gradient = torch.empty(outputs, inputs)
        float32.backward(either, weight, down)
        float32.gradient(either, h, gradient)
        results.append((down, gradient))

    (down, gradient), (other_down, other_gradient) = results
    assert np.allclose(down, delta.double() @ weight.double(), atol=1e-3)
    assert np.allclose(gradient, delta.double().t() @ h.double(), atol=1e-3)
    assert torch.equal(down, other_down)
    assert torch.equal(gradient, other_gradient)


def test_move_rounds_as_gradient_and_update():
    """W + rate G has the bits that numpy leaves, in place or elsewhere.

    Without frames W stays and G is zero.
    """
    random = np.random.default_rng(0)
    weight = matrix(random, 77, 50)
    h = matrix(random, 33, 50)
    delta = matrix(random, 33, 77)
    gradient = torch.empty_like(weight)
    float32.gradient(delta, h, gradient)
    moved = weight.numpy() + np.float32(RATE) * gradient.numpy()
    before = weight.clone()
    for frames, expected in ((0, before), (33, moved)):
        other = torch.full_like(weight, np.nan)
        float32.move(delta[:frames], h[:frames], weight, RATE, other)
        assert np.array_equal(other, expected)
        assert torch.equal(weight, before)

    float32.move(delta, h, weight, RATE, weight)
    assert np.array_equal(weight, moved)
    float32.move(delta[:0], h[:0], weight, RATE, weight)
    float32.gradient(delta[:0], h[:0], gradient)
    assert np.array_equal(weight, moved)
    assert not gradient.any()


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("inputs", [64, 75, 160])
def test_what_is_written_past_the_cache_is_written(inputs, shift):
    """New weights are the same wherever they lie, and nothing around them changes."""
    random = np.random.default_rng(0)
    weight = matrix(random, 43, inputs)
    h = matrix(random, 32, inputs)
    delta = matrix(random, 32, 43)
    in_place = torch.empty_like(weight).copy_(weight)
    float32.move(delta, h, in_place, 0.5, in_place)

    whole = memory.floats(1 << 15)
    whole[:] = MARK
    end = shift + weight.numel()
    out = torch.from_numpy(whole)[shift:end].view(weight.shape)
    float32.move(delta, h, weight, 0.5, out)
    assert torch.equal(out, in_place)
    assert (whole[:shift] == MARK).all()
    assert (whole[end:] == MARK).all()


def test_what_is_not_a_number_stays_so():
    """A rectifier passes NaN on, so that it is found in the gradient."""
    out = torch.empty(3, 4)
    weight = torch.tensor([[np.nan], [1.0], [-1.0]])
    float32.affine(torch.ones(4, 1), weight, torch.zeros(3), out.t(), True)
    assert np.array_equal(out.numpy()[:, 0], [np.nan, 1, 0], equal_nan=True)


def test_misfits_are_refused():
    """Matrices that do not fit, or whose rows have gaps, raise ValueError."""
    with pytest.raises(ValueError, match="product of"):
        float32.backward(torch.zeros(2, 3), torch.zeros(4, 5), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="product of"):
        float32.gradient(torch.zeros(2, 3), torch.zeros(2, 8)[:, ::2], torch.zeros(3, 4))
    gaps = torch.zeros(3, 8)[:, :4]
    with pytest.raises(ValueError, match="to be moved to"):
        float32.move(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(3, 4), 1.0, gaps)
