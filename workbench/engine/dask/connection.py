"""A socket that carries messages with arrays.

Those in shared memory are handed over without being copied.

A connection belongs to one thread at each end. They take turns: request, reply.
"""

import socket
import weakref
from collections.abc import Sequence

import numpy as np

from workbench.engine.dask.protocol import MAX_FILES, Session

COPIED_BYTES = 1 << 16  # up to this size, arrays are copied behind the head and sent with one call


class Connection:
    """One end of a connected socket; a Unix socket if it ``shares_memory`` with the other end."""

    def __init__(self, sock: socket.socket, shares_memory: bool):
        self.socket = sock
        self.session = Session(shares_memory)
        # Arrays of the peer that are still used here keep the session, so the socket stays open for
        # them.
        weakref.finalize(self.session, sock.close).atexit = False

    @property
    def lends(self) -> bool:
        """Whether the peer still sees arrays of this process."""
        return bool(self.session.lent)

    def send(self, message: object) -> None:
        """Send ``message``; TypeError if it cannot travel, OSError if the connection is broken."""
        first, files, arrays = self.session.encode(message)
        if sum(array.nbytes for array in arrays) <= COPIED_BYTES:
            first = b"".join([first, *(array.tobytes() for array in arrays)])
            arrays = []

        sent = socket.send_fds(self.socket, [first], files) if files else 0
        self.socket.sendall(memoryview(first)[sent:])
        for array in arrays:
            self.socket.sendall(array.reshape(-1).view(np.uint8).data)

    def receive(self) -> object:
        """Return the next message.

        EOFError if the peer has closed the connection, OSError if it is broken.
        """
        reading = self.session.decode()
        files = self._fill_with_files(next(reading))
        try:
            part = reading.send(files)
            while True:
                self._fill(part)
                part = reading.send(())
        except StopIteration as end:
            return end.value

    def _fill_with_files(self, part: memoryview) -> Sequence[int]:
        """Receive as many bytes as fit into ``part``, and the files that come with them."""
        if not self.session.shares_memory:
            self._fill(part)
            return ()

        files: list[int] = []
        while part:
            data, more_files, _, _ = socket.recv_fds(self.socket, len(part), MAX_FILES)
            if not data:
                raise EOFError("the peer has closed the connection")
            files += more_files
            part[: len(data)] = data
            part = part[len(data) :]

        return files

    def _fill(self, part: memoryview) -> None:
        while part:
            count = self.socket.recv_into(part)
            if not count:
                raise EOFError("the peer has closed the connection")
            part = part[count:]
