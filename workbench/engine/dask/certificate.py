"""The certificate of one cluster on this machine, without which nobody can connect to it.

Dask runs any function that a client sends, so a scheduler that everybody on the machine can reach
would let them all act as the user who trains. A certificate is made for each cluster and is its own
authority: scheduler, workers and client prove that they have its key, and take no other.
"""

import re
import shutil
import subprocess

from distributed import Security

from workbench.settings import UserError

DAYS = 365  # a cluster ends long before
MAKE = [
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    *("-keyout", "/dev/stdout", "-out", "/dev/stdout", "-subj", "/CN=workbench"),
    *("-days", str(DAYS)),
]
KEY = re.compile(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n", re.DOTALL)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


def new_security() -> Security:
    """Return Dask's settings for a new certificate; its key is in memory only.

    UserError if OpenSSL, which makes the certificate, is missing or fails.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise UserError("--cluster local needs the command openssl: apt install openssl")

    made = subprocess.run([openssl, *MAKE], capture_output=True, text=True, check=False)
    key = KEY.search(made.stdout)
    certificate = CERTIFICATE.search(made.stdout)
    if key is None or certificate is None:
        lines = made.stderr.strip().splitlines() or ["no certificate in its output"]
        raise UserError(f"{openssl} made no certificate: {lines[-1]}")

    return Security(
        require_encryption=True,
        tls_ca_file=certificate[0],
        tls_client_key=key[0],
        tls_client_cert=certificate[0],
        tls_scheduler_key=key[0],
        tls_scheduler_cert=certificate[0],
        tls_worker_key=key[0],
        tls_worker_cert=certificate[0],
    )
