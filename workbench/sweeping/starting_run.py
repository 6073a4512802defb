"""The run that cells of a sweep start from, where the sweep describes it by its settings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from workbench import runs
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress
from workbench.runs import Transfer
from workbench.runs.stop import StopFile
from workbench.settings import Settings, preset
from workbench.storage.run import Run, RunState, all_runs
from workbench.sweeping.spec import Sweep


def start_settings(sweep: Sweep, seed: int = 0) -> Settings:
    """Return the settings of the run that the cells of a seed start from."""
    if not sweep.start_per_seed:
        return preset(sweep.preset, **sweep.start)
    return preset(sweep.preset, **{**sweep.start, "seed": seed})


def start_seeds(sweep: Sweep) -> list[int]:
    """Return the seeds that have starts of their own; a single one if all share it."""
    return [int(seed) for seed in sweep.seeds] if sweep.start_per_seed else [0]


def find_start(sweep: Sweep, seed: int = 0) -> Run | None:
    """Return a run with the settings and the corpus of the start of a seed.

    It is from scratch, or from the hidden layers that the sweep names. Any run will do, whatever
    its name. Of several, one that is done is preferred.
    """
    transferred = None
    if sweep.transfer:
        source = find_start(transfer_source(sweep), seed)
        if source is None:
            return None
        transferred = source.name

    wanted = start_settings(sweep, seed)
    there = _runs_on(sweep.corpus, transferred)
    found = [run for run in there if run.record.has_settings(wanted)]
    return min(found, key=lambda run: run.status().state != RunState.DONE, default=None)


def _runs_on(corpus: str, transferred: str | None) -> Iterator[Run]:
    """The runs on a corpus that start from scratch, or from the hidden layers of a run."""
    places = (corpus, str(Path(corpus).resolve()))  # its name, or its folder
    for run in all_runs():
        record = run.record
        parent = record.parent
        if transferred is None:
            begins = parent is None
        else:
            begins = parent is not None and parent.transfer == transferred
        if begins and record.corpus.argument in places:
            yield run


def transfer_source(sweep: Sweep) -> Sweep:
    """Return a sweep whose start has the hidden layers that the start of ``sweep`` takes over."""
    return replace(sweep, corpus=sweep.transfer, transfer="", run_prefix="")


def start_prefix(corpus: str) -> str:
    """Return the prefix of the starts on a corpus; a sweep from scratch with it shares them.

    Starts that take over hidden layers have another one.
    """
    return f"ce-{corpus}"


def train_start(sweep: Sweep, seed: int, progress: Progress | None, stop: StopFile) -> Run:
    """Return the start of a seed, trained or resumed if it is not done.

    A run that was asked to stop is returned as it rests; that may be the one whose hidden layers
    are to be taken over.
    """
    init: Transfer | None = None
    if sweep.transfer:
        source = train_start(transfer_source(sweep), seed, progress, stop)
        if source.status().state == RunState.STOPPED:
            return source
        init = Transfer(source)

    corpus = Corpus.open(sweep.corpus)
    settings = start_settings(sweep, seed)
    name = start_prefix(corpus.name)
    if sweep.transfer:
        # People tell them apart by it; a sweep from scratch does by what a run began from.
        name = f"{name}-from-{Path(sweep.transfer).name}"
    if sweep.start_per_seed:
        name = f"{name}-{settings.digest()}"

    return runs.train_or_resume(
        find_start(sweep, seed),
        corpus,
        settings,
        name=name,
        init=init,
        progress=progress,
        stop=stop,
    )
