"""The command line: ``workbench COMMAND --help`` explains each command.

Each command is one module of this folder with its options, its action and its help. Only the module
of the command that was asked for is imported, so that help and mistakes are answered at once.

Exit codes: 0 done, 1 failed (one line says why), 2 wrong usage, 130 stopped or interrupted (what
was done is kept, and the run can be resumed).
"""

import argparse
import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from workbench.cli.exit_codes import FAILED, WRONG_USAGE, print_error, report_interruption
from workbench.cli.options import know_extensions
from workbench.cli.termination import polite_termination
from workbench.settings import UserError, did_you_mean
from workbench.settings.alternatives import load_extensions
from workbench.storage.os_errors import explain_os_error
from workbench.system.processes import set_environment

# The commands in the order in which a person meets them, each with its line in the list of
# commands.
COMMANDS = {
    "baseline": "from data to a report: corpus, cross entropy, MMI at rates that are found, test",
    "check": "say what is in a data directory before anything is computed, and what is wrong",
    "paper": "the paper's experiment at its size: 60 hours, CE, MMI by 1 and by 50 replicas, tests",
    "prepare": "make a corpus: features, lexicon, language models, tied states, graphs",
    "train": "train a model on a corpus, or resume a run",
    "rates": "find a learning rate in short trials",
    "attach": "follow a run until it ends; Ctrl-C leaves the run alone",
    "stop": "ask a run, wherever it runs, to stop at its next checkpoint",
    "replay": "repeat a recorded run call by call, and name the first difference if there is one",
    "test": "measure the word error rate on the test set with the full language model",
    "tune": "measure held-out word error rates against acoustic scale and prior scale",
    "align": "make a corpus with the same frames, aligned anew by a run's model",
    "runs": "list, search, tag, compare, pack, open, delete and resume the runs of months",
    "table": "print the numbers of runs side by side",
    "decode": "transcribe audio files with a run's model",
    "sweep": "train many runs that differ in chosen settings; repeat the command to resume it",
    "study": "answer a question of the paper: run a study, list all, redraw their figures",
    "report": "write an HTML file about runs or a sweep, with Markdown, CSV and a notebook",
    "calibrate": "measure this machine for the cost clock: --set clock=cost machine=FILE",
    "lab": "open the notebooks in JupyterLab, on this computer only",
    "export": "write the curves of runs for TensorBoard, MLflow, W&B or as CSV",
    "completion": "print what makes Tab complete commands, options, runs and settings",
    "doctor": "find what is wrong or left over, and say what to do",
    "info": "print versions, processor, kernels, disk, corpora and runs",
}

# Commands that train. They import the modules of WORKBENCH_EXTENSIONS before they do anything, so
# that a wrong one is not noticed hours later.
TRAINING = ("baseline", "paper", "train", "rates", "sweep")
HELP = ("-h", "--help")

EXIT_CODES = (
    "exit codes: 0 done, 1 failed (one line says why), 2 wrong usage, 130 stopped or interrupted "
    "(what was done is kept and can be resumed)"
)


class Command(Protocol):
    """A module of this folder that is one command."""

    EXAMPLES: str
    Options: type[Any]

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options to its parser."""

    def run(self, options: Any) -> int | None:
        """Carry the command out; return its exit code, None for 0."""


class HelpFormatter(argparse.HelpFormatter):
    """A formatter that keeps lines apart, and breaks those that the terminal has no room for."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(self._broken(line, width, indent) for line in text.splitlines())

    def _broken(self, line: str, width: int, indent: str) -> str:
        own = indent + line[: len(line) - len(line.lstrip())]
        if len(own + line.lstrip()) <= width:
            return own + line.lstrip()
        return textwrap.fill(
            line.lstrip(),
            width,
            initial_indent=own,
            subsequent_indent=f"{own}    ",
            break_on_hyphens=False,
        )


class Parser(argparse.ArgumentParser):
    """A parser whose message about an unknown command or option suggests the nearest known one."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with code 2."""
        words = [word for word in sys.argv[1:] if word.startswith("--")]
        known = [option for action in self._actions for option in action.option_strings]
        if "unrecognized arguments" in message:
            unknown = [word.partition("=")[0] for word in words if word not in known]
            message += did_you_mean(unknown[0], known) if unknown else ""
        super().error(message)


def overview() -> argparse.ArgumentParser:
    """The parser of ``workbench`` alone, which only lists the commands."""
    parser = argparse.ArgumentParser(
        prog="workbench",
        usage="workbench COMMAND [OPTION ...]",
        description="What does asynchrony do to my training?",
        epilog="commands:\n"
        + "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
        + "\n\n`workbench COMMAND --help` explains a command and shows examples.\n\n"
        + EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("command", help=argparse.SUPPRESS)
    return parser


def command_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = Parser(
        prog=f"workbench {name}",
        description=COMMANDS[name],
        epilog=command.EXAMPLES,
        formatter_class=HelpFormatter,
    )
    command.add_options(parser)
    return parser


def load(name: str) -> Command:
    """The module of a command."""
    return importlib.import_module(f"workbench.cli.{name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of ``sys.argv``, and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        return explain(words)

    trains = words[0] in TRAINING
    if trains and any(word in HELP for word in words):
        know_extensions()
    command = load(words[0])
    options = command.Options(**vars(command_parser(words[0], command).parse_args(words[1:])))
    set_environment()
    try:
        with polite_termination():
            if trains:
                load_extensions()
            return command.run(options) or 0
    except UserError as error:
        return print_error(str(error))
    except MemoryError:
        return print_error("not enough memory; choose a smaller network, batch or --jobs")
    except KeyboardInterrupt:
        return report_interruption()
    except SystemError as error:
        # An interrupt in compiled code: Python finds it beside the value that the code returns.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return report_interruption()
    except BrokenPipeError:  # the reader of our output, for example `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        return print_error(explained)


def explain(words: Sequence[str]) -> int:
    """Print the list of commands, or what is wrong with a first word that is no command."""
    if words and words[0] in HELP:
        overview().print_help()
        return 0
    if not words:
        overview().print_help(sys.stderr)
        return WRONG_USAGE
    near = did_you_mean(words[0], list(COMMANDS))
    print(
        f"workbench: no such command: {words[0]}{near}\ncommands: {', '.join(COMMANDS)}",
        file=sys.stderr,
    )
    return WRONG_USAGE
