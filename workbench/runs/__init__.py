"""Train, resume and replay: where training meets the engine, and both meet the run's folder."""

from workbench.model.model_file import load_model
from workbench.runs.train import (
    command,
    corpus_digest,
    experiment_of,
    resume,
    starting_point,
    train,
    trained_model,
)

__all__ = [
    "command",
    "corpus_digest",
    "experiment_of",
    "load_model",
    "resume",
    "starting_point",
    "train",
    "trained_model",
]
