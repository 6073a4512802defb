"""Learning rates are found: the largest that converges stably (paper, section 4.2)."""

from workbench.rates.search import AUTO, find_rate, with_found_rate

__all__ = ["AUTO", "find_rate", "with_found_rate"]
