"""Sweeps: many runs that differ in chosen settings are planned, run, resumed and compared."""

from workbench.sweeping.estimate import Estimate, estimate_sweep, time_left
from workbench.sweeping.executors import cluster_executor
from workbench.sweeping.plan import (
    CellState,
    PlannedCell,
    count_states,
    idle_in_all_cells,
    plan_cells,
    refuse_idle_axes,
)
from workbench.sweeping.recipes import read_recipe, recipe_questions
from workbench.sweeping.results import Results, read_results
from workbench.sweeping.run import request_stop, run_sweep, run_sweeps
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
    "idle_in_all_cells",
    "plan_cells",
    "read_recipe",
    "read_results",
    "recipe_questions",
    "refuse_idle_axes",
    "request_stop",
    "run_sweep",
    "run_sweeps",
    "time_left",
]
