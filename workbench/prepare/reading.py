"""Where data come from, and how they are read and checked before anything is computed of them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.corpus.check import check, find_unknown_word, read_unknown_word
from workbench.corpus.kaldi import read_kaldi_splits
from workbench.corpus.lhotse import read_lhotse
from workbench.corpus.set_names import SetNames
from workbench.corpus.split import derive_splits
from workbench.corpus.utterances import DataSet, SetAside
from workbench.features.prepare import choose_rate
from workbench.hmm.graphs.numerator import shortest_frames
from workbench.language.arpa import read_arpa
from workbench.language.backoff import NGram
from workbench.language.lexicon import Lexicon
from workbench.prepare.corpus import SPLITS
from workbench.prepare.losses import Losses
from workbench.settings import UserError

LEXICA = tuple(
    f"{folder}{name}"
    for name in ("lexiconp.txt", "lexicon.txt")
    for folder in ("", "lang/", "local/dict/", "dict/")
)
"""Where a lexicon may be in a data directory; the first one that exists is taken."""

LANGUAGE_MODELS = ("lm.arpa", "lm.arpa.gz")
"""Where a language model for the test may be in a data directory."""

HIGHEST_ORDER = 5  # of a language model

Splits = Mapping[str, DataSet]


@dataclass(frozen=True)
class Source:
    """Where the data come from: ``synthetic`` (a language), ``kaldi`` or ``lhotse`` (folders).

    ``lm``: a language model for the test in ARPA form; None: the one in the data directory, or one
    that is estimated.
    """

    synthetic: str | None = None
    size: str = "demo"
    kaldi: Path | None = None
    lhotse: Path | None = None
    audio_root: Path | None = None
    lexicon: Path | None = None
    lm: Path | None = None
    allow_commands: bool = False
    sets: SetNames = dataclasses.field(default_factory=SetNames)


def guess_source(folder: Path) -> Source:
    """Return the folder as Lhotse's if it holds manifests, else as Kaldi's."""
    if any(folder.glob("*.jsonl*")):
        return Source(lhotse=folder)
    return Source(kaldi=folder)


def find_lexicon(source: Source, data: Path) -> Path:
    """Return the lexicon that was named, or the one in the data directory; UserError without."""
    if source.lexicon is not None:
        return source.lexicon
    for name in LEXICA:
        if (data / name).exists():
            return data / name
    raise UserError(
        f"{data}: no lexicon: none of {', '.join(LEXICA)}; name one with --lexicon FILE"
    )


def find_language_model(source: Source, data: Path) -> Path | None:
    """Return the file with the language model of the test; None if it is to be estimated."""
    if source.lm is not None:
        return source.lm
    return next((data / name for name in LANGUAGE_MODELS if (data / name).exists()), None)


def read_language_model(path: Path, lexicon: Lexicon) -> NGram:
    """Return a model in ARPA form over a lexicon's words; UserError if its order is too high.

    Its notes begin with the file and what was read of it.
    """
    model = read_arpa(path, lexicon.words)
    order = model.order
    if order > HIGHEST_ORDER:
        raise UserError(f"{path}: n-grams of {order} words; at most {HIGHEST_ORDER} are supported")
    listed = sum(len(level.word) for level in model.levels)
    note = f"that of the test is {path.name}, of order {order} with {listed:,} n-grams"
    return NGram(model.words, model.levels, (note, *model.notes))


def read_sets(source: Source, data: Path) -> dict[str, DataSet]:
    """Return the sets of a data directory by split, as far as it has them; no word is checked."""
    if source.lhotse:
        return read_lhotse(data, source.audio_root, source.sets, source.allow_commands)
    return read_kaldi_splits(data, source.audio_root, source.allow_commands, source.sets)


def read_splits(
    source: Source, data: Path, lexicon: Lexicon, seed: int, losses: Losses
) -> dict[str, DataSet]:
    """Return all splits, checked against the lexicon; missing ones are taken off train.

    ``losses`` counts what is set aside, as far as this comes; it refuses nothing yet, so that all
    that is lost is told together.
    """
    found = read_sets(source, data)
    for split, dataset in found.items():
        losses.take_split(split, dataset)

    unknown = find_unknown_word(lexicon, read_unknown_word(data))
    whole = derive_splits(found, seed=seed)
    splits = {
        split: check(whole[split], lexicon, lambda words: shortest_frames(words, lexicon), unknown)
        for split in SPLITS
    }
    rate = choose_rate(splits["train"].utterances)  # of those that features are made of
    for split in SPLITS:
        splits[split] = _without_low_rates(splits[split], rate)
        losses.take_split(split, splits[split])
    return splits


def _without_low_rates(dataset: DataSet, rate: int) -> DataSet:
    """Return a set without the recordings whose rate is too low for features of ``rate`` Hz."""
    faulty = [
        SetAside(u.id, "sample rate too low", u.where, f"{u.audio}: {u.rate} of {rate} Hz")
        for u in dataset.utterances
        if 0 < u.rate < rate
    ]
    return dataset.without(faulty)
