"""What all cells of a sweep start from, if it describes that itself: a run of cross entropy, found by its settings."""

from workbench.settings import preset
from workbench.storage.run import Run, RunState, all_runs
from workbench.sweeping.spec import Sweep


def found_start(sweep: Sweep) -> Run | None:
    """The run from scratch on this corpus with the settings of ``sweep.start``, whoever trained it; done ones first."""
    wanted = preset(sweep.preset, **sweep.start).to_dict()
    found = [
        r for r in all_runs() if r.record["settings"] == wanted and _from_scratch(r, sweep.corpus)
    ]
    return min(found, key=lambda r: r.status().state != RunState.DONE, default=None)


def _from_scratch(run: Run, corpus: str) -> bool:
    return run.record["corpus"]["name"] == corpus and not run.record.get("parent")
