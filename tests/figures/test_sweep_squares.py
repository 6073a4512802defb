"""The picture of a sweep's matrix."""

import pandas as pd
import pytest
from fake_sweeps import sweep_table

from workbench.figures.sweep_squares import draw_matrix


@pytest.mark.slow
def test_a_large_matrix_grows() -> None:
    """The picture of 120 cells gives each its room; pressed together, axes have none."""
    table = sweep_table()
    large = pd.concat([table.assign(batch=str(value)) for value in range(60)], ignore_index=True)
    figure = draw_matrix(large, ["batch", "shuffling"])
    assert figure.get_size_inches()[1] > 60 * 0.5  # inches
    figure.draw_without_rendering()
    box = figure.axes[0].get_position()
    assert min(box.width, box.height) > 0.1
