"""Sweeps whose runs are made without training."""

import itertools
from concurrent.futures import Future

import numpy as np
import pandas as pd
from fake_runs import fake_run

from workbench.sweeping import Sweep
from workbench.sweeping.known_runs import run_name
from workbench.sweeping.price import Price


def small(**changes) -> Sweep:
    """Two values of one axis, two seeds."""
    given = {
        "name": "s",
        "corpus": "c",
        "preset": "tiny",
        "axes": {"shuffling": ["none", "full"]},
        "seeds": [0, 1],
    }
    return Sweep(**{**given, **changes})


class Outcomes:
    """An executor that trains nothing: it makes the run of a cell, or fails as told."""

    def __init__(self, failing: dict[str, Exception] | None = None):
        self.failing = failing or {}
        self.asked: list[str] = []

    def submit(self, function, sweep: Sweep, cell_id: str, data: str) -> Future:
        """As ``concurrent.futures`` has it."""
        cell = next(c for c in sweep.cells() if c.id == cell_id)
        asked = f"{cell.label} {cell.seed}"
        self.asked.append(asked)

        error = self.failing.get(asked)
        if error is None or isinstance(error, FloatingPointError):
            wrong = {"none": 1, "full": 2}.get(cell.settings.batches.shuffling, 0)
            fake_run(
                f"{run_name(sweep, cell)}-0",
                cell.settings,
                state="done" if error is None else "diverged",
                error=str(error or ""),
                wrong=wrong + cell.seed,
                parent=sweep.init,
            )

        future: Future[Price] = Future()
        if error is None:
            future.set_result(Price(60.0, 30.0))
        else:
            future.set_exception(error)
        return future


def sweep_table() -> pd.DataFrame:
    """Returns 2 x 2 settings with two seeds; one cell has diverged and one is missing."""
    rows = []
    for shuffling, batch, seed in itertools.product(("none", "full"), (1, 2), (0, 1)):
        rows.append(
            {
                "cell": f"{shuffling}-{batch}-{seed}",
                "label": f"shuffling={shuffling} batch={batch}",
                "shuffling": shuffling,
                "batch": batch,
                "seed": seed,
                "state": "done",
                "heldout_wer": 0.1 * batch + seed / 100,
                "test_wer": 0.1,
            }
        )

    rows[-1] |= {"state": "missing", "heldout_wer": np.nan}
    rows[-2] |= {"state": "diverged", "heldout_wer": np.nan}
    return pd.DataFrame(rows)
