"""Messages with arrays as bytes, and what two processes have lent each other; no sockets.

A message on the wire is a header of fixed size, a head in JSON and the bytes of arrays:

    header    bytes of the head (uint32), files that travel with the header (uint16); little-endian
    head      [message, places of its arrays, ended leases, segments that are gone]
    arrays    the bytes of each array that is sent inline, one after another

An array that lies in shared memory is not sent where the peer is on the same machine: its place
names the segment, and the segment's file travels along the first time. The sender keeps the array
under a lease. It ends when the peer names it in a later message, because nothing there refers to
the array any more, or when the connection ends.
"""

import itertools
import json
import math
import os
import re
import struct
import weakref
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.engine.dask.shared_memory import MappedSegment, Segment
from workbench.storage.codec import ImportedTypes, decode, encode
from workbench.system import memory

HEADER = struct.Struct("<IH")
MAX_HEAD_BYTES = 1 << 24
MAX_FILES = 200  # in a message; the kernel carries at most 253
FLOAT32 = "<f4"
TYPES = ImportedTypes()
JSON = json.JSONEncoder(separators=(",", ":"))  # made once, since a message takes microseconds

PLAIN_TYPE = re.compile(r"[<>|][biufcmMSUV][1-9]\d{0,4}(\[\d{0,4}[a-zA-Z]+\])?")
"""Types of elements as numpy writes them: byte order, kind, bytes, and the unit of times."""

Reading = Generator[memoryview, Sequence[int], object]


class ProtocolError(ConnectionError):
    """The peer has sent bytes that are not a message, or cannot prove who it is."""


class InlineArray(NamedTuple):
    """An array whose bytes follow the head."""

    dtype: str
    shape: Sequence[int]
    writeable: bool


class SharedArray(NamedTuple):
    """An array that lies in a segment of the sender's memory."""

    dtype: str
    shape: Sequence[int]
    segment: int  # number
    segment_bytes: (
        int  # 0: the receiver has mapped the segment already; else its file travels along
    )
    offset: int  # bytes from the start of the segment
    lease: int


Place = InlineArray | SharedArray


class Head(NamedTuple):
    """The part of a message that is JSON."""

    message: object
    places: Sequence[Place]
    ended_leases: Sequence[int]  # of arrays that the receiver has lent
    gone_segments: Sequence[int]  # of the sender, which the receiver may unmap


class Outgoing(NamedTuple):
    """A message to be sent."""

    head: bytes  # header and head
    files: list[int]  # descriptors that travel with the first byte
    arrays: list[np.ndarray]  # contiguous; their bytes follow the head


class Session:
    """One end of a connection, which turns messages into bytes and back.

    It keeps the arrays that the peer still sees.
    """

    def __init__(self, shares_memory: bool):
        self.shares_memory = shares_memory
        self.lent: dict[int, np.ndarray] = {}  # arrays that the peer sees, by lease
        self.mapped: dict[int, MappedSegment] = {}  # segments of the peer, by number
        self._leases = itertools.count()
        self._ended_leases: deque[int] = (
            deque()
        )  # of the peer; nothing here refers to them any more
        self._shown: set[int] = set()  # numbers of our segments that the peer has got
        self._gone_segments: deque[int] = deque()  # those of them that exist no more

    def encode(self, message: object) -> Outgoing:
        """Return ``message`` as bytes; TypeError if it cannot travel."""
        body, arrays = encode(message, TYPES)
        if any(array.dtype.hasobject for array in arrays):
            raise TypeError("arrays of objects cannot be sent to another process")

        files: list[int] = []
        places = [self._place(array, files) for array in arrays]
        head = Head(body, places, _drain(self._ended_leases), _drain(self._gone_segments))
        text = JSON.encode(head).encode()
        if len(text) > MAX_HEAD_BYTES or len(files) > MAX_FILES:
            raise TypeError(
                f"a message of {len(text)} bytes and {len(files)} segments, besides its arrays, "
                "is too long"
            )

        inline = [
            np.ascontiguousarray(array)
            for array, place in zip(arrays, places, strict=True)
            if isinstance(place, InlineArray)
        ]
        return Outgoing(HEADER.pack(len(text), len(files)) + text, files, inline)

    def _place(self, array: np.ndarray, files: list[int]) -> Place:
        """Return where the receiver finds ``array``.

        The file of a segment that is new to it is added to ``files``.
        """
        loan = memory.loan_of(array) if self.shares_memory and array.flags.c_contiguous else None
        if loan is None or not isinstance(loan.block, Segment):
            return InlineArray(array.dtype.str, array.shape, array.flags.writeable)

        segment = loan.block
        new = segment.number not in self._shown
        if new:
            files.append(segment.file)
            self._shown.add(segment.number)
            forget = weakref.finalize(segment, self._gone_segments.append, segment.number)
            forget.atexit = False
        lease = next(self._leases)
        self.lent[lease] = array
        offset = array.ctypes.data - segment.address
        size = segment.size if new else 0
        return SharedArray(array.dtype.str, array.shape, segment.number, size, offset, lease)

    def decode(self) -> Reading:
        """Read one message: yield the memory for the next bytes, and return the message.

        After the first yield, which is for the header, it is sent the descriptors of the files that
        came with it. Raises ProtocolError if the bytes are no message, TypeError if the message has
        a type that is not known here.
        """
        header = bytearray(HEADER.size)
        received = yield memoryview(header)
        files = deque(received)
        try:
            size, file_count = HEADER.unpack(header)
            if size > MAX_HEAD_BYTES or file_count != len(files):
                raise ProtocolError("malformed header from the peer")
            text = bytearray(size)
            yield memoryview(text)
            head = _parse_head(bytes(text))
            self._release(head)

            arrays = []
            for place in head.places:
                if isinstance(place, SharedArray):
                    arrays.append(self._view(place, files))
                else:
                    arrays.append((yield from _receive_array(place)))
        finally:
            for file in files:  # none is left unless the message is malformed
                os.close(file)
        try:
            return decode(head.message, arrays, TYPES)
        except RecursionError as error:
            raise ProtocolError(f"malformed head from the peer: {error}") from None

    def _release(self, head: Head) -> None:
        """Give up what the peer does not see, or does not have, any more."""
        for lease in head.ended_leases:
            self.lent.pop(lease, None)
        for number in head.gone_segments:
            self.mapped.pop(number, None)

    def _view(self, place: SharedArray, files: deque[int]) -> np.ndarray:
        """Return a read-only array in the peer's memory.

        The peer learns when nothing refers to it any more.
        """
        if place.segment_bytes:
            if not files:
                raise ProtocolError("malformed head from the peer: a segment without its file")
            self.mapped[place.segment] = MappedSegment(files.popleft(), place.segment_bytes)
        segment = self.mapped.get(place.segment)
        end = place.offset + _count(place) * np.dtype(place.dtype).itemsize
        if segment is None or not 0 <= place.offset <= end <= segment.size:
            raise ProtocolError("malformed head from the peer: an array outside its segment")
        # The loan keeps the session, so that the connection stays open for as long as the array is
        # used.
        loan = memory.Loan(
            segment, place.offset, tuple(place.shape), place.dtype, readonly=True, keeps=self
        )
        return loan.array(self._ended_leases.append, place.lease)


def _parse_head(text: bytes) -> Head:
    try:
        message, places, ended_leases, gone_segments = json.loads(text)
        return Head(message, [_parse_place(place) for place in places], ended_leases, gone_segments)
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"malformed head from the peer: {error}") from None


def _parse_place(values: list[Any]) -> Place:
    place: Place = (
        InlineArray(*values) if len(values) == len(InlineArray._fields) else SharedArray(*values)
    )
    if not _is_plain(place.dtype) or not all(_is_size(n) for n in place.shape):
        raise ValueError(f"an array of {place.dtype} {place.shape}")
    return place


def _is_plain(dtype: object) -> bool:
    """Whether a value that JSON gave names elements of their own bytes: no objects, not empty.

    numpy reads far more than this as a type, such as lists of fields and arrays of arrays.
    """
    return isinstance(dtype, str) and bool(PLAIN_TYPE.fullmatch(dtype))


def _is_size(value: object) -> bool:
    """Whether a value that JSON gave can be an extent of an array; True is none."""
    return type(value) is int and value >= 0


def _receive_array(place: InlineArray) -> Generator[memoryview, Sequence[int], np.ndarray]:
    """Yield the memory of a new array, and return the array."""
    count = _count(place)
    array = memory.floats(count) if place.dtype == FLOAT32 else np.empty(count, place.dtype)
    yield array.view(np.uint8).data
    if not place.writeable:
        array.flags.writeable = False
    return array.reshape(place.shape)


def _count(place: Place) -> int:
    return math.prod(place.shape)


def _drain(numbers: deque[int]) -> list[int]:
    """Empty the queue, to which finalizers may add meanwhile."""
    drained = []
    while numbers:
        drained.append(numbers.popleft())
    return drained
