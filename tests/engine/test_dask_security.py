"""Nobody but its owner can use a cluster on this machine: no plain TCP, no other certificate, no
other user.
"""

import asyncio
import importlib
import os
import re
import shutil
import socket

import pytest

from workbench.settings import UserError

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.dask,
    pytest.mark.filterwarnings("default"),  # Dask's own warnings are not this project's to mend
]

NOBODY = 65534  # the user id of nobody


@pytest.fixture(scope="module")
def client():
    from workbench.engine.dask import local_cluster

    with local_cluster(1, 1) as cluster, distributed.Client(cluster) as client:
        yield client


def addresses(client) -> list[str]:
    """The scheduler, the worker and its nanny."""
    info = client.scheduler_info()
    found = [info["address"]]
    for address, worker in info["workers"].items():
        found += [address, worker["nanny"]]
    return found


async def refused_to(address: str, security) -> str:
    """What a client with these settings gets instead of an answer."""
    from distributed.core import connect

    arguments = security.get_connection_args("client") if security else {}
    try:
        comm = await connect(address, timeout=3, **arguments)
        await comm.write({"op": "identity", "reply": True})
        answer = await comm.read()
    except Exception as error:
        return type(error).__name__
    raise AssertionError(f"{address} answered {answer}")


def test_everything_uses_tls(client):
    """Scheduler, workers and nannies are reached by TLS on loopback."""
    assert len(addresses(client)) == 3
    assert all(re.fullmatch(r"tls://127\.0\.0\.1:\d+", address) for address in addresses(client))


@pytest.mark.parametrize("number", range(3))
def test_a_client_without_the_certificate_is_refused(client, number):
    """Neither plain TCP nor another certificate is answered."""
    from workbench.engine.dask.certificate import new_security

    address = addresses(client)[number]
    plain = address.replace("tls://", "tcp://")
    assert asyncio.run(refused_to(plain, None))
    assert asyncio.run(refused_to(address, new_security()))
    assert client.submit(sum, [1, 2]).result() == 3  # and the cluster has not noticed
    with pytest.raises(AssertionError, match="answered"):  # with the right one it would be
        asyncio.run(refused_to(address, client.security))


@pytest.mark.parametrize("number", range(3))
def test_bytes_of_a_stranger_are_not_answered(client, number):
    """What is not TLS gets no byte that tells anything of Dask."""
    host, port = addresses(client)[number].removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n" + bytes(4096))
        answer = read_some(sock)
    assert b"distributed" not in answer
    assert b"dask" not in answer


def as_nobody(act) -> str:
    """What ``act()`` returns in a child that has become another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, act().encode())
        finally:
            os._exit(0)

    os.close(writing)
    with open(reading, "rb") as out:
        said = out.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_is_refused(client):
    """Another user can connect, as to every port, but gets no answer, and reads no memory."""
    pids = {os.getpid(), *client.run(os.getpid).values()}

    def attack() -> str:
        assert os.getuid() == NOBODY
        for address in addresses_known:
            host, port = address.removeprefix("tls://").split(":")
            with socket.create_connection((host, int(port)), timeout=2) as sock:
                if b"compression" in read_some(sock):
                    return f"{address} answered"
        readable = [pid for pid in pids if os.access(f"/proc/{pid}/environ", os.R_OK)]
        return f"readable: {readable}" if readable else "refused everywhere"

    addresses_known = addresses(client)
    assert as_nobody(attack) == "refused everywhere"


def read_some(sock: socket.socket) -> bytes:
    """What the other side sends before it is silent or closes."""
    try:
        return sock.recv(65536)
    except OSError:
        return b""


def test_the_attack_would_be_answered_without_tls():
    """A cluster without certificates greets whoever connects, which the test above would see."""
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        socket.create_connection(
            ("127.0.0.1", int(cluster.scheduler_address.rsplit(":", 1)[1])), timeout=5
        ) as sock,
    ):
        assert b"compression" in read_some(sock)


def test_the_key_is_on_no_command_line_and_in_no_file(client):
    """The key of the cluster is in memory only; no process shows it."""
    security = client.security
    secret = "".join(security.tls_client_key.splitlines()[1:2])
    assert len(secret) > 20
    for pid in {os.getpid(), *client.run(os.getpid).values()}:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as shown:
                assert secret.encode() not in shown.read()
    assert secret not in repr(security)


def test_two_clusters_have_different_certificates():
    """A certificate is made for each cluster."""
    from workbench.engine.dask.certificate import new_security

    first = new_security()
    second = new_security()
    assert first.tls_ca_file != second.tls_ca_file
    assert first.require_encryption


def test_without_openssl_nothing_starts(monkeypatch):
    """A machine without OpenSSL gets a message, never a cluster without certificates."""
    from workbench.engine.dask.certificate import new_security

    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="apt install openssl"):
        new_security()
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    with pytest.raises(UserError, match="made no certificate"):
        new_security()


def enter(address):
    """Connect to a cluster and leave it."""
    from workbench.engine.dask import connected

    with connected(address, 1, 1):
        pass


@pytest.mark.parametrize("address", ["tcp://192.0.2.7:8786", "tcp://[2001:db8::1]:8786"])
def test_plain_tcp_to_another_machine_is_refused(address, monkeypatch):
    """The message says why and what to do; who owns the network may say so."""

    def no_client(address, timeout):
        raise TimeoutError

    module = importlib.import_module("workbench.engine.dask.local_cluster")
    monkeypatch.setattr(module, "Client", no_client)
    monkeypatch.delenv("WORKBENCH_PLAIN_TCP", raising=False)
    with pytest.raises(UserError, match=r"without TLS.*tls://.*WORKBENCH_PLAIN_TCP=1"):
        enter(address)

    monkeypatch.setenv("WORKBENCH_PLAIN_TCP", "1")
    with pytest.raises(UserError, match="no scheduler answers"):
        enter(address)
    monkeypatch.delenv("WORKBENCH_PLAIN_TCP")
    for allowed in (address.replace("tcp", "tls"), "tcp://127.0.0.1:1", "tcp://localhost:1"):
        with pytest.raises(UserError, match="no scheduler answers"):
            enter(allowed)
