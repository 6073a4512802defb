"""The noise of a real model's updates, measured at its trained parameters."""

from pathlib import Path

import numpy as np
import pytest

from workbench.figures.noise import draw_noise
from workbench.metrics.noise import Mixing
from workbench.model.network import initial
from workbench.notebook.noise import noise_table
from workbench.prepare.corpus import Corpus
from workbench.progress import no_progress
from workbench.runs import train
from workbench.runs.noise import DIRECTIONS, frame_gradients, measure_noise
from workbench.runs.task import Task
from workbench.settings import UserError, preset, rng
from workbench.storage.run import Run

CE = preset("tiny", epochs=1.0)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Run:
    """A model of cross entropy."""
    return train(corpus, CE)


def test_gradients_are_those_of_the_output_biases(corpus: Corpus) -> None:
    """A small step of the biases in a direction changes -F_CE as its gradient says."""
    task = Task(corpus, CE)
    theta = initial(task.topology, 1)
    found = frame_gradients(task, theta, 0, no_progress)
    directions = rng(0, "noise").standard_normal((task.topology.states, DIRECTIONS))

    frames = np.arange(0, len(found), 97)
    targets = np.asarray(task.train.alignment)[frames]
    windows = task.windows(task.train, frames)
    step = 0.01

    def loss(moved: np.ndarray) -> np.ndarray:
        logp = task.log_posteriors(moved.astype(np.float32), windows)
        return -logp[np.arange(len(frames)), targets].astype(float)

    for direction in range(3):
        forward = theta.copy()
        back = theta.copy()
        forward[-task.topology.states :] += step * directions[:, direction]
        back[-task.topology.states :] -= step * directions[:, direction]
        slope = (loss(forward) - loss(back)) / (2 * step)
        assert found[frames, direction] == pytest.approx(slope, abs=2e-2)


@pytest.mark.slow
def test_a_batch_of_one_utterance_is_noisier(trained: Run) -> None:
    """What is too short for ten replicas has no line, and the legend says so."""
    curves = measure_noise(trained, batch=40)
    by_label = {curve.mixing.label: curve for curve in curves}
    none = by_label["none, 1 replica"].ratios[0]
    full = by_label["full, 1 replica"].ratios[0]
    assert none > 2 * full

    fig = draw_noise(curves)
    [panel] = fig.axes
    [legend] = fig.legends
    assert [len(line.get_xdata()) for line in panel.lines] == [len(c.windows) for c in curves]
    missing = [f"{c.mixing.label}: too little speech" for c in curves if not c.windows]
    told = [text.get_text() for text in legend.get_texts()]
    assert missing and set(missing) < set(told)
    assert list(noise_table(curves).index) == list(by_label)


@pytest.mark.slow
def test_too_little_speech_is_told(trained: Run) -> None:
    """With what to do."""
    with pytest.raises(UserError, match="take a smaller batch"):
        measure_noise(trained, [Mixing("on-the-fly", 1)], batch=100_000)
