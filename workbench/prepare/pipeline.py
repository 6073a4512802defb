"""Preparation: a data directory becomes a corpus that training can use.

Every step leaves its result in files, so that preparing again after an interruption repeats only
the step that was cut.
"""

import dataclasses
import math
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.corpus.check import write_set_aside
from workbench.corpus.frames.store import FrameStore, write_alignment
from workbench.corpus.synthesis import synthesise
from workbench.corpus.utterances import SetAside
from workbench.features import Normalisation
from workbench.features.phones import TruePhones
from workbench.features.prepare import prepare_features
from workbench.hmm.gaussians.bootstrap import train as train_gaussians
from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.priors import log_priors
from workbench.hmm.realign import align_store
from workbench.hmm.states import POSITIONS
from workbench.language.arpa import write_arpa
from workbench.language.backoff import NGram
from workbench.language.lexicon import Lexicon, write_lexicon
from workbench.language.ngram import estimate
from workbench.language.text import read_text
from workbench.prepare.corpus import SPLITS, Corpus, corpora_folder
from workbench.prepare.describe import REMARKS
from workbench.prepare.files import TEST_MODEL, UNIGRAM, file_records, language_model_file
from workbench.prepare.inputs import digest_inputs
from workbench.prepare.losses import Losses
from workbench.prepare.reading import (
    TEXT,
    Source,
    Splits,
    find_language_model,
    open_lexicon,
    read_language_model,
    read_splits,
)
from workbench.progress import Progress, no_progress, renamed
from workbench.settings import UserError, check_name, setting
from workbench.storage.files import read_json, write_file, write_json, write_npy
from workbench.storage.lock import LockHeld, hold_lock

BEGUN = "begun.json"
"""The file that names the preparation of which a folder holds the first results."""

MOST_STATES = 2400  # that are chosen for a corpus; the paper's number for 60 hours

LEAST_ORDER = 2
"""The least order in the name of the test's language model; lm-1 is that of training."""

NOTES = ".notes"
"""The end of the name of a file with what was noticed about a language model."""

DATA_DIGEST = "data.sha256"
"""The file with the digest of the data of which a folder holds the first results."""

Stores = Mapping[str, FrameStore]
Sentences = Iterable[Sequence[str]]
Description = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """How a corpus is prepared."""

    states: int = setting(
        0,
        "tied context-dependent states; 0: the root of the training frames, at most 2,400",
        low=0,
        high=100_000,
    )
    order: int = setting(3, "order of the language model of the test", low=2, high=5)
    normalisation: Literal["utterance", "speaker"] = setting(
        "utterance", "over what the mean is taken off"
    )
    silence: float = setting(0.5, "probability of silence between words", low=0.01, high=0.99)
    seed: int = setting(0, "seed of every random stream", low=0)
    tolerance: float = setting(
        0.01, "largest share of utterances that may be set aside", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class _Work:
    """A preparation under way: from where, how, and into which folder."""

    folder: Path
    source: Source
    how: Preparation
    progress: Progress

    @property
    def description(self) -> Description:
        """Source and settings as JSON; equal for equal preparations."""
        return _describe(self.source, self.how)


def _describe(source: Source, how: Preparation) -> Description:
    values = {name: str(value) for name, value in dataclasses.asdict(source).items()}
    return {"preparation": dataclasses.asdict(how), "source": values}


def _completed(there: Mapping[str, Any]) -> Description:
    """The description of a corpus, with what was no option yet when it was prepared."""
    defaults = _describe(Source(), Preparation())
    return {part: {**default, **there.get(part, {})} for part, default in defaults.items()}


def prepare(
    name: str, source: Source, how: Preparation, jobs: int = 2, progress: Progress | None = None
) -> Corpus:
    """Prepare corpus ``name`` under data/corpora and return it, or return what is there already.

    ``jobs``: processes that synthesise speech. Raises UserError if a corpus of that name was
    prepared differently, or if the data cannot be used; the message names everything that is wrong
    with them.
    """
    check_name("corpus", name)
    if jobs < 1:
        raise UserError(f"jobs={jobs}: at least 1")
    work = _Work(corpora_folder() / name, source, how, progress or no_progress)
    if (work.folder / "corpus.json").exists():
        return _existing_corpus(work)
    with _alone(work.folder):
        _begin(work)
        try:
            return _prepare(work, jobs)
        except UserError:
            _remove_unless_worth(work.folder)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse what another process is preparing; the lock lies beside what may be removed."""
    try:
        with hold_lock(folder.parent / f".{folder.name}.lock", wait=False):
            yield
    except LockHeld as holder:
        raise UserError(
            f"{folder.name}: process {holder} is preparing this corpus; wait for it, stop it, "
            "or choose another name"
        ) from None


def _prepare(work: _Work, jobs: int) -> Corpus:
    """Make what is missing of a corpus that has begun."""
    losses = Losses(work.folder.name, work.how.tolerance)
    data = _data_directory(work, jobs)
    lexicon = open_lexicon(work.source, data)
    splits = _checked_splits(work, data, lexicon, losses)
    _forget_if_changed(work, data, splits, lexicon)
    write_lexicon(lexicon, work.folder / "lexiconp.txt")
    _write_given_language(work, data, lexicon)

    stores = _feature_stores(work, splits, lexicon)
    for split, store in stores.items():
        losses.add(split, store.set_aside)
    losses.refuse()

    _estimate_language_models(work, lexicon, stores["train"].words)
    _write_states(work, stores, lexicon)
    corpus = Corpus(work.folder)
    for split in SPLITS:
        losses.add(split, _unaligned(corpus.split(split), corpus.lexicon))
    losses.refuse()
    return _finish(corpus, work, splits, losses)


# --- begin, or continue


def _existing_corpus(work: _Work) -> Corpus:
    """The corpus that is there already, if it was prepared in the same way."""
    info = read_json(work.folder / "corpus.json")
    wanted = work.description
    there = _completed(info)
    if there != wanted:
        raise UserError(
            f"{work.folder}: exists, prepared differently ({_name_differences(there, wanted)}); "
            f"choose another name, or remove it: rm -r {shlex.quote(str(work.folder))}"
        )
    return Corpus(work.folder)


def _name_differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """For example "states is 1200, not 600"."""
    return ", ".join(
        f"{name} is {there[part].get(name)}, not {wanted[part].get(name)}"
        for part in wanted
        for name in {**there[part], **wanted[part]}
        if there[part].get(name) != wanted[part].get(name)
    )


def _begin(work: _Work) -> None:
    """Make the folder; what another preparation has left in it is removed."""
    folder = work.folder
    mark = folder / BEGUN
    if mark.exists():
        if _completed(read_json(mark)) != work.description:
            shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: exists but was not made by workbench; choose another name")

    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, work.description)


def _remove_unless_worth(folder: Path) -> None:
    """Remove the folder of a preparation that was refused, unless it has made something."""
    if not any(path.is_dir() for path in folder.iterdir()):  # speech and features are in folders
        shutil.rmtree(folder)


def _forget_if_changed(work: _Work, data: Path, splits: Splits, lexicon: Lexicon) -> None:
    """Remove what was made of other data: they may have been corrected in between."""
    texts = [data / TEXT, find_language_model(work.source, data)]
    digest = digest_inputs(data, splits, lexicon, [text for text in texts if text])
    path = work.folder / DATA_DIGEST
    if path.exists() and path.read_text() != digest:
        for made in work.folder.iterdir():
            if made.is_dir() and made.name in SPLITS:
                shutil.rmtree(made)
            elif made.is_file() and made.name != BEGUN:
                made.unlink()
    write_file(path, digest.encode())


# --- the data, checked


def _data_directory(work: _Work, jobs: int) -> Path:
    """The data directory: the one given, or one that is synthesised in the corpus's folder."""
    given = work.source.kaldi or work.source.lhotse
    if given is not None:
        if not given.is_dir():
            raise UserError(f"{given}: no such folder")
        return given

    if work.source.synthetic is None:
        raise UserError(
            "name a source: a language to synthesise, a Kaldi data directory or Lhotse manifests"
        )

    folder = work.folder / "source"
    if not (folder / "synthesis.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        synthesise(
            folder,
            work.source.synthetic,
            work.source.size,
            seed=work.how.seed,
            jobs=jobs,
            progress=work.progress,
        )

    return folder


def _checked_splits(work: _Work, data: Path, lexicon: Lexicon, losses: Losses) -> Splits:
    """The splits; UserError if too much of them is lost, with the reasons that `check` gives."""
    try:
        splits = read_splits(work.source, data, lexicon, work.how.seed, losses)
    except UserError:
        losses.refuse()  # what is lost may be the cause
        raise
    losses.refuse()
    return splits


# --- features, language models, tied states


def _feature_stores(work: _Work, splits: Splits, lexicon: Lexicon) -> dict[str, FrameStore]:
    """One frame store per split; the others are normalised as train is."""
    stores: dict[str, FrameStore] = {}
    for split in SPLITS:
        folder = work.folder / split
        if not (folder / "manifest.json").exists():
            like = Normalisation.from_dict(stores["train"].about) if stores else None
            truth = work.folder / "source" / "true" / f"{split}.jsonl"
            prepare_features(
                splits[split],
                folder,
                work.how.normalisation,
                like,
                TruePhones(truth, lexicon.phones) if truth.exists() else None,
                work.progress,
            )
        stores[split] = FrameStore.open(folder)

    return stores


def _write_given_language(work: _Work, data: Path, lexicon: Lexicon) -> None:
    """Write the n-gram of the test that the data have, and what can be estimated on their lm.txt.

    It comes before features, so that faults of these files are told before hours of work.
    """
    given = find_language_model(work.source, data)
    if given is not None and not _has_test_model(work):
        model = read_language_model(given, lexicon)
        _keep_language_model(work.folder, model, max(LEAST_ORDER, model.order))

    text = data / TEXT
    missing = not (work.folder / UNIGRAM).exists() or not _has_test_model(work)
    if missing and text.exists():
        _estimate_language_models(work, lexicon, read_text(text).sentences)


def _estimate_language_models(work: _Work, lexicon: Lexicon, sentences: Sentences) -> None:
    """Estimate unigram and n-gram, as far as they are not there yet."""
    if not (work.folder / UNIGRAM).exists():
        _keep_language_model(work.folder, estimate(sentences, lexicon.words, 1), 1)
    if not _has_test_model(work):
        order = work.how.order
        _keep_language_model(work.folder, estimate(sentences, lexicon.words, order), order)


def _has_test_model(work: _Work) -> bool:
    return any(work.folder.glob(TEST_MODEL))


def _keep_language_model(folder: Path, model: NGram, order: int) -> None:
    """Write a model and what was noticed about it; the name of the file has the ``order``."""
    notes = "".join(f"{note}\n" for note in model.notes)
    path = folder / language_model_file(order)
    write_file(path.with_suffix(NOTES), notes.encode())
    write_arpa(model, path)


def _write_states(work: _Work, stores: Stores, lexicon: Lexicon) -> None:
    """Tie states from a flat start, align every split, and count the priors on train."""
    folder = work.folder
    if (folder / "priors.npy").exists():
        return
    count = work.how.states or states_for(stores["train"].frames, len(lexicon.phones))
    acoustics = train_gaussians(
        stores["train"], lexicon, count, seed=work.how.seed, progress=work.progress
    )
    acoustics.states.save(folder / "states.npz")

    alignments: dict[str, np.ndarray] = {}
    for split, store in stores.items():
        progress = renamed(work.progress, f"aligning {split}")
        score = acoustics.score(store)
        alignments[split], _ = align_store(store, lexicon, acoustics.states, score, progress)
        write_alignment(folder / split, alignments[split])

    write_npy(folder / "priors.npy", log_priors(alignments["train"], acoustics.states.count))


def states_for(frames: int, phones: int) -> int:
    """Return how many tied states so many training frames can train, at least three a phone.

    The root of the frames: 850 states for two hours, and the paper's 2,400 from 16 hours on.
    """
    return max(POSITIONS * phones, min(MOST_STATES, 10 * round(math.sqrt(frames) / 10)))


# --- the end


def _finish(corpus: Corpus, work: _Work, splits: Splits, losses: Losses) -> Corpus:
    """Write the denominator graph, remarks, the list of what was set aside, and corpus.json."""
    unigram = corpus.unigram.unigram()
    graph = denominator(corpus.lexicon, unigram, corpus.states, work.how.silence)
    graph.save(work.folder / "denominator.safetensors")

    counts = {split: _counts(corpus.split(split), losses.aside[split]) for split in SPLITS}
    all_aside = [fault for split in SPLITS for fault in losses.aside[split]]
    write_set_aside(work.folder / "set_aside.tsv", all_aside)
    remarks = [f"{split}: {note}" for split in SPLITS for note in splits[split].notes]
    remarks += _language_model_remarks(work)
    write_file(work.folder / REMARKS, "".join(f"{remark}\n" for remark in remarks).encode())

    info = {
        **work.description,
        "splits": counts,
        "words": len(corpus.lexicon.words) - 1,
        "phones": len(corpus.lexicon.phones),
        "states": corpus.states.count,
        "denominator": {"states": graph.states, "arcs": graph.arcs},
        "files": file_records(work.folder),
    }
    write_json(work.folder / "corpus.json", info)
    return Corpus(work.folder)


def _language_model_remarks(work: _Work) -> list[str]:
    """What was noticed about the language model of the test."""
    paths = [path.with_suffix(NOTES) for path in sorted(work.folder.glob(TEST_MODEL))]
    notes = [note for path in paths for note in path.read_text().splitlines()]
    return [f"language model: {note}" for note in notes]


def _counts(store: FrameStore, aside: Iterable[SetAside]) -> dict[str, object]:
    """The counts of one split for corpus.json."""
    return {
        "utterances": len(store),
        "frames": store.frames,
        "words": sum(len(words) for words in store.words),
        "speakers": len(set(store.speakers)),
        "set_aside": dict(Counter(fault.reason for fault in aside)),
    }


def _unaligned(store: FrameStore, lexicon: Lexicon) -> list[SetAside]:
    """The utterances that could not be aligned; they have frames and stay in the store.

    Those of a test set whose words the lexicon lacks are not lost: a test aligns nothing.
    """
    known = set(lexicon.words)
    first_states = np.asarray(store.alignment)[np.asarray(store.offsets[:-1])]
    return [
        SetAside(store.ids[u], "not aligned", store.utterances[u].where, "")
        for u in np.flatnonzero(first_states < 0)
        if known.issuperset(store.words[u])
    ]
