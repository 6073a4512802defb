"""One experiment as a frozen record: every setting with its default, unit, range and one line of
explanation.

Settings are grouped by what they are about (``settings.model``, ``settings.batches``, ...), so that
a function can ask for the group it reads. On the command line, in files and as axes of sweeps they
have flat names (``hidden_units``, ``batch``); `SETTINGS` maps each flat name to its description.
The command line, the widgets, the validation and the report's table are made from it.
"""

from workbench.settings.alternatives import Alternatives
from workbench.settings.description import Group, Setting, Value, parse_fields, setting, settings_of
from workbench.settings.errors import UserError, did_you_mean, no_such
from workbench.settings.experiment import (
    BESIDE,
    GROUPS,
    SETTINGS,
    Settings,
    digest_of,
    identity_of,
    unknown_setting,
)
from workbench.settings.groups import (
    AsynchronySettings,
    BatchSettings,
    ClockSettings,
    CriterionSettings,
    LatticeSettings,
    MeasuringSettings,
    ModelSettings,
    UpdateSettings,
)
from workbench.settings.idle import idle_sentence, idle_sentences, why_idle
from workbench.settings.names import LONGEST_NAME, check_name
from workbench.settings.presets import PRESETS, changes_from_laptop, preset
from workbench.settings.random import rng

__all__ = [
    "BESIDE",
    "GROUPS",
    "LONGEST_NAME",
    "PRESETS",
    "SETTINGS",
    "Alternatives",
    "AsynchronySettings",
    "BatchSettings",
    "ClockSettings",
    "CriterionSettings",
    "Group",
    "LatticeSettings",
    "MeasuringSettings",
    "ModelSettings",
    "Setting",
    "Settings",
    "UpdateSettings",
    "UserError",
    "Value",
    "changes_from_laptop",
    "check_name",
    "did_you_mean",
    "digest_of",
    "identity_of",
    "idle_sentence",
    "idle_sentences",
    "no_such",
    "parse_fields",
    "preset",
    "rng",
    "setting",
    "settings_of",
    "unknown_setting",
    "why_idle",
]
