"""Writes a frame store utterance by utterance, so that a corpus is never whole in memory."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from workbench.corpus.frames.manifest import StoreManifest
from workbench.corpus.frames.window import MEL
from workbench.corpus.utterances import SetAside, Utterance
from workbench.storage.files import FileWriter, write_npy
from workbench.storage.manifest import MANIFEST

FEATURES = "features.f16"
OFFSETS = "offsets.npy"
UTTERANCES = "utterances.jsonl"
SET_ASIDE = "set_aside.jsonl"
TRUE_PHONES = "true_phones.npy"
NOT_STORED = ("where", "seconds", "channels")  # of an utterance: known otherwise, or before


class FrameStoreWriter:
    """A context manager, at whose end the store is valid; nothing is left if the block raises.

    ``about``: how the features were made, any JSON object. A store that is already in ``folder`` is
    replaced at the end of the block.
    """

    def __init__(self, folder: Path, about: Mapping[str, object] | None = None):
        self.folder = Path(folder)
        self._about = about or {}
        self._offsets = [0]
        self._phones: dict[int, np.ndarray] = {}  # by first frame
        self._writers: dict[str, FileWriter] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (FEATURES, UTTERANCES, SET_ASIDE):
            self._writers[name] = FileWriter(self.folder / name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            for writer in self._writers.values():
                writer.discard()

    def add(
        self, utterance: Utterance, features: np.ndarray, true_phones: np.ndarray | None = None
    ) -> None:
        """Append an utterance with its features [frames, 40], finite, at least one frame.

        ``true_phones`` [frames]: phone ids where the corpus knows them, -1 where not. Raises
        ValueError for other shapes and for numbers that are not finite in half precision.
        """
        half = np.ascontiguousarray(features, np.float16)
        shape = list(half.shape)
        if half.ndim != 2 or half.shape[1] != MEL or not len(half) or not np.isfinite(half).all():
            raise ValueError(
                f"{utterance.id}: features must be finite [frames > 0, {MEL}], not {shape}"
            )
        if true_phones is not None and np.shape(true_phones) != (len(half),):
            found = list(np.shape(true_phones))
            raise ValueError(f"{utterance.id}: {found} true phones for {len(half)} frames")

        if true_phones is not None:
            self._phones[self._offsets[-1]] = np.asarray(true_phones, np.int16)
        self._offsets.append(self._offsets[-1] + len(half))
        self._writers[FEATURES].write(half.data.cast("B"))
        self._write_line(UTTERANCES, self._utterance_record(utterance, len(half)))

    def set_aside(self, utterance: SetAside) -> None:
        """Keep a record of an utterance without usable audio."""
        self._write_line(SET_ASIDE, dataclasses.asdict(utterance))

    def _utterance_record(self, utterance: Utterance, frames: int) -> dict[str, object]:
        record = dataclasses.asdict(utterance)
        record["audio"] = portable_path(utterance.audio, self.folder)
        record["frames"] = frames
        return {name: value for name, value in record.items() if name not in NOT_STORED}

    def _write_line(self, name: str, record: Mapping[str, object]) -> None:
        self._writers[name].write(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def _commit(self) -> None:
        """Give all files their names, the manifest last."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for old in self.folder.glob("alignment-*.npy"):  # of the frames that are replaced
            old.unlink()

        files = {name: writer.commit() for name, writer in self._writers.items()}
        offsets = np.array(self._offsets, np.int64)
        files[OFFSETS] = write_npy(self.folder / OFFSETS, offsets)
        if self._phones:
            files[TRUE_PHONES] = write_npy(self.folder / TRUE_PHONES, self._all_phones())

        manifest = StoreManifest(
            frames=self._offsets[-1],
            utterances=len(self._offsets) - 1,
            about=dict(self._about),
            files=files,
        )
        manifest.write(self.folder)

    def _all_phones(self) -> np.ndarray:
        """The true phones of all frames, int16 [frames], -1 where they are not known."""
        phones = np.full(self._offsets[-1], -1, np.int16)
        for first, known in self._phones.items():
            phones[first : first + len(known)] = known
        return phones


def portable_path(audio: Path, folder: Path) -> str:
    """The path of ``audio`` for a store in ``folder``.

    It is relative if both lie in the folder two levels above, so that corpora can be moved together
    with their audio.
    """
    here = Path(os.path.abspath(folder))
    there = Path(os.path.abspath(audio))
    common = here.parents[min(1, len(here.parents) - 1)]
    if there.is_relative_to(common) and common != Path("/"):
        return os.path.relpath(there, here)
    return str(there)
