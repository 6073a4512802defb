"""What a run came to, computed from its rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from fake_runs import rows

from workbench.runs.summary import summarise
from workbench.settings import Settings
from workbench.storage.rows import DecodeRow, EvaluateRow, PushRow, Row
from workbench.storage.run import CorpusIdentity, Run, RunRecord, RunState
from workbench.storage.run_writer import RunWriter

THETA = np.zeros(3, np.float32)
MMI = Settings.of(criterion="mmi")


def run_with(folder: Path, emitted: list[Row]) -> Run:
    """A run that has emitted these rows."""
    record = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d"))
    writer = RunWriter.create(folder, "run", record)
    for row in emitted:
        writer.emit(row)
    writer.close(RunState.STOPPED)
    return writer.run


def test_a_run_that_has_done_nothing_has_a_summary(tmp_path: Path) -> None:
    """Without pushes, decodes and evaluations nothing is measured, and no frame was seen."""
    summary = summarise(run_with(tmp_path, []), THETA, 0, 0)
    assert (summary.updates, summary.frames_seen, summary.utterances_set_aside) == (0, 0, 0)
    assert summary.heldout_wer is summary.seconds is summary.staleness_inner_mean is None
    assert summary.rows_digest and summary.parameters_digest


def test_frames_are_those_of_the_decoders_if_there_are_any(tmp_path: Path) -> None:
    """Decoded utterances account for their frames and reasons, else the pushes do."""
    emitted = rows(MMI, 12)
    decodes = [row for row in emitted if isinstance(row, DecodeRow)]
    pushes = [row for row in emitted if isinstance(row, PushRow)]
    lost = replace(decodes[0], reason="no path")

    decoded = summarise(run_with(tmp_path / "a", [*emitted, lost]), THETA, 0, 0)
    assert decoded.frames_seen == sum(row.frames for row in [*decodes, lost])
    assert decoded.frames_kept == sum(row.kept for row in [*decodes, lost])
    assert decoded.set_aside["no path"] >= 1

    without = summarise(run_with(tmp_path / "b", list(pushes)), THETA, 0, 0)
    assert without.frames_seen == sum(row.frames for row in pushes)
    assert without.frames_kept is None
    assert without.staleness_inner_mean is not None


def test_the_last_measurement_counts(tmp_path: Path) -> None:
    """The numbers on held-out data are those of the newest evaluation, and so is the time."""
    evaluations = [row for row in rows(MMI, 12) if isinstance(row, EvaluateRow)]
    assert len(evaluations) > 1
    last = max(evaluations, key=lambda row: row.seconds)
    summary = summarise(run_with(tmp_path, evaluations[::-1]), THETA, 0, 0)
    assert (summary.heldout_wer, summary.seconds) == (last.measured.wer, last.seconds)
