"""What work takes: seconds that pass, and seconds of a processor in them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Price:
    """Seconds, and seconds of processor time in them."""

    seconds: float = 0.0
    processor: float = 0.0

    def times(self, n: float) -> "Price":
        """Return the price of ``n`` times the work."""
        return Price(n * self.seconds, n * self.processor)

    def __add__(self, other: "Price") -> "Price":
        return Price(self.seconds + other.seconds, self.processor + other.processor)


class Stopwatch:
    """Measures a price from the moment when it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._used = time.process_time()

    def price(self) -> Price:
        """Return the price since the start."""
        return Price(time.perf_counter() - self._began, time.process_time() - self._used)


def price_of(act: Callable[[], object]) -> Price:
    """Call ``act`` and return what the call took."""
    watch = Stopwatch()
    act()
    return watch.price()


def total_price(prices: Iterable[Price]) -> Price:
    """Return the sum of prices."""
    return sum(prices, Price())


def mean_price(prices: Sequence[Price]) -> Price:
    """Return the mean of prices; 0 if there are none."""
    if not prices:
        return Price()
    seconds = float(np.mean([price.seconds for price in prices]))
    processor = float(np.mean([price.processor for price in prices]))
    return Price(seconds, processor)
