"""A disk that is full, as the kernel tells it to whoever writes, C libraries included."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Inside the context no file of this process grows beyond ``size`` bytes: EFBIG is raised."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def parts_below(folder: Path) -> list[Path]:
    """The files and folders that were begun and got no name."""
    return [path for path in folder.rglob("*") if path.suffix in (".tmp", ".partial")]
