"""Asynchronous training of real networks on a real Dask cluster with two workers."""

import ast
import math
import os
import signal
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import runs, training
from workbench.cli import main
from workbench.model.network import initial
from workbench.prepare.corpus import Corpus
from workbench.runs import launch
from workbench.runs.replay import replay
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.settings import UserError, preset
from workbench.storage.rows import EvaluateRow, PushRow, RecoveryRow
from workbench.storage.run import Run, RunState, all_runs, find_run

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.dask,
    pytest.mark.filterwarnings("default"),
]  # Dask's own warnings are not ours to mend

SMALL = dict(hidden_layers=1, hidden_units=24, checkpoint_every=0.5, evaluate_every=1.0)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def cluster(corpus):
    """Two workers with room for five processes."""
    from workbench.engine.dask import Cluster, local_cluster

    with local_cluster(2, 3) as local, distributed.Client(local) as client:
        yield Cluster(client)


@pytest.fixture(scope="module")
def ce(corpus, cluster):
    """Cross entropy by two replicas."""
    return runs.train(
        corpus,
        preset("tiny", **SMALL, epochs=3.0, replicas=2, shards=2),
        name="ce",
        executor=cluster,
    )


def frames(run: Run) -> int:
    """Return the training frames of its corpus."""
    return Task(Corpus.open("tiny"), run.settings).train.frames


def each_push_once(run: Run) -> bool:
    """Return whether every step of every replica was applied, and reported, once."""
    pushes = Counter((r.replica, r.step) for r in run.rows(PushRow))
    return set(pushes.values()) == {1} and run.summary.updates_applied == len(pushes)


def test_two_replicas_train_and_are_replayed(ce):
    """Every push is applied, every frame visited, and a replay ends with the same parameters."""
    assert ce.status().state == RunState.DONE
    assert ce.settings.clock.kind == "wall"
    assert each_push_once(ce)
    assert sum(r.frames for r in ce.rows(PushRow)) == 3 * frames(ce)
    measured = ce.table(EvaluateRow).ce
    assert measured.iloc[-1] > measured.iloc[0] + 0.5
    table = ce.table(EvaluateRow)
    assert ((table.wer_low <= table.wer) & (table.wer <= table.wer_high)).all()
    assert (table.wer_low < table.wer).any()
    found = replay(ce)
    assert found.parameters_digest == ce.summary.parameters_digest
    assert found.compared > 10


def test_sequence_training_is_stopped_resumed_and_replayed(corpus, cluster, ce):
    """A run of MMI that is stopped by the file and resumed loses nothing, and can be replayed."""
    settings = preset("tiny", **SMALL, criterion="mmi", epochs=2.0, batch=16, learning_rate=0.002)

    def ask_at_half(done: int, total: int, what: str) -> None:
        if done > total / 2:
            (find_run("mmi").folder / "stop").touch()

    stopped = runs.train(
        corpus, settings, name="mmi", init=ce, executor=cluster, progress=ask_at_half
    )
    assert stopped.status().state == RunState.STOPPED
    run = runs.resume(stopped, executor=cluster)
    assert run.status().state == RunState.DONE
    assert each_push_once(run)
    assert run.summary.frames_seen == 2 * frames(run)
    assert run.summary.staleness_outer_mean > run.summary.staleness_inner_mean == 0
    assert replay(run).parameters_digest == run.summary.parameters_digest


def test_put_together_by_hand(cluster, ce):
    """The dozen statements in the documentation of `workbench.training` run, and visit all data."""
    text = training.__doc__.split("statements::\n", 1)[1]
    cell = textwrap.dedent("\n".join(line for line in text.split("\n") if line.startswith("    ")))
    there = {"client": cluster.client, "run": ce}
    exec(cell, there)
    server = there["server"]
    assert server["server 0"].version == server["server 1"].version > 0
    assert server["server 0"].frames == frames(ce) == there["task"].lengths.sum()
    assert [(held.items, held.closed) for held in there["outcome"].channels.values()] == [
        ((), True)
    ] * 2
    assert there["theta"].shape == (there["task"].topology.size,)
    statements = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.stmt)]
    assert len([s for s in statements if not isinstance(s, ast.ImportFrom)]) == 12


def test_the_first_difference_is_named(ce):
    """A replay that differs names the segment and the answer at which it differs first."""
    path = ce.folder / "rows-replica-0.jsonl"
    text = path.read_text()
    digest = text.split('["server 0",', 1)[1].split('"]', 1)[
        0
    ]  # number,"digest: that of the first call is empty
    assert digest.endswith('"')
    path.write_text(
        text.replace('["server 0",' + digest, '["server 0",' + digest + "0123456789ab", 1)
    )
    try:
        with pytest.raises(
            UserError, match=r"differs in segment 0: answer \d+ of server 0, to replica 0"
        ):
            replay(ce)
    finally:
        path.write_text(text)


def test_the_place_of_everybody(corpus):
    """A decoder is with its replica and channel, no thread has two processes, shards spread."""
    settings = preset("tiny", **SMALL, criterion="mmi", replicas=5, shards=3)
    task = Task(corpus, settings)
    experiment = Experiment(task, initial(task.topology, 0))
    places = experiment.places([4, 3, 4])
    for i in range(4):
        assert places[f"replica {i}"] == places[f"decoder {i}"] == places[f"decoded {i}"]
    used = Counter(places[name] for name in experiment.processes({}) if name in places)
    assert used[0] <= 4
    assert used[1] <= 3
    assert used[2] <= 4
    assert [places[f"server {i}"] for i in range(3)] == [0, 1, 2]


def test_what_cannot_run_leaves_no_folder(corpus, cluster):
    """Too few threads, and the wall clock without a cluster, are refused before a run is made."""
    before = all_runs()
    with pytest.raises(UserError, match="9 processes need as many threads, but the cluster has 6"):
        runs.train(corpus, preset("tiny", **SMALL, replicas=8), name="many", executor=cluster)
    with pytest.raises(UserError, match="name a cluster"):
        runs.train(corpus, preset("tiny", **SMALL, clock="wall"), name="alone")
    assert all_runs() == before


def kill_when(cluster, shares: list[tuple[float, list[str]]]) -> Callable[[int, int, str], None]:
    """Return a `Progress` that kills workers when the run has done these shares of its work."""
    killed = set()

    def progress(done: int, total: int, what: str) -> None:
        if shares and done >= shares[0][0] * total:
            names = shares.pop(0)[1]
            until = time.monotonic() + 60
            while not (pids := {cluster.about().workers.get(name) for name in names}).isdisjoint(
                {None} | killed
            ):
                assert time.monotonic() < until, "lost workers do not come back"
                time.sleep(0.05)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            killed.update(pids)

    return progress


def recoveries(run: Run) -> list[RecoveryRow]:
    """Return the rows about recoveries."""
    return list(run.rows(RecoveryRow))


def test_a_run_goes_on_when_workers_are_killed(corpus, cluster):
    """Both workers are killed, yet each push is applied once, and the run can be replayed.

    `test_recovery` has the places of a loss, without processes.
    """
    settings = preset("tiny", **SMALL, epochs=3.0, replicas=2, shards=2)
    kill = kill_when(cluster, [(0.4, ["0", "1"])])
    run = runs.train(corpus, settings, name="killed", executor=cluster, progress=kill)
    lost = [row.lost for row in recoveries(run)]
    assert " ".join(lost).count("worker") == 2
    assert each_push_once(run)
    assert sum(r.frames for r in run.rows(PushRow)) == 3 * frames(run)
    assert run.table(EvaluateRow).criterion.map(math.isfinite).all()
    assert replay(run).parameters_digest == run.summary.parameters_digest


def wait_until(true: Callable[[], Any]) -> None:
    """Wait until ``true()``; three minutes are long enough on a busy machine too."""
    until = time.monotonic() + 180
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_a_run_is_resumed_after_its_driver_was_killed(tiny_home, capsys):
    """A run whose worker and then whose driver is killed resumes from a checkpoint."""
    words = ["hidden_units=24", "checkpoint_every=0.5", "epochs=8", "patience=100", "replicas=2"]
    run = launch.launch_and_wait(
        ["train", "tiny", "--preset", "tiny", "--cluster", "local", "--set", *words, "--name", "d"],
        "d",
    )
    wait_until(lambda: launch.kill_worker(run, "1") if run.checkpoints() else None)
    wait_until(lambda: recoveries(run))
    os.kill(run.status().pid, signal.SIGKILL)
    wait_until(lambda: run.status().state != RunState.RUNNING)
    assert run.status().state == RunState.LOST
    assert run.cluster is None
    assert main.main(["train", "--resume", run.name]) == 0
    assert each_push_once(run)
    assert [row.lost for row in recoveries(run)] == ["worker 1"]
    assert sum(r.frames for r in run.rows(PushRow)) == 8 * frames(run)


def test_workers_that_cannot_be_killed(ce):
    """A run that has ended has no worker to kill, and the error says which runs have one."""
    with pytest.raises(
        UserError, match="no worker 1 that could be killed: only a run with --cluster local"
    ):
        launch.kill_worker(ce, "1")
