"""Calls of notebooks that do one thing with what is there already: what was trained is not trained again."""

from pathlib import Path
from typing import Any

import pandas as pd

from workbench.figures.example import Example, read_example
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation, Source
from workbench.prepare.pipeline import prepare as prepare_corpus
from workbench.recognise.evaluate import test
from workbench.recognise.example import write_example
from workbench.reports.report import write_report
from workbench.reports.sweep_report import group_rows, significance_rows, write_sweep_report
from workbench.runs.train import resume
from workbench.runs.train import train as train_new
from workbench.settings import Settings
from workbench.storage.run import Run, RunState, all_runs, find_run
from workbench.sweeping import Results, Sweep, find_sweep
from workbench.sweeping import results as results_of
from workbench.sweeping import run as run_sweep


def prepare(name: str, language: str = "is", size: str = "tiny", **how: Any) -> Corpus:
    """The corpus ``name``, synthesised and prepared if it is not there yet."""
    return prepare_corpus(name, Source(synthetic=language, size=size), Preparation(**how))


def prepare_kaldi(name: str, folder: Path | str, **how: Any) -> Corpus:
    """The corpus ``name``, prepared from a Kaldi data directory if it is not there yet."""
    return prepare_corpus(name, Source(kaldi=Path(folder)), Preparation(**how))


def train(
    corpus: Corpus | str, settings: Settings, name: str, init: Run | str | None = None
) -> Run:
    """The run ``name`` of these settings: as it is if done, gone on with if begun, else trained."""
    corpus_name = corpus if isinstance(corpus, str) else corpus.name
    start = init.name if isinstance(init, Run) else init
    for run in all_runs():
        same = (
            run.record["settings"] == settings.to_dict()
            and run.record["corpus"]["name"] == corpus_name
        )
        begun_from = (run.record.get("parent") or {}).get("run")
        if (
            same
            and run.name.startswith(f"{name}-")
            and begun_from == (find_run(start).name if start else None)
        ):
            return run if run.status().state == RunState.DONE else resume(run.name)
    return train_new(corpus_name, settings, name=name, init=start)


def tested(run: Run) -> Run:
    """The run, tested if it was not."""
    return run if "test_wer" in run.summary else test(run.name)


def example(run: Run, *others: Run) -> Example | None:
    """One held-out utterance of a run looked at closely, beside what ``others`` recognise."""
    write_example(run.name, [other.name for other in others])
    return read_example(run)


def sweep(*given: Any, jobs: int = 1, **fields: Any) -> Results:
    """Carry out a sweep, what is missing of it, and give its results: a `Sweep`, or the fields of one."""
    wanted = given[0] if given else Sweep(**fields)
    run_sweep(wanted, jobs)
    return results_of(find_sweep(wanted.name))


def group_table(found: Results) -> pd.DataFrame:
    """One row per setting, seeds taken together: means, and their intervals where there are several."""
    return pd.DataFrame(group_rows(found)).set_index("setting")


def significance_table(found: Results) -> pd.DataFrame:
    """Each setting against the baseline, in words."""
    rows = pd.DataFrame(significance_rows(found))
    return rows.set_index("setting") if len(rows) else rows


def results(name: str, baseline: str | None = None) -> Results:
    """What the sweep of this name has found so far."""
    return results_of(find_sweep(name), baseline)


def open_runs(*names: str) -> list[Run]:
    """Runs by name."""
    return [find_run(name) for name in names]


def report(*what: Run | Results, title: str | None = None) -> str:
    """Write the report on runs or on one sweep; where it lies."""
    if what and isinstance(what[0], Results):
        return str(write_sweep_report(what[0], title=title))
    return str(write_report([r for r in what if isinstance(r, Run)], title=title))
