"""What a preparation was begun with, so that data that were corrected meanwhile are read again."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workbench.corpus.utterances import DataSet, Utterance
from workbench.language.lexicon import Lexicon
from workbench.storage.files import is_file


def digest_inputs(
    data: Path, splits: Mapping[str, DataSet], lexicon: Lexicon, texts: Sequence[Path]
) -> str:
    """Return a digest of utterances, sizes and times of audio files, lexicon and ``texts``.

    ``texts``: files about language, as far as they exist.
    """
    digest = hashlib.sha256()
    for line in _iter_lines(data, splits, lexicon):
        digest.update(json.dumps(line).encode())
    for text in filter(is_file, texts):
        digest.update(text.read_bytes())
    return digest.hexdigest()


def _iter_lines(
    data: Path, splits: Mapping[str, DataSet], lexicon: Lexicon
) -> Iterator[tuple[object, ...]]:
    """Yield all that is read, as values of JSON."""
    yield lexicon.words
    yield lexicon.phones
    for pronunciation in lexicon.pronunciations:
        yield dataclasses.astuple(pronunciation)
    for split, dataset in splits.items():
        yield (split,)
        for utterance in dataset.utterances:
            yield _describe(utterance, data)


def _describe(u: Utterance, data: Path) -> tuple[object, ...]:
    """Return what an utterance is made of; its path as seen from the data directory.

    A channel stands at the end where one is named, so that most digests are those of before.
    """
    status = u.audio.stat()
    path = os.path.relpath(u.audio, data)
    channel = () if u.channel is None else (u.channel,)
    times = (status.st_size, status.st_mtime_ns)
    return (u.id, u.speaker, u.words, path, u.start, u.end, *times, *channel)
