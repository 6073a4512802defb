"""Calls of notebooks take a run, a name, or several; what is wrong is told in a sentence."""

import json
from collections.abc import Callable

import pytest
from fake_runs import drift_row, fake_run

import workbench.notebook as wb
from workbench.notebook.given import runs_of
from workbench.settings import Settings, UserError
from workbench.storage.rows import Drift
from workbench.storage.run import Run


@pytest.fixture
def run(data_folder: object) -> Run:
    """A run that was tested."""
    return fake_run("ce-00000000", Settings())


@pytest.mark.slow
def test_a_run_a_name_and_several_are_the_same(run: Run) -> None:
    """Each form gives the same runs, and every drawing takes each form."""
    assert runs_of(run) == runs_of("ce") == runs_of([run]) == runs_of(["ce-00000000"]) == [run]
    drawings: list[Callable[..., object]] = [
        wb.draw_curves,
        wb.draw_word_errors,
        wb.draw_staleness,
        wb.staleness_table,
        wb.settings_difference,
        wb.run_frame,
    ]
    for draw in drawings:
        for given in (run, "ce", [run]):
            assert draw(given) is not None, draw.__name__

    assert "ce-00000000" in wb.report("ce")


def test_drift_is_shown_of_runs_and_of_the_settings_of_a_sweep(run: Run) -> None:
    """A run, a name and a sweep's groups of runs give the same points, a colour per group."""
    drift = Drift(
        distances=(3.0, 4.0), norms=(4.0, 3.0), stale_norm=1.0, fresh_norm=2.0, cosine=0.5
    )
    lines = [json.dumps(drift_row(drift, float(age)).to_dict()) for age in range(4)]
    run.row_file("replica 0").write_text("\n".join(lines) + "\n")

    for given, label in ((run, run.name), ("ce", run.name), ({"seconds=0": [run]}, "seconds=0")):
        [line] = wb.draw_drift(given).axes[0].lines
        assert line.get_label() == label
        assert line.get_xdata().tolist() == [0, 1, 2, 3]
        assert wb.describe_drift(given).startswith("Over 4 utterances of 1 run ")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wb.draw_curves([]), "no runs given"),
        (lambda: wb.report(), "no runs given"),
        (lambda: wb.draw_curves("nosuch"), "nosuch: no such run"),
        (lambda: wb.draw_curves("ce", against="time"), "time: cannot be drawn; choose among"),
        (lambda: wb.draw_curves("ce", measures=["wr"]), "wr: cannot be drawn; choose among mmi"),
        (lambda: wb.pairwise("ce"), "a comparison needs two runs"),
        (lambda: wb.draw_drift("ce"), "ce-00000000: no drift was measured; train with drift_every"),
        (lambda: wb.describe_drift([]), "no runs given"),
    ],
)
def test_a_mistake_is_a_sentence(run: Run, call: Callable[[], object], message: str) -> None:
    """No call answers a mistake with an IndexError, a KeyError, or nothing."""
    with pytest.raises(UserError, match=message):
        call()


def test_untested_runs_are_named(run: Run) -> None:
    """Runs that cannot be compared are no empty table, but named."""
    fake_run("new-00000000", Settings(), state="new")
    with pytest.raises(UserError, match="new-00000000: not tested yet"):
        wb.pairwise([run, "new"])


def test_errors_stand_in_percent_beside_each_other(run: Run) -> None:
    """A column per run, a row for what is read first."""
    table = wb.result_table(run)
    assert list(table.columns) == ["ce-00000000"]
    assert table.loc["test WER %", "ce-00000000"] == "6.2"
