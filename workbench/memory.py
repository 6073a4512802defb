"""Memory for published parameters and pushed gradients, used again when nobody can see it any more.

New memory is slow to be had, page by page, and what a parameter server needs is the same sizes again and again. A block
of memory is lent as an array. Every view, slice, tensor and message made of that array keeps the loan alive that it
stems from; when the last is gone, the block is free. So what was given away is never written again while anybody can
see it. Where other processes see it too (a cluster's worker) the pool is one of shared blocks, and a loan ends when
they have let go of theirs.
"""

import itertools
import mmap
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

WORTH = 1 << 16  # bytes from which on memory is used again
SPARE = 4  # free blocks of a size that are kept
LINE = 64  # bytes to which arrays are aligned
SHIFT, SHIFTS = (
    17 * LINE,
    3,
)  # bytes by which one array lies further into its block than that of the block before


class Block(Protocol):
    """Some memory; it is given up with the object."""

    address: int


class Private:
    """A block that only this process sees."""

    def __init__(self, size: int):
        self.memory = np.empty(size + LINE, np.uint8)
        self.address = -(-self.memory.ctypes.data // LINE) * LINE


class Loan:
    """What every view of lent memory keeps alive, and what the loan itself ``keeps``."""

    def __init__(
        self,
        block: Block,
        offset: int,
        shape: tuple[int, ...],
        dtype: str,
        frozen: bool,
        keeps: Any = None,
    ):
        self.block, self.keeps = block, keeps
        self.__array_interface__ = {
            "version": 3,
            "data": (block.address + offset, frozen),
            "shape": shape,
            "typestr": dtype,
        }

    def until(self, ended: Callable, *args: Any) -> np.ndarray:
        """The array; ``ended(*args)`` is called when nobody sees it any more."""
        weakref.finalize(self, ended, *args).atexit = False
        return np.asarray(self)


def loan_of(array: np.ndarray) -> Loan | None:
    """What ``array`` is a view of, if that is lent memory."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner.base if isinstance(owner.base, Loan) else None


class Pool:
    """Blocks made by ``make``, one for each array from ``worth`` bytes on.

    Arrays begin at different places of a page: reading one while another is written would else be slower, since what
    lies alike within a page shares few places of the cache.
    """

    def __init__(self, make: Callable[[int], Block] = Private, worth: int = WORTH):
        self.make, self.worth = make, worth
        self.free: dict[
            int, deque[tuple[Block, int]]
        ] = {}  # by size; what is too much falls off at the left
        self.made = itertools.count()

    def floats(self, count: int) -> np.ndarray:
        """An array float32 [count], with whatever is in it."""
        size = -(-(4 * count + SHIFT * (SHIFTS - 1)) // mmap.PAGESIZE) * mmap.PAGESIZE
        if 4 * count < self.worth or not count:
            return np.empty(count, np.float32)
        free = self.free.setdefault(size, deque(maxlen=SPARE))
        try:
            block, shift = free.pop()
        except IndexError:
            block, shift = self.make(size), SHIFT * (next(self.made) % SHIFTS)
        return Loan(block, shift, (count,), "<f4", False).until(free.append, (block, shift))


_used = [Pool()]


def use(pool: Pool) -> Pool:
    """From now on ``floats`` are from ``pool``, in this whole process; answers the one before."""
    before, _used[0] = _used[0], pool
    return before


def floats(count: int) -> np.ndarray:
    """An array float32 [count] of this process's pool, with whatever is in it."""
    return _used[0].floats(count)
