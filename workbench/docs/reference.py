"""The pages of the documentation that are made from the code: every setting, and the notebook's
functions.
"""

import inspect
import re
from pathlib import Path

from workbench.settings import GROUPS, PRESETS, SETTINGS, Setting

SETTINGS_PAGE = "settings.md"
NOTEBOOK_PAGE = "notebook.md"


def write_pages(folder: Path) -> None:
    """Write both pages into ``folder``."""
    (folder / SETTINGS_PAGE).write_text(settings_page())
    (folder / NOTEBOOK_PAGE).write_text(notebook_page())


def settings_page() -> str:
    """Every setting of a run by group, with default, values, unit and meaning, and the presets."""
    lines = [
        "# Settings",
        "",
        "Give settings as `--set NAME=VALUE` on the command line, as keyword arguments of `preset`",
        "and `Settings.of` in Python, and as axes of sweeps. `settings.GROUP.NAME` reads one.",
    ]
    for group, kind in GROUPS.items():
        lines += ["", f"## {group}", "", f"{inspect.getdoc(kind)}", ""]
        lines += ["| setting | default | values | meaning |", "|---|---|---|---|"]
        lines += [settings_row(s) for s in SETTINGS.values() if s.group == group]

    lines += ["", "## Presets", "", "| preset | changes |", "|---|---|"]
    for name, changes in PRESETS.items():
        words = ", ".join(f"`{setting}={value}`" for setting, value in changes.items())
        lines.append(f"| `{name}` | {words} |")
    return "\n".join(lines) + "\n"


def settings_row(setting: Setting) -> str:
    """One row of a group's table."""
    return f"| `{setting.name}` | `{setting.default}` | {values(setting)} | {setting.doc} |"


def values(setting: Setting) -> str:
    """What a setting may be: its choices, or its range and unit."""
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.kind is bool:
        return "`true`, `false`"
    if setting.low is None or setting.high is None:
        return "text"
    return f"{setting.low:g} to {setting.high:g} {setting.unit}".rstrip()


def notebook_page() -> str:
    """Every name of ``workbench.notebook`` with its signature and docstring."""
    import workbench.notebook as notebook

    lines = [
        "# In notebooks",
        "",
        "`import workbench.notebook as wb` brings everything that a cell needs.",
    ]
    for name in sorted(vars(notebook), key=str.lower):
        value = getattr(notebook, name)
        ours = getattr(value, "__module__", "").startswith("workbench.")
        if name.startswith("_") or not ours or not callable(value):
            continue
        lines += ["", f"## {name}", "", "```python", f"wb.{name}{signature(value)}", "```", ""]
        lines.append(inspect.getdoc(value) or "")
    return "\n".join(lines) + "\n"


def signature(value: object) -> str:
    """The signature of a function or class, without the modules of its annotations."""
    try:
        text = str(inspect.signature(value))  # type: ignore[arg-type]
    except ValueError:
        return "(...)"
    for module in ("workbench.", "collections.abc.", "typing.", "pathlib."):
        text = text.replace(module, "")
    # Typed keyword arguments: Python writes a class where the source has Unpack[...].
    return re.sub(r"\*<class '(?:\w+\.)*(\w+)'>", r"\1", text)
