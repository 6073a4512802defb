"""A cluster that somebody has started by hand: `dask scheduler` and two `dask worker`, plain and with TLS."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from bouncing import ROUNDS, SIZE, Wall, catcher, thrower

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("default")]

ROOT = str(Path(__file__).parents[2])


def tls(folder: Path) -> dict[str, str]:
    """Dask's configuration, as environment, with a certificate made for this test."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=workbench",
        "-keyout",
    ]
    subprocess.run([*command, key, "-out", certificate], check=True, capture_output=True)
    found = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": certificate,
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
    }
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        found[f"DASK_DISTRIBUTED__COMM__TLS__{who}__KEY"] = key
        found[f"DASK_DISTRIBUTED__COMM__TLS__{who}__CERT"] = certificate
    return found


@contextmanager
def by_hand(protocol: str, more: dict[str, str]):
    """The address of a scheduler with two workers of three threads, each a process of its own without a nanny."""
    environment = {**os.environ, **more, "PYTHONPATH": os.pathsep.join([ROOT, f"{ROOT}/tests"])}
    common = ["--host", "127.0.0.1", "--protocol", protocol, "--no-dashboard"]

    def started(stack, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]]
        process = stack.enter_context(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        )
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        scheduler = started(stack, "scheduler", "--port", "0", *common)
        address = next(
            m[0]
            for line in scheduler.stderr
            if (m := re.search(rf"{protocol}://127.0.0.1:\d+", line))
        )
        for _ in range(2):
            started(stack, "worker", address, "--nthreads", "3", "--no-nanny", *common)
        yield address


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_run_on_a_cluster_started_by_hand(protocol, tmp_path, monkeypatch):
    """Workers that know nothing of us serve by Unix socket, TCP, and TLS with the certificate of Dask's settings."""
    from dask.config import refresh

    from workbench.engine.dask import connected

    more = tls(tmp_path) if protocol == "tls" else {}
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    refresh()
    try:
        with by_hand(protocol, more) as address, connected(address, 2, 2) as cluster:
            cluster.client.wait_for_workers(2, timeout=120)
            for shares in (True, False):
                walls, rows = {"wall 0": Wall(), "wall 1": Wall()}, []
                places = {"wall 0": 0, "wall 1": 1, "thrower": 0, "catcher": 1, "thrown": 0}
                makers = {
                    "thrower": partial(thrower, tuple(walls), "thrown"),
                    "catcher": partial(catcher, "thrown"),
                }
                outcome = type(cluster)(cluster.client, 4, places, shares).run(
                    makers, walls, rows.append
                )
                assert outcome.returned == {
                    "thrower": ROUNDS,
                    "catcher": 2 * 2 * SIZE * sum(range(ROUNDS)),
                }
                assert [wall.count for wall in walls.values()] == [ROUNDS, ROUNDS]
                assert sum(row.kind == "throw" for row in rows) == ROUNDS
    finally:
        monkeypatch.undo()
        refresh()
