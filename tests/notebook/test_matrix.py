"""The buttons of a sweep's matrix."""

from itertools import product

import pandas as pd

from workbench.figures.sweep_matrix import matrix
from workbench.notebook.panels.matrix import HEAD_CLASS, ROW_HEAD_CLASS, MatrixGrid

AXES = ["shuffling", "replicas", "batch", "slots", "seed"]


def test_the_heads_of_all_levels_stay_in_sight() -> None:
    """However many axes go across, the heads of each stay below those of the axis before."""
    rows = [dict(zip(AXES, values, strict=True)) for values in product((1, 2), repeat=len(AXES))]
    table = pd.DataFrame(rows).assign(label="", state="done", heldout_wer=0.1)
    table["cell"] = [str(number) for number in range(len(table))]
    grid = MatrixGrid(lambda cells: None)
    grid.show(matrix(table, AXES))

    classes = {made: made.get_state()["_dom_classes"] for made in grid.grid.children}
    heads = [made for made, names in classes.items() if HEAD_CLASS in names]
    tops = [made.layout.top for made in heads if ROW_HEAD_CLASS not in classes[made]]
    assert list(dict.fromkeys(tops)) == ["0em", "2.4em", "4.8em", "7.2em"]
