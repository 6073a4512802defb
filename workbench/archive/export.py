"""The curves of runs in the files of other tools: TensorBoard, MLflow, Weights & Biases, CSV.

The files of TensorBoard and MLflow are written here, so neither has to be installed. W&B has no
documented format, so its own library writes it, offline.
"""

import csv
import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workbench.archive.tensorboard import event_file
from workbench.settings import UserError, Value
from workbench.storage.files import write_file
from workbench.storage.rows import DriftRow, EvaluateRow
from workbench.storage.run import RECORD, Run, RunState

MEASURES = ("criterion", "mmi", "ce", "wer", "sub", "del", "ins", "frame_error")
"""The columns of an evaluation that other tools draw; error rates are fractions."""

DRIFT_COLUMNS = (
    "process",
    "seconds",
    "utterance",
    "version",
    "staleness",
    "age_seconds",
    "cosine",
    "auxiliary_cosine",
    "stale_norm",
    "fresh_norm",
)
"""The columns of drift that are one number each."""

MLFLOW_STATES = {RunState.DONE: 3, RunState.RUNNING: 1}  # of mlflow.entities.RunStatus
MLFLOW_FAILED = 4


class Tool(StrEnum):
    """The tools for which runs are exported."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb-offline"
    CSV = "csv"


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation: updates, epochs, seconds of the run's clock, and measured values by name."""

    updates: int
    epochs: float
    seconds: float
    values: Mapping[str, float]


def points(run: Run) -> list[CurvePoint]:
    """Return every evaluation of a run, oldest first, without what was not measured."""
    found = []
    for row in run.rows(EvaluateRow):
        columns = row.to_dict()
        measured = {name: columns.get(name) for name in MEASURES}
        values = {name: float(v) for name, v in measured.items() if isinstance(v, int | float)}
        found.append(CurvePoint(row.updates, row.epochs, row.seconds, values))
    return sorted(found, key=lambda point: point.updates)


def export(runs: Sequence[Run], tool: Tool, folder: Path) -> list[Path]:
    """Write the curves and settings of runs below ``folder``; return a path for each run.

    What was exported of a run before is replaced.
    """
    write = WRITERS[tool]
    folder.mkdir(parents=True, exist_ok=True)
    return [write(run, folder) for run in runs]


def write_csv(run: Run, folder: Path) -> Path:
    """Write one line per evaluation, and files of settings and, if measured, drift beside it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["updates", "epochs", "seconds", *MEASURES])
    for point in points(run):
        values = [point.values.get(name, "") for name in MEASURES]
        writer.writerow([point.updates, point.epochs, point.seconds, *values])
    path = folder / f"{run.name}.csv"
    write_file(path, out.getvalue().encode())

    settings = io.StringIO()
    rows = csv.writer(settings, lineterminator="\n")
    rows.writerow(["setting", "value"])
    rows.writerows(run.record.settings.items())
    write_file(folder / f"{run.name}-settings.csv", settings.getvalue().encode())

    drift = drift_csv(run)
    if drift:
        write_file(folder / f"{run.name}-drift.csv", drift.encode())
    return path


def drift_csv(run: Run) -> str:
    """Return one line per utterance on which drift was measured, a column per layer's distance.

    Empty if none was.
    """
    rows = list(run.rows(DriftRow))
    if not rows:
        return ""

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    layers = range(1, len(rows[0].drift.distances) + 1)
    per_layer = [f"{name}_{layer}" for name in ("distance", "norm") for layer in layers]
    writer.writerow([*DRIFT_COLUMNS, *per_layer])
    for row in rows:
        columns = row.to_dict()
        values = [columns.get(name) for name in DRIFT_COLUMNS]
        writer.writerow([*values, *row.drift.distances, *row.drift.norms])
    return out.getvalue()


def write_tensorboard(run: Run, folder: Path) -> Path:
    """Write an event file with a curve per measure; ``tensorboard --logdir FOLDER`` shows it."""
    began = started(run)
    scalars = [
        (began + point.seconds, point.updates, {f"heldout/{k}": v for k, v in point.values.items()})
        for point in points(run)
    ]
    path = folder / run.name / f"events.out.tfevents.{int(began)}.workbench"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, event_file(began, scalars))
    return path


def write_mlflow(run: Run, folder: Path) -> Path:
    """Write a run of MLflow's file store; ``mlflow ui --backend-store-uri FOLDER`` shows it."""
    experiment = folder / "0"
    experiment.mkdir(exist_ok=True)
    location = folder.resolve().as_uri()
    about: dict[str, Value] = {
        "artifact_location": f"{location}/0",
        "experiment_id": "0",
        "lifecycle_stage": "active",
        "name": "workbench",
    }
    write_file(experiment / "meta.yaml", yaml_text(about))

    began = int(1000 * started(run))
    identity = run.record.digest[:32]
    place = experiment / identity
    measured = points(run)
    length = measured[-1].seconds if measured else 0.0
    meta: dict[str, Value] = {
        "artifact_uri": f"{location}/0/{identity}/artifacts",
        "end_time": began + int(1000 * length),
        "entry_point_name": "",
        "experiment_id": "0",
        "lifecycle_stage": "active",
        "run_id": identity,
        "run_name": run.name,
        "run_uuid": identity,
        "source_name": "",
        "source_type": 4,
        "source_version": "",
        "start_time": began,
        "status": MLFLOW_STATES.get(run.status().state, MLFLOW_FAILED),
        "user_id": "workbench",
    }
    for part in ("metrics", "params", "tags", "artifacts"):
        (place / part).mkdir(parents=True, exist_ok=True)
    write_file(place / "meta.yaml", yaml_text(meta))
    write_file(place / "tags" / "mlflow.runName", run.name.encode())
    for name, value in {**run.record.settings, "corpus": run.record.corpus.name}.items():
        write_file(place / "params" / name, str(value).encode())

    for name in MEASURES:
        lines = [
            f"{began + int(1000 * point.seconds)} {point.values[name]!r} {point.updates}\n"
            for point in measured
            if name in point.values
        ]
        if lines:
            write_file(place / "metrics" / f"heldout_{name}", "".join(lines).encode())
    return place


def yaml_text(values: Mapping[str, Value]) -> bytes:
    """Return flat values as YAML: numbers as they are, texts in single quotes."""
    lines = []
    for name, value in values.items():
        quoted = str(value).replace("'", "''")
        text = f"'{quoted}'" if isinstance(value, str) else str(value)
        lines.append(f"{name}: {text}\n")
    return "".join(lines).encode()


def write_wandb(run: Run, folder: Path) -> Path:
    """Write an offline run of W&B by its library; ``wandb sync FOLDER/wandb/...`` uploads it."""
    # By its name: who wants this has the library, and no set of this package needs it.
    try:
        wandb = importlib.import_module("wandb")
    except ImportError:
        raise UserError("wandb-offline needs W&B's library: pip install wandb") from None

    session = wandb.init(
        mode="offline",
        dir=str(folder),
        project="workbench",
        name=run.name,
        id=run.record.digest[:16],
        config={**run.record.settings, "corpus": run.record.corpus.name},
        reinit="create_new",
    )
    for point in points(run):
        values = {f"heldout/{name}": value for name, value in point.values.items()}
        session.log({**values, "epochs": point.epochs}, step=point.updates)
    session.finish()
    wandb.teardown()  # its own process writes the file, and has written it when it has ended
    return folder / "wandb"


def started(run: Run) -> float:
    """Return when the run was started, in seconds since the epoch."""
    return (run.folder / RECORD).stat().st_mtime


WRITERS: dict[Tool, Callable[[Run, Path], Path]] = {
    Tool.CSV: write_csv,
    Tool.TENSORBOARD: write_tensorboard,
    Tool.MLFLOW: write_mlflow,
    Tool.WANDB: write_wandb,
}
