"""Audio files, opened through soundfile only: any format and rate that libsndfile reads (wav, flac, ogg, mp3, ...).

Several channels are averaged into one.
"""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import soundfile

from workbench.settings import UserError

UNKNOWN = (
    1 << 40
)  # samples; libsndfile says more where a header does not know (a FLAC written to a pipe)


class AudioError(UserError):
    """Audio that cannot be used: ``reason`` is a short phrase that is counted, ``detail`` is for a person."""

    def __init__(self, reason: str, path: Path, detail: str = ""):
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason, self.path, self.detail = reason, path, detail

    def __reduce__(self):
        return type(self), (self.reason, self.path, self.detail)


@dataclass(frozen=True)
class Header:
    """What a file says of itself."""

    rate: int
    samples: int
    channels: int

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def probe(path: Path) -> Header:
    """The header of an audio file; AudioError "missing audio", "unreadable audio" or "empty audio"."""
    with AudioReader() as reader:
        header = reader.header(path)
    if header.samples == 0:
        raise AudioError("empty audio", path, "no samples")
    return header


def read_audio(path: Path, start: float = 0.0, end: float | None = None) -> tuple[np.ndarray, int]:
    """Samples float32 [n] in [-1, 1) from ``start`` to ``end`` seconds, and the rate in Hz; else AudioError."""
    with AudioReader() as reader:
        return reader.read(path, start, end)


class AudioReader:
    """Reads segments; the last file stays open, so that segments one after another cost no opening and no seeking."""

    def __init__(self):
        self._path: Path | None = None
        self._file: soundfile.SoundFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._path = self._file = None

    def header(self, path: Path) -> Header:
        file = self._open(path)
        return Header(file.samplerate, file.frames, file.channels)

    def read(
        self, path: Path, start: float = 0.0, end: float | None = None
    ) -> tuple[np.ndarray, int]:
        """As ``read_audio``."""
        header = self.header(path)
        first = round(start * header.rate)
        last = header.samples if end is None else min(header.samples, round(end * header.rate))
        try:
            samples = _samples(self._open(path), first, last)
        except (RuntimeError, OSError, ValueError) as error:
            self.close()
            raise AudioError("unreadable audio", path, _one_line(error)) from None
        if len(samples) < last - first:
            raise AudioError("truncated audio", path, f"{len(samples)} of {last - first} samples")
        return samples, header.rate

    def _open(self, path: Path) -> soundfile.SoundFile:
        if self._file is not None and self._path == path:
            return self._file
        self.close()
        _regular(path)
        try:
            file = soundfile.SoundFile(path)
        # TypeError: soundfile asks for the format of files that are called .raw.
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            raise AudioError("unreadable audio", path, _one_line(error)) from None
        fault = _fault(file)
        if fault:
            file.close()
            raise AudioError("unreadable audio", path, fault)
        self._path, self._file = path, file
        return file


def _fault(file: soundfile.SoundFile) -> str:
    """What a header says that cannot be; "" if nothing."""
    if file.samplerate < 1 or file.channels < 1:
        return f"{file.samplerate} Hz, {file.channels} channels"
    return (
        "its header does not say how long it is: encode it again" if file.frames > UNKNOWN else ""
    )


def _samples(file: soundfile.SoundFile, first: int, last: int) -> np.ndarray:
    """Samples ``first`` .. ``last - 1``, fewer if the file ends before."""
    if file.tell() != first:
        file.seek(first)
    # A header may promise anything, so memory is taken piece by piece, as the samples really come.
    pieces, left = [np.empty(0, np.float32)], last - first
    while left > 0:
        piece = file.read(min(left, 1 << 22), dtype="float32", always_2d=True)
        if not len(piece):
            break
        pieces.append(piece[:, 0] if piece.shape[1] == 1 else piece.mean(axis=1, dtype=np.float32))
        left -= len(piece)
    return np.concatenate(pieces)


def _regular(path: Path) -> None:
    """Refuses what is not a file with bytes in it: opening a named pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise AudioError(
            "missing audio", path, getattr(error, "strerror", None) or _one_line(error)
        ) from None
    if not stat.S_ISREG(mode):
        raise AudioError("unreadable audio", path, "not a regular file")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
