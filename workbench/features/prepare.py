"""From utterances to a store of normalised frames, streaming: a corpus is never whole in memory.

There are two passes. The first decodes the audio and writes log-mel energies to a scratch file in
float32, while it sums up means and scale. The second reads the scratch file in order, normalises,
and stores float16. One process makes more than a thousand times real time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from workbench.corpus.audio import AudioError, AudioReader
from workbench.corpus.frames.store import FrameStore, FrameStoreWriter
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.features.logmel import MEL, feature_rate, mel_or_fault
from workbench.features.normalise import MeanOver, Moments, Normalisation
from workbench.features.phones import TruePhones
from workbench.progress import Progress, no_progress
from workbench.storage.files import naming

UNKNOWN_LENGTH = 1.0  # seconds taken for an utterance whose length is not known


def prepare_features(
    dataset: DataSet,
    folder: Path,
    by: MeanOver = "utterance",
    like: Normalisation | None = None,
    truth: TruePhones | None = None,
    progress: Progress = no_progress,
) -> FrameStore:
    """Decode all audio of ``dataset`` into a frame store in ``folder``, and return the store.

    Audio that cannot be used is set aside in the store. ``like`` is the normalisation of the
    training split for the other splits; None measures the scale on these data, takes means over
    ``by`` and the rate of `choose_rate`. ``truth`` adds the true phone of every frame.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rate = choose_rate(dataset.utterances)
    if like is not None:
        by = like.by
        rate = like.rate

    scratch = folder / "features.raw.tmp"
    try:
        with naming(scratch), open(scratch, "wb") as file:
            decoded = _decode(dataset.utterances, by, rate, file, progress)

        normalisation = like or Normalisation(by, rate, decoded.moments.scale())
        with (
            open(scratch, "rb") as file,
            FrameStoreWriter(folder, normalisation.to_dict()) as writer,
        ):
            _store(dataset.utterances, decoded, normalisation, truth, file, writer)
    finally:
        scratch.unlink(missing_ok=True)

    return FrameStore.open(folder)


def choose_rate(utterances: Iterable[Utterance]) -> int:
    """Return the rate of features: 8000 if most of the audio is below 16 kHz, else 16000.

    All features of one corpus share one range of frequencies.
    """
    seconds = {8000: 0.0, 16000: 0.0}
    for u in utterances:
        if u.rate >= 8000:
            seconds[feature_rate(u.rate)] += u.seconds or UNKNOWN_LENGTH
    return 8000 if seconds[8000] > seconds[16000] else 16000


@dataclass(frozen=True)
class _Decoded:
    """Result of the first pass: sums, and the frames of each utterance or why it has none."""

    moments: Moments
    found: list[int | SetAside]


def _decode(
    utterances: Sequence[Utterance],
    by: MeanOver,
    rate: int,
    scratch: BinaryIO,
    progress: Progress,
) -> _Decoded:
    """First pass: write log-mel energies of all usable utterances to ``scratch``, and sum up."""
    decoded = _Decoded(Moments(), [])

    with AudioReader() as reader:
        for utterance in utterances:
            features = decode_utterance(utterance, reader, rate)
            if isinstance(features, SetAside):
                decoded.found.append(features)
            else:
                decoded.moments.add(_mean_key(utterance, by), features)
                scratch.write(features.data.cast("B"))
                decoded.found.append(len(features))
            progress(len(decoded.found), len(utterances), "features")

    return decoded


def _store(
    utterances: Sequence[Utterance],
    decoded: _Decoded,
    normalisation: Normalisation,
    truth: TruePhones | None,
    scratch: BinaryIO,
    writer: FrameStoreWriter,
) -> None:
    """Second pass: normalise what ``scratch`` holds and hand it to ``writer``."""
    for utterance, frames in zip(utterances, decoded.found, strict=True):
        if isinstance(frames, SetAside):
            writer.set_aside(frames)
            continue

        features = np.fromfile(scratch, np.float32, frames * MEL).reshape(frames, MEL)
        mean = decoded.moments.mean(_mean_key(utterance, normalisation.by))
        phones = truth.frames(utterance.id, frames) if truth else None
        writer.add(utterance, normalisation.apply(features, mean), phones)


def _mean_key(utterance: Utterance, by: MeanOver) -> str:
    """Return the utterance or speaker over which the mean of ``utterance`` is taken."""
    return utterance.id if by == "utterance" else utterance.speaker


def decode_utterance(utterance: Utterance, reader: AudioReader, rate: int) -> np.ndarray | SetAside:
    """Return log-mel energies float32 [T, 40] at ``rate`` Hz of one utterance, or why it has
    none.
    """
    try:
        samples, recorded = reader.read(
            utterance.audio, utterance.start, utterance.end, utterance.channel
        )
    except AudioError as error:
        detail = f"{error.path}: {error.detail}".rstrip(": ")
        return SetAside(utterance.id, error.reason, utterance.where, detail)

    found = mel_or_fault(samples, recorded, rate)
    if isinstance(found, str):
        detail = f"{utterance.audio}: {len(samples)} samples at {recorded} Hz"
        return SetAside(utterance.id, found, utterance.where, detail)
    return found
