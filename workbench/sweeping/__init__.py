"""Sweeps: many runs that differ in chosen settings are planned, run, resumed and compared."""

from workbench.sweeping.estimate import Estimate, estimate_sweep, time_left
from workbench.sweeping.executors import cluster_executor
from workbench.sweeping.plan import CellState, PlannedCell, count_states, plan_cells
from workbench.sweeping.recipes import read_recipe, recipe_questions
from workbench.sweeping.results import Results, read_results
from workbench.sweeping.run import request_stop, run_sweep
from workbench.sweeping.spec import Axis, Cell, Sweep, SweepFields, all_sweeps, find_sweep

__all__ = [
    "Axis",
    "Cell",
    "CellState",
    "Estimate",
    "PlannedCell",
    "Results",
    "Sweep",
    "SweepFields",
    "all_sweeps",
    "cluster_executor",
    "count_states",
    "estimate_sweep",
    "find_sweep",
    "plan_cells",
    "read_recipe",
    "read_results",
    "recipe_questions",
    "request_stop",
    "run_sweep",
    "time_left",
]
