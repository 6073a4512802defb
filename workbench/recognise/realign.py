"""A corpus aligned anew by a network: the same frames and graphs, new targets and priors."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.corpus.frames.store import FrameStore, write_alignment
from workbench.hmm.priors import log_priors
from workbench.hmm.realign import align_store
from workbench.model.threads import one_thread
from workbench.prepare.corpus import SPLITS, Corpus, corpora_folder
from workbench.prepare.files import file_records
from workbench.progress import Progress, no_progress, renamed
from workbench.runs import trained_model
from workbench.runs.task import Task
from workbench.sequence.lattice_pair import acoustic_scores
from workbench.settings import UserError, check_name
from workbench.storage.files import read_json, write_json, write_npy
from workbench.storage.run import Run


@one_thread()
def realign(run: Run, name: str, progress: Progress | None = None) -> Corpus:
    """Make corpus ``name`` from that of ``run``, aligned with its model, with new priors.

    Scores are scaled as in training. Files that stay the same are hard links, so it costs little
    disk, and runs on the old corpus are not disturbed. Raises UserError if there is a corpus of
    that name.
    """
    check_name("corpus", name)
    task, theta = trained_model(run)
    folder = corpora_folder() / name
    if folder.exists():
        raise UserError(f"{folder}: exists; choose another name")
    partial = folder.with_name(f"{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_aligned(run, task, theta, partial, progress or no_progress)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Corpus(folder)


def _write_aligned(
    run: Run, task: Task, theta: np.ndarray, partial: Path, progress: Progress
) -> None:
    """Write the corpus of a task, aligned by the model ``theta`` of ``run``, into ``partial``."""
    shutil.copytree(task.corpus.folder, partial, copy_function=os.link)
    for split in SPLITS:
        split_progress = renamed(progress, f"aligning {split}")
        alignment = _align_split(task, theta, partial / split, split_progress)
        if split == "train":
            priors = log_priors(alignment, task.corpus.states.count)
            write_npy(partial / "priors.npy", priors)  # in the place of the link

    info = read_json(partial / "corpus.json")
    changed = {"aligned_by": run.name, "files": file_records(partial)}
    write_json(partial / "corpus.json", {**info, **changed})


def _align_split(task: Task, theta: np.ndarray, folder: Path, progress: Progress) -> np.ndarray:
    """Align the store in ``folder`` with a model; returns the alignment, int32 [frames]."""
    store = FrameStore.open(folder)
    corpus = task.corpus
    score = _score_of(task, theta, store)
    alignment, _ = align_store(store, corpus.lexicon, corpus.states, score, progress)
    write_alignment(folder, alignment)
    return alignment


def _score_of(
    task: Task, theta: np.ndarray, store: FrameStore
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Return the function (utterance, states) -> acoustic scores, float32 [frames, states]."""

    def score(utterance: int, states: np.ndarray) -> np.ndarray:
        logp = task.log_posteriors(theta, store.utterance_windows(utterance))
        return acoustic_scores(logp, task.corpus.log_prior, task.settings.criterion)[:, states]

    return score
