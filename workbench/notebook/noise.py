"""Calls for notebooks that measure how a way to mix frames makes gradients quiet."""

from collections.abc import Sequence

import pandas as pd

from workbench.metrics.noise import NoiseCurve
from workbench.notebook.given import runs_of
from workbench.notebook.shown_table import ShownTable
from workbench.notebook.work_line import work_line
from workbench.runs import noise
from workbench.storage.run import Run


def gradient_noise(run: Run | str, batch: int = 0) -> list[NoiseCurve]:
    """Return how noisy updates are, without shuffling and with either kind, 1 and 10 replicas.

    All are measured at the one model of ``run``, which may be given by its name, with ``batch``
    frames, by default those of the run. Nothing is trained. UserError if it has no model.
    """
    [found] = runs_of(run)
    with work_line() as progress:
        return noise.measure_noise(found, batch=batch, progress=progress)


def noise_table(curves: Sequence[NoiseCurve]) -> ShownTable:
    """Return the variances that `draw_noise` draws: a row per way to mix, a column per window."""
    rows = {
        curve.mixing.label: dict(zip(curve.windows, curve.ratios, strict=True)) for curve in curves
    }
    table = pd.DataFrame.from_dict(rows, orient="index").round(2)
    return ShownTable(table.rename_axis(index="frames are mixed", columns="updates"))
