"""The frames of one split in memory-mapped files, shared by all processes of a machine.

    features.f16          float16 [frames, 40], normalised, C order
    offsets.npy           int64 [utterances + 1], first frame of each utterance, then their number
    utterances.jsonl      id, speaker, words, audio, start, end, frames, one line each
    set_aside.jsonl       utterances whose audio could not be used
    true_phones.npy       int16 [frames], phones where a corpus knows them, else -1; for tests
    alignment-DIGEST.npy  int16 or int32 [frames], tied states (-1: utterance not aligned)
    manifest.json         sizes and SHA-256 of all of these; written last

An alignment has its digest in its name. So the manifest alone decides which alignment is valid, and
a process that still reads the old one is not disturbed.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench.corpus.audio import AudioError, read_audio
from workbench.corpus.frames.manifest import ADVICE, StoreManifest
from workbench.corpus.frames.window import MEL, NotFiniteFrame, gather_windows
from workbench.corpus.frames.writer import (
    FEATURES,
    OFFSETS,
    SET_ASIDE,
    TRUE_PHONES,
    UTTERANCES,
    FrameStoreWriter,
)
from workbench.corpus.utterances import SetAside, Utterance
from workbench.settings import UserError
from workbench.settings.frame import FRAME_SECONDS
from workbench.storage.files import read_json_lines, write_npy

__all__ = ["FrameStore", "FrameStoreWriter", "write_alignment"]

UNALIGNED = -1
STATE_LIMIT = 2**31  # states are below
SMALL_STATE_LIMIT = 2**15  # up to here an alignment is int16


class FrameStore:
    """One split, read-only; the docstring of the module describes its files.

    ``features`` float16 [frames, 40]. ``offsets`` int64 [utterances + 1]. ``alignment`` and
    ``true_phones`` [frames] or None. ``about``: how the features were made.
    """

    def __init__(self, folder: Path, manifest: StoreManifest):
        self.folder = folder
        self.about: dict[str, Any] = manifest.about
        self.frames: int = manifest.frames
        self.offsets = _map_array(folder / OFFSETS)
        self.features = _map_features(folder / FEATURES, self.frames)
        self._manifest = manifest
        self.true_phones = self._map_optional(TRUE_PHONES)
        self.alignment = self._map_optional(manifest.alignment)

    @classmethod
    def open(cls, folder: Path) -> "FrameStore":
        """Open a store after checking that its files are there in their full size.

        Raises UserError that names the file if not. The contents are not read; ``verify`` does
        that.
        """
        folder = Path(folder)
        manifest = StoreManifest.read(folder)
        manifest.listing(folder).check_sizes()
        store = cls(folder, manifest)
        if len(store.offsets) != manifest.utterances + 1 or store.offsets[-1] != store.frames:
            raise UserError(f"{folder / OFFSETS}: does not fit {FEATURES}; {ADVICE}")
        return store

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def verify(self) -> None:
        """Read everything; raise UserError that names the first file that was changed."""
        self._manifest.listing(self.folder).verify()

    @cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        """The utterances in the order of the store."""
        audio: dict[str, Path] = {}  # many utterances of a corpus may lie in one file
        found = []
        for number, record in _read_records(self.folder / UTTERANCES):
            name = record["audio"]
            if name not in audio:
                audio[name] = self.folder / name
            utterance = Utterance(
                record["id"],
                record["speaker"],
                tuple(record["words"]),
                audio[name],
                record["start"],
                record["end"],
                f"{UTTERANCES}:{number}",
                record["rate"],
                float(self.seconds[number - 1]),
                record.get("channel"),
            )
            found.append(utterance)
        return tuple(found)

    @cached_property
    def ids(self) -> list[str]:
        """The id of each utterance."""
        return [u.id for u in self.utterances]

    @cached_property
    def speakers(self) -> list[str]:
        """The speaker of each utterance."""
        return [u.speaker for u in self.utterances]

    @cached_property
    def words(self) -> list[tuple[str, ...]]:
        """The reference words of each utterance."""
        return [u.words for u in self.utterances]

    @cached_property
    def seconds(self) -> np.ndarray:
        """The length of each utterance, float64 [utterances]."""
        return np.diff(self.offsets) * FRAME_SECONDS

    @cached_property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Utterances whose audio could not be used; they have no frames here."""
        return tuple(SetAside(**record) for _, record in _read_records(self.folder / SET_ASIDE))

    def span(self, u: int) -> tuple[int, int]:
        """The first frame of utterance ``u``, and the one after its last."""
        return int(self.offsets[u]), int(self.offsets[u + 1])

    def blocks(self, utterances: Iterable[int], most: int) -> Iterator[list[int]]:
        """Yield successive ``utterances`` that have at most ``most`` frames together.

        An utterance that has more is a block of its own.
        """
        block: list[int] = []
        frames = 0
        for utterance in utterances:
            first, last = self.span(utterance)
            if block and frames + last - first > most:
                yield block
                block = []
                frames = 0
            block.append(utterance)
            frames += last - first

        if block:
            yield block

    def windows(self, frames: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the network inputs float32 [n, 1040] at ``frames`` int64 [n].

        ``out``: C-ordered float32 [n, 1040] to write to. Raises IndexError for a frame that the
        store does not have, UserError that names the utterance where a stored number is not
        finite.
        """
        try:
            return gather_windows(self.features, self.offsets, frames, out)
        except NotFiniteFrame as error:
            utterance = int(np.searchsorted(self.offsets, error.frame, side="right")) - 1
            raise UserError(
                f"{self.folder / FEATURES}: utterance {self.ids[utterance]}: a stored feature is "
                f"NaN or infinite; {ADVICE}"
            ) from None

    def utterance_windows(self, u: int) -> np.ndarray:
        """The network inputs float32 [frames, 1040] of a whole utterance, in order."""
        return self.windows(np.arange(*self.span(u)))

    def audio(self, u: int) -> tuple[np.ndarray, int]:
        """The samples float32 [n] of utterance ``u`` as they were recorded, and their rate in Hz.

        Raises AudioError if the recording is gone or has another length than when it was prepared.
        """
        utterance = self.utterances[u]
        samples, rate = read_audio(
            utterance.audio, utterance.start, utterance.end, utterance.channel
        )
        first, end = self.span(u)
        frames = end - first
        frames_now = len(samples) / rate / FRAME_SECONDS
        if abs(frames - frames_now) > 1:
            detail = f"{utterance.id}: {frames} frames when prepared, now {frames_now:.0f}"
            raise AudioError("changed audio", utterance.audio, detail)
        return samples, rate

    def _map_optional(self, name: str | None) -> np.ndarray | None:
        if name is None or name not in self._manifest.files:
            return None
        return _map_array(self.folder / name)


def write_alignment(folder: Path, alignment: np.ndarray) -> None:
    """Make ``alignment`` [frames] that of the store in ``folder``, all or nothing.

    It holds tied states, -1 for utterances without. Raises ValueError if it has not one entry per
    frame. Stores that are open keep the alignment that they opened.
    """
    folder = Path(folder)
    manifest = StoreManifest.read(folder)
    alignment = np.asarray(alignment)
    if alignment.shape != (manifest.frames,) or alignment.dtype.kind not in "iu":
        found = f"{alignment.dtype} {list(alignment.shape)}"
        raise ValueError(f"alignment: integers [{manifest.frames}], not {found}")
    lowest = alignment.min(initial=UNALIGNED)
    highest = alignment.max(initial=UNALIGNED)
    if lowest < UNALIGNED or highest >= STATE_LIMIT:
        raise ValueError("alignment: states are numbered from 0; -1 means none")

    array = np.ascontiguousarray(alignment, np.int16 if highest < SMALL_STATE_LIMIT else np.int32)
    name = f"alignment-{hashlib.sha256(array.data).hexdigest()[:10]}.npy"
    files = {
        known: record for known, record in manifest.files.items() if known != manifest.alignment
    }
    files[name] = write_npy(folder / name, array)
    replace(manifest, files=files, alignment=name).write(folder)

    if manifest.alignment not in (None, name):
        (folder / str(manifest.alignment)).unlink(missing_ok=True)


def _read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the record of each line; UserError that names a damaged line."""
    try:
        yield from read_json_lines(path)
    except UserError as error:
        raise UserError(f"{error}; {ADVICE}") from None


def _map_array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {ADVICE}") from None
    return array.view(np.ndarray)


def _map_features(path: Path, frames: int) -> np.ndarray:
    """Map the features as a plain array, since indexing a memmap costs microseconds a time."""
    if not frames:  # an empty file cannot be mapped
        return np.empty((0, MEL), np.float16)
    try:
        return np.memmap(path, np.float16, "r", shape=(frames, MEL)).view(np.ndarray)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {ADVICE}") from None
