"""Runs without training: directories with rows, summary and transcripts as training leaves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from workbench.settings import Settings, rng
from workbench.storage.home import data_folder
from workbench.storage.rows import (
    DecodeRow,
    DivergenceRow,
    Drift,
    DriftRow,
    EvaluateRow,
    Measurement,
    OuterAge,
    PushRow,
    RecoveryRow,
    Row,
    UsageRow,
)
from workbench.storage.run import DIVERGENCE, DRIVER, CorpusIdentity, Parent, Run, RunRecord

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]

# Of a run with its parent: 12.5 against 18.75 % of 160 words, p = 0.21, seven speakers.
FAKE_COMPARISON = {
    "wer_a": 0.1875,
    "wer_b": 0.125,
    "standard_error": 0.0445,
    "degrees": 6.0,
    "words": 160,
    "units": 7,
    "unit": "speakers",
    "identical": False,
}


def fake_run(
    name: str,
    settings: Settings,
    state: str = "done",
    error: str = "",
    wrong: int = 1,
    parent: str | None = None,
    corpus: str = "c",
    steps: int = 40,
) -> Run:
    """Makes a run in the data folder.

    Of the eight words of every second test utterance ``wrong`` are misrecognised.
    """
    folder = data_folder() / "runs" / name
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    record = RunRecord(
        settings.to_dict(),
        CorpusIdentity(corpus, "0" * 16),
        Parent("0" * 16, run=parent) if parent else None,
        versions={"python": "3.11"},
        command=f"workbench train {corpus} --name {name}",
    )
    _json(folder / "settings.json", record.to_dict())
    _json(
        folder / "status.json",
        {"state": state, "pid": 0, "host": "nowhere", "heartbeat": 0.0, "error": error},
    )
    run = Run(folder)

    for row in rows(settings, steps):
        with open(run.row_file(row.process), "a") as out:
            out.write(json.dumps(row.to_dict()) + "\n")

    if state == "done":
        _finish(folder, wrong)
    return run


def _finish(folder: Path, wrong: int) -> None:
    """Leaves the transcripts and the summary of a run that was trained and tested."""
    misrecognised = ["x"] * wrong + WORDS[wrong:]
    references = []
    hypotheses = []

    for i in range(20):
        hypothesis = misrecognised if i % 2 else WORDS
        references.append(f"u{i} {' '.join(WORDS)}\n")
        hypotheses.append(f"u{i} {' '.join(hypothesis)}\n")

    speakers = [f"u{i} speaker-{i % 7}\n" for i in range(20)]
    (folder / "test.utt2spk").write_text("".join(speakers))
    (folder / "test.ref").write_text("".join(references))
    (folder / "test.hyp").write_text("".join(hypotheses))
    rate = wrong / 16
    _json(
        folder / "summary.json",
        {
            "updates": 40,
            "heldout_mmi": -0.1 * (1 + wrong),
            "heldout_wer": rate,
            "heldout_sub": rate,
            "heldout_del": 0.0,
            "heldout_ins": 0.0,
            "frame_error": 0.3 - 0.01 * wrong,
            "test_wer": rate,
            "test_wer_low": rate - 0.01,
            "test_wer_high": rate + 0.01,
            "test_speakers": 7,
            "test_words": 160,
            "p_value": 0.21,
            "comparison": FAKE_COMPARISON,
            "frames_seen": 4000,
            "frames_kept": 1000,
            "frames_rejected": 10,
            "utterances_set_aside": 1,
            "set_aside": {"no path": 1},
            "seconds": 100.0,
            "rows_digest": f"{wrong:064}",
            "parameters_digest": "0" * 16,
        },
    )


def rows(settings: Settings, steps: int) -> list[Row]:
    """Rows as the processes of a run emit them, times rising."""
    stream = rng(settings.seed, "fake rows")
    replicas = min(settings.asynchrony.replicas, 3)
    out: list[Row] = []

    for n in range(steps):
        stale = int(stream.integers(0, 2 * replicas))
        out.append(push_row(n, n % replicas, stale))
        out.append(decode_row(n, n % replicas, stale))

    out += [evaluate_row(i) for i in range(5)]
    out.append(usage_row("replica 0", work=60, ask=10, put=0, take=10))
    out.append(usage_row("decoder 0", work=50, ask=5, put=25, take=0))
    return out


def push_row(n: int, replica: int, stale: int) -> PushRow:
    """The ``n``-th push, from parameters ``stale`` updates old, one every two seconds."""
    then = max(0, n - stale)
    outer_then = n - min(n, 3.0 * stale)
    outer = OuterAge(
        version=outer_then,
        version_min=outer_then,
        version_max=outer_then,
        staleness=n - outer_then,
        staleness_min=n - outer_then,
        staleness_max=n - outer_then,
        seconds=2.0 * stale,
        seconds_min=2.0 * stale,
        seconds_max=2.0 * stale,
    )
    return PushRow(
        process=f"replica {replica}",
        seconds=2.0 * n + 2,
        replica=replica,
        step=n,
        status="applied",
        batch=32,
        version=n,
        versions=(n, n),
        inner_versions=(then, then),
        staleness_inner=n - then,
        inner_seconds=0.5 * stale,
        skew=stale % 2,
        outer=outer,
        frames=100,
        idle_seconds=0.5,
    )


def decode_row(n: int, replica: int, stale: int) -> DecodeRow:
    """Utterance ``n``, decoded a second before its push."""
    return DecodeRow(
        process=f"decoder {replica}",
        seconds=2.0 * n + 1,
        decoder=f"decoder {replica}",
        utterance=n,
        frames=100,
        kept=30,
        cancelled=65,
        rejected=5,
        value=-1.0,
        num=-1.0,
        den=0.0,
        beam=8.0,
        reason=None,
        version=max(0, n - stale),
        versions=(max(0, n - stale), max(0, n - stale)),
        age_seconds=float(stale),
        queue=n % 4,
        put_seconds=0.1,
    )


def evaluate_row(i: int) -> EvaluateRow:
    """The ``i``-th of evaluations that get better and better."""
    wer = 0.5 - 0.05 * i
    measured = Measurement(
        criterion=-1.0 + 0.1 * i,
        mmi=-1.0 + 0.1 * i,
        ce=-2.0 + 0.2 * i,
        wer=wer,
        substitutions=0.7 * wer,
        deletions=0.2 * wer,
        insertions=0.1 * wer,
        frame_error=0.4 - 0.02 * i,
        set_aside=0,
    )
    return EvaluateRow(
        process="evaluator",
        seconds=20.0 * i,
        index=i,
        updates=10 * i,
        versions=(10 * i, 10 * i),
        frames=1000 * i,
        epochs=0.5 * i,
        decays=0,
        measured=measured,
    )


def usage_row(process: str, work: float, ask: float, put: float, take: float) -> UsageRow:
    """How a process spent 80 seconds."""
    return UsageRow(
        process=process,
        seconds=80.0,
        work_seconds=work,
        ask_seconds=ask,
        put_seconds=put,
        take_seconds=take,
    )


def leave_example(run: Run, words: str) -> None:
    """Leaves an utterance of 20 frames in the run; each of its texts is ``words``."""
    occupancies = np.full((20, 3), 0.5)
    np.savez(
        run.folder / "example.npz",
        features=np.zeros((20, 40), np.float32),
        states=np.arange(3),
        numerator=occupancies,
        denominator=occupancies,
        fate=np.arange(20) % 3,
    )
    text = {
        "utterance": words,
        "reference": words,
        "hypotheses": {run.name: words},
        "words": [(words, 0, 9)],
        "phones": [("SIL", 0, 9)],
        "labels": [("rival", 5, 12, 0.4), (words, 0, 9, 0.9), ("end", 12, 20, 0.1)],
    }
    _json(run.folder / "example.json", text)


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def recovery_row(seconds: float, text: str) -> RecoveryRow:
    """Returns a return to a checkpoint after the loss of a worker."""
    return RecoveryRow(
        process=DRIVER,
        seconds=seconds,
        epochs=1.0,
        updates=9,
        lost="worker 1",
        checkpoint="4",
        recovery_seconds=3.1,
        updates_undone=5,
        text=text,
    )


def divergence_row(seconds: float, text: str) -> DivergenceRow:
    """Returns a return to a checkpoint after a divergence."""
    return DivergenceRow(
        process=DIVERGENCE,
        seconds=seconds,
        epochs=1.0,
        updates=9,
        segment=1,
        halvings=1,
        learning_rate=0.1,
        cause="ten gradients were not finite",
        checkpoint="4",
        updates_undone=5,
        text=text,
    )


def drift_row(drift: Drift, staleness: float = 2.0) -> DriftRow:
    """An utterance on which drift was measured."""
    return DriftRow(
        utterance=1,
        frame=2,
        version=3,
        versions=(3,),
        outer_versions=(1,),
        staleness=staleness,
        age_seconds=0.5,
        drift=drift,
    )
