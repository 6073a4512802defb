"""Writes a frame store utterance by utterance, so that a corpus is never whole in memory."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from workbench.corpus.frames.manifest import FORMAT, write_manifest
from workbench.corpus.frames.window import MEL
from workbench.corpus.utterances import SetAside, Utterance
from workbench.storage.files import Record, Stream, write_npy

STREAMS = ("features.f16", "utterances.jsonl", "set_aside.jsonl")


class FrameStoreWriter:
    """Context manager; the store is valid when the block ends, and nothing of it is left if the block raises.

    ``about``: anything JSON can hold that says how the features were made. A store that is already in ``folder`` is
    replaced at the end of the block.
    """

    def __init__(self, folder: Path, about: dict[str, Any] | None = None):
        self.folder, self._about = Path(folder), about or {}
        self._offsets = [0]
        self._phones: dict[int, np.ndarray] = {}  # by first frame

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._streams = {name: Stream(self.folder / name) for name in STREAMS}
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for stream in self._streams.values():
                stream.discard()

    def add(
        self, utterance: Utterance, features: np.ndarray, true_phones: np.ndarray | None = None
    ) -> None:
        """Features [T, 40] of the next utterance, finite, T > 0; phone ids [T] where they are known (-1: not)."""
        half = np.ascontiguousarray(features, np.float16)
        if half.ndim != 2 or half.shape[1] != MEL or not len(half) or not np.isfinite(half).all():
            raise ValueError(
                f"{utterance.id}: features must be finite [frames > 0, {MEL}], not {list(half.shape)}"
            )
        if true_phones is not None:
            if np.shape(true_phones) != (len(half),):
                raise ValueError(
                    f"{utterance.id}: {list(np.shape(true_phones))} true phones for {len(half)} frames"
                )
            self._phones[self._offsets[-1]] = np.asarray(true_phones, np.int16)
        self._offsets.append(self._offsets[-1] + len(half))
        self._streams["features.f16"].write(half.data.cast("B"))
        self._line("utterances.jsonl", self._record(utterance, len(half)))

    def set_aside(self, found: SetAside) -> None:
        """Keeps a record of an utterance without usable audio."""
        self._line("set_aside.jsonl", dataclasses.asdict(found))

    def _record(self, utterance: Utterance, frames: int) -> dict[str, Any]:
        record = dataclasses.asdict(utterance) | {
            "audio": portable(utterance.audio, self.folder),
            "frames": frames,
        }
        return {name: value for name, value in record.items() if name not in ("where", "seconds")}

    def _line(self, name: str, record: dict[str, Any]) -> None:
        self._streams[name].write(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def _finish(self) -> None:
        (self.folder / "manifest.json").unlink(missing_ok=True)
        for old in self.folder.glob(
            "alignment-*.npy"
        ):  # they belong to the frames that are replaced
            old.unlink()
        files: dict[str, Record] = {name: stream.commit() for name, stream in self._streams.items()}
        files["offsets.npy"] = write_npy(
            self.folder / "offsets.npy", np.array(self._offsets, np.int64)
        )
        if self._phones:
            phones = np.full(self._offsets[-1], -1, np.int16)
            for first, known in self._phones.items():
                phones[first : first + len(known)] = known
            files["true_phones.npy"] = write_npy(self.folder / "true_phones.npy", phones)
        counts = {"frames": self._offsets[-1], "utterances": len(self._offsets) - 1}
        write_manifest(
            self.folder, {"format": FORMAT, **counts, "about": self._about, "files": files}
        )


def portable(audio: Path, folder: Path) -> str:
    """Path of ``audio``: relative to ``folder`` if both lie in one corpus (two levels up), so that it can be moved."""
    here, audio = Path(os.path.abspath(folder)), Path(os.path.abspath(audio))
    corpus = here.parents[min(1, len(here.parents) - 1)]
    return (
        os.path.relpath(audio, here)
        if audio.is_relative_to(corpus) and corpus != Path("/")
        else str(audio)
    )
