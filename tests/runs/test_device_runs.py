"""Runs whose parameters and frames stay on the device: those of the CPU, and repeatable."""

from pathlib import Path

import numpy as np
import pytest
import torch
from devices import on_device, relative_error, use_cpu, use_device
from stop_requests import after

from workbench import runs
from workbench.batches import FrameBatch, OuterBatch, Piece
from workbench.model.kernels import Kernel
from workbench.model.model_file import load_model
from workbench.model.network import initial
from workbench.model.torch_vector import TorchVector
from workbench.prepare.corpus import Corpus
from workbench.recognise import evaluate
from workbench.runs import drive, residence
from workbench.runs.replay import replay
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.settings import preset
from workbench.storage.rows import EvaluateRow
from workbench.storage.run import Run, RunState
from workbench.training import DecodedUtterance

__all__ = ["on_device"]

pytestmark = pytest.mark.slow

SMALL = dict(hidden_layers=1, hidden_units=24, checkpoint_every=0.2, learning_rate=0.03)
FORMS = {
    "ce": dict(epochs=0.5, shuffling="full"),
    "ce, five replicas, three shards": dict(epochs=0.5, replicas=5, shards=3, clock="cost"),
    "ce, sums of two": dict(epochs=1.0, push_every=2, max_norm=0.5),
    "mmi": dict(criterion="mmi", epochs=0.3, batch=16, learning_rate=0.002),
    "mmi, eight replicas": dict(
        criterion="mmi",
        epochs=0.3,
        batch=16,
        learning_rate=0.002,
        replicas=8,
        shards=2,
        clock="cost",
        trained="last",
    ),
    "mmi, drift": dict(
        criterion="mmi",
        epochs=0.3,
        batch=16,
        learning_rate=0.002,
        auxiliary="reweighted",
        drift_every=2,
    ),
    "smoothed": dict(criterion="mmi", epochs=0.3, batch=16, learning_rate=0.002, smoothing=0.1),
}
PARAMETERS = 1e-3
"""How far the parameters of a short run may be from those of the CPU: a difference of rounding at
the first update changes which paths of a lattice are pruned at a later one.
"""


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Run:
    """What sequence training starts from: an untrained network has lattices many times larger."""
    with pytest.MonkeyPatch.context() as patch:
        use_cpu(patch)
        return runs.train(corpus, preset("tiny", **SMALL, epochs=4.0), name="trained")


def start_of(form: str, trained: Run) -> Run | None:
    """What a run of this form starts from."""
    return trained if FORMS[form].get("criterion") else None


def parameters(run: Run) -> np.ndarray:
    """The model that a run has left."""
    theta, _, _ = load_model(run.folder / "model")
    return theta


@pytest.mark.parametrize("form", FORMS)
def test_a_run_on_the_device_is_that_of_the_cpu(corpus: Corpus, trained: Run, form: str):
    """Its curve and its model, up to the rounding of sums; and twice the same, bit for bit."""
    settings = preset("tiny", **{**SMALL, **FORMS[form]})
    init = start_of(form, trained)
    with pytest.MonkeyPatch.context() as patch:
        use_cpu(patch)
        expected = runs.train(corpus, settings, name="on-cpu", init=init)
    with pytest.MonkeyPatch.context() as patch:
        use_device(patch)
        found = runs.train(corpus, settings, name="on-device", init=init)
        again = runs.train(corpus, settings, name="on-device-again", init=init)

    assert relative_error(parameters(found), parameters(expected)) < PARAMETERS
    curve = expected.table(EvaluateRow).criterion.tolist()
    assert found.table(EvaluateRow).criterion.tolist() == pytest.approx(curve, abs=0.01)
    assert found.summary.parameters_digest == again.summary.parameters_digest
    assert found.summary.rows_digest == again.summary.rows_digest


@pytest.mark.parametrize("form", ["ce, sums of two", "mmi", "mmi, eight replicas"])
def test_a_stopped_run_resumes_to_the_same_bits(
    corpus: Corpus, trained: Run, on_device, monkeypatch, form
):
    """A checkpoint holds what was on the device."""
    settings = preset("tiny", **{**SMALL, **FORMS[form]})
    init = start_of(form, trained)
    undisturbed = runs.train(corpus, settings, name="undisturbed", init=init)
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    stopped = runs.train(corpus, settings, name="stopped", init=init, stop=after(25))
    assert stopped.status().state == RunState.STOPPED
    resumed = runs.resume(stopped)
    assert resumed.summary.parameters_digest == undisturbed.summary.parameters_digest
    assert resumed.summary.rows_digest == undisturbed.summary.rows_digest


def test_a_recorded_run_is_replayed(corpus: Corpus, on_device):
    """The digests of a server's parameters are those of the host's bytes."""
    settings = preset("tiny", **{**SMALL, **FORMS["mmi"]}, replicas=3, clock="cost")
    recorded = runs.train(corpus, settings, name="recorded", record=True)
    assert replay(recorded).parameters_digest == recorded.summary.parameters_digest


def test_parameters_and_frames_stay_on_the_device(corpus: Corpus, on_device: Kernel):
    """A gradient is a vector of the device, and so is what the server publishes after it."""
    task = Task(corpus, preset("tiny", **SMALL))
    experiment = Experiment(task, initial(task.topology, 0))
    server = experiment.services()["server 0"]
    theta = experiment.shards.join([server.fetch().value])
    assert isinstance(theta, TorchVector)
    assert theta.values.device == on_device.device

    gradient = task.gradient(theta, FrameBatch(np.arange(40)))
    assert isinstance(gradient.value, TorchVector)
    assert task.train_frames.on_device is not None


def test_the_record_says_where_parameters_and_frames_lie(corpus: Corpus, monkeypatch):
    """With a device; and if the frames do not fit, the run works from the host's memory."""
    settings = preset("tiny", **SMALL, epochs=0.2)
    with pytest.MonkeyPatch.context() as patch:
        use_device(patch)
        fits = runs.train(corpus, settings, name="fits")
        patch.setattr(residence, "free_bytes", lambda device: 1000)
        large = runs.train(corpus, settings, name="large")
        slow = runs.train(corpus, settings.replace(optimizer="momentum"), name="momentum")
    with pytest.MonkeyPatch.context() as patch:
        use_cpu(patch)
        cpu = runs.train(corpus, settings, name="cpu")

    places = {run.name.split("-")[0]: run.record.kernels.get("residence") for run in (fits, large)}
    assert places["fits"]["parameters"] == {"where": "device", "reason": "updates are plain"}
    assert places["fits"]["frames"]["where"] == "device"
    assert places["large"]["frames"]["where"] == "host"
    assert "free on the device" in places["large"]["frames"]["reason"]
    assert relative_error(parameters(large), parameters(fits)) < PARAMETERS
    momentum = slow.record.kernels["residence"]["parameters"]
    assert momentum == {"where": "host", "reason": "optimizer=momentum is computed in numpy"}
    assert "residence" not in cpu.record.kernels


def test_no_frames_are_copied_only_to_keep_parameters(corpus: Corpus, on_device: Kernel):
    """Nor by the process that begins a run on a cluster, for its record."""
    task = Task(corpus, preset("tiny", **SMALL))
    assert isinstance(task.keep(np.zeros(3, np.float32)), TorchVector)
    assert "train_frames" not in vars(task)

    task = Task(corpus, preset("tiny", **SMALL, clock="wall"))
    assert task.residence.parameters.where == "host"
    assert task.residence.frames.where == "workers"
    assert "train_frames" not in vars(task)


def test_memory_that_torch_keeps_is_free(monkeypatch):
    """What an earlier run has left is used again, so it leaves room for frames."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 800)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    assert residence.free_bytes(torch.device("cuda")) == 600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(clock="wall"), "the processes of a cluster exchange arrays of the host"),
        (dict(optimizer="adagrad"), "optimizer=adagrad is computed in numpy"),
        (dict(delay_compensation=0.1), "delay_compensation is computed in numpy"),
        (dict(synchronous=True), "synchronous updates are summed in numpy"),
        (dict(wire="bfloat16"), "wire=bfloat16 rounds on the host"),
    ],
)
def test_what_keeps_parameters_on_the_host(on_device: Kernel, changes, reason):
    """Each has its reason, for the record of the run."""
    place = residence.place_of_parameters(preset("tiny", **changes), on_device)
    assert (place.where, place.reason) == ("host", reason)


def test_outer_gradients_are_those_of_the_cpu(corpus: Corpus):
    """Of a decoded utterance, and of its frames in a batch."""
    settings = preset("tiny", criterion="mmi", hidden_layers=1, hidden_units=24)
    theta = initial(Task(corpus, settings).topology, 0)
    decoded = []
    gradients = []
    for use in (use_cpu, use_device):
        with pytest.MonkeyPatch.context() as patch:
            use(patch)
            task = Task(corpus, settings)
            outer = task.decode(task.keep(theta), 3)
            source = DecodedUtterance(outer, (0,), 0.0)
            batch = OuterBatch.of([Piece(source, 0, len(outer.kept))])
            value = task.gradient(task.keep(theta), batch).value
            decoded.append(outer)
            gradients.append(value if isinstance(value, np.ndarray) else value.array())

    cpu, device = decoded
    assert np.array_equal(device.kept, cpu.kept)
    assert np.array_equal(device.states, cpu.states)
    assert relative_error(device.values, cpu.values) < 1e-4
    assert device.den == pytest.approx(cpu.den, rel=1e-4)
    assert relative_error(gradients[1], gradients[0]) < 1e-4


def test_words_are_those_of_the_cpu(corpus: Corpus):
    """Several utterances share a forward pass, and lattices are made in threads."""
    with pytest.MonkeyPatch.context() as patch:
        use_cpu(patch)
        run = runs.train(corpus, preset("tiny", **SMALL, epochs=4.0), name="spoken")
        evaluate.test(run)
    words = (run.folder / "test.hyp").read_text()
    with pytest.MonkeyPatch.context() as patch:
        use_device(patch)
        evaluate.test(run)
    assert (run.folder / "test.hyp").read_text() == words
