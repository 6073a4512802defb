"""From data to a report in one step: corpus, cross entropy, sequence training, test, comparison."""

from workbench.baseline.job import Baseline, make_baseline
from workbench.baseline.request import Request

__all__ = ["Baseline", "Request", "make_baseline"]
