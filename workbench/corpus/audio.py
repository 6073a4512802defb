"""Audio files in any format and at any rate that libsndfile reads (wav, flac, ogg, mp3, ...).

One channel is read where the caller names it; without a name several are averaged into one.
"""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import soundfile

from workbench.corpus.mpeg import LongFile, count_samples
from workbench.settings import UserError

UNKNOWN_LENGTH = 1 << 40
"""Samples; libsndfile reports more if the header has no length (a FLAC file written to a pipe)."""

PIECE = 1 << 22  # samples read at once

ESTIMATED_LENGTH = ("MP3", "MPEG")
"""Formats whose headers may only estimate their length, from the size of the file."""

ESTIMATE_SECONDS = 0.5
"""By so much an estimate may promise more than there is; what can be decoded is the recording.

Where it promises less by more than that, frames are counted (`mpeg`).
"""


class AudioError(UserError):
    """Audio that cannot be used.

    ``reason`` is a short phrase that is counted, ``detail`` is for a person.
    """

    def __init__(self, reason: str, path: Path, detail: str = ""):
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, Path, str]]:
        return type(self), (self.reason, self.path, self.detail)


@dataclass(frozen=True)
class AudioHeader:
    """Rate in Hz, length and channels, as the header of a file gives them."""

    rate: int
    samples: int
    channels: int

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return self.samples / self.rate


@dataclass(frozen=True)
class Recording:
    """An audio file that was found and whose header could be read."""

    path: Path
    header: AudioHeader


def read_header(path: Path) -> AudioHeader:
    """Return the header of an audio file.

    Raise AudioError with the reason "missing audio", "unreadable audio" or "empty audio".
    """
    with AudioReader() as reader:
        header = reader.header(path)
    if header.samples == 0:
        raise AudioError("empty audio", path, "no samples")
    return header


def read_audio(
    path: Path, start: float = 0.0, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Return samples float32 [n] in [-1, 1) from ``start`` to ``end`` seconds, and the rate in Hz.

    ``end`` None reads to the end; ``channel`` None averages all. Raise AudioError if the file
    cannot be read or ends too early.
    """
    with AudioReader() as reader:
        return reader.read(path, start, end, channel)


class AudioReader:
    """Reads segments of files; a context manager.

    The last file stays open, so that a segment that follows the one before it costs no seeking.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: soundfile.SoundFile | None = None
        self._samples = 0  # of each channel of the open file
        self._long_file: LongFile | None = None  # that libsndfile reads in the place of the path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open, if any."""
        if self._file is not None:
            self._file.close()
        if self._long_file is not None:
            self._long_file.close()
        self._long_file = None
        self._path = None
        self._file = None

    def header(self, path: Path) -> AudioHeader:
        """Return the header of ``path``; raise AudioError if it cannot be read."""
        file = self._open(path)
        return AudioHeader(file.samplerate, self._samples, file.channels)

    def read(
        self,
        path: Path,
        start: float = 0.0,
        end: float | None = None,
        channel: int | None = None,
    ) -> tuple[np.ndarray, int]:
        """Return what `read_audio` returns."""
        header = self.header(path)
        first = round(start * header.rate)
        last = header.samples if end is None else min(header.samples, round(end * header.rate))

        try:
            file = self._at(path, first)
            samples = _read_samples(file, last - first, channel)
        except (RuntimeError, OSError, ValueError) as error:
            self.close()
            raise AudioError("unreadable audio", path, _one_line(error)) from None
        least = last - first
        if file.format in ESTIMATED_LENGTH:
            least = max(1, least - round(ESTIMATE_SECONDS * header.rate))
        if len(samples) < least:
            raise AudioError("truncated audio", path, f"{len(samples)} of {last - first} samples")

        return samples, header.rate

    def _at(self, path: Path, first: int) -> soundfile.SoundFile:
        """The file, at the sample ``first``; what cannot be sought is read from its beginning."""
        file = self._open(path)
        if file.seekable():
            if file.tell() != first:
                file.seek(first)
            return file

        self.close()
        file = self._open(path)
        _read_samples(file, first, None)
        return file

    def _open(self, path: Path) -> soundfile.SoundFile:
        if self._file is not None and self._path == path:
            return self._file

        self.close()
        _require_regular_file(path)
        try:
            file = soundfile.SoundFile(path)
            samples = _true_length(file, path)
            if samples > file.frames:
                file.close()
                self._long_file = LongFile(path)
                file = soundfile.SoundFile(self._long_file)
        # TypeError: soundfile asks for the format of files that are called .raw.
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            raise AudioError("unreadable audio", path, _one_line(error)) from None

        fault = _header_fault(file)
        if fault:
            file.close()
            raise AudioError("unreadable audio", path, fault)
        self._path = path
        self._file = file
        self._samples = samples
        return file


def _true_length(file: soundfile.SoundFile, path: Path) -> int:
    """Return the samples of a file: those of its header, unless an estimate is far too small."""
    if file.format not in ESTIMATED_LENGTH:
        return file.frames
    counted = count_samples(path)
    is_longer = counted > file.frames + ESTIMATE_SECONDS * file.samplerate
    return counted if is_longer else file.frames


def _header_fault(file: soundfile.SoundFile) -> str:
    """Return what is impossible in a header, or "" if nothing is."""
    if file.samplerate < 1 or file.channels < 1:
        return f"{file.samplerate} Hz, {file.channels} channels"
    if file.frames > UNKNOWN_LENGTH:
        return "its header does not give its length: encode it again"
    return ""


def _read_samples(file: soundfile.SoundFile, count: int, channel: int | None) -> np.ndarray:
    """Return the next ``count`` samples, fewer if the file ends before."""
    # A header may promise any length, so memory is taken piece by piece, as samples are read.
    pieces = [np.empty(0, np.float32)]
    missing = count
    while missing > 0:
        piece = file.read(min(missing, PIECE), dtype="float32", always_2d=True)
        if not len(piece):
            break
        pieces.append(_mix(piece, channel))
        missing -= len(piece)
    return np.concatenate(pieces)


def _mix(samples: np.ndarray, channel: int | None) -> np.ndarray:
    """Return one channel of samples [n, channels], or the mean of all."""
    if channel is not None:
        return np.ascontiguousarray(samples[:, channel])
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def _require_regular_file(path: Path) -> None:
    """Raise AudioError for a named pipe, which would block, and all else but regular files."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or _one_line(error)
        raise AudioError("missing audio", path, detail) from None
    if not stat.S_ISREG(mode):
        raise AudioError("unreadable audio", path, "not a regular file")


def _one_line(error: Exception) -> str:
    """The message of an error; of libsndfile's without the path, which ours names already."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return " ".join(text.split())[:200]
