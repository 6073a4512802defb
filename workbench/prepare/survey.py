"""What is known of data before anything is computed: `prepare` reads them in the same way.

Tables, lexicon and headers of audio files are read, samples are not. So lengths are those that
headers give, and what decoding and alignment will set aside is not known yet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.features.prepare import choose_rate
from workbench.language.lexicon import Lexicon
from workbench.language.text import read_text
from workbench.metrics.significance import FEWEST_UNITS
from workbench.prepare.losses import Losses
from workbench.prepare.pipeline import Preparation, states_for
from workbench.prepare.reading import (
    TEXT,
    Source,
    find_language_model,
    find_lexicon,
    open_lexicon,
    read_language_model,
    read_sets,
    read_splits,
)
from workbench.progress import counted, duration_text
from workbench.settings import UserError
from workbench.settings.frame import FRAMES_PER_SECOND

NAMED = 5  # places or words in a list
SECONDS_PER_HOUR = 3600
LENGTHS = (0.0, 0.05, 0.5, 0.95, 1.0)
"""The quantiles of durations that are told: shortest, 5 %, median, 95 %, longest."""


@dataclass(frozen=True)
class LostUtterances:
    """Utterances that cannot be used for one ``reason``, and the first places of them."""

    reason: str
    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class SetSurvey:
    """One set: what can be used of it, and what is lost.

    ``rates``: utterances by sampling rate. ``averaged``: utterances that are the mean of several
    channels. ``seconds``: the quantiles `LENGTHS` of durations; empty if there are none.
    """

    split: str
    origin: str
    utterances: int
    hours: float
    words: int
    vocabulary: int
    speakers: int
    rates: Mapping[str, int]
    channels: Mapping[str, int]
    averaged: int
    seconds: tuple[float, ...]
    lost: tuple[LostUtterances, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Survey:
    """What was found in the data, what `prepare` would choose, and why it would refuse.

    ``refusal`` is empty if it would not; then nothing but decoding and alignment can.
    """

    folder: str
    refusal: str
    lexicon: str = ""
    words: int = 0
    pronunciations: int = 0
    phones: int = 0
    language_model: str = ""
    feature_rate: int = 0
    states: int = 0
    sets: tuple[SetSurvey, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return this for JSON."""
        return asdict(self)

    def __repr__(self) -> str:  # what a notebook shows
        return str(self)

    def __str__(self) -> str:
        lines = [f"{self.folder}:"]
        if self.lexicon:
            lines.append(
                f"  lexicon {self.lexicon}: {self.words:,} words, "
                f"{self.pronunciations:,} pronunciations, {self.phones} phones with silence"
            )
        if self.language_model:
            lines.append(f"  language model: {self.language_model}")
        for each in self.sets:
            lines += _set_lines(each)
        if self.states:
            lines.append(
                f"  prepare would choose: features of {self.feature_rate} Hz, "
                f"{self.states} tied states, fewer where that many do not have enough frames"
            )
        verdict = f"prepare would refuse: {self.refusal}" if self.refusal else "prepare can begin"
        lines.append(f"  {verdict}")
        return "\n".join(lines)


def survey(source: Source, how: Preparation) -> Survey:
    """Return what there is to know of a Kaldi or Lhotse folder; nothing is written.

    Raises UserError if there is no such folder.
    """
    data = source.kaldi or source.lhotse
    if data is None or not data.is_dir():
        raise UserError(f"{data}: no such folder")
    losses = Losses(data.name, how.tolerance)
    try:
        lexicon = open_lexicon(source, data)
    except UserError as error:
        return _without_lexicon(source, data, str(error))

    faults = []
    try:
        splits: Mapping[str, DataSet] = read_splits(source, data, lexicon, how.seed, losses)
        faults += [losses.refusal()]
    except UserError as error:
        splits = losses.data
        faults += [losses.refusal() or str(error)]

    model = ""
    try:
        model = _describe_language_model(source, data, lexicon, how)
    except UserError as error:
        faults += [str(error)]

    train = splits.get("train", DataSet(()))
    frames = round(FRAMES_PER_SECOND * _total_seconds(train.utterances))
    return Survey(
        folder=str(data),
        refusal="; ".join(filter(None, faults)),
        lexicon=str(find_lexicon(source, data)),
        words=len(lexicon.words) - 1,
        pronunciations=len(lexicon.pronunciations),
        phones=len(lexicon.phones),
        language_model=model,
        feature_rate=choose_rate(train.utterances) if train.utterances else 0,
        states=(how.states or states_for(frames, len(lexicon.phones))) if frames else 0,
        sets=tuple(_survey_set(split, dataset) for split, dataset in splits.items()),
    )


def _without_lexicon(source: Source, data: Path, reason: str) -> Survey:
    """What can be said of a folder whose lexicon is missing or cannot be read."""
    try:
        found = read_sets(source, data)
    except UserError as error:
        return Survey(str(data), f"{reason}; {error}")
    sets = tuple(_survey_set(split, dataset) for split, dataset in found.items())
    return Survey(str(data), reason, sets=sets)


def _describe_language_model(source: Source, data: Path, lexicon: Lexicon, how: Preparation) -> str:
    """The language model of the test, and what it lacks of the lexicon."""
    given = find_language_model(source, data)
    if given is not None:
        return "; ".join(read_language_model(given, lexicon).notes)

    text = data / TEXT
    if not text.exists():
        return f"that of the test has order {how.order}, estimated on the transcripts of train"
    known = set(lexicon.words)
    sentences = read_text(text).sentences
    tokens = [word for sentence in sentences for word in sentence]
    unknown = sum(word not in known for word in tokens)
    return (
        f"that of the test has order {how.order}, estimated on {TEXT}: "
        f"{len(sentences):,} sentences, {len(tokens):,} words, {unknown:,} of them not in the "
        "lexicon"
    )


def _survey_set(split: str, dataset: DataSet) -> SetSurvey:
    """One set in numbers."""
    used = dataset.utterances
    lengths = [u.seconds for u in used if u.seconds is not None]
    words = Counter(word for u in used for word in u.words)
    quantiles = np.quantile(lengths, LENGTHS).round(2).tolist() if lengths else []
    return SetSurvey(
        split=split,
        origin=dataset.origin,
        utterances=len(used),
        hours=round(_total_seconds(used) / SECONDS_PER_HOUR, 5),
        words=words.total(),
        vocabulary=len(words),
        speakers=len({u.speaker for u in used}),
        rates=_count(f"{u.rate} Hz" for u in used),
        channels=_count(str(u.channels) for u in used),
        averaged=sum(u.channels > 1 and u.channel is None for u in used),
        seconds=tuple(quantiles),
        lost=tuple(_group_lost(dataset.set_aside)),
        notes=dataset.notes,
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(Counter(values).most_common())


def _total_seconds(utterances: Sequence[Utterance]) -> float:
    return sum(u.seconds or 0.0 for u in utterances)


def _group_lost(set_aside: Sequence[SetAside]) -> list[LostUtterances]:
    """What was set aside by reason, the most frequent first."""
    by_reason: dict[str, list[str]] = {}
    for fault in set_aside:
        place = f"{fault.where}: {fault.utterance} {fault.detail}".rstrip()
        by_reason.setdefault(fault.reason, []).append(place)
    groups = [
        LostUtterances(reason, len(at), tuple(at[:NAMED])) for reason, at in by_reason.items()
    ]
    return sorted(groups, key=lambda lost: -lost.count)


def _set_lines(each: SetSurvey) -> list[str]:
    """One set in lines for a person."""
    origin = f" ({each.origin})" if each.origin and each.origin != each.split else ""
    speech = duration_text(SECONDS_PER_HOUR * each.hours)
    lines = [
        f"  {each.split}{origin}: {each.utterances:,} utterances, {speech}, "
        f"{each.words:,} words ({each.vocabulary:,} different), "
        f"{counted(each.speakers, 'speaker')}"
    ]
    if each.utterances:
        lines.append(f"    audio: {_list_counts(each.rates)}; {_channel_words(each)}")
    if each.seconds:
        shortest, low, median, high, longest = each.seconds
        lines.append(
            f"    durations: {shortest:g} to {longest:g} s, half below {median:g} s, "
            f"nine tenths between {low:g} and {high:g} s"
        )
    for lost in each.lost:
        lines.append(f"    lost, {lost.reason}: {lost.count:,}")
        lines += [f"      {place}" for place in lost.first]
        if lost.count > len(lost.first):
            lines.append(f"      and {lost.count - len(lost.first):,} more")
    if each.split == "test" and 0 < each.speakers < FEWEST_UNITS:
        lines.append(
            f"    remark: a verdict on two systems needs a test set of {FEWEST_UNITS} speakers"
        )
    return lines + [f"    remark: {note}" for note in each.notes]


def _list_counts(counts: Mapping[str, int]) -> str:
    """For example "16000 Hz", or "16000 Hz 40, 8000 Hz 2" if they differ."""
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} in {count:,}" for value, count in counts.items())


def _channel_words(each: SetSurvey) -> str:
    """How many channels the recordings have, and what becomes of them."""
    if list(each.channels) == ["1"]:
        return "one channel"
    listed = ", ".join(f"{n} in {count:,}" for n, count in each.channels.items())
    chosen = f"{each.averaged:,} utterances average them" if each.averaged else "one is chosen"
    return f"channels: {listed}; {chosen}"
