"""Where the processes of a run call a host: by a Unix socket on its machine, by TCP (by TLS, if Dask does) from others.

The Unix socket has no name in a folder, so none is left behind. TCP is opened only if a worker of the run is on
another machine, and only at the address at which Dask's worker listens. Both sides prove that they know the run's
token before either reads a message (HMAC-SHA256 over the numbers that both have drawn).
"""

import hashlib
import hmac
import secrets
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import get_worker
from distributed.comm.addressing import get_address_host

from workbench.engine.dask.connection import Line
from workbench.engine.dask.shared_memory import machine
from workbench.engine.effects import Lost

NONCE, PROOF = 32, 32  # bytes
GREETING = 10.0  # seconds in which the other side must prove that it knows the token


@dataclass(frozen=True)
class Address:
    """Where a host is called; ``unix`` is empty if nobody may share memory with it, ``port`` is 0 without TCP."""

    number: int  # of the host
    machine: str
    unix: str
    tcp: str
    port: int
    tls: bool
    token: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Failed:
    """The answer to a question that raised."""

    problem: Exception


class Carried:
    """What a ``with`` comes to; an error, unless it is one of ``others``, is for who asked and not for this thread."""

    value: Any = None

    def __init__(self, *others: type[Exception]):
        self.others = others

    def __enter__(self) -> "Carried":
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: Any) -> bool:
        carried = isinstance(problem, Exception) and not isinstance(problem, self.others)
        if isinstance(problem, Exception) and carried:
            self.value = Failed(problem.with_traceback(None))
        return carried


class Door:
    """Listens, and answers every caller in a thread of its own with ``answer(question)`` until it is closed.

    ``tcp``: Dask's address of this worker if it is to be called by TCP or TLS too.
    """

    def __init__(
        self, number: int, token: bytes, answer: Callable[[Any], Any], shares: bool, tcp: str = ""
    ):
        self.answer, self.token = answer, token
        self.open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.tls = _tls(listens=True) if tcp.startswith("tls://") else None
        unix, host, port = f"workbench-{secrets.token_hex(16)}" if shares else "", "", 0
        if shares:
            self._listen(socket.socket(socket.AF_UNIX), f"\0{unix}", True)
        if tcp:
            host = get_address_host(tcp)
            family = socket.getaddrinfo(host, None)[0][0]
            port = self._listen(socket.socket(family), (host, 0), False)[1]
        self.address = Address(number, machine(), unix, host, port, self.tls is not None, token)

    def _listen(self, listening: socket.socket, where: Any, shares: bool) -> Any:
        listening.bind(where)
        listening.listen(128)
        self.open.add(listening)
        self._thread(self._accept, listening, shares)
        return listening.getsockname()

    def _thread(self, target: Callable, *args: Any) -> None:
        threading.Thread(target=target, args=args, daemon=True, name="workbench door").start()

    def _accept(self, listening: socket.socket, shares: bool) -> None:
        with listening, suppress(OSError):  # it was closed
            while True:
                link, _ = listening.accept()
                self.open.add(link)
                self._thread(self._serve, link, shares)

    def _serve(self, link: socket.socket, shares: bool) -> None:
        """Until the caller has gone; whoever does not know the token is not answered."""
        with closing(link), suppress(OSError, EOFError):
            link.settimeout(GREETING)
            if self.tls is not None and not shares:
                self.open.add(link := self.tls.wrap_socket(link, server_side=True))
            nonce = secrets.token_bytes(NONCE)
            link.sendall(nonce)
            theirs = _exactly(link, NONCE + PROOF)
            both = nonce + theirs[:NONCE]
            if not hmac.compare_digest(theirs[NONCE:], proof(self.token, b"caller", both)):
                raise EOFError
            link.sendall(proof(self.token, b"host", both))
            _ready(link, None, shares)
            line = Line(link, shares)
            while True:
                with Carried(OSError, EOFError) as sent:
                    line.send(self._reply(line))
                if isinstance(sent.value, Failed):  # the reply was one that cannot travel
                    line.send(sent.value)

    def _reply(self, line: Line) -> Any:
        """What the next question comes to; its arguments are forgotten before the answer is sent."""
        with Carried(OSError, EOFError) as asked:
            asked.value = line.receive()
        if isinstance(asked.value, Failed):
            return asked.value
        with Carried() as told:
            told.value = self.answer(asked.value)
        return told.value

    def close(self) -> None:
        """Nobody is answered any more."""
        for link in list(self.open):
            with suppress(OSError):  # it has ended already
                link.shutdown(socket.SHUT_RDWR)
            link.close()


def called(address: Address, patience: float) -> Line:
    """A line to the host at ``address``, for one thread; Lost if nobody answers who knows the token.

    An answer that takes longer than ``patience`` seconds is an OSError.
    """
    shares = bool(address.unix) and address.machine == machine()
    try:
        link = _called(address, shares)
    except (OSError, EOFError) as problem:
        raise Lost(f"host {address.number} cannot be reached: {problem}") from problem
    _ready(link, patience, shares)
    return Line(link, shares)


def _called(address: Address, shares: bool) -> socket.socket:
    link = (
        socket.socket(socket.AF_UNIX)
        if shares
        else socket.create_connection((address.tcp, address.port), GREETING)
    )
    try:
        if shares:
            link.settimeout(GREETING)
            link.connect(f"\0{address.unix}")
        elif address.tls:
            link = _tls(listens=False).wrap_socket(link)
        nonce, mine = _exactly(link, NONCE), secrets.token_bytes(NONCE)
        link.sendall(mine + proof(address.token, b"caller", nonce + mine))
        if not hmac.compare_digest(
            _exactly(link, PROOF), proof(address.token, b"host", nonce + mine)
        ):
            raise EOFError("who listens there does not know the run's token")
        return link
    except (OSError, EOFError):
        link.close()
        raise


def proof(token: bytes, who: bytes, nonces: bytes) -> bytes:
    """That the sender knows ``token``; caller and host give different ones, so neither can repeat the other's."""
    return hmac.digest(token, who + nonces, hashlib.sha256)


def _ready(link: socket.socket, patience: float | None, shares: bool) -> None:
    link.settimeout(patience)
    if not shares:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _exactly(link: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = link.recv(size - len(found))
        if not part:
            raise EOFError("the line was closed")
        found += part
    return found


def _tls(listens: bool) -> Any:
    """Dask's own TLS of this worker."""
    security = get_worker().security
    options = (
        security.get_listen_args("worker") if listens else security.get_connection_args("worker")
    )
    return options["ssl_context"]
