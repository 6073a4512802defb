"""The drift of a study is kept, drawn, and told, where its runs measured it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from drift_truths import TRUTHS, several_runs
from study_rows import RECORD, cell

from workbench.figures.drift import draw_drift_points
from workbench.studies.drift import points_by_colour
from workbench.studies.figures import kinds_of
from workbench.studies.finding import Agreement, StudyFinding
from workbench.studies.findings import study_findings
from workbench.studies.page import study_document
from workbench.studies.rows import (
    StudyDrift,
    StudyResults,
    csv_of,
    keep_results,
    read_results_of,
    rows_of,
)
from workbench.studies.study import StudyFigure, find_study

RUNS = several_runs(TRUTHS["distance of the parameters"])


@pytest.fixture
def measured() -> StudyResults:
    """A study of which nothing but drift is known."""
    cells = [cell("last", label) for label in RUNS]
    drifts = [
        StudyDrift(arm="last", label=label, seed=0, **asdict(point))
        for label, points in RUNS.items()
        for point in points
    ]
    return StudyResults(RECORD, cells, [], [], drifts)


def drift_findings(results: StudyResults) -> list[StudyFinding]:
    """What the study E3 says of outer gradients."""
    return [f for f in study_findings(find_study("e3"), results) if "outer gradient" in f.claim]


def test_the_page_has_figure_and_finding_only_where_drift_was_measured(
    measured: StudyResults,
) -> None:
    """Studies that were run without have neither, and are drawn all the same."""
    study = find_study("e3")
    correlations, closest = drift_findings(measured)
    assert correlations.agreement is Agreement.OPEN
    assert correlations.weight == "12 runs, 1 seed"
    assert " with the distance of the parameters" in correlations.found
    assert closest.found.startswith("The distance of the parameters goes with it most closely")
    assert StudyFigure.DRIFT in kinds_of(study, measured)
    assert "rank correlation" in study_document(measured).html()

    without = replace(measured, drifts=[])
    assert StudyFigure.DRIFT not in kinds_of(study, without)
    assert drift_findings(without) == []
    study_document(without).html()


def test_a_study_that_is_kept_without_drift_has_none(
    measured: StudyResults, data_folder: Path
) -> None:
    """Its file of drift from before goes."""
    assert keep_results(measured).drifts
    assert not keep_results(replace(measured, drifts=[])).drifts
    assert not read_results_of(RECORD.study, RECORD.size).drifts


def test_auxiliary_functions_have_colours_and_findings(measured: StudyResults) -> None:
    """Three panels, each with every point; a colour per arm, or per function where they differ."""
    lines = draw_drift_points(points_by_colour(measured)).axes[0].lines
    assert {line.get_label() for line in lines} == {"last"}

    cells = [
        replace(each, auxiliary="reweighted" if number % 2 else "frozen")
        for number, each in enumerate(measured.cells)
    ]
    reweighted = {each.label for each in cells if each.auxiliary == "reweighted"}
    drifts = [
        replace(row, auxiliary_cosine=1.0) if row.label in reweighted else row
        for row in measured.drifts
    ]
    both = replace(measured, cells=cells, drifts=drifts)
    fig = draw_drift_points(points_by_colour(both))
    assert len(fig.axes) == 3
    for ax in fig.axes:
        assert sum(len(line.get_xdata()) for line in ax.lines) == len(drifts)
        assert {line.get_label() for line in ax.lines} == {"frozen", "reweighted"}

    told = [finding.found for finding in drift_findings(both)[2:]]
    assert [text.partition(":")[0] for text in told] == ["reweighted"]
    assert told[0].endswith("nearer (6 runs).")


def test_rows_are_kept_and_read(measured: StudyResults, tmp_path: Path) -> None:
    """Six digits of each number come back, and nothing for what was not measured."""
    path = tmp_path / "drift.csv"
    path.write_bytes(csv_of(StudyDrift, measured.drifts))
    again = rows_of(StudyDrift, path)
    assert [row.label for row in again] == [row.label for row in measured.drifts]
    assert {row.auxiliary_cosine for row in again} == {None}
    ages = [row.staleness for row in measured.drifts]
    assert [row.staleness for row in again] == pytest.approx(ages, rel=1e-5)
