"""The engine: effects that components yield, clocks, and the executors that answer."""

from workbench.engine.clocks import Clock, Cost, Free, Measured, free, measured
from workbench.engine.effects import (
    CLOSED,
    NOT_YET,
    RESTING,
    All,
    Ask,
    Close,
    Effect,
    Emit,
    Held,
    Lost,
    Now,
    Process,
    Put,
    Rest,
    Take,
    Work,
)
from workbench.engine.local import Deadlock, Local, Outcome
from workbench.engine.machines import Machine, Price, machine

__all__ = [
    "CLOSED",
    "NOT_YET",
    "RESTING",
    "All",
    "Ask",
    "Clock",
    "Close",
    "Cost",
    "Deadlock",
    "Effect",
    "Emit",
    "Free",
    "Held",
    "Local",
    "Lost",
    "Machine",
    "Measured",
    "Now",
    "Outcome",
    "Price",
    "Process",
    "Put",
    "Rest",
    "Take",
    "Work",
    "free",
    "machine",
    "measured",
]
