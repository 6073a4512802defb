"""The grid of scales: complete, widened where the best is at an edge, refused out of range."""

import pytest

from workbench.recognise.scale_grid import WIDENINGS, Scales, edges, search_grid
from workbench.settings import UserError

GRID = {
    "acoustic_scale": [0.1, 0.2],
    "prior_scale": [1.0],
    "transition_scale": [0.3, 1.0],
}


def test_a_grid_whose_best_is_inside_is_not_widened():
    """All combinations are measured once, and come with the best first."""
    seen = []

    def measure(scales: Scales) -> float:
        seen.append(scales)
        return abs(scales.acoustic_scale - 0.2) + abs(scales.transition_scale - 0.3)

    grid = {**GRID, "acoustic_scale": [0.1, 0.2, 0.4], "transition_scale": [0.1, 0.3, 1.0]}
    errors = search_grid(grid, measure)
    assert len(seen) == len(set(seen)) == len(errors) == 9
    assert errors.wer.is_monotonic_increasing
    assert errors.iloc[0][["acoustic_scale", "transition_scale"]].tolist() == [0.2, 0.3]
    assert edges(errors) == []


def test_a_grid_goes_on_beyond_its_edge():
    """The best scale lies two steps beyond the grid, and is found without being asked for."""
    errors = search_grid(GRID, lambda scales: abs(scales.acoustic_scale - 0.8))
    assert errors.acoustic_scale[0] == 0.8
    assert max(errors.acoustic_scale) == 1.6
    assert not any("acoustic_scale" in sentence for sentence in edges(errors))

    errors = search_grid(GRID, lambda scales: abs(scales.acoustic_scale - 0.05))
    assert errors.acoustic_scale[0] == 0.05


def test_an_edge_that_stays_is_said():
    """Widening ends after some steps and at the range of the setting; then the edge is named."""
    errors = search_grid(GRID, lambda scales: scales.acoustic_scale)
    assert errors.acoustic_scale[0] == pytest.approx(0.1 / 2**WIDENINGS, rel=0.01)
    assert any("the best acoustic_scale" in sentence for sentence in edges(errors))

    errors = search_grid(GRID, lambda scales: -scales.transition_scale)
    assert max(errors.transition_scale) == 1.0
    assert "the best transition_scale, 1, is the greatest that was tried" in edges(errors)[0]


def test_one_value_is_a_choice_and_no_edge():
    """A scale that is given once is kept."""
    grid = {**GRID, "acoustic_scale": [0.1], "transition_scale": [1.0]}
    errors = search_grid(grid, lambda scales: 0.5)
    assert len(errors) == 1
    assert edges(errors) == []


@pytest.mark.parametrize("value", [-1, 0, 1e9, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(value):
    """Nothing is measured; the line names the scale and its range."""
    with pytest.raises(UserError, match=r"acoustic_scale=.*must be between 0.001 and 2"):
        search_grid({**GRID, "acoustic_scale": [0.1, value]}, lambda scales: 0.0)


def test_a_flat_grid_has_its_best_in_the_middle() -> None:
    """Equal errors do not send the search beyond its smallest value."""
    grid = {"acoustic_scale": [0.05, 0.1, 0.2], "prior_scale": [1.0], "transition_scale": [1.0]}
    errors = search_grid(grid, lambda scales: 0.5)
    assert errors.acoustic_scale.tolist() == [0.1, 0.05, 0.2]
