"""How caller and host prove to each other that they know the token of the run.

Neither reads a message before.

    host to caller     a random nonce
    caller to host     a nonce of its own, and its proof
    host to caller     its proof

A proof is HMAC-SHA256, keyed by the token, over the name of the role and both nonces. The roles
differ, so neither side can send the other's proof back. These classes turn bytes into bytes;
`listener` sends them.
"""

import hashlib
import hmac
import secrets

from workbench.engine.dask.protocol import ProtocolError

NONCE_BYTES = 32
PROOF_BYTES = 32
RESPONSE_BYTES = NONCE_BYTES + PROOF_BYTES
CALLER = b"caller"
HOST = b"host"


class HostHandshake:
    """The side of the process that listens."""

    def __init__(self, token: bytes):
        self.token = token
        self.nonce = secrets.token_bytes(NONCE_BYTES)  # sent first

    def proof_for(self, response: bytes) -> bytes:
        """Return the host's proof for a caller whose ``response`` proves that it knows the token.

        Raises ProtocolError if it does not.
        """
        nonces = self.nonce + response[:NONCE_BYTES]
        if not hmac.compare_digest(response[NONCE_BYTES:], _proof(self.token, CALLER, nonces)):
            raise ProtocolError("the caller does not know the run's token")
        return _proof(self.token, HOST, nonces)


class CallerHandshake:
    """The side of the process that connects."""

    def __init__(self, token: bytes, host_nonce: bytes):
        self.token = token
        nonce = secrets.token_bytes(NONCE_BYTES)
        self.nonces = host_nonce + nonce
        self.response = nonce + _proof(token, CALLER, self.nonces)  # sent to the host

    def check(self, proof: bytes) -> None:
        """Raise ProtocolError unless ``proof`` shows that the host knows the token."""
        if not hmac.compare_digest(proof, _proof(self.token, HOST, self.nonces)):
            raise ProtocolError("the process that listens there does not know the run's token")


def _proof(token: bytes, role: bytes, nonces: bytes) -> bytes:
    return hmac.digest(token, role + nonces, hashlib.sha256)
