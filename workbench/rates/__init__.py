"""Learning rates are found in short trials (paper, section 4.2)."""

from workbench.rates.search import AUTO, find_rate, with_found_rate

__all__ = ["AUTO", "find_rate", "with_found_rate"]
