"""Hosts that are network namespaces of this machine, each with a link of a stated bandwidth.

The links meet at a bridge in the namespace of the tests, so a client there reaches all hosts. Only
root can make them, where the kernel has namespaces, pairs of virtual interfaces and token buckets.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask_commands import start_dask, tls_configuration

from workbench.system.processes import child_environment

if TYPE_CHECKING:
    from distributed import Client

TESTS = Path(__file__).parent
PROGRAMS = ("ip", "tc")
DASK_OPTIONS = ("--protocol", "tls", "--no-dashboard")
BURST = "16kb"  # that may pass at once: short against every message of the tests
QUEUE = "400ms"  # in which packets wait for their turn before they are dropped


def command(*words: str) -> None:
    """Run a command; raises CalledProcessError with what it said."""
    subprocess.run(words, check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Host:
    """A namespace."""

    name: str
    address: str
    link: str  # the bridge's end of its link

    @property
    def within(self) -> tuple[str, ...]:
        """The words before a command that is to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Take its link down."""
        command("ip", "link", "set", self.link, "down")

    def join(self) -> None:
        """Bring its link up again."""
        command("ip", "link", "set", self.link, "up")

    def limit(self, megabits: float) -> None:
        """Let its link carry so many Mbit/s, in and out."""
        rate = ("root", "tbf", "rate", f"{megabits}mbit", "burst", BURST, "latency", QUEUE)
        command("tc", "qdisc", "replace", "dev", self.link, *rate)
        command(*self.within, "tc", "qdisc", "replace", "dev", "eth0", *rate)


@contextmanager
def hosts(count: int, megabits: float) -> Iterator[list[Host]]:
    """So many hosts whose links carry so many Mbit/s in and out."""
    pid = os.getpid()
    mark = f"wb{pid}"
    bridge = f"{mark}b"
    network = f"10.{200 + pid // 256 % 50}.{pid % 256}"  # of tests beside these: another
    with ExitStack() as stack:
        command("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(command, "ip", "link", "del", bridge)
        command("ip", "addr", "add", f"{network}.1/24", "dev", bridge)
        command("ip", "link", "set", bridge, "up")

        made = []
        for i in range(count):
            host = Host(f"{mark}-{i}", f"{network}.{i + 2}", f"{mark}v{i}")
            command("ip", "netns", "add", host.name)
            stack.callback(command, "ip", "netns", "del", host.name)
            attach(host, bridge)
            host.limit(megabits)
            made.append(host)
        yield made


def attach(host: Host, bridge: str) -> None:
    """Give a host a loopback and its link to the bridge."""
    inner = f"{host.link}i"
    command("ip", "link", "add", host.link, "type", "veth", "peer", "name", inner)
    command("ip", "link", "set", inner, "netns", host.name)
    command("ip", "link", "set", host.link, "master", bridge)
    host.join()
    for words in (
        ("ip", "link", "set", inner, "name", "eth0"),
        ("ip", "addr", "add", f"{host.address}/24", "dev", "eth0"),
        ("ip", "link", "set", "lo", "up"),
        ("ip", "link", "set", "eth0", "up"),
    ):
        command(*host.within, *words)


def why_none() -> str:
    """Return why hosts cannot be made here; empty if they can."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"no network namespaces: there is no {' and no '.join(missing)}"
    try:
        with hosts(1, 100.0):
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespaces: {' '.join(error.cmd)}: {error.stderr.strip()}"


@dataclass(frozen=True, eq=False)
class HostCluster:
    """A cluster on hosts, with a client here, and the hosts of its workers."""

    client: "Client"
    workers: list[Host]


@contextmanager
def cluster_of_hosts(
    folder: Path, workers: int, threads: int, megabits: float
) -> Iterator[HostCluster]:
    """A scheduler on a host of its own and workers on others, with TLS.

    ``folder`` is for the certificate.
    """
    from dask.config import refresh

    from workbench.engine.dask import connected

    variables = tls_configuration(folder)
    environment = child_environment(**variables)
    environment["PYTHONPATH"] += f"{os.pathsep}{TESTS}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        refresh()
        with ExitStack() as stack:
            first, *others = stack.enter_context(hosts(workers + 1, megabits))
            address = start_scheduler(stack, environment, first)
            for number, host in enumerate(others):
                words = ["worker", address, "--host", host.address, "--name", str(number)]
                words += ["--nthreads", str(threads), "--no-nanny", *DASK_OPTIONS]
                start_dask(stack, environment, *words, within=host.within)

            client = stack.enter_context(connected(address, workers, 1)).client
            client.wait_for_workers(workers, timeout=120)
            yield HostCluster(client, others)
    refresh()


def start_scheduler(stack: ExitStack, environment: dict[str, str], host: Host) -> str:
    """Start a scheduler on a host; return its address."""
    words = ["scheduler", "--host", host.address, "--port", "0", *DASK_OPTIONS]
    scheduler = start_dask(stack, environment, *words, within=host.within)
    listening = re.compile(rf"tls://{host.address}:\d+")
    assert scheduler.stderr is not None
    matches = (listening.search(line) for line in scheduler.stderr)
    return next(match[0] for match in matches if match)
