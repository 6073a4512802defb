"""Train, resume and replay: where training meets the engine, and both meet the run's folder."""

from workbench.model.model_file import load_model
from workbench.runs.record import corpus_digest, language_digest
from workbench.runs.train import (
    Transfer,
    experiment_of,
    find_same_run,
    parent_run,
    resume,
    starting_point,
    train,
    train_or_resume,
    trained_model,
)

__all__ = [
    "Transfer",
    "corpus_digest",
    "experiment_of",
    "find_same_run",
    "language_digest",
    "load_model",
    "parent_run",
    "resume",
    "starting_point",
    "train",
    "train_or_resume",
    "trained_model",
]
