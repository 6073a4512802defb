"""A line between two processes: messages with arrays, which on one machine are handed over without being copied.

A message is a head (JSON) and the arrays that lie in it. On a Unix socket an array that lies in shared memory is not
sent: the head says where it lies, and the memory's file travels along the first time. The sender keeps the array until
the other side says, in the head of a later message, that nobody there sees it any more, or until the line ends, also
because the other process was killed. Everything else goes as raw bytes straight from where it lies to where it will
lie.

A line belongs to one thread at each end, which take turns: question, answer.
"""

import itertools
import json
import socket
import struct
import weakref
from collections import deque
from typing import Any

import numpy as np

from workbench import memory
from workbench.engine.dask.codec import read, written
from workbench.engine.dask.shared_memory import Mapped, Segment

HEAD = struct.Struct("<IH")  # bytes of the head, files that come with it
LONGEST_HEAD = 1 << 24
MOST_FILES = 200  # in a message; the kernel carries 253
SMALL = 1 << 16  # bytes up to which what is sent is put together first


class Line:
    """One end; ``shares``: the other one is on this machine, and the socket is a Unix socket."""

    def __init__(self, link: socket.socket, shares: bool):
        self.link, self.shares = link, shares
        weakref.finalize(
            self, link.close
        ).atexit = False  # not before the last array that lies over there is gone
        self.leases = itertools.count()
        self.lent: dict[int, np.ndarray] = {}  # what the other side sees, by lease
        self.ended: deque[int] = deque()  # leases of the other side that nobody here needs any more
        self.shown: set[int] = set()  # numbers of our segments that it has mapped
        self.gone: deque[int] = deque()  # of which these are no more
        self.mapped: dict[int, Mapped] = {}  # its segments, by number

    def send(self, message: Any) -> None:
        """OSError if the line is broken; TypeError if the message cannot travel."""
        arrays: dict[int, np.ndarray] = {}
        files: list[int] = []
        body = written(message, arrays)
        places = [self._shared(x, files) or self._inline(x) for x in arrays.values()]
        news = [_drained(self.ended), _drained(self.gone)]
        head = json.dumps([body, places, *news], separators=(",", ":")).encode()
        if len(head) > LONGEST_HEAD or len(files) > MOST_FILES:
            raise TypeError(
                f"a message of {len(head)} bytes and {len(files)} segments, besides its arrays, is too long"
            )
        inline = [
            np.ascontiguousarray(x)
            for x, place in zip(arrays.values(), places, strict=True)
            if len(place) == 3
        ]
        self._write(HEAD.pack(len(head), len(files)) + head, inline, files)

    def _inline(self, x: np.ndarray) -> list:
        if x.dtype.hasobject:
            raise TypeError("arrays of objects cannot be sent to another process")
        return [x.dtype.str, x.shape, x.flags.writeable]

    def _shared(self, x: np.ndarray, files: list[int]) -> list | None:
        """Where ``x`` lies in one of our segments, under a new lease; None if it does not."""
        loan = memory.loan_of(x) if self.shares and x.flags.c_contiguous else None
        if loan is None or not isinstance(loan.block, Segment):
            return None
        segment, lease = loan.block, next(self.leases)
        file = segment.number not in self.shown
        if file:
            files.append(segment.file)
            self.shown.add(segment.number)
            weakref.finalize(segment, self.gone.append, segment.number).atexit = False
        self.lent[lease] = x
        return [
            x.dtype.str,
            x.shape,
            segment.number,
            segment.size if file else 0,
            x.ctypes.data - segment.address,
            lease,
        ]

    def _write(self, head: bytes, arrays: list[np.ndarray], files: list[int]) -> None:
        small = sum(x.nbytes for x in arrays) <= SMALL
        if small:
            head = b"".join([head, *(x.tobytes() for x in arrays)])
        sent = socket.send_fds(self.link, [head], files) if files else 0
        self.link.sendall(memoryview(head)[sent:])
        for x in arrays if not small else ():
            self.link.sendall(x.reshape(-1).view(np.uint8).data)

    def receive(self) -> Any:
        """The next message; EOFError if the other side has ended, OSError if the line is broken."""
        head, files = self._head()
        body, places, ended, gone = json.loads(head)
        for lease in ended:
            self.lent.pop(lease, None)
        for number in gone:
            self.mapped.pop(number, None)
        coming = iter(files)
        return read(
            body, [self._lying(p, coming) if len(p) > 3 else self._arriving(*p) for p in places]
        )

    def _head(self) -> tuple[bytes, list[int]]:
        start, files = bytearray(), []
        while len(start) < HEAD.size:
            if self.shares:
                part, more, _, _ = socket.recv_fds(self.link, HEAD.size - len(start), MOST_FILES)
                files += more
            else:
                part = self.link.recv(HEAD.size - len(start))
            if not part:
                raise EOFError("the other side has ended")
            start += part
        size, count = HEAD.unpack(start)
        if size > LONGEST_HEAD or count != len(files):
            raise EOFError("the other side says what is no message")
        head = bytearray(size)
        self._fill(memoryview(head))
        return bytes(head), files

    def _fill(self, into: memoryview) -> None:
        while len(into):
            count = self.link.recv_into(into)
            if not count:
                raise EOFError("the other side has ended")
            into = into[count:]

    def _lying(self, place: list, files: Any) -> np.ndarray:
        """An array in the other side's memory; when nobody sees it any more, the other side will be told."""
        dtype, shape, number, size, offset, lease = place
        if size:
            self.mapped[number] = Mapped(next(files), size)
        loan = memory.Loan(self.mapped[number], offset, tuple(shape), dtype, True, self)
        return loan.until(self.ended.append, lease)

    def _arriving(self, dtype: str, shape: list[int], writeable: bool) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        x = memory.floats(count) if dtype == "<f4" else np.empty(count, dtype)
        self._fill(x.view(np.uint8).data)
        if not writeable:
            x.flags.writeable = False
        return x.reshape(shape)


def _drained(numbers: deque[int]) -> list[int]:
    found = []
    while numbers:
        found.append(numbers.popleft())
    return found
