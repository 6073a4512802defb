"""Preparation: a data directory becomes a corpus that training can use (see ``workbench.prepare.corpus``).

Every step leaves its result in files; preparing again after an interruption goes on with the step that is missing.
"""

import dataclasses
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.corpus.check import check, write_set_aside
from workbench.corpus.frames.store import FrameStore, write_alignment
from workbench.corpus.kaldi import read_kaldi_splits
from workbench.corpus.lhotse import read_lhotse
from workbench.corpus.split import derive_splits
from workbench.corpus.synthesis import synthesise
from workbench.corpus.utterances import DataSet, SetAside
from workbench.features import Normalisation
from workbench.features.phones import TruePhones
from workbench.features.prepare import prepare_features
from workbench.hmm.gaussians.bootstrap import train as train_gaussians
from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.numerator import shortest_frames
from workbench.hmm.priors import log_priors
from workbench.hmm.realign import align_store
from workbench.language.arpa import write_arpa
from workbench.language.lexicon import Lexicon, read_lexicon, write_lexicon
from workbench.language.ngram import estimate
from workbench.language.text import read_text
from workbench.prepare.corpus import SPLITS, Corpus
from workbench.progress import Progress, renamed
from workbench.settings import UserError, setting
from workbench.storage.run import home, read_json, write_json


@dataclass(frozen=True)
class Preparation:
    """How a corpus is prepared."""

    states: int = setting(1200, "tied context-dependent states", low=3, high=100_000)
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
class Source:
    """Where the data comes from: one of ``synthetic`` (a language), ``kaldi`` or ``lhotse`` (folders)."""

    synthetic: str | None = None
    size: str = "demo"
    kaldi: Path | None = None
    lhotse: Path | None = None
    audio_root: Path | None = None
    lexicon: Path | None = None
    allow_commands: bool = False


def prepare(
    name: str, source: Source, how: Preparation, jobs: int = 2, progress: Progress | None = None
) -> Corpus:
    """Prepare corpus ``name`` under data/corpora; UserError where data is unusable, naming everything wrong with it."""
    folder = home() / "corpora" / name
    begun = {
        "preparation": dataclasses.asdict(how),
        "source": {k: str(v) for k, v in dataclasses.asdict(source).items()},
    }
    if (folder / "corpus.json").exists():
        if {k: read_json(folder / "corpus.json")[k] for k in begun} != begun:
            raise UserError(
                f"{folder}: exists, prepared differently; remove it or choose another name"
            )
        return Corpus(folder)
    _begin(folder, begun)
    progress = progress or (lambda done, total, what: None)
    data = _data(folder, source, how, jobs, progress)
    splits, lexicon = _checked(source, data, how)
    write_lexicon(lexicon, folder / "lexiconp.txt")
    stores = _features(folder, splits, lexicon, how, progress)
    _language(folder, data, lexicon, stores, how)
    _states(folder, stores, lexicon, how, progress)
    return _finish(folder, splits, stores, how, begun)


def _begin(folder: Path, begun: dict) -> None:
    """Start anew unless the same preparation was begun here before."""
    mark = folder / "begun.json"
    if folder.exists() and (not mark.exists() or read_json(mark) != begun):
        if not mark.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: exists and is no corpus of ours; choose another name")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, begun)


def _data(folder: Path, source: Source, how: Preparation, jobs: int, progress: Progress) -> Path:
    """The data directory: given, or synthesised here."""
    if source.kaldi or source.lhotse:
        given = Path(source.kaldi or source.lhotse)  # type: ignore[arg-type]
        if not given.is_dir():
            raise UserError(f"{given}: no such folder")
        return given
    if not source.synthetic:
        raise UserError(
            "name a source: a language to synthesise, a Kaldi data directory or Lhotse manifests"
        )
    made = folder / "source"
    if not (made / "synthesis.json").exists():
        shutil.rmtree(made, ignore_errors=True)
        synthesise(made, source.synthetic, source.size, seed=how.seed, jobs=jobs, progress=progress)
    return made


def _checked(source: Source, data: Path, how: Preparation) -> tuple[dict[str, DataSet], Lexicon]:
    """All splits, checked against the lexicon; more set aside than tolerated is a UserError."""
    path = source.lexicon or next(
        (
            p
            for n in ("lexiconp.txt", "lexicon.txt")
            for p in (data / n, data / "lang" / n)
            if p.exists()
        ),
        None,
    )
    if path is None:
        raise UserError(f"{data}: no lexicon.txt or lexiconp.txt; name one with --lexicon")
    lexicon = read_lexicon(path)
    splits = (
        read_lhotse(data, source.audio_root)
        if source.lhotse
        else read_kaldi_splits(data, source.audio_root, source.allow_commands)
    )
    splits = derive_splits(splits, seed=how.seed)
    splits = {
        k: check(v, lexicon, lambda words: shortest_frames(words, lexicon))
        for k, v in splits.items()
    }
    for split, dataset in splits.items():
        aside, seen = len(dataset.set_aside), len(dataset.set_aside) + len(dataset.utterances)
        if not dataset.utterances or aside > max(1, how.tolerance * seen):
            first = "; ".join(
                f"{s.where}: {s.utterance}: {s.reason} {s.detail}".strip()
                for s in dataset.set_aside[:5]
            )
            counts = dict(Counter(s.reason for s in dataset.set_aside))
            raise UserError(
                f"{split}: {aside} of {seen} utterances cannot be used {counts}: {first}; --tolerance allows more"
            )
    return splits, lexicon


def _features(
    folder: Path, splits: dict[str, DataSet], lexicon: Lexicon, how: Preparation, progress: Progress
) -> dict[str, FrameStore]:
    """One frame store per split, scale and rate those of train; one process makes a thousand times real time."""
    stores: dict[str, FrameStore] = {}
    for split in SPLITS:
        if not (folder / split / "manifest.json").exists():
            like = Normalisation.from_dict(stores["train"].about) if stores else None
            true = folder / "source" / "true" / f"{split}.jsonl"
            prepare_features(
                splits[split],
                folder / split,
                how.normalisation,
                like,
                TruePhones(true, lexicon.phones) if true.exists() else None,
                progress,
            )
        stores[split] = FrameStore.open(folder / split)
    return stores


def _language(
    folder: Path, data: Path, lexicon: Lexicon, stores: dict[str, FrameStore], how: Preparation
) -> None:
    """Unigram and n-gram from lm.txt, else from the transcripts of train."""
    if not (folder / f"lm-{how.order}.arpa").exists():
        text = data / "lm.txt"
        sentences = read_text(text).sentences if text.exists() else stores["train"].words
        for order in (1, how.order):
            model = estimate(sentences, lexicon.words, order)
            (folder / f"lm-{order}.notes").write_text("".join(f"{note}\n" for note in model.notes))
            write_arpa(model, folder / f"lm-{order}.arpa")


def _states(
    folder: Path,
    stores: dict[str, FrameStore],
    lexicon: Lexicon,
    how: Preparation,
    progress: Progress,
) -> None:
    """Flat start, tying and alignment of all splits; priors."""
    if (folder / "priors.npy").exists():
        return
    acoustics = train_gaussians(
        stores["train"], lexicon, how.states, seed=how.seed, progress=progress
    )
    acoustics.states.save(folder / "states.npz")
    alignments = {}
    for split, store in stores.items():
        found, _ = align_store(
            store,
            lexicon,
            acoustics.states,
            acoustics.score(store),
            renamed(progress, f"aligning {split}"),
        )
        alignments[split] = found
        write_alignment(folder / split, alignments[split])
    np.save(folder / "priors.npy", log_priors(alignments["train"], acoustics.states.count))


def _finish(
    folder: Path,
    splits: dict[str, DataSet],
    stores: dict[str, FrameStore],
    how: Preparation,
    begun: dict,
) -> Corpus:
    """Denominator graph, the list of what was set aside, and corpus.json."""
    corpus = Corpus(folder)
    graph = denominator(corpus.lexicon, corpus.unigram.unigram(), corpus.states, how.silence)
    graph.save(folder / "denominator.safetensors")
    stores = {split: FrameStore.open(folder / split) for split in stores}
    aside: dict[str, list[SetAside]] = {
        s: [*splits[s].set_aside, *stores[s].set_aside, *_unaligned(stores[s])] for s in SPLITS
    }
    write_set_aside(folder / "set_aside.tsv", [item for items in aside.values() for item in items])
    counts = {split: _counts(store, aside[split]) for split, store in stores.items()}
    size = {"states": graph.states, "arcs": graph.arcs}
    words, phones = len(corpus.lexicon.words) - 1, len(corpus.lexicon.phones)
    made = {"words": words, "phones": phones, "states": corpus.states.count, "denominator": size}
    write_json(folder / "corpus.json", {**begun, "splits": counts, **made})
    return Corpus(folder)


def _counts(store: FrameStore, aside: list[SetAside]) -> dict:
    """What corpus.json says of one split."""
    return {
        "utterances": len(store),
        "frames": store.frames,
        "words": sum(len(words) for words in store.words),
        "speakers": len(set(store.speakers)),
        "set_aside": dict(Counter(item.reason for item in aside)),
    }


def _unaligned(store: FrameStore) -> list[SetAside]:
    first = np.asarray(store.alignment)[np.asarray(store.offsets[:-1])]
    return [
        SetAside(store.ids[u], "not aligned", store.utterances[u].where, "")
        for u in np.flatnonzero(first < 0)
    ]


def describe(corpus: Corpus) -> str:
    """What a person wants to know of a prepared corpus, in a few lines."""
    info, graph = corpus.info, corpus.info["denominator"]
    size = f"{info['words']} words, {info['phones']} phones, {info['states']} tied states"
    lines = [
        f"{corpus.folder}: {size}, denominator graph of {graph['states']:,} states and {graph['arcs']:,} arcs"
    ]
    for split, c in info["splits"].items():
        aside = ", ".join(f"{k}: {v}" for k, v in c["set_aside"].items()) or "none"
        counts = (
            f"{c['utterances']:6} utterances  {c['frames'] / 360000:6.2f} h  {c['words']:7} words"
        )
        lines.append(f"  {split:8} {counts}  {c['speakers']:4} speakers  set aside: {aside}")
    return "\n".join(lines)
