"""``workbench completion``: what a shell completes behind ``workbench`` when Tab is pressed."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.cli.options import know_extensions
from workbench.settings import SETTINGS
from workbench.storage.home import existing_data_folder

EXAMPLES = """examples:
  eval "$(workbench completion bash)"    in ~/.bashrc
  eval "$(workbench completion zsh)"     in ~/.zshrc, after compinit"""

BASH = r"""_workbench() {
    local IFS=$'\n'
    COMPREPLY=($(workbench completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _workbench workbench"""

ZSH = r"""_workbench() {
    local -a found open closed
    found=("${(@f)$(workbench completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    open=(${(M)found:#*=})
    closed=(${found:#*=})
    compadd -S '' -a open
    compadd -a closed
    (( ${#open} + ${#closed} )) || _files
}
compdef _workbench workbench"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}

# What follows an option, or stands in a place, by the name of its value in the parser.
MARKS = {"runs": "settings.json", "corpora": "corpus.json", "sweeps": "sweep.json"}
VALUES = {
    "init": ("runs",),
    "transfer": ("runs",),
    "resume": ("runs",),
    "run": ("runs",),
    "runs": ("runs",),
    "names": ("runs", "sweeps"),
    "corpus": ("corpora",),
}
SETTING_VALUES = ("changes", "axis")


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    shell: str
    words: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("shell", choices=sorted(SCRIPTS))
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, help="print what may stand in place of the last of these"
    )


def run(options: Options) -> None:
    """Print the script for a shell, or the completions of the words behind ``--``."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not options.words:
        print(SCRIPTS[options.shell])
        return

    joined = join_assignments(words) if options.shell == "bash" else words
    for candidate in candidates(joined):
        # bash has taken what stands before an equals sign for a word of its own.
        split = options.shell == "bash" and "=" in candidate and joined != words
        print(candidate.partition("=")[2] if split else candidate)


def join_assignments(words: Sequence[str]) -> list[str]:
    """Words with ``FIELD``, ``=`` and ``VALUE`` as one, which bash hands over as three."""
    joined: list[str] = []
    for number, word in enumerate(words):
        after_equals = number > 0 and words[number - 1] == "="
        if joined and (word == "=" or after_equals):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def candidates(words: Sequence[str]) -> list[str]:
    """What may stand in place of the last word, given those before it, in order."""
    from workbench.cli.main import COMMANDS, command_parser, load

    *before, begun = words or [""]
    if not before:
        return beginning_with(begun, COMMANDS)
    if before[0] not in COMMANDS:
        return []

    parser = command_parser(before[0], load(before[0]))
    return beginning_with(begun, possible(parser, before[1:], begun))


def beginning_with(begun: str, names: Sequence[str] | dict[str, str]) -> list[str]:
    """The names that begin as the word does, each once."""
    return sorted({name for name in names if name.startswith(begun)})


def possible(parser: argparse.ArgumentParser, before: Sequence[str], begun: str) -> list[str]:
    """Everything that may follow ``before`` in the words of a parser."""
    action_words = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for actions in action_words:
        for number, word in enumerate(before):
            if word in actions.choices:
                return possible(actions.choices[word], before[number + 1 :], begun)

    option = open_option(parser, before)
    if option is not None:
        return values_of(option, begun)
    if begun.startswith("-"):
        return [name for action in parser._actions for name in action.option_strings]

    places = [action for action in parser._actions if not action.option_strings]
    return [value for place in places for value in values_of(place, begun)]


def open_option(parser: argparse.ArgumentParser, before: Sequence[str]) -> argparse.Action | None:
    """The option whose value the next word is, or may be; None if there is none."""
    options = {name: action for action in parser._actions for name in action.option_strings}
    for number, word in enumerate(reversed(before)):
        if word.startswith("-"):
            option = options.get(word)
            takes_more = option is not None and option.nargs in ("+", "*")
            takes_one = option is not None and option.nargs is None and number == 0
            return option if takes_more or takes_one else None
    return None


def values_of(action: argparse.Action, begun: str) -> list[str]:
    """What an option or a place may have as its value, as far as that can be listed."""
    if isinstance(action, argparse._SubParsersAction) or action.choices:
        return [str(choice) for choice in action.choices or ()]
    if action.dest in SETTING_VALUES:
        return setting_values(begun)
    return [name for kind in VALUES.get(action.dest, ()) for name in known_names(kind)]


def setting_values(begun: str) -> list[str]:
    """``FIELD=`` for every setting, or ``FIELD=VALUE`` once the field is written."""
    name, equals, _ = begun.partition("=")
    if not equals:
        return [f"{name}=" for name in SETTINGS]
    if name not in SETTINGS:
        return []
    know_extensions()
    setting = SETTINGS[name]
    values = ("true", "false") if setting.kind is bool else setting.choices
    return [f"{name}={value}" for value in values]


def known_names(kind: str) -> list[str]:
    """The names of runs, corpora or sweeps; none where there is no data folder yet."""
    home = existing_data_folder()
    if home is None:
        return []
    return [path.parent.name for path in (home / kind).glob(f"*/{MARKS[kind]}")]
