"""Sweeps: many runs that differ in chosen settings, planned, carried out, gone on with, and compared."""

from workbench.sweeping.estimate import Estimate, estimate, left
from workbench.sweeping.executors import on_cluster
from workbench.sweeping.plan import PlannedCell, counts, plan
from workbench.sweeping.recipes import recipe, recipes
from workbench.sweeping.results import Results, results
from workbench.sweeping.run import ask_to_stop, run
from workbench.sweeping.spec import Cell, Sweep, all_sweeps, find_sweep
