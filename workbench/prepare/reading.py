"""Where data come from, and how they are read and checked before anything is computed of them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.corpus.check import check, find_unknown_word, read_unknown_word
from workbench.corpus.kaldi import read_kaldi_splits
from workbench.corpus.lhotse import read_lhotse
from workbench.corpus.set_names import SetNames
from workbench.corpus.split import derive_splits, part_of
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.features.prepare import choose_rate
from workbench.hmm.graphs.numerator import shortest_frames
from workbench.language.arpa import read_arpa
from workbench.language.backoff import NGram
from workbench.language.letters import spell_words
from workbench.language.lexicon import Lexicon, read_lexicon
from workbench.language.text import read_text
from workbench.prepare.corpus import SPLITS
from workbench.prepare.losses import Losses
from workbench.settings import UserError

LEXICA = tuple(
    f"{folder}{name}"
    for name in ("lexiconp.txt", "lexicon.txt")
    for folder in ("", "lang/", "local/dict/", "dict/")
)
"""Where a lexicon may be in a data directory; the first one that exists is taken."""

LETTERS = Path("letters")
"""What is named in the place of a lexicon if words are to be said by their letters."""

LIKE_LEXICA = ("*lexicon*.txt", "*.dict", "*.dic", "*.lex", "*lexicon*")
"""Names of files, at any depth, that may be lexica; a message lists them."""

LISTED_LEXICA = 3

TEXT = "lm.txt"
"""The file of a data directory with sentences for language models."""

LANGUAGE_MODELS = ("lm.arpa", "lm.arpa.gz")
"""Where a language model for the test may be in a data directory."""

HIGHEST_ORDER = 5  # of a language model

Splits = Mapping[str, DataSet]


@dataclass(frozen=True)
class Source:
    """Where the data come from: ``synthetic`` (a language), ``kaldi`` or ``lhotse`` (folders).

    ``lexicon``: a file, or `LETTERS`; None: the one in the data directory. ``lm``: a language model
    for the test in ARPA form; None: the one in the data directory, or one that is estimated.
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
    """Return the lexicon that was named, or the one in the data directory; UserError without.

    What is named may be `LETTERS`, which is no file.
    """
    if source.lexicon is not None:
        return source.lexicon
    for name in LEXICA:
        if (data / name).exists():
            return data / name

    like = sorted({path for name in LIKE_LEXICA for path in data.rglob(name) if path.is_file()})
    seen = ", ".join(str(path) for path in like[:LISTED_LEXICA])
    there = f"this may be one: {seen}" if seen else f"none of {', '.join(LEXICA)}"
    raise UserError(
        f"{data}: no lexicon: {there}; name one with --lexicon FILE, or let every word be said by "
        f"its letters with --lexicon {LETTERS}"
    )


def open_lexicon(source: Source, data: Path) -> Lexicon:
    """Return the lexicon of the data; its words are those of all texts if they are spelt.

    Raises UserError if there is none, or if it cannot be read.
    """
    path = find_lexicon(source, data)
    if path != LETTERS:
        return read_lexicon(path)

    texts = [u.words for found in read_sets(source, data).values() for u in found.utterances]
    if (data / TEXT).exists():
        texts += read_text(data / TEXT).sentences
    try:
        return spell_words(word for words in texts for word in words)
    except ValueError as error:
        raise UserError(f"{data}: {error}") from None


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
        split: check(
            whole[split],
            lexicon,
            lambda words: shortest_frames(words, lexicon),
            unknown,
            tested=split == "test",
        )
        for split in SPLITS
    }
    train = splits["train"]
    rate = choose_rate(train.utterances)  # of those that features are made of
    for split in SPLITS:
        if train.utterances:
            splits[split] = _without_low_rates(splits[split], rate)
        if split != "train":
            splits[split] = _with_overlap(splits[split], train)
        losses.take_split(split, splits[split])
    return splits


def _with_overlap(dataset: DataSet, train: DataSet) -> DataSet:
    """Return a set with a remark on what it has in common with the training data."""
    if dataset.origin == part_of(train):
        return dataset  # how it was taken off is told already

    recordings = {_recording_of(u) for u in train.utterances}
    same = sum(_recording_of(u) in recordings for u in dataset.utterances)
    if same:
        note = f"{same} utterances are training data too: their errors say nothing of new speech"
        return dataclasses.replace(dataset, notes=(*dataset.notes, note))

    speakers = {u.speaker for u in dataset.utterances}
    known = len(speakers & {u.speaker for u in train.utterances})
    if not known:
        return dataset
    note = f"{known} of {len(speakers)} speakers are in the training data too"
    return dataclasses.replace(dataset, notes=(*dataset.notes, note))


def _recording_of(u: Utterance) -> tuple[Path, float, float | None, int | None]:
    """What of a recording an utterance is."""
    return u.audio.resolve(), u.start, u.end, u.channel


def _without_low_rates(dataset: DataSet, rate: int) -> DataSet:
    """Return a set without the recordings whose rate is too low for features of ``rate`` Hz."""
    faulty = [
        SetAside(u.id, "sample rate too low", u.where, f"{u.audio}: {u.rate} of {rate} Hz")
        for u in dataset.utterances
        if 0 < u.rate < rate
    ]
    return dataset.without(faulty)
