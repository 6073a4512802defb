"""The event files of TensorBoard: records with checksums, each a message of protocol buffers.

A record is its length (uint64), the masked CRC-32C of the length, the message, and the masked
CRC-32C of the message, little-endian. Of the message ``Event`` the fields used are wall_time (1,
double), step (2, int64), file_version (3, string) and summary (5); a ``Summary`` holds values (1)
with tag (1, string) and simple_value (2, float).
"""

import struct
from collections.abc import Iterable, Mapping

CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, reversed
MASK_DELTA = 0xA282EAD8
UINT32 = 0xFFFFFFFF
VERSION = b"brain.Event:2"

VARINT = 0  # kinds of fields of protocol buffers
FIXED64 = 1
BYTES = 2
FIXED32 = 5


def event_file(began: float, scalars: Iterable[tuple[float, int, Mapping[str, float]]]) -> bytes:
    """Return an event file; ``scalars``: wall time (s), step and values by tag of each event."""
    first = _field(1, FIXED64, struct.pack("<d", began)) + _field(3, BYTES, VERSION)
    records = [_record(first)]
    for wall_time, step, values in scalars:
        records.append(_record(_scalar_event(wall_time, step, values)))
    return b"".join(records)


def _scalar_event(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    summary = b""
    for tag, value in values.items():
        one = _field(1, BYTES, tag.encode()) + _field(2, FIXED32, struct.pack("<f", value))
        summary += _field(1, BYTES, one)
    event = _field(1, FIXED64, struct.pack("<d", wall_time))
    event += _field(2, VARINT, _varint(step))
    return event + _field(5, BYTES, summary)


def _field(number: int, kind: int, data: bytes) -> bytes:
    """Return a field of a message; bytes get their length before them."""
    length = _varint(len(data)) if kind == BYTES else b""
    return _varint(number << 3 | kind) + length + data


def _varint(value: int) -> bytes:
    """Return a number that is not negative in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    checked_length = length + struct.pack("<I", masked_crc(length))
    return checked_length + data + struct.pack("<I", masked_crc(data))


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of ``data``, rotated and shifted as event files have it."""
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & UINT32
    return rotated + MASK_DELTA & UINT32


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of ``data``."""
    crc = UINT32
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CASTAGNOLI if crc & 1 else 0)
    return crc ^ UINT32
