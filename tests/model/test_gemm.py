"""Products made tile by tile: against numpy in double precision, at sizes that fill no tile, and their bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import memory
from workbench.model.gemm import bfloat16, float32
from workbench.processor import this_processor

SIZES = st.integers(1, 70)
MARK = 9.0  # what lies around a matrix


def matrix(random, rows, columns, dtype):
    return torch.from_numpy(random.standard_normal((rows, columns)).astype(dtype))


def framed(rows, columns, dtype):
    """A matrix of marks within a larger one, and the larger one."""
    whole = torch.full((rows + 1, columns + 3), MARK, dtype=dtype)
    return whole[:rows, :columns], whole


def untouched(whole, rows, columns):
    """Whether everything around the matrix still is as it was."""
    return bool((whole[rows:] == MARK).all() and (whole[:, columns:] == MARK).all())


@given(SIZES, SIZES, SIZES, st.sampled_from([np.float32, np.float64]))
@settings(max_examples=25, deadline=None)
def test_products_equal_numpy(frames, inputs, outputs, dtype):
    """Each product equals numpy's in double precision to rounding, and nothing outside its matrix is written."""
    random = np.random.default_rng(frames)
    weight, bias = matrix(random, outputs, inputs, dtype), matrix(random, 1, outputs, dtype)[0]
    h, delta = matrix(random, frames, inputs, dtype), matrix(random, frames, outputs, dtype)
    near = dict(rtol=0, atol=60 * np.sqrt(inputs + outputs + frames) * np.finfo(dtype).eps)
    for rectify in (True, False):
        out, whole = framed(outputs, frames, weight.dtype)
        float32.affine(h.t().contiguous().t(), weight, bias, out.t(), rectify)
        exact = h.double().numpy() @ weight.double().numpy().T + bias.double().numpy()
        assert np.allclose(out.t(), np.maximum(exact, 0) if rectify else exact, **near)
        assert untouched(whole, outputs, frames)
    out, whole = framed(frames, inputs, weight.dtype)
    float32.backward(delta, weight, out)
    assert np.allclose(out, delta.double() @ weight.double(), **near) and untouched(
        whole, frames, inputs
    )
    out, whole = framed(outputs, inputs, weight.dtype)
    float32.gradient(delta, h, out)
    assert np.allclose(out, delta.double().t() @ h.double(), **near) and untouched(
        whole, outputs, inputs
    )


@pytest.mark.parametrize("shape", [(300, 290, 530), (32, 64, 40)])
def test_many_blocks_and_any_order_in_memory(shape):
    """Sizes beyond every block; where a matrix may lie as it likes its order in memory changes no bit."""
    frames, inputs, outputs = shape
    random = np.random.default_rng(0)
    weight, h, delta = (
        matrix(random, *s, np.float32)
        for s in ((outputs, inputs), (frames, inputs), (frames, outputs))
    )
    turned = delta.t().contiguous().t()
    results = []
    for d in (delta, turned):
        down, g = torch.empty(frames, inputs), torch.empty(outputs, inputs)
        float32.backward(d, weight, down)
        float32.gradient(d, h, g)
        results.append((down, g))
    assert np.allclose(results[0][0], delta.double() @ weight.double(), atol=1e-3)
    assert np.allclose(results[0][1], delta.double().t() @ h.double(), atol=1e-3)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_move_rounds_as_gradient_and_update():
    """W + rate G has the bits that numpy leaves, in place or elsewhere; without frames W stays and G is zero."""
    random = np.random.default_rng(0)
    weight, h, delta = (matrix(random, *s, np.float32) for s in ((77, 50), (33, 50), (33, 77)))
    g = torch.empty_like(weight)
    float32.gradient(delta, h, g)
    expected = weight.numpy() + np.float32(0.0173) * g.numpy()
    for frames in (0, 33):
        other, before = torch.full_like(weight, np.nan), weight.clone()
        float32.move(delta[:frames], h[:frames], weight, 0.0173, other)
        assert np.array_equal(other, expected if frames else before) and torch.equal(weight, before)
    float32.move(delta, h, weight, 0.0173, weight)
    assert np.array_equal(weight, expected)
    float32.move(delta[:0], h[:0], weight, 0.0173, weight)
    float32.gradient(delta[:0], h[:0], g)
    assert np.array_equal(weight, expected) and not g.any()


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("inputs", [64, 75, 160])
def test_what_is_written_past_the_cache_is_written(inputs, shift):
    """New weights are the same wherever they lie, whether whole vectors pass the cache or not; all around stays."""
    random = np.random.default_rng(0)
    weight, h, delta = (
        matrix(random, *s, np.float32) for s in ((43, inputs), (32, inputs), (32, 43))
    )
    near = torch.empty_like(weight).copy_(weight)
    float32.move(delta, h, near, 0.5, near)
    whole = memory.floats(1 << 15)
    whole[:] = 7
    out = torch.from_numpy(whole)[shift : shift + weight.numel()].view(weight.shape)
    float32.move(delta, h, weight, 0.5, out)
    assert torch.equal(out, near)
    assert (whole[:shift] == 7).all() and (whole[shift + weight.numel() :] == 7).all()


def test_what_is_not_a_number_stays_so():
    """A rectifier passes NaN on, so that it is found in the gradient."""
    out = torch.empty(3, 4)
    weight = torch.tensor([[np.nan], [1.0], [-1.0]])
    float32.affine(torch.ones(4, 1), weight, torch.zeros(3), out.t(), True)
    assert np.array_equal(out.numpy()[:, 0], [np.nan, 1, 0], equal_nan=True)


def test_misfits_are_refused():
    """Matrices that do not fit, or whose rows have gaps, raise instead of being read past their end."""
    with pytest.raises(ValueError, match="product of"):
        float32.backward(torch.zeros(2, 3), torch.zeros(4, 5), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="product of"):
        float32.gradient(torch.zeros(2, 3), torch.zeros(2, 8)[:, ::2], torch.zeros(3, 4))
    with pytest.raises(ValueError, match="to be moved to"):
        float32.move(
            torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(3, 4), 1.0, torch.zeros(3, 8)[:, :4]
        )


@pytest.mark.skipif(
    not this_processor().bfloat16_pairs, reason="this processor does not multiply pairs of bfloat16"
)
@given(SIZES, SIZES, SIZES, st.booleans())
@settings(max_examples=25, deadline=None)
def test_pairs_are_products_of_rounded_factors(frames, inputs, outputs, turn):
    """With bfloat16 the factors are rounded as torch rounds them, odd numbers of them too; all else is float32."""
    random = np.random.default_rng(frames)
    weight, bias = (
        matrix(random, outputs, inputs, np.float32),
        matrix(random, 1, outputs, np.float32)[0],
    )
    h, delta = (
        matrix(random, frames, inputs, np.float32),
        matrix(random, frames, outputs, np.float32),
    )
    w, x, d = (m.to(torch.bfloat16).double() for m in (weight, h, delta))
    near = dict(rtol=0, atol=60 * np.sqrt(inputs + outputs + frames) * np.finfo(np.float32).eps)
    delta = delta.t().contiguous().t() if turn else delta
    out, whole = framed(outputs, frames, torch.float32)
    bfloat16.affine(h.t().contiguous().t(), weight, bias, out.t(), True)
    assert np.allclose(
        out.t(), np.maximum((x @ w.t() + bias.double()).numpy(), 0), **near
    ) and untouched(whole, outputs, frames)
    out, whole = framed(frames, inputs, torch.float32)
    bfloat16.backward(delta, weight, out)
    assert np.allclose(out, d @ w, **near) and untouched(whole, frames, inputs)
    out, whole = framed(outputs, inputs, torch.float32)
    bfloat16.gradient(delta, h, out)
    assert np.allclose(out, d.t() @ x, **near) and untouched(whole, outputs, inputs)
    moved = weight.numpy() + np.float32(0.0173) * out.numpy()
    for into in (torch.empty_like(weight), weight):
        bfloat16.move(delta, h, weight, 0.0173, into)
        assert np.array_equal(into, moved)
