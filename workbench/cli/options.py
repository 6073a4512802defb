"""Options that several commands share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.settings import PRESETS, SETTINGS, Setting, UserError, Value, unknown_setting
from workbench.settings.alternatives import load_extensions
from workbench.settings.description import bound_text, parse_number

SEARCHES = ("rescoring", "graph")


def add_settings_options(parser: argparse.ArgumentParser, set_help: str) -> None:
    """Add ``--preset`` and ``--set``."""
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="laptop",
        help="size of the network (default: laptop)",
    )
    parser.add_argument(
        "--set",
        dest="changes",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help=set_help,
    )


def add_changes_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--set``, ``--frame`` and ``--sequence``: settings of the trainings of a baseline."""
    for option, name, trainings in (
        ("--set", "changes", "all trainings"),
        ("--frame", "frame", "cross entropy alone"),
        ("--sequence", "sequence", "sequence training alone"),
    ):
        parser.add_argument(
            option,
            dest=name,
            nargs="+",
            action="extend",
            default=[],
            metavar="FIELD=VALUE",
            help=f"settings of {trainings}",
        )


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A type of argparse: whole numbers from ``low`` to ``high``, with the digits 0 to 9."""

    def parse(text: str) -> int:
        number = parse_number(text, whole=True)
        if not isinstance(number, int) or not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r}: must be a whole number between {low} and {high}"
            )
        return number

    return parse


def add_search_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--search``: how the n-gram is applied."""
    parser.add_argument(
        "--search",
        choices=SEARCHES,
        default="rescoring",
        help="rescore a wide unigram lattice by the n-gram, or search the n-gram's own graph "
        "(default: rescoring)",
    )


def add_language_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--lm``: a language model of one's own."""
    parser.add_argument(
        "--lm",
        type=Path,
        metavar="ARPA",
        help="take this n-gram, ARPA up to order 5 and perhaps .gz, in the place of the corpus's",
    )


def add_margin_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--margin``: the difference that still counts as equivalent."""
    parser.add_argument(
        "--margin",
        type=parse_margin,
        default=parse_margin("0.5"),
        metavar="PERCENT",
        help="difference of word error rates, in percent absolute, below which two systems count "
        "as equivalent (default: 0.5)",
    )


def parse_margin(text: str) -> float:
    """Return a margin in percent as a fraction."""
    try:
        percent = float(text)
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise argparse.ArgumentTypeError(f"{text}: write a number above 0 and at most 100")
    return percent / 100


def split_change(word: str, option: str) -> tuple[str, str]:
    """``FIELD=VALUE`` as (field, value); raises UserError if there is no such setting."""
    name, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"{option} {word}: write {option} FIELD=VALUE")
    if name not in SETTINGS:
        raise UserError(f"{option} {word}: {unknown_setting(name)}")
    return name, value


def parse_changes(words: Sequence[str], option: str = "--set") -> dict[str, Value]:
    """Words ``FIELD=VALUE`` of an option as parsed values by flat name."""
    pairs = [split_change(word, option) for word in words]
    return {name: SETTINGS[name].parse(value) for name, value in pairs}


def know_extensions() -> None:
    """Import the modules of WORKBENCH_EXTENSIONS, so that help and completion have their names.

    One that cannot be imported is a warning here: help must be had even then.
    """
    try:
        load_extensions()
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)


def settings_help() -> str:
    """One paragraph per setting: name, default, unit, choices or range, explanation."""
    lines = ["settings, for --set FIELD=VALUE:"]
    group = ""
    for setting in SETTINGS.values():
        if setting.group != group:
            group = setting.group
            lines.append(f"\n {group}")
        unit = f" {setting.unit}" if setting.unit else ""
        lines.append(f"  {setting.name}={setting.default}{unit}: {setting.doc}{allowed(setting)}")
    return "\n".join(lines)


def allowed(setting: Setting) -> str:
    """The choices or the range of a setting, in brackets."""
    if setting.choices:
        return f" [{' | '.join(setting.choices)}]"
    if setting.kind is bool:
        return " [true | false]"
    if setting.low is not None and setting.high is not None:
        return f" [{bound_text(setting.low)} to {bound_text(setting.high)}]"
    return ""
