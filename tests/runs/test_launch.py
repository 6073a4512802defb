"""Runs that outlive the process that started them; replay and calibration."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from workbench import runs
from workbench.cli import main
from workbench.cli.attach import follow
from workbench.engine.machines import read_machine
from workbench.prepare.corpus import Corpus
from workbench.runs import calibrate
from workbench.runs.replay import replay
from workbench.settings import UserError, preset
from workbench.storage.run import RunState, find_run

pytestmark = pytest.mark.slow

SMALL = dict(hidden_layers=1, hidden_units=24, checkpoint_every=0.5, evaluate_every=1.0)
# Start a run as a notebook's kernel would, print its name, and wait for an interrupt.
PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
from workbench.runs import launch
print(launch.launch_and_wait(sys.argv[1:], "long").name, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


def wait_until(condition, seconds=30.0):
    """Wait until ``condition()``; fail if it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def start_in_another_process():
    """A long run that was started by another process, which has been interrupted since."""
    settings = [
        "hidden_units=24",
        "epochs=1000",
        "evaluate_every=2",
        "patience=100",
        "checkpoint_every=5",
    ]
    words = ["train", "tiny", "--preset", "tiny", "--name", "long", "--set", *settings]
    command = [sys.executable, "-c", PARENT, *words]
    parent = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    run = find_run(parent.stdout.readline().strip())
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(20) != 0
    parent.stdout.close()
    return run


def test_a_detached_run_outlives_its_parent(tiny_home, capsys):
    """An interrupt of its parent leaves a run alone; others follow, stop and resume it."""
    run = start_in_another_process()
    out = io.StringIO()
    follower = threading.Thread(target=follow, args=(run, out, 0.05))
    follower.start()
    wait_until(lambda: "epoch 2" in out.getvalue())
    assert run.status().state == RunState.RUNNING
    assert main.main(["stop", run.name]) == 0
    follower.join(30)
    assert out.getvalue().splitlines()[-1].startswith(f"{run.name}: stopped after")

    before = run.checkpoints()
    stopped = runs.resume(run, stop=lambda: run.checkpoints() != before)
    assert stopped.status().state == RunState.STOPPED
    assert run.checkpoints() != before
    capsys.readouterr()
    assert main.main(["stop", run.name]) == 1
    assert "is not running (state: stopped)" in capsys.readouterr().err


def test_a_detached_run_that_cannot_start_says_why(tiny_home, capsys):
    """The command that starts it prints the message that the run would have printed."""
    assert main.main(["train", "nowhere", "--detach"]) == 1
    assert "nowhere: no such corpus" in capsys.readouterr().err


def test_calibration_predicts(corpus, tiny_home):
    """With a calibrated machine, a run on the cost clock takes about its measured time.

    Within a factor of four, since others use the machine too: a wrong unit or a forgotten part of a
    run is further off.
    """
    settings = preset("tiny", **SMALL, epochs=2.0, replicas=2)
    # Compiling and other programs only add time, so the least of a few runs is what the run takes.
    measured = [
        runs.train(corpus, settings.replace(clock="measured"), name=f"measured{n}")
        for n in range(4)
    ]
    path = calibrate.calibrate(measured[0], network=False)
    assert path.parent == tiny_home / "machines"
    cost = runs.train(corpus, settings.replace(clock="cost", machine=path.stem), name="cost")
    least = min(run.summary.seconds for run in measured)
    assert 0.25 < cost.summary.seconds / least < 4.0
    made = read_machine(path)
    assert set(made.prices) == {"forward", "gradient", "decode", "evaluate"}
    assert made.seconds("gradient", 64) < made.seconds("gradient", 640)
    assert replace(made, parameters=10**7).seconds("gradient", 64) >= made.seconds("gradient", 64)


def test_a_price_is_fitted():
    """Seconds that are linear in frames and in frames times parameters give their price back."""
    points = []
    for frames in (8, 32, 128):
        for parameters in (10**4, 10**6):
            seconds = 1e-3 + frames * (2e-4 + 3e-9 * parameters)
            points.append(calibrate.Point(frames, parameters, seconds))
    price = calibrate.fit_price(points)
    fitted = (price.call, price.frame, price.frame_parameter)
    assert fitted == pytest.approx((1e-3, 2e-4, 3e-9), rel=1e-6)


def test_what_was_not_recorded_cannot_be_replayed(corpus):
    """A run on this thread keeps its schedule only if asked; otherwise replay says what to do."""
    run = runs.train(corpus, preset("tiny", **SMALL, epochs=1.0), name="plain")
    recorded = runs.train(corpus, preset("tiny", **SMALL, epochs=1.0), name="recorded", record=True)
    assert recorded.summary.parameters_digest == run.summary.parameters_digest
    assert main.main(["replay", recorded.name]) == 0
    with pytest.raises(UserError, match="train with --record"):
        replay(run)
