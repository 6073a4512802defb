"""A corpus aligned anew by a network: the same frames and graphs, other targets for cross entropy and other priors."""

import os
import shutil

import numpy as np

from workbench.corpus.frames.store import FrameStore, write_alignment
from workbench.hmm.priors import log_priors
from workbench.hmm.realign import align_store
from workbench.prepare.corpus import SPLITS, Corpus
from workbench.progress import Progress, renamed
from workbench.runs.train import trained_model
from workbench.sequence.lattice_pair import acoustic_scores
from workbench.settings import UserError
from workbench.storage.run import find_run, home, read_json, write_json


def realign(run_name: str, name: str, progress: Progress | None = None) -> Corpus:
    """Corpus ``name``: that of the run, every split aligned with its model at its acoustic scale, priors counted anew.

    Files that stay the same are hard links, so it costs little disk, and runs on the old corpus are not disturbed.
    UserError if there is a corpus of that name.
    """
    run = find_run(run_name)
    task, theta = trained_model(run)
    old, folder = task.corpus, home() / "corpora" / name
    if folder.exists():
        raise UserError(f"{folder}: exists; choose another name")
    partial = folder.with_name(f"{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(old.folder, partial, copy_function=os.link)
    for split in SPLITS:
        store = FrameStore.open(partial / split)

        def score(u: int, states: np.ndarray, store: FrameStore = store) -> np.ndarray:
            logp = task.log_posteriors(theta, store.utterance_windows(u))
            return acoustic_scores(logp, old.log_prior, task.settings.criterion)[:, states]

        found, _ = align_store(
            store,
            old.lexicon,
            old.states,
            score,
            progress and renamed(progress, f"aligning {split}"),
        )
        write_alignment(partial / split, found)
        if split == "train":
            (
                partial / "priors.npy"
            ).unlink()  # a link to the old corpus' file, which must stay as it is
            np.save(partial / "priors.npy", log_priors(found, old.states.count))
    about = read_json(partial / "corpus.json")
    write_json(partial / "corpus.json", {**about, "aligned_by": run.name})
    os.replace(partial, folder)
    return Corpus(folder)
