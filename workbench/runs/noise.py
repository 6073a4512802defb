"""The noise of a trained model's gradients, for each way in which frames could be mixed."""

from collections.abc import Sequence

import numpy as np

from workbench.metrics.noise import Mixing, NoiseCurve, noise_curve
from workbench.progress import Progress, no_progress
from workbench.runs.task import Task, alignment_of
from workbench.runs.train import trained_model
from workbench.settings import UserError, rng
from workbench.storage.run import Run
from workbench.system.vectors import Vector

DIRECTIONS = 64
"""Random directions of the gradient of the output biases, in which noise is measured."""

BLOCK = 8192  # frames of a forward pass

MIXINGS = tuple(
    Mixing(shuffling, replicas)
    for shuffling in ("none", "on-the-fly", "full")
    for replicas in (1, 10)
)


def measure_noise(
    run: Run,
    mixings: Sequence[Mixing] = MIXINGS,
    batch: int = 0,
    progress: Progress = no_progress,
) -> list[NoiseCurve]:
    """Return how noisy the updates of a model of cross entropy are, for each way to mix frames.

    Nothing is trained: the gradients of all training frames are those at the model of ``run``.
    ``batch`` frames, by default as in the run. A way that needs more speech has no windows.
    Raises UserError without alignment or model, or if it is too short for all.
    """
    task, theta = trained_model(run)
    offsets = np.asarray(task.train.offsets)
    gradients = frame_gradients(task, theta, run.settings.seed, progress)
    size = batch or run.settings.batches.size
    curves = [noise_curve(gradients, offsets, each, size, run.settings.seed) for each in mixings]
    if not any(curve.windows for curve in curves):
        raise UserError(
            f"{task.corpus.name}: too little speech to tell the noise of batches of {size} frames; "
            "take a smaller batch"
        )
    return curves


def frame_gradients(task: Task, theta: Vector, seed: int, progress: Progress) -> np.ndarray:
    """Return the gradients of F_CE of all training frames, float32 [frames, DIRECTIONS].

    They are those of the output biases, p_θ(s|x) less the target, in random directions.
    """
    targets = alignment_of(task.train)
    states = task.topology.states
    directions = rng(seed, "noise").standard_normal((states, DIRECTIONS)).astype(np.float32)
    found = np.empty((len(targets), DIRECTIONS), np.float32)
    for start in range(0, len(targets), BLOCK):
        positions = np.arange(start, min(start + BLOCK, len(targets)))
        gradient = np.exp(task.log_posteriors(theta, task.windows(task.train, positions)))
        gradient[np.arange(len(positions)), targets[positions]] -= 1.0
        found[positions] = gradient @ directions
        progress(start + len(positions), len(targets), "gradients of frames")
    return found
