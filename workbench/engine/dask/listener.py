"""Where the processes of a run reach a host.

On its machine they use a Unix socket, on others TCP or TLS.

The Unix socket is in the abstract namespace, so it leaves no file behind. TCP is opened only if a
worker of the run is on another machine, and only at the address at which Dask's worker listens; it
is TLS if Dask uses TLS. Caller and host prove that they know the run's token (`handshake`) before
either reads a message.
"""

import secrets
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

from distributed import get_worker
from distributed.comm.addressing import get_address_host

from workbench.engine.dask.connection import Connection
from workbench.engine.dask.handshake import (
    NONCE_BYTES,
    PROOF_BYTES,
    RESPONSE_BYTES,
    CallerHandshake,
    HostHandshake,
)
from workbench.engine.dask.shared_memory import machine_id
from workbench.engine.effects import Lost

HANDSHAKE_SECONDS = 10.0  # within which the other side must prove that it knows the token
CONNECTION_ERRORS = (OSError, EOFError)  # broken, or closed by the peer
BACKLOG = 128  # connections that wait to be accepted


@dataclass(frozen=True)
class Address:
    """Where a host is reached."""

    number: int  # of the host
    machine: str
    unix: str  # name of the Unix socket; empty: no process may share memory with the host
    tcp: str
    port: int  # 0: no TCP
    tls: bool
    token: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Failed:
    """The reply to a request that raised."""

    problem: Exception


class Listener:
    """Accepts connections until it is closed, and serves each in a thread.

    The reply to a request is ``answer(request)``.

    ``worker_address``: Dask's address of this worker if other machines are to reach it too; with
    ``tls://`` by TLS.
    """

    def __init__(
        self,
        number: int,
        token: bytes,
        answer: Callable[[object], object],
        shares_memory: bool,
        worker_address: str = "",
    ):
        self.token = token
        self.answer = answer
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.tls = _tls_context("listen") if worker_address.startswith("tls://") else None

        unix = ""
        if shares_memory:
            unix = f"workbench-{secrets.token_hex(16)}"
            self._listen(socket.socket(socket.AF_UNIX), f"\0{unix}", shares_memory=True)

        host = ""
        port = 0
        if worker_address:
            host = get_address_host(worker_address)
            family = socket.getaddrinfo(host, None)[0][0]
            listening = socket.socket(family)
            self._listen(listening, (host, 0), shares_memory=False)
            port = listening.getsockname()[1]

        self.address = Address(
            number, machine_id(), unix, host, port, self.tls is not None, self.token
        )

    def _listen(
        self, listening: socket.socket, address: str | tuple[str, int], shares_memory: bool
    ) -> None:
        """Accept connections at ``address``."""
        listening.bind(address)
        listening.listen(BACKLOG)
        self.sockets.add(listening)
        _start_thread(self._accept, listening, shares_memory)

    def _accept(self, listening: socket.socket, shares_memory: bool) -> None:
        with listening, suppress(OSError):  # raised once the socket is closed
            while True:
                sock, _ = listening.accept()
                self.sockets.add(sock)
                _start_thread(self._serve, sock, shares_memory)

    def _serve(self, sock: socket.socket, shares_memory: bool) -> None:
        """Serve one connection until the caller closes it.

        A caller that does not know the token gets no reply.
        """
        with suppress(*CONNECTION_ERRORS):
            sock.settimeout(HANDSHAKE_SECONDS)
            if self.tls is not None and not shares_memory:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.sockets.add(sock)
            with closing(sock):
                self._prove(sock)
                _set_options(sock, None, shares_memory)
                connection = Connection(sock, shares_memory)
                while True:
                    _send_reply(connection, self._reply(connection))

    def _prove(self, sock: socket.socket) -> None:
        handshake = HostHandshake(self.token)
        sock.sendall(handshake.nonce)
        sock.sendall(handshake.proof_for(_receive_exactly(sock, RESPONSE_BYTES)))

    def _reply(self, connection: Connection) -> object:
        """Receive a request and return the reply.

        On returning, nothing here refers to the request's arrays.
        """
        try:
            request = connection.receive()
        except Exception as error:
            if isinstance(error, CONNECTION_ERRORS):
                raise
            return Failed(error.with_traceback(None))  # for example a type that is not known here

        return _outcome(self.answer, request)

    def close(self) -> None:
        """End all connections and accept no more."""
        for sock in list(self.sockets):
            with suppress(OSError):  # the peer has closed it already
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def connect(address: Address, timeout: float) -> Connection:
    """Return a connection, for one thread, to the host at ``address``.

    Raises Lost if no host that knows the token answers there. A reply that takes longer than
    ``timeout`` seconds is an OSError.
    """
    shares_memory = bool(address.unix) and address.machine == machine_id()
    try:
        sock = _connect_unix(address) if shares_memory else _connect_tcp(address)
    except CONNECTION_ERRORS as error:
        raise Lost(f"host {address.number} cannot be reached: {error}") from error

    _set_options(sock, timeout, shares_memory)
    return Connection(sock, shares_memory)


def _connect_unix(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(HANDSHAKE_SECONDS)
        sock.connect(f"\0{address.unix}")
        _prove_as_caller(sock, address.token)
    except CONNECTION_ERRORS:
        sock.close()
        raise
    return sock


def _connect_tcp(address: Address) -> socket.socket:
    sock = socket.create_connection((address.tcp, address.port), HANDSHAKE_SECONDS)
    try:
        if address.tls:
            sock = _tls_context("connect").wrap_socket(sock)
        _prove_as_caller(sock, address.token)
    except CONNECTION_ERRORS:
        sock.close()
        raise
    return sock


def _prove_as_caller(sock: socket.socket, token: bytes) -> None:
    handshake = CallerHandshake(token, _receive_exactly(sock, NONCE_BYTES))
    sock.sendall(handshake.response)
    handshake.check(_receive_exactly(sock, PROOF_BYTES))


def _outcome(function: Callable[[object], object], argument: object) -> object:
    """Return what the call returns, or Failed with the error that it raised."""
    try:
        return function(argument)
    except BaseException as error:
        if not isinstance(error, Exception):
            raise
        return Failed(error.with_traceback(None))


def _send_reply(connection: Connection, reply: object) -> None:
    """Send ``reply``, or why it cannot travel."""
    try:
        connection.send(reply)
    except Exception as error:
        if isinstance(error, CONNECTION_ERRORS):
            raise
        connection.send(Failed(error.with_traceback(None)))


def _set_options(sock: socket.socket, timeout: float | None, shares_memory: bool) -> None:
    sock.settimeout(timeout)
    if not shares_memory:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = sock.recv(size - len(received))
        if not part:
            raise EOFError("the peer has closed the connection")
        received += part
    return received


def _start_thread(target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, daemon=True, name="workbench host").start()


def _tls_context(role: str) -> ssl.SSLContext:
    """Return Dask's TLS settings of this worker, for ``role`` listen or connect."""
    security = get_worker().security
    options = (
        security.get_listen_args("worker")
        if role == "listen"
        else security.get_connection_args("worker")
    )
    return options["ssl_context"]
