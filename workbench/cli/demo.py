"""``workbench demo``: the main job from nothing to a report.

It prepares a corpus, trains cross entropy, chooses scales, trains MMI, tests both and writes a
report. What exists already is kept, so that an interrupted demonstration resumes where it was.
"""

import argparse
import os
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import report_interruption
from workbench.cli.progress import Progress, bars
from workbench.settings import SETTINGS, Settings, UserError, Value, preset

if TYPE_CHECKING:
    from workbench.prepare.corpus import Corpus
    from workbench.storage.run import Run

EXAMPLES = ""
STATES = {"tiny": 150, "smoke": 300, "demo": 900, "default": 1800, "paper": 2400}
# The same for both models, so that their curves can be compared.
HELDOUT: dict[str, Value] = dict(evaluate_utterances=180, acoustic_scale=0.15)
CE: dict[str, Value] = dict(
    epochs=8.0,
    learning_rate=0.1,
    decays=3,
    patience=1,
    flat=0.03,
    evaluate_every=0.5,
    checkpoint_every=1.0,
)
MMI: dict[str, Value] = dict(
    epochs=1.5,
    learning_rate=0.002,
    decays=2,
    patience=2,
    flat=0.01,
    evaluate_every=0.5,
    checkpoint_every=0.5,
)
ACOUSTIC_SCALES = (0.05, 0.1, 0.15, 0.2, 0.3)


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    size: str
    engine: str
    no_open: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--size", default="demo", help="size of the corpus (default: demo)")
    parser.add_argument(
        "--engine",
        choices=SETTINGS["lattice_engine"].choices,
        default="auto",
        help="what makes the lattices (default: auto)",
    )
    parser.add_argument("--no-open", action="store_true", help="do not open the report")


def run(options: Options) -> int:
    """Run the main job; return the exit code."""
    report = run_demo(options.size, options.engine, open_report=not options.no_open)
    return 0 if report else report_interruption()


def run_demo(
    size: str = "demo",
    engine: str = "auto",
    open_report: bool = True,
    out: Callable[[str], None] = print,
) -> Path | None:
    """Prepare, train, test and report at ``size``; return the report's file, None if it was
    stopped.
    """
    from workbench.figures.tables import text_table
    from workbench.recognise import evaluate
    from workbench.reports.report import verdict_sentences, write_report

    began = time.monotonic()
    with bars() as progress:
        models = train_models(size, engine, out, progress)
        if models is None:
            return None
        ce, mmi = models
        for model in (ce, mmi):
            if not model.summary.tested:
                evaluate.test(model, progress)
    write_example(mmi, ce, out)

    title = "Cross entropy and MMI on synthetic Icelandic voice search"
    report = write_report([ce, mmi], title=title)
    out("\n" + text_table([ce, mmi]) + "\n" + "\n".join(verdict_sentences([ce, mmi])))
    out(f"\nreport: {report}\ntime: {(time.monotonic() - began) / 60:.1f} minutes")
    if open_report and os.environ.get("DISPLAY", os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(report.as_uri())
    return report


def train_models(
    size: str, engine: str, out: Callable[[str], None], progress: Progress
) -> tuple["Run", "Run"] | None:
    """Prepare the corpus, train cross entropy, choose the acoustic scale, train MMI.

    Returns both runs, None if one of them was stopped.
    """
    from workbench.prepare import pipeline
    from workbench.recognise import evaluate

    network: dict[str, Value] = {"lattice_engine": engine}
    if size in ("tiny", "smoke"):
        network |= {"hidden_layers": 2, "hidden_units": 128}
    corpus = pipeline.prepare(
        f"icelandic-{size}",
        pipeline.Source(synthetic="is", size=size),
        pipeline.Preparation(states=STATES[size]),
        2,
        progress,
    )
    out(pipeline.describe(corpus))

    ce_settings = preset("laptop", **network, **HELDOUT, **CE)
    ce = train_model(f"ce-{size}", corpus, ce_settings, None, progress)
    if ce is None:
        return None
    scales = evaluate.tune(ce, ACOUSTIC_SCALES, (1.0,), progress)
    out(f"held-out word error rate (unigram) by acoustic scale:\n{scales.to_string(index=False)}")

    measuring = {**HELDOUT, "acoustic_scale": float(scales.acoustic_scale[0])}
    mmi_settings = preset("laptop", criterion="mmi", **network, **measuring, **MMI)
    mmi = train_model(f"mmi-{size}", corpus, mmi_settings, ce, progress)
    return None if mmi is None else (ce, mmi)


def write_example(mmi: "Run", ce: "Run", out: Callable[[str], None]) -> None:
    """Keep one utterance with its lattice for the report, if the model has one worth drawing."""
    from workbench.recognise import example

    try:
        example.write_example(mmi, [ce])
    except UserError as reason:  # a model of minutes of speech may have no lattice worth drawing
        out(f"no example: {reason}")


def train_model(
    name: str, corpus: "Corpus", settings: Settings, init: "Run | None", progress: Progress
) -> "Run | None":
    """Return the run of this name: as it is if done, else resumed, else trained; None if it was
    stopped.
    """
    from workbench import runs
    from workbench.storage.run import RunState

    known = runs.find_same_run(corpus, settings, name, init)
    run = runs.train_or_resume(known, corpus, settings, name=name, init=init, progress=progress)
    return None if run.status().state == RunState.STOPPED else run
