"""The true length of MPEG audio (MP3), whose header may only estimate it from the size of the file.

An estimate takes the bit rate of the first frames for that of all. Where later frames are smaller,
it is too short, and libsndfile ends there. So frames are counted here, and a file that is longer
than its estimate is opened as one that claims more bytes than it has: the estimate then is too
long, and libsndfile reads what there is.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SYNCHRONISATION = 0x7FF  # the first eleven bits of a frame
HEADER_BYTES = 4
CLAIMED = 64
"""By how much more bytes a file claims to have; the bit rates of MP3 differ by less."""

# Bit rates of layer III in kbit/s, by the four bits that name them; 0: none.
RATES_OF_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
RATES_OF_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
SAMPLING_RATES = (44100, 48000, 32000, 0)
MPEG_1 = 3
MPEG_2 = 2
LAYER_III = 1
RESERVED = 1  # a version that does not exist

# A tag may hold pictures, in whose bytes headers of frames are found by chance.
TAG = b"ID3"  # at the beginning; its length is in seven bits of each of four bytes
TAG_HEADER_BYTES = 10
HAS_FOOTER = 0x10
TAGS_AT_THE_END = (b"TAG", b"APE", b"LYR")


class Frame(NamedTuple):
    """A frame of layer III: its length in bytes, and the samples of each channel."""

    length: int
    samples: int


def count_samples(path: Path) -> int:
    """Return the samples of all frames of layer III in a file, 0 if it has none."""
    return sum(frame.samples for frame in _iter_frames(path.read_bytes()))


def _iter_frames(data: bytes) -> Iterator[Frame]:
    """Yield the frames; what stands between them is passed over."""
    at = _skip_tags(data)
    while at + HEADER_BYTES <= len(data):
        frame = _frame_at(data, at)
        if frame is None or not _is_end_of_frame(data, at + frame.length):
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return
            continue
        yield frame
        at += frame.length


def _skip_tags(data: bytes) -> int:
    """Return where the tags at the beginning end."""
    at = 0
    while data[at : at + len(TAG)] == TAG and at + TAG_HEADER_BYTES <= len(data):
        flags, *sizes = data[at + 5 : at + TAG_HEADER_BYTES]
        length = 0
        for size in sizes:
            length = length << 7 | size & 0x7F
        at += TAG_HEADER_BYTES + length + (TAG_HEADER_BYTES if flags & HAS_FOOTER else 0)
    return at


def _is_end_of_frame(data: bytes, at: int) -> bool:
    """Whether the file ends here, or another frame or a tag begins."""
    if at >= len(data) or data.startswith(TAGS_AT_THE_END, at):
        return True
    return _frame_at(data, at) is not None


def _frame_at(data: bytes, at: int) -> Frame | None:
    """Return the frame that begins here, None if none does."""
    return _parse_header(int.from_bytes(data[at : at + HEADER_BYTES], "big"))


def _parse_header(header: int) -> Frame | None:
    """Return the frame that begins with these four bytes; None if none of layer III does."""
    version = header >> 19 & 3
    if header >> 21 != SYNCHRONISATION or version == RESERVED or header >> 17 & 3 != LAYER_III:
        return None
    bit_rate = (RATES_OF_MPEG_1 if version == MPEG_1 else RATES_OF_MPEG_2)[header >> 12 & 15]
    rate = SAMPLING_RATES[header >> 10 & 3]
    if not bit_rate or not rate:
        return None

    if version != MPEG_1:
        rate //= 2 if version == MPEG_2 else 4
    samples = 1152 if version == MPEG_1 else 576
    padding = header >> 9 & 1
    return Frame(samples // 8 * 1000 * bit_rate // rate + padding, samples)


class LongFile:
    """A file, for libsndfile to read, that claims to have many more bytes than it has."""

    def __init__(self, path: Path):
        self._file = open(path, "rb")  # noqa: SIM115 - it is closed with this object
        self._claimed = CLAIMED * path.stat().st_size
        self._at = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which may lie behind the true end."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._claimed}[whence]
        self._at = begin + offset
        self._file.seek(self._at)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, zeros behind the true end."""
        size = max(0, min(size, self._claimed - self._at))
        data = self._file.read(size)
        self._at += size
        return data + bytes(size - len(data))

    def readinto(self, buffer: bytearray) -> int:
        """Fill ``buffer`` as far as the claimed bytes go."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
