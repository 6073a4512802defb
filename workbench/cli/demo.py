"""The main job from nothing to a report: corpus, cross entropy, scales, MMI, word error rates.

Everything that is there already is kept, so that an interrupted demonstration goes on where it was.
"""

import os
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench import runs
from workbench.cli.progress import bars
from workbench.figures.tables import text_table
from workbench.prepare import pipeline
from workbench.recognise import evaluate, example
from workbench.reports.report import sentences, write_report
from workbench.settings import Settings, UserError, preset
from workbench.storage.run import Run, find_run

STATES = {"tiny": 150, "smoke": 300, "demo": 900, "default": 1800, "paper": 2400}
HELDOUT: dict[str, Any] = dict(
    evaluate_utterances=180, acoustic_scale=0.15
)  # for both, so that curves compare
CE: dict[str, Any] = dict(
    epochs=8.0,
    learning_rate=0.1,
    decays=3,
    patience=1,
    flat=0.03,
    evaluate_every=0.5,
    checkpoint_every=1.0,
)
MMI: dict[str, Any] = dict(
    epochs=1.5,
    learning_rate=0.002,
    decays=2,
    patience=2,
    flat=0.01,
    evaluate_every=0.5,
    checkpoint_every=0.5,
)


def run(size: str = "demo", open_report: bool = True, out: Callable[[str], None] = print) -> Path:
    """Prepare, train, test and report at ``size``; returns the report's file."""
    began = time.monotonic()
    small = size in ("tiny", "smoke")
    network = dict(hidden_layers=2, hidden_units=128) if small else {}
    with bars() as progress:
        corpus = pipeline.prepare(
            f"icelandic-{size}",
            pipeline.Source(synthetic="is", size=size),
            pipeline.Preparation(states=STATES[size]),
            2,
            progress,
        )
        out(pipeline.describe(corpus))
        ce = trained(
            f"ce-{size}", corpus.name, preset("laptop", **network, **HELDOUT, **CE), None, progress
        )
        scales = evaluate.tune(ce.name, (0.05, 0.1, 0.15, 0.2, 0.3), (1.0,), progress)
        out(
            "held-out word error rate (unigram) by acoustic scale:\n"
            + scales.to_string(index=False)
        )
        measured = HELDOUT | {"acoustic_scale": float(scales.acoustic_scale[0])}
        settings = preset("laptop", criterion="mmi", **network, **measured, **MMI)
        mmi = trained(f"mmi-{size}", corpus.name, settings, ce.name, progress)
        for trained_run in (ce, mmi):
            if "test_wer" not in trained_run.summary:
                evaluate.test(trained_run.name, progress)
    try:
        example.write_example(mmi.name, [ce.name])
    except UserError as reason:  # a model of minutes of speech may have no lattice worth drawing
        out(f"no example: {reason}")
    report = write_report(
        [ce, mmi], title="Cross entropy and MMI on synthetic Icelandic voice search"
    )
    out("\n" + text_table([ce, mmi]) + "\n" + "\n".join(sentences([ce, mmi])))
    out(f"\nreport: {report}\ntime: {(time.monotonic() - began) / 60:.1f} minutes")
    if open_report and os.environ.get("DISPLAY", os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(report.as_uri())
    return report


def trained(name: str, corpus: str, settings: Settings, init: str | None, progress) -> Run:
    """The run of this name: as it is if done, resumed if begun, else trained."""
    try:
        found = find_run(name)
    except UserError:
        return runs.train(corpus, settings, name=name, init=init, progress=progress)
    return found if found.status()["state"] == "done" else runs.resume(found.name, progress)
