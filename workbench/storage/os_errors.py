"""Errors of the operating system that a person can mend, in words."""

import errno
import os
import re
import traceback

ADVICE = {
    errno.ENOSPC: "make room, or set WORKBENCH_DATA to a folder on a larger disk",
    errno.EDQUOT: "make room, or ask for a larger quota",
    errno.EFBIG: "allow larger files (ulimit -f), or choose another disk",
    errno.EROFS: "choose a folder that can be written, e.g. by WORKBENCH_DATA",
    errno.EACCES: "choose a folder of yours, or ask its owner for the right",
    errno.EPERM: "choose a folder of yours, or ask its owner for the right",
    errno.EIO: "the disk or its connection is faulty; look at the system's log",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of the path is a file; choose another path",
    errno.EISDIR: "it is a folder; name a file",
    errno.ELOOP: "a link leads to itself; choose another path",
    errno.ENOMEM: "close other programs, or choose a smaller network, batch or --jobs",
}
"""What to do, by the number of the error."""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of a disk that takes nothing more: work goes on once there is room."""

NUMBER_IN_MESSAGE = re.compile(r"\[Errno (\d+)\]")
"""How Python writes the number of an error of the system."""

NUMBA_CACHE = os.path.join("numba", "core", "caching.py")
"""The file of numba that keeps compiled code; its errors name no path."""


def explain_os_error(error: OSError) -> str | None:
    """Return the path, what is wrong and what to do, on one line; None for any other error.

    Other errors, such as a missing file, are a fault of the program unless it has said more.
    """
    advice = ADVICE.get(error.errno or 0)
    if advice is None:
        return None
    place = _place(error)
    where = f"{place}: " if place else ""
    return f"{where}{os.strerror(error.errno or 0)}; {advice}"


def is_disk_error(error: BaseException | None) -> bool:
    """Return whether the disk takes nothing more, whatever is written."""
    return isinstance(error, OSError) and error.errno in DISK_ERRORS


def mentions_disk_error(message: str) -> bool:
    """Return whether a message, such as the error of a run's status, is of such an error."""
    found = NUMBER_IN_MESSAGE.search(message)
    return found is not None and int(found[1]) in DISK_ERRORS


def _place(error: OSError) -> str:
    """What an error is of: a path, or the compiled code that numba keeps; empty if not known."""
    if isinstance(error.filename, str | bytes):
        return os.fsdecode(error.filename)
    frames = traceback.walk_tb(error.__traceback__)
    if any(frame.f_code.co_filename.endswith(NUMBA_CACHE) for frame, _ in frames):
        return "compiled code (in NUMBA_CACHE_DIR, else in __pycache__ of the package)"
    return ""
