"""The rows that are kept of a study: small files from which its figures are drawn again.

<study>-<size>.json             what was run: command, seeds, date, machine, versions, corpora
<study>-<size>-cells.csv        one row per run: its setting and its numbers
<study>-<size>-compared.csv     one row per comparison of test word errors
<study>-<size>-curves.csv       one row per evaluation on held-out data
<study>-<size>-drift.csv        one row per utterance on which drift was measured, if any
"""

import csv
import io
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from workbench.metrics.drift import DriftPoint
from workbench.metrics.significance import Comparison, Unit
from workbench.settings import UserError, no_such
from workbench.storage.files import write_file, write_json
from workbench.storage.home import CHECKOUT, data_folder
from workbench.storage.records import read_record

DIGITS = 6
"""Significant digits of a number in a file of rows."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StudyCell:
    """A run of a study; rates are fractions, None stands for what was not measured.

    ``kept_mean`` and ``kept_weighted``: frames that an utterance keeps, E[k] and E[k²] / E[k].
    """

    arm: str
    label: str
    seed: int
    state: str
    criterion: str
    trained: str
    auxiliary: str
    shuffling: str
    replicas: int
    batch: int
    channel: int
    decoder_seconds: float | None  # None: at the start of each utterance
    learning_rate: float
    heldout_mmi: float | None
    heldout_wer: float | None
    frame_error: float | None
    test_wer: float | None
    test_words: int | None
    updates: int | None
    seconds: float | None
    staleness_inner_mean: float | None
    staleness_outer_mean: float | None
    staleness_outer_seconds: float | None
    kept_mean: float | None
    kept_weighted: float | None
    minutes: float | None


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """The comparison of the test word errors of one label with another's, seeds added up.

    ``standard_error`` and ``degrees`` are over speakers. ``seed_error``: the standard error of the
    mean over seeds, from the scatter of their differences; None for a single seed.
    """

    arm: str
    label: str
    against: str
    seeds: int
    wer_a: float
    wer_b: float
    standard_error: float
    degrees: float
    seed_error: float | None
    words: int
    units: int
    unit: str
    identical: bool

    @property
    def comparison(self) -> Comparison:
        """The comparison as verdicts need it, with both errors.

        Their degrees of freedom are joined by Welch and Satterthwaite's formula.
        """
        error = self.standard_error
        degrees = self.degrees
        if self.seed_error:
            error = math.hypot(self.standard_error, self.seed_error)
            parts = self.standard_error**4 / self.degrees + self.seed_error**4 / (self.seeds - 1)
            degrees = error**4 / parts

        return Comparison(
            self.wer_a,
            self.wer_b,
            error,
            degrees,
            self.words,
            self.units,
            Unit(self.unit),
            self.identical,
        )


@dataclass(frozen=True, kw_only=True)
class StudyEvaluation:
    """A point of a held-out curve; error rates are fractions."""

    arm: str
    label: str
    seed: int
    epochs: float
    updates: int
    seconds: float
    mmi: float | None
    ce: float | None
    wer: float | None
    frame_error: float | None


@dataclass(frozen=True, kw_only=True)
class StudyDrift(DriftPoint):
    """An utterance on which a run of a study measured drift."""

    arm: str
    label: str
    seed: int


@dataclass(frozen=True)
class StudyRecord:
    """What was run for a study, and where.

    ``seeds``: of the runs that have ended; ``command`` names those that are planned.
    """

    study: str
    size: str
    command: str
    seeds: Sequence[int]
    date: str
    machine: str
    versions: str
    corpora: Sequence[str]  # a sentence about each
    cells: int
    done: int


@dataclass(frozen=True)
class StudyResults:
    """Everything that is kept of a study."""

    record: StudyRecord
    cells: Sequence[StudyCell]
    compared: Sequence[StudyComparison]
    curves: Sequence[StudyEvaluation]
    drifts: Sequence[StudyDrift] = ()

    @property
    def name(self) -> str:
        """The study and its size, as its files are called."""
        return f"{self.record.study}-{self.record.size}"

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the arms."""
        return list(dict.fromkeys(cell.label for cell in self.cells))

    def of_label(self, label: str) -> list[StudyCell]:
        """Return the cells of a label, one per seed."""
        return [cell for cell in self.cells if cell.label == label]

    def compare(self, label: str, against: str) -> StudyComparison | None:
        """Return the comparison of two labels; None if there is none."""
        found = (c for c in self.compared if (c.label, c.against) == (label, against))
        return next(found, None)

    def curve(self, label: str, seed: int) -> list[StudyEvaluation]:
        """Return the evaluations of one run, in their order."""
        return [row for row in self.curves if (row.label, row.seed) == (label, seed)]

    def changes(self, label: str, measure: str) -> list[float]:
        """Return the change of a measure from the first to the last evaluation, seed by seed.

        ``measure``: a field of `StudyEvaluation`. Seeds that measured it once or never are left
        out.
        """
        found = []
        for cell in self.of_label(label):
            values = [getattr(row, measure) for row in self.curve(label, cell.seed)]
            measured = [value for value in values if value is not None]
            if len(measured) > 1:
                found.append(measured[-1] - measured[0])

        return found


# --- files


def rows_folder() -> Path:
    """Return the folder of the rows that are kept."""
    return data_folder() / "results" / "studies"


def keep_results(results: StudyResults) -> StudyResults:
    """Write all files of a study and return it as it was kept, its numbers rounded."""
    folder = rows_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results.name}.json"
    write_file(_table(path, "cells"), csv_of(StudyCell, results.cells))
    write_file(_table(path, "compared"), csv_of(StudyComparison, results.compared))
    write_file(_table(path, "curves"), csv_of(StudyEvaluation, results.curves))
    drifts = _table(path, "drift")
    if results.drifts:
        write_file(drifts, csv_of(StudyDrift, results.drifts))
    else:
        drifts.unlink(missing_ok=True)  # of an earlier study of this name
    write_json(path, asdict(results.record))
    return _read_results(path)


def read_results_of(name: str, size: str) -> StudyResults:
    """Return what is kept of a study; raises UserError that lists what there is."""
    path = _find_kept(name, size)
    if path is not None:
        return _read_results(path)

    known = [each for folder in _folders() for each in kept_names(folder)]
    raise no_such("kept study", f"{name}-{size}", known)


def _find_kept(name: str, size: str) -> Path | None:
    """The record of what is kept of a study; None if nothing is."""
    paths = (folder / f"{name}-{size}.json" for folder in _folders())
    return next((path for path in paths if path.exists()), None)


def _read_results(path: Path) -> StudyResults:
    drifts = _table(path, "drift")
    return StudyResults(
        read_record(StudyRecord, path),
        rows_of(StudyCell, _table(path, "cells")),
        rows_of(StudyComparison, _table(path, "compared")),
        rows_of(StudyEvaluation, _table(path, "curves")),
        rows_of(StudyDrift, drifts) if drifts.exists() else [],
    )


def _folders() -> list[Path]:
    """Where rows are kept: with the data, and those that came with a checkout."""
    return list(dict.fromkeys([rows_folder(), CHECKOUT / "data" / "results" / "studies"]))


def kept_names(folder: Path) -> list[str]:
    """Return the studies of which a folder keeps rows, each with its size: ``e3-small``."""
    return sorted(path.stem for path in folder.glob("*.json"))


def kept_sizes(name: str) -> set[str]:
    """Return the sizes at which rows of a study are kept."""
    names = [each.rpartition("-") for folder in _folders() for each in kept_names(folder)]
    return {size for study, _, size in names if study == name}


def kept_seeds(name: str, size: str) -> Sequence[int]:
    """Return the seeds of which rows of a study are kept at a size; none if nothing is kept."""
    path = _find_kept(name, size)
    return [] if path is None else read_record(StudyRecord, path).seeds


def all_results() -> list[StudyResults]:
    """Return everything that is kept with the data, by study and size."""
    folder = rows_folder()
    return [_read_results(folder / f"{name}.json") for name in kept_names(folder)]


def _table(path: Path, which: str) -> Path:
    """The file of one kind of rows beside the record of a study."""
    return path.with_name(f"{path.stem}-{which}.csv")


def csv_of(kind: type[T], rows: Sequence[T]) -> bytes:
    """Return dataclasses as CSV with a line of titles."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(typing.cast("typing.Any", kind))]
    writer.writerow(names)
    for row in rows:
        writer.writerow([_text(getattr(row, name)) for name in names])
    return out.getvalue().encode()


def rows_of(kind: type[T], path: Path) -> list[T]:
    """Return the dataclasses in a file of CSV; UserError names a line that is none."""
    hints = typing.get_type_hints(kind)
    found = []
    with open(path, newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                found.append(kind(**{name: _value(hints[name], row[name]) for name in hints}))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path}:{number}: damaged row: {error}") from None

    return found


def _text(value: object) -> str:
    """A value as CSV has it: numbers short, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return str(value)


def _value(kind: object, text: str) -> object:
    """The value of a field of this type."""
    if isinstance(kind, types.UnionType):
        if not text:
            return None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))

    if kind is bool:
        return {"True": True, "False": False}[text]
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    return text
