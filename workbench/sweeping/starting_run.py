"""The run that all cells of a sweep start from, where the sweep describes it by its settings."""

from pathlib import Path

from workbench.settings import Settings, preset
from workbench.storage.run import Run, RunState, all_runs
from workbench.sweeping.spec import Sweep


def start_settings(sweep: Sweep) -> Settings:
    """Return the settings of the run that all cells start from."""
    return preset(sweep.preset, **sweep.start)


def find_start(sweep: Sweep) -> Run | None:
    """Return a run from scratch with the settings and the corpus of the sweep's start.

    Any run will do, whatever its name. Of several, one that is done is preferred.
    """
    wanted = start_settings(sweep).to_dict()
    places = (sweep.corpus, str(Path(sweep.corpus).resolve()))  # its name, or its folder
    found = []
    for run in all_runs():
        record = run.record
        from_scratch = record.parent is None
        same_corpus = record.corpus.argument in places
        if record.settings == wanted and same_corpus and from_scratch:
            found.append(run)

    return min(found, key=lambda run: run.status().state != RunState.DONE, default=None)
