"""From utterances to a store of normalised frames, streaming: a corpus is never whole in memory.

Two passes: the audio is decoded once and its log-mel energies go to a scratch file in float32, while the sums for
means and scale are taken; then the scratch file is read in order, normalised and stored in float16. The result does not
depend on ``jobs``: every utterance is computed by itself, and results are taken in the order of the corpus.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.corpus.audio import AudioError, AudioReader
from workbench.corpus.frames.store import FrameStore, FrameStoreWriter
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.features.logmel import MEL, feature_rate, log_mel
from workbench.features.normalise import Moments, Normalisation
from workbench.features.phones import TruePhones
from workbench.progress import Progress
from workbench.settings import UserError

CHUNK, CHUNK_MOST = (
    64,
    2048,
)  # utterances that a process takes at once; a recording is cut only at the larger number
WORTH_PROCESSES = (
    3600.0  # seconds of audio; one process takes some 2 s for it, which others need to start
)
Found = np.ndarray | SetAside


def prepare_features(
    dataset: DataSet,
    folder: Path,
    normalisation: Literal["utterance", "speaker"] = "utterance",
    jobs: int = 1,
    progress: Progress | None = None,
    scale: Sequence[float] | None = None,
    rate: int | None = None,
    true_phones: Path | None = None,
    phones: Sequence[str] = (),
) -> FrameStore:
    """Decodes all audio of ``dataset`` into a frame store in ``folder``; unusable audio is set aside in the store.

    ``scale`` [40] and ``rate``: those of the training split, from the ``about`` of its store (None: measured on these
    data, and ``choose_rate``). ``true_phones``: a file as ``TruePhones`` reads, with the lexicon's ``phones``.
    """
    if scale is not None and rate is None:
        raise ValueError("scale needs the rate of the features that it was measured on")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    truth = TruePhones(true_phones, phones) if true_phones else None
    rate = rate or choose_rate(dataset.utterances)
    scratch = folder / "features.raw.tmp"
    try:
        moments, found = _decode(dataset.utterances, scratch, normalisation, rate, jobs, progress)
        chosen = Normalisation(
            normalisation, rate, moments.scale() if scale is None else tuple(scale)
        )
        with FrameStoreWriter(folder, chosen.about()) as writer:
            _store(dataset.utterances, found, scratch, moments, chosen, writer, truth)
    finally:
        scratch.unlink(missing_ok=True)
    return FrameStore.open(folder)


def choose_rate(utterances: Iterable[Utterance]) -> int:
    """16000, or 8000 where more than half of the audio is below 16 kHz: features of one corpus share one mel range."""
    seconds = {8000: 0.0, 16000: 0.0}
    for u in utterances:
        if u.rate >= 8000:
            seconds[feature_rate(u.rate)] += u.seconds or 1.0
    return 8000 if seconds[8000] > seconds[16000] else 16000


def _decode(
    utterances: Sequence[Utterance],
    scratch: Path,
    by: str,
    rate: int,
    jobs: int,
    progress: Progress | None,
) -> tuple[Moments, list[int | SetAside]]:
    """First pass: the moments, and for each utterance its frames in ``scratch`` or why it has none."""
    moments = Moments()
    found: list[int | SetAside] = []
    with open(scratch, "wb") as file:
        for utterance, features in zip(utterances, extract(utterances, rate, jobs), strict=True):
            if isinstance(features, SetAside):
                found.append(features)
            else:
                moments.add(utterance.id if by == "utterance" else utterance.speaker, features)
                file.write(features.data.cast("B"))
                found.append(len(features))
            if progress:
                progress(len(found), len(utterances), "features")
    return moments, found


def _store(
    utterances: Sequence[Utterance],
    found: Sequence[int | SetAside],
    scratch: Path,
    moments: Moments,
    chosen: Normalisation,
    writer: FrameStoreWriter,
    truth: TruePhones | None,
) -> None:
    """Second pass: from the scratch file to the store."""
    with open(scratch, "rb") as file:
        for utterance, frames in zip(utterances, found, strict=True):
            if isinstance(frames, SetAside):
                writer.set_aside(frames)
                continue
            features = np.fromfile(file, np.float32, frames * MEL).reshape(frames, MEL)
            mean = moments.mean(utterance.id if chosen.by == "utterance" else utterance.speaker)
            phones = truth.frames(utterance.id, frames) if truth else None
            writer.add(utterance, chosen(features, mean), phones)


def extract(utterances: Sequence[Utterance], rate: int, jobs: int = 1) -> Iterator[Found]:
    """Log-mel energies float32 [T, 40], or why there are none, for each utterance in order; by ``jobs`` processes."""
    work = partial(_extract_chunk, rate=rate)
    if jobs <= 1 or sum(u.seconds or 0.0 for u in utterances) < WORTH_PROCESSES:
        for chunk in chunks(utterances):
            yield from work(chunk)
        return
    # Started afresh, not forked: the parent may hold threads of torch or numba, which a fork would freeze.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    waiting: deque[Future[list[Found]]] = deque()
    try:
        for chunk in chunks(utterances):
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > 2 * jobs:  # bounds what is in memory
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenExecutor:
        raise UserError(
            "a process that computes features died (out of memory?); try fewer jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def chunks(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Runs of utterances, not cut within a recording if that can be helped, so that a file is opened by one process."""
    chunk: list[Utterance] = []
    for u in utterances:
        new = bool(chunk) and chunk[-1].audio != u.audio
        if len(chunk) >= CHUNK_MOST or (new and len(chunk) >= CHUNK):
            yield chunk
            chunk = []
        chunk.append(u)
    if chunk:
        yield chunk


def _extract_chunk(chunk: list[Utterance], rate: int) -> list[Found]:
    with AudioReader() as reader:
        return [extract_one(utterance, reader, rate) for utterance in chunk]


def extract_one(utterance: Utterance, reader: AudioReader, rate: int) -> Found:
    """Log-mel energies float32 [T, 40] at ``rate`` of one utterance, or why there are none."""
    try:
        samples, recorded = reader.read(utterance.audio, utterance.start, utterance.end)
    except AudioError as error:
        return SetAside(
            utterance.id,
            error.reason,
            utterance.where,
            f"{error.path}: {error.detail}".rstrip(": "),
        )
    reason = _unusable(samples, recorded, rate)
    features = np.empty((0, MEL), np.float32) if reason else log_mel(samples, recorded, rate)
    if not reason and not len(features):
        reason = "too short for a frame"
    if not reason and not np.isfinite(features).all():
        reason = "audio out of range"
    if reason:
        return SetAside(
            utterance.id,
            reason,
            utterance.where,
            f"{utterance.audio}: {len(samples)} samples at {recorded} Hz",
        )
    return features


def _unusable(samples: np.ndarray, recorded: int, rate: int) -> str:
    """Why these samples are good for nothing; "" if they are good."""
    if recorded < rate:
        return "sample rate too low"
    if not len(samples):
        return "empty audio"
    if not np.isfinite(samples).all():
        return "audio not finite"
    if samples.min() == samples.max():
        return "silent audio"
    return ""
