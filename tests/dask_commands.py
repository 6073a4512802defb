"""Dask's own commands, for clusters that are started by hand."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest


def tls_configuration(folder: Path) -> dict[str, str]:
    """Dask's configuration for TLS, as environment, with a certificate made for this test."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    key = str(folder / "key.pem")
    certificate = str(folder / "certificate.pem")
    command = shlex.split("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=workbench")
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    variables = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": certificate,
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = key
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = certificate
    return variables


def start_dask(
    stack: ExitStack, environment: dict[str, str], *words: str, within: Sequence[str] = ()
) -> subprocess.Popen:
    """A process of `dask WORDS`, which is killed with the stack.

    ``within``: words of a command that runs another one, such as `ip netns exec NAME`.
    """
    module = f"distributed.cli.dask_{words[0]}"
    command = [*within, sys.executable, "-m", module, *words[1:]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    stack.enter_context(process)
    stack.callback(process.kill)
    return process
