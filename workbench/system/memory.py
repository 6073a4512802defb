"""Memory for parameters and gradients, used again once nothing refers to it any more.

Fresh memory is slow because the kernel faults it in page by page, and a parameter server keeps
asking for the same few sizes. So a block of memory is lent as an array. Every view, slice, tensor
and message made from that array keeps its loan alive, and the block is free again once the last of
them is gone. Nothing is therefore written into memory that anything can still read. Where other
processes read it too, the pool has blocks of shared memory, and a loan ends when those processes
have dropped their views.
"""

import itertools
import mmap
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

REUSED_BYTES = 1 << 16  # smaller arrays are allocated afresh
SPARE_BLOCKS = 4  # free blocks that are kept of each size
CACHE_LINE = 64  # bytes; arrays are aligned to it
FLOAT32 = "<f4"
FLOAT32_BYTES = 4

# Arrays begin at different places of a page. What lies alike within a page competes for a few
# places of the cache, so reading one array while another is written would be slower.
SHIFT_BYTES = 17 * CACHE_LINE
SHIFTS = 3


class Block(Protocol):
    """Some memory, which is given up with the object."""

    address: int


class PrivateBlock:
    """A block of ``size`` bytes that only this process can see."""

    def __init__(self, size: int):
        self.memory = np.empty(size + CACHE_LINE, np.uint8)
        self.address = _round_up(self.memory.ctypes.data, CACHE_LINE)


class Loan:
    """The owner of lent memory; every view of the array keeps it alive.

    It keeps its block alive, and the object ``keeps``.
    """

    def __init__(
        self,
        block: Block,
        offset: int,
        shape: tuple[int, ...],
        dtype: str,
        readonly: bool,
        keeps: object = None,
    ):
        self.block = block
        self.keeps = keeps
        self.__array_interface__ = {
            "version": 3,
            "data": (block.address + offset, readonly),
            "shape": shape,
            "typestr": dtype,
        }

    def array(self, ended: Callable[[Any], object], argument: Any) -> np.ndarray:
        """Return the array; ``ended(argument)`` is called once no view of it is left."""
        weakref.finalize(self, ended, argument).atexit = False
        return np.asarray(self)


def loan_of(array: np.ndarray) -> Loan | None:
    """Return the loan that ``array`` is a view of, or None if its memory is not lent."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner.base if isinstance(owner.base, Loan) else None


class Pool:
    """Lends arrays; those of ``reused_bytes`` or more have a block each, made by ``make_block``."""

    def __init__(
        self,
        make_block: Callable[[int], Block] = PrivateBlock,
        reused_bytes: int = REUSED_BYTES,
    ):
        self.make_block = make_block
        self.reused_bytes = reused_bytes
        self.made = itertools.count()
        # By size: free blocks with the offsets of their arrays. What is too much falls off at the
        # left.
        self.free: dict[int, deque[tuple[Block, int]]] = {}

    def floats(self, count: int) -> np.ndarray:
        """Return an array float32 [count] with arbitrary content."""
        array_bytes = FLOAT32_BYTES * count
        if array_bytes < self.reused_bytes or not count:
            return np.empty(count, np.float32)

        size = _round_up(array_bytes + SHIFT_BYTES * (SHIFTS - 1), mmap.PAGESIZE)
        free = self.free.setdefault(size, deque(maxlen=SPARE_BLOCKS))
        try:
            block, offset = free.pop()
        except IndexError:
            block = self.make_block(size)
            offset = SHIFT_BYTES * (next(self.made) % SHIFTS)

        loan = Loan(block, offset, (count,), FLOAT32, readonly=False)
        return loan.array(free.append, (block, offset))


def _round_up(number: int, unit: int) -> int:
    """Return the smallest multiple of ``unit`` that is not below ``number``."""
    return -(-number // unit) * unit


_pool = Pool()


def use(pool: Pool) -> Pool:
    """Make `floats` lend from ``pool`` in this whole process from now on.

    Return the pool used before.
    """
    global _pool
    before = _pool
    _pool = pool
    return before


def floats(count: int) -> np.ndarray:
    """Return an array float32 [count] of this process's pool, with arbitrary content."""
    return _pool.floats(count)
