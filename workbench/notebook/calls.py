"""Calls for notebooks that compute only what is missing: no run is trained twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

import pandas as pd

from workbench.engine.machines import load_machine, write_machine
from workbench.figures.rates import rate_rows
from workbench.figures.tables import display_rows
from workbench.metrics.verdicts import MARGIN
from workbench.notebook.cell_pictures import run_picture, sweep_picture
from workbench.notebook.given import runs_of
from workbench.notebook.links import ReportFile
from workbench.notebook.shown_table import ShownTable
from workbench.notebook.work_line import work_line
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation
from workbench.prepare.pipeline import prepare as prepare_corpus
from workbench.prepare.reading import Source, guess_source
from workbench.prepare.survey import Survey, survey
from workbench.rates import AUTO, with_found_rate
from workbench.rates import find_rate as search_rate
from workbench.recognise.evaluate import test
from workbench.recognise.example import write_example
from workbench.reports.report import write_report
from workbench.reports.sweep_report import group_rows, verdict_rows, write_sweep_report
from workbench.runs import find_same_run, train_or_resume
from workbench.settings import Settings, Value, check_name, parse_fields
from workbench.storage.example import Example, read_example
from workbench.storage.home import data_folder
from workbench.storage.rate_search import RateSearch
from workbench.storage.run import Run, RunState, find_run
from workbench.sweeping import (
    CellState,
    Results,
    Sweep,
    SweepFields,
    find_sweep,
    read_results,
    run_sweep,
)


def prepare(name: str, language: str = "is", size: str = "tiny", **how: Value) -> Corpus:
    """Return the corpus ``name``, synthesised and prepared if it does not exist yet.

    ``how``: fields of `Preparation`.
    """
    source = Source(synthetic=language, size=size)
    with work_line() as progress:
        return prepare_corpus(name, source, parse_fields(Preparation, how), progress=progress)


def prepare_kaldi(name: str, folder: Path | str, **how: Value) -> Corpus:
    """Return the corpus ``name``, prepared from a Kaldi data directory if it does not exist yet.

    ``how``: fields of `Preparation`.
    """
    source = Source(kaldi=Path(folder))
    with work_line() as progress:
        return prepare_corpus(name, source, parse_fields(Preparation, how), progress=progress)


def check_data(source: Source | Path | str, **how: Value) -> Survey:
    """Return what is in a Kaldi or Lhotse folder, before anything is computed; print it.

    ``source``: the folder, or a `Source`. ``how``: fields of `Preparation`.
    """
    if not isinstance(source, Source):
        source = guess_source(Path(source))
    return survey(source, parse_fields(Preparation, how))


def define_machine(name: str, like: str = "paper", **changes: Any) -> Path:
    """Return the file of a machine for the cost clock: ``like`` another one, with fields changed.

    ``name`` is then a value of the setting ``machine``. ``changes``: fields of `Machine`, in
    seconds.
    """
    machine = replace(load_machine(like), name=name, **changes)
    path = data_folder() / "machines" / f"{check_name('machine', name)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_machine(machine, path)
    return path


def train(
    corpus: Corpus | str,
    settings: Settings,
    name: str,
    init: Run | str | None = None,
    learning_rate: Literal["auto"] | float | None = None,
) -> Run:
    """Return the run: as it is if finished, resumed if interrupted, trained otherwise.

    ``init``: the run whose model training starts from; without it from a random network.
    ``learning_rate``: another one than that of the settings; "auto": the one that `find_rate`
    finds. Raises KeyboardInterrupt if the run is stopped, so that the cells below do not run.
    """
    opened = Corpus.open(corpus) if isinstance(corpus, str) else corpus
    start = find_run(init) if isinstance(init, str) else init
    if learning_rate == AUTO:
        with work_line() as progress:
            settings = with_found_rate(opened, settings, start, progress)
    elif learning_rate is not None:
        settings = settings.replace(learning_rate=learning_rate)
    existing = find_same_run(opened, settings, name, start)
    with work_line(run_picture(name)) as progress:
        run = train_or_resume(existing, opened, settings, name=name, init=start, progress=progress)
    if run.status().state == RunState.STOPPED:
        raise KeyboardInterrupt(f"{run.name}: stopped; run this cell again to resume")
    return run


def find_rate(
    corpus: Corpus | str, settings: Settings, init: Run | str | None = None
) -> RateSearch:
    """Return the search for the learning rate of a training, as it is if it was done before."""
    opened = Corpus.open(corpus) if isinstance(corpus, str) else corpus
    start = find_run(init) if isinstance(init, str) else init
    with work_line() as progress:
        return search_rate(opened, settings, start, progress)


def rate_table(search: RateSearch) -> ShownTable:
    """Return one row per learning rate that was tried."""
    return ShownTable(pd.DataFrame(rate_rows(search)).set_index("learning rate"))


def tested(run: Run) -> Run:
    """Return the run, after testing it if that has not been done."""
    if run.summary.tested:
        return run
    with work_line() as progress:
        return test(run, progress)


def example(run: Run, *others: Run) -> Example | None:
    """Return one held-out utterance of a run in detail, with what ``others`` recognise in it."""
    write_example(run, others)
    return read_example(run)


def sweep(given: Sweep | None = None, /, jobs: int = 1, **fields: Unpack[SweepFields]) -> Results:
    """Run what is missing of a sweep and return its results.

    The sweep is given as a `Sweep` or by its ``fields``. ``jobs``: runs at a time.
    """
    wanted = Sweep(**fields) if given is None else given
    with work_line(sweep_picture(wanted)) as progress:
        run_sweep(wanted, jobs, progress=progress)
    found = read_results(find_sweep(wanted.name))
    for line in unsuccessful_cells(found):
        print(line)
    return found


def unsuccessful_cells(found: Results) -> list[str]:
    """Return how many cells failed or diverged, and the cause of each, a line for each."""
    failed = [c for c in found.cells if c.state in (CellState.FAILED, CellState.DIVERGED)]
    if not failed:
        return []
    lines = [f"{len(failed)} of {len(found.cells)} cells have no result:"]
    for cell in failed:
        lines.append(f"  {cell.cell.label}, seed {cell.cell.seed}: {cell.state}: {cell.error}")
    return lines


def result_table(*runs: Run, margin: float = MARGIN) -> ShownTable:
    """Return a column per run with what people read first: errors in percent, p, the verdict."""
    return ShownTable(pd.DataFrame(display_rows(runs, margin)).set_index("run").T)


def group_table(found: Results) -> ShownTable:
    """Return one row per setting: means over seeds and, for several seeds, intervals."""
    return ShownTable(pd.DataFrame(group_rows(found)).set_index("setting"))


def verdict_table(found: Results) -> ShownTable:
    """Return the comparison of each setting with the baseline, in words."""
    rows = pd.DataFrame(verdict_rows(found))
    return ShownTable(rows.set_index("setting") if len(rows) else rows)


def results(name: str, baseline: str | None = None, margin: float = MARGIN) -> Results:
    """Return the results of the sweep of this name so far.

    ``baseline``: the label that others are compared with, by default the first. ``margin``: the
    difference of test word error rates that still counts as equivalent, a fraction.
    """
    return read_results(find_sweep(name), baseline, margin)


def open_runs(*names: str) -> list[Run]:
    """Return runs by name."""
    return [find_run(name) for name in names]


def report(
    *subjects: Run | str | Results, title: str | None = None, margin: float = MARGIN
) -> ReportFile:
    """Write the report on runs or on one sweep; return its HTML file, shown as a link.

    ``subjects``: runs or their names, or the results of a sweep. ``margin``: the difference of test
    word error rates, a fraction, that still counts as equivalent between runs; a sweep's results
    have their own.
    """
    if subjects and isinstance(subjects[0], Results):
        return ReportFile(write_sweep_report(subjects[0], title=title))

    given = [subject for subject in subjects if not isinstance(subject, Results)]
    return ReportFile(write_report(runs_of(given), title=title, margin=margin))
