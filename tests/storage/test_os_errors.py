"""Errors of the system in one line."""

import errno
import os

import pytest
from numba.core import caching

from workbench.storage.os_errors import ADVICE, explain_os_error


def raise_in(path: str, error: OSError) -> None:
    """Raise an error as the code of the file at ``path`` does."""
    exec(compile("raise error", path, "exec"), {"error": error})


def test_compiled_code_that_cannot_be_kept_is_named() -> None:
    """Numba names no path where the disk is full; whoever else names none stays unnamed."""
    reason = os.strerror(errno.ENOSPC)
    for path, begin in ((caching.__file__, "compiled code (in NUMBA_CACHE_DIR"), ("a.py", reason)):
        with pytest.raises(OSError) as caught:
            raise_in(path, OSError(errno.ENOSPC, reason))
        explained = explain_os_error(caught.value)
        assert explained is not None
        assert explained.startswith(begin)
        assert explained.endswith(f"{reason}; {ADVICE[errno.ENOSPC]}")
