"""What other tools read of a run is what the run measured."""

import csv
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_runs import fake_run

from workbench.archive.export import Tool, export, points, yaml_text
from workbench.archive.tensorboard import crc32c, event_file, masked_crc
from workbench.cli.export import TOOLS
from workbench.settings import Settings, UserError
from workbench.storage.run import Run


@pytest.fixture
def run(data_folder: Path) -> Run:
    """A run with five evaluations."""
    return fake_run("mmi-00000000", Settings.of(criterion="mmi"), corpus="digits")


def test_the_command_offers_every_tool() -> None:
    """The choices of the command are the tools that there are."""
    assert set(TOOLS) == {tool.value for tool in Tool}


def test_csv_has_every_evaluation(run: Run, tmp_path: Path) -> None:
    """One line per evaluation with the measured values; the settings lie beside it."""
    (path,) = export([run], Tool.CSV, tmp_path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["updates"]) for row in rows] == [0, 10, 20, 30, 40]
    assert [float(row["wer"]) for row in rows] == [p.values["wer"] for p in points(run)]
    settings = dict(csv.reader((tmp_path / "mmi-00000000-settings.csv").read_text().splitlines()))
    assert settings["criterion"] == "mmi"


def test_checksums_are_those_of_the_standard() -> None:
    """CRC-32C has the check value of the standard, and event files begin with their version."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert masked_crc(b"") == 0xA282EAD8
    assert b"brain.Event:2" in event_file(0.0, [])


def test_tensorboard_reads_the_curves(run: Run, tmp_path: Path) -> None:
    """TensorBoard's own reader finds each measure with its steps and values."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    export([run], Tool.TENSORBOARD, tmp_path)
    found = reader.EventAccumulator(str(tmp_path / run.name))
    found.Reload()
    measured = points(run)
    assert set(found.Tags()["scalars"]) == {f"heldout/{name}" for name in measured[0].values}
    events = found.Scalars("heldout/wer")
    assert [event.step for event in events] == [point.updates for point in measured]
    assert [event.value for event in events] == pytest.approx([p.values["wer"] for p in measured])


def test_mlflow_reads_the_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client finds settings as parameters, and each measure with its steps."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow.store.tracking.file_store")
    export([run], Tool.MLFLOW, tmp_path)
    store = mlflow.FileStore(str(tmp_path))
    found = store.get_run(run.record.digest[:32])
    assert found.info.run_name == run.name
    assert found.data.params["criterion"] == "mmi"
    assert found.data.params["corpus"] == "digits"
    history = store.get_metric_history(found.info.run_id, "heldout_wer")
    measured = {point.updates: point.values["wer"] for point in points(run)}
    assert {metric.step: metric.value for metric in history} == measured


def test_the_files_of_mlflow_hold_the_run(run: Run, tmp_path: Path) -> None:
    """Each evaluation is a line of time, value and step, and each setting a parameter."""
    (place,) = export([run], Tool.MLFLOW, tmp_path)
    lines = (place / "metrics" / "heldout_wer").read_text().splitlines()
    assert [int(line.split()[2]) for line in lines] == [0, 10, 20, 30, 40]
    assert (place / "params" / "learning_rate").read_text() == "0.002"
    assert yaml_text({"a": "it's", "b": 3}) == b"a: 'it''s'\nb: 3\n"


def test_wandb_writes_an_offline_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's library writes a run that it can sync later, without network."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (place,) = export([run], Tool.WANDB, tmp_path)
    (file,) = place.glob("offline-run-*/*.wandb")
    records = wandb_records(file.read_bytes())
    settings = {
        item.key: json.loads(item.value_json)
        for record in records
        for item in record.run.config.update
    }
    assert settings["criterion"] == "mmi"
    assert settings["corpus"] == "digits"

    rows = [
        {(item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item}
        for record in records
        if record.history.item
    ]
    measured = points(run)
    assert [int(row["_step"]) for row in rows] == [point.updates for point in measured]
    wer = [float(row["heldout/wer"]) for row in rows]
    assert wer == pytest.approx([point.values["wer"] for point in measured])


def wandb_records(written: bytes) -> list[Any]:
    """Returns the records of W&B's file: LevelDB's log behind a header, in blocks of 32 KiB.

    A record that does not fit into a block goes on in the next one.
    """
    from wandb.proto import wandb_internal_pb2

    header = 7
    whole, first, last = 1, 2, 4  # kinds of parts; those between have another number
    block = 32768
    records = []
    parts = b""
    at = header
    while at + 7 <= len(written):
        room = block - at % block
        if room < 7:
            at += room
            continue

        _, length, kind = struct.unpack_from("<IHB", written, at)
        part = written[at + 7 : at + 7 + length]
        parts = part if kind in (whole, first) else parts + part
        if kind in (whole, last):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
        at += 7 + length
    return records


def test_a_missing_library_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where W&B is not installed, the message says what to install."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        export([run], Tool.WANDB, tmp_path)


def test_a_run_without_measurements_is_exported(data_folder: Path, tmp_path: Path) -> None:
    """A run that measured nothing yet leaves files without curves."""
    fresh = fake_run("new-00000000", Settings(), state="new")
    for path in fresh.row_files():
        path.unlink()
    assert points(fresh) == []
    for tool in (Tool.CSV, Tool.TENSORBOARD, Tool.MLFLOW):
        (path,) = export([fresh], tool, tmp_path / tool.value)
        assert path.exists()
