"""The frames of one split in memory-mapped files: any frame of any corpus in O(1), its pages shared by all processes.

    features.f16          float16 [frames, 40], normalised, C order
    offsets.npy           int64 [utterances + 1], first frame of each utterance, last entry: number of frames
    utterances.jsonl      id, speaker, words, audio, start, end, frames, a line each
    set_aside.jsonl       what could not be used when the audio was decoded
    true_phones.npy       int16 [frames], phones where a corpus knows them (-1: not known); never used in training
    alignment-DIGEST.npy  int16 or int32 [frames], tied states (-1: utterance not aligned)
    manifest.json         sizes and SHA-256 of all of these; written last, so a store without it is not complete

Files are written under temporary names, synced and renamed. An alignment has its digest in its name, so that the rename
of the manifest alone decides which one is valid, and whoever still reads the old one is not disturbed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench.corpus.audio import AudioError, read_audio
from workbench.corpus.frames.manifest import AGAIN, check_sizes, read_manifest, write_manifest
from workbench.corpus.frames.window import FRAME_SECONDS, MEL, gather_windows
from workbench.corpus.frames.writer import FrameStoreWriter
from workbench.corpus.utterances import SetAside, Utterance
from workbench.settings import UserError
from workbench.storage.files import write_npy

__all__ = ["FrameStore", "FrameStoreWriter", "write_alignment"]


class FrameStore:
    """One split, read-only; what it holds is named in the module's first lines.

    ``features`` float16 [frames, 40]; ``offsets`` int64 [utterances + 1]; ``seconds`` float64 [utterances];
    ``alignment`` and ``true_phones`` [frames] or None; ``about``: how the features were made, as their maker recorded.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]):
        self.folder, self._manifest = folder, manifest
        self.about: dict[str, Any] = manifest["about"]
        self.frames: int = manifest["frames"]
        self.offsets = _load(folder / "offsets.npy")
        self.features = _map_features(folder / "features.f16", self.frames)
        self.true_phones = self._optional("true_phones.npy")
        self.alignment = self._optional(manifest.get("alignment"))

    @classmethod
    def open(cls, folder: Path) -> "FrameStore":
        """Opens a store whose files are all there in their full size; UserError that names the file if not.

        The contents are not read: ``verify`` does that.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        check_sizes(folder, manifest)
        store = cls(folder, manifest)
        if len(store.offsets) != manifest["utterances"] + 1 or store.offsets[-1] != store.frames:
            raise UserError(f"{folder / 'offsets.npy'}: does not fit features.f16; {AGAIN}")
        return store

    def __reduce__(self):
        return FrameStore.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def verify(self) -> None:
        """Reads everything and compares digests; UserError that names the first file that was changed."""
        for name, record in self._manifest["files"].items():
            with open(self.folder / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                    raise UserError(
                        f"{self.folder / name}: not what was written (SHA-256 differs); {AGAIN}"
                    )

    @cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        paths = cache(
            lambda name: self.folder / name
        )  # many utterances of a corpus may lie in one file
        records = zip(
            _records(self.folder / "utterances.jsonl"), self.seconds.tolist(), strict=True
        )
        return tuple(
            _utterance(n, record, paths, seconds) for n, (record, seconds) in enumerate(records, 1)
        )

    @cached_property
    def ids(self) -> list[str]:
        return [u.id for u in self.utterances]

    @cached_property
    def speakers(self) -> list[str]:
        return [u.speaker for u in self.utterances]

    @cached_property
    def words(self) -> list[tuple[str, ...]]:
        return [u.words for u in self.utterances]

    @cached_property
    def seconds(self) -> np.ndarray:
        return np.diff(self.offsets) * FRAME_SECONDS

    @cached_property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Utterances whose audio could not be used; they have no frames here."""
        return tuple(SetAside(**record) for record in _records(self.folder / "set_aside.jsonl"))

    def span(self, u: int) -> tuple[int, int]:
        """First frame of utterance ``u``, and the one after its last."""
        return int(self.offsets[u]), int(self.offsets[u + 1])

    def windows(self, frames: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Network inputs float32 [n, 1040] at ``frames`` int64 [n]; the edge frames of an utterance are repeated.

        ``out``: C-ordered float32 [n, 1040] to write to. IndexError for a frame that the store does not have.
        """
        return gather_windows(self.features, self.offsets, frames, out)

    def utterance_windows(self, u: int) -> np.ndarray:
        """Network inputs float32 [T, 1040] of a whole utterance, in order."""
        return self.windows(np.arange(*self.span(u)))

    def audio(self, u: int) -> tuple[np.ndarray, int]:
        """Samples float32 [n] of utterance ``u`` as they were recorded, and their rate; AudioError if they are gone."""
        found = self.utterances[u]
        samples, rate = read_audio(found.audio, found.start, found.end)
        frames, now = int(np.diff(self.offsets[u : u + 2])[0]), len(samples) / rate / FRAME_SECONDS
        if abs(frames - now) > 1:
            raise AudioError(
                "changed audio",
                found.audio,
                f"{found.id}: {frames} frames when prepared, now {now:.0f}",
            )
        return samples, rate

    def _optional(self, name: str | None) -> np.ndarray | None:
        return _load(self.folder / name) if name and name in self._manifest["files"] else None


def write_alignment(folder: Path, alignment: np.ndarray) -> None:
    """Makes ``alignment`` [frames] (tied states, -1 for utterances without) that of the store, all or nothing.

    ValueError if it has not one entry per frame. Stores that are open keep the one they opened.
    """
    folder, manifest = Path(folder), read_manifest(Path(folder))
    alignment = np.asarray(alignment)
    if alignment.shape != (manifest["frames"],) or alignment.dtype.kind not in "iu":
        raise ValueError(
            f"alignment: integers [{manifest['frames']}], not {alignment.dtype} {list(alignment.shape)}"
        )
    if len(alignment) and not -1 <= alignment.min() <= alignment.max() < 2**31:
        raise ValueError("alignment: states are numbered from 0; -1 means none")
    small = not len(alignment) or alignment.max() < 2**15
    array = np.ascontiguousarray(alignment, np.int16 if small else np.int32)
    name = f"alignment-{hashlib.sha256(array.data).hexdigest()[:10]}.npy"
    old = manifest.get("alignment")
    files = {k: v for k, v in manifest["files"].items() if k != old} | {
        name: write_npy(folder / name, array)
    }
    write_manifest(folder, {**manifest, "files": files, "alignment": name})
    if old not in (None, name):
        (folder / old).unlink(missing_ok=True)


def _utterance(
    line: int, record: dict[str, Any], paths: Callable[[str], Path], seconds: float
) -> Utterance:
    words, span = tuple(record["words"]), (record["start"], record["end"])
    where = f"utterances.jsonl:{line}"
    return Utterance(
        record["id"],
        record["speaker"],
        words,
        paths(record["audio"]),
        *span,
        where,
        record["rate"],
        seconds,
    )


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {AGAIN}") from None
    return array.view(np.ndarray)


def _map_features(path: Path, frames: int) -> np.ndarray:
    """The plain array over the map: a memmap's own indexing costs microseconds a time. mmap takes no empty file."""
    if not frames:
        return np.empty((0, MEL), np.float16)
    try:
        return np.memmap(path, np.float16, "r", shape=(frames, MEL)).view(np.ndarray)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {AGAIN}") from None


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}:{number}: {error}; {AGAIN}") from None
