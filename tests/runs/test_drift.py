"""Drift of real networks: distances of layers, cosines of outer gradients, and whole runs."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fake_runs import drift_row

from workbench import runs
from workbench.archive.export import Tool, export
from workbench.metrics.drift import drift_point, drift_points
from workbench.model.network import initial
from workbench.model.topology import Topology
from workbench.prepare.corpus import Corpus
from workbench.runs import drive
from workbench.runs.drift import FrameRows, cosine, layer_norms, measure_drift
from workbench.runs.task import Task
from workbench.sequence.auxiliary import reweighted_gradient
from workbench.settings import Settings, preset, rng
from workbench.storage.rows import Drift, DriftRow, Row
from workbench.storage.run import Run
from workbench.training.messages import DecodedUtterance, DriftOrigin

MMI = preset("tiny", criterion="mmi", epochs=0.6, checkpoint_every=0.2, drift_every=3)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


def two_models(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of a decoder and of a replica some updates later."""
    origin = initial(task.topology, 1)
    origin += rng(0, "some").standard_normal(len(origin), np.float32) * np.float32(0.02)
    moved = origin + rng(1, "more").standard_normal(len(origin), np.float32) * np.float32(0.02)
    return origin, moved


def decoded_at(task: Task, theta: np.ndarray, utterance: int) -> DecodedUtterance:
    """An utterance decoded with some parameters, from which drift is to be measured."""
    decoded = task.decode(theta, utterance)
    return DecodedUtterance(decoded, (0,), 0.0, DriftOrigin(theta, int(decoded.kept[0])))


def dense_rows(task: Task, theta: np.ndarray, utterance: int) -> np.ndarray:
    """An outer gradient of a criterion whose rows sum to zero: float64 [frames, states]."""
    decoded = task.decode(theta, utterance)
    out = np.zeros((decoded.frames, task.topology.states))
    out[np.repeat(decoded.kept, np.diff(decoded.indptr)), decoded.states] = decoded.values
    return out


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine between two arrays."""
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def usable(task: Task, theta: np.ndarray) -> int:
    """The number of an utterance that keeps frames."""
    return next(u for u in range(20) if len(task.decode(theta, u).kept) > 5)


def test_distances_are_those_of_each_layers_weights_and_biases() -> None:
    """3-2-4 has layers of 8 and 12 parameters; the numbers are easily found by hand."""
    topology = Topology(3, (2,), 4)
    origin = np.ones(20, np.float32)
    theta = origin.copy()
    theta[:8] += 2.0
    theta[19] -= 0.5
    found = layer_norms(topology, origin, theta)
    assert found.distances == pytest.approx((2 * 8**0.5, 0.5))
    assert found.norms == pytest.approx((8**0.5, 12**0.5))
    drift = Drift(
        distances=found.distances, norms=found.norms, stale_norm=1.0, fresh_norm=1.0, cosine=1.0
    )
    assert drift_point(drift_row(drift)).distance == pytest.approx((32.25 / 20) ** 0.5)


def test_cosines_count_frames_that_only_one_side_has() -> None:
    """A frame that the other side lacks is zero there; without frames there is no angle."""
    one = FrameRows(np.array([1, 4]), np.array([[3.0, 0.0], [4.0, 0.0]], np.float32))
    other = FrameRows(np.array([4, 6]), np.array([[2.0, 0.0], [0.0, 9.0]], np.float32))
    assert cosine(one, other) == pytest.approx(8 / 5 / 85**0.5, abs=1e-5)
    assert cosine(one, one) == 1.0
    assert cosine(one, FrameRows(np.zeros(0, int), np.zeros((0, 2), np.float32))) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        dict(criterion="mmi"),
        dict(criterion="smbr"),
        dict(criterion="mmi", auxiliary="reweighted"),
        dict(criterion="mmi", auxiliary="proximal"),
        dict(criterion="mmi", smoothing=0.1),
        dict(criterion="mmi", denominator="none-realigned"),
    ],
    ids=str,
)
def test_at_the_decoders_own_parameters_nothing_has_drifted(corpus: Corpus, changes: dict) -> None:
    """All distances are 0, and every cosine is 1: auxiliary functions touch the criterion there."""
    task = Task(corpus, preset("tiny", **changes))
    origin, _ = two_models(task)
    drift = measure_drift(task, origin, decoded_at(task, origin, usable(task, origin)))
    assert drift is not None
    assert set(drift.distances) == {0.0}
    assert drift.cosine == pytest.approx(1, abs=1e-5)
    assert drift.stale_norm == pytest.approx(drift.fresh_norm, rel=1e-4)
    assert (drift.auxiliary_cosine is None) == (
        changes.get("auxiliary") not in ("proximal", "reweighted")
    )
    if drift.auxiliary_cosine is not None:
        assert drift.auxiliary_cosine == pytest.approx(1, abs=1e-4)


def test_cosines_are_those_of_whole_outer_gradients(corpus: Corpus) -> None:
    """Against dense arrays of both; and for reweighted, of what the replica makes of the first."""
    task = Task(corpus, preset("tiny", criterion="mmi", auxiliary="reweighted"))
    origin, moved = two_models(task)
    utterance = usable(task, origin)
    source = decoded_at(task, origin, utterance)
    drift = measure_drift(task, moved, source)
    assert drift is not None and drift.cosine is not None

    stale = dense_rows(task, origin, utterance)
    fresh = dense_rows(task, moved, utterance)
    assert drift.cosine == pytest.approx(angle(stale, fresh), abs=1e-5)
    assert drift.cosine < 0.999
    assert drift.stale_norm == pytest.approx(np.linalg.norm(stale), rel=1e-5)
    assert drift.fresh_norm == pytest.approx(np.linalg.norm(fresh), rel=1e-5)

    [logp] = task.utterance_posteriors(moved, task.train, [utterance])
    occupied = source.decoded.occupied
    assert occupied is not None
    kept = source.decoded.kept
    scale = task.settings.criterion.acoustic_scale
    followed = np.zeros_like(stale)
    followed[kept[occupied.frame], occupied.states] = reweighted_gradient(
        occupied, logp[kept], scale
    )
    assert drift.auxiliary_cosine == pytest.approx(angle(followed, fresh), abs=1e-5)


def test_parameters_that_are_not_finite_have_no_drift(corpus: Corpus) -> None:
    """A diverging run has no row rather than one of NaN."""
    task = Task(corpus, preset("tiny", criterion="mmi"))
    origin, moved = two_models(task)
    source = decoded_at(task, origin, usable(task, origin))
    moved[-1] = np.nan
    assert measure_drift(task, moved, source) is None


# --- whole runs


def rows_without_drift(run: Run) -> list[Row]:
    """All rows of a run but those of drift."""
    return [row for row in run.rows(Row) if not isinstance(row, DriftRow)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [dict(), dict(replicas=4, clock="cost"), dict(replicas=3, clock="cost", trained="last")],
    ids=str,
)
def test_a_run_that_measures_drift_is_the_same_run(corpus: Corpus, changes: dict) -> None:
    """Parameters and all other rows are equal, with and without; its drift can be read.

    It begins with an output layer of zeros, which has no relative distance.
    """
    measured = runs.train(corpus, MMI.replace(**changes), name="with")
    plain = runs.train(corpus, MMI.replace(drift_every=0, **changes), name="without")
    assert measured.summary.parameters_digest == plain.summary.parameters_digest
    assert rows_without_drift(measured) == list(plain.rows(Row))

    rows = list(measured.rows(DriftRow))
    assert rows
    layers = Task(corpus, MMI).topology.names
    for row in rows:
        assert len(row.drift.distances) == len(row.drift.norms) == len(layers)
        still = row.drift.distances[:-1]
        assert changes.get("trained") != "last" or set(still) == {0.0}

    points = drift_points(measured)
    assert len(points) == len(rows)
    unknown = [point.output_distance is None for point in points]
    assert sum(unknown) == sum(row.drift.norms[-1] == 0 for row in rows) > 0


@pytest.mark.slow
def test_a_run_that_is_stopped_measures_the_same_drift(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed from checkpoints that hold the decoders' parameters, its rows are equal."""
    settings: Settings = MMI.replace(replicas=4, clock="cost")
    undisturbed = runs.train(corpus, settings, name="undisturbed")
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    looks = iter(range(10**9))
    run = runs.train(corpus, settings, name="stopped", stop=lambda: next(looks) > 40)
    resumed = runs.resume(run)
    assert resumed.rows_digest() == undisturbed.rows_digest()
    assert resumed.summary.parameters_digest == undisturbed.summary.parameters_digest


@pytest.mark.slow
def test_drift_is_exported_with_the_rows(corpus: Corpus, tmp_path: Path) -> None:
    """It is in the table of all rows, in its Parquet file, and in a file of CSV of its own."""
    import pandas as pd

    run = runs.train(corpus, MMI, name="exported")
    rows = list(run.rows(DriftRow))
    table = pd.read_parquet(run.folder / "rows.parquet")
    assert (table["kind"] == "drift").sum() == len(rows) == len(run.table(DriftRow)) > 0

    export([run], Tool.CSV, tmp_path)
    lines = list(csv.DictReader((tmp_path / f"{run.name}-drift.csv").read_text().splitlines()))
    assert [float(line["cosine"] or "nan") for line in lines] == pytest.approx(
        [row.drift.cosine or float("nan") for row in rows], nan_ok=True
    )
    assert [float(line["distance_1"]) for line in lines] == [r.drift.distances[0] for r in rows]
