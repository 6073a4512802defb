"""``workbench train``: train a new run, or resume one."""

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import print_remark, report_interruption
from workbench.cli.options import add_settings_options, parse_changes, settings_help
from workbench.cli.progress import bars
from workbench.settings import Settings, UserError, Value, idle_sentences, preset

if TYPE_CHECKING:
    from workbench.prepare.corpus import Corpus
    from workbench.runs import Transfer
    from workbench.storage.run import Run

EXAMPLES = f"""examples:
  workbench train icelandic --preset laptop --name ce
  workbench train icelandic --preset laptop --criterion mmi --init ce --name mmi
  workbench train icelandic --criterion mmi --init ce --set learning_rate=auto
  workbench train --resume mmi

{settings_help()}"""

FIND_RATE = "learning_rate=auto"


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    corpus: str | None
    preset: str
    changes: list[str]
    criterion: str | None
    init: str | None
    transfer: str | None
    clock: str | None
    cluster: str | None
    dashboard: bool
    name: str | None
    resume: str | None
    record: bool
    detach: bool

    @property
    def settings(self) -> Settings:
        """The settings of a new run; a rate that is to be found has its default."""
        named = {"criterion": self.criterion, "clock": self.clock}
        given = {name: value for name, value in named.items() if value is not None}
        return preset(self.preset, **given, **self.fixed)

    @property
    def fixed(self) -> dict[str, Value]:
        """The settings that were given a value."""
        return parse_changes([word for word in self.changes if word != FIND_RATE])

    @property
    def find_rate(self) -> bool:
        """Whether the learning rate is to be found."""
        return FIND_RATE in self.changes

    def idle_sentences(self) -> list[str]:
        """Which of the settings that were given have no effect."""
        settings = self.settings.replace(clock="wall") if self.cluster else self.settings
        return idle_sentences(settings, self.fixed)

    def start_sentences(self) -> list[str]:
        """What is unusual about the start of a new run."""
        if self.settings.sequence and not (self.init or self.transfer):
            name = self.settings.criterion.name
            return [
                f"criterion={name} starts from random weights; the paper starts from a model of "
                "cross entropy: --init RUN"
            ]
        return []

    def words(self) -> list[str]:
        """The command line that gives these options, without ``--detach``."""
        valued = {
            "--preset": self.preset,
            "--criterion": self.criterion,
            "--init": self.init,
            "--transfer": self.transfer,
            "--clock": self.clock,
            "--cluster": self.cluster,
            "--name": self.name,
            "--resume": self.resume,
        }
        words = ["train", *([self.corpus] if self.corpus else [])]
        for option, value in valued.items():
            words += [option, value] if value is not None else []
        words += ["--dashboard"] if self.dashboard else []
        words += ["--record"] if self.record else []
        words += ["--set", *self.changes] if self.changes else []
        return words


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("corpus", nargs="?", help="a prepared corpus")
    add_settings_options(parser, "change settings, see below")
    parser.add_argument("--criterion", help="ce, mmi, bmmi, mpe or smbr (default: ce)")
    parser.add_argument("--init", metavar="RUN", help="start from this run's model")
    parser.add_argument(
        "--transfer",
        metavar="RUN",
        help="take the hidden layers only, from a run on another corpus",
    )
    parser.add_argument(
        "--clock", choices=("free", "cost", "measured"), help="what time is (default: free)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="'local' or tcp://host:port of a Dask scheduler"
    )
    parser.add_argument(
        "--dashboard",
        action="store_true",
        help="with --cluster local: Dask's dashboard, which has no login, on loopback",
    )
    parser.add_argument("--name", help="name of the run (default: the criterion)")
    parser.add_argument("--resume", metavar="RUN", help="resume a run that was stopped or lost")
    parser.add_argument(
        "--record",
        action="store_true",
        help="keep the schedule for `replay`; on a cluster it is always kept",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="run in a session of its own, which outlives this terminal",
    )


def run(options: Options) -> int:
    """Train or resume, and print the run's folder; return the exit code."""
    from workbench import runs
    from workbench.batches import slot_sentences
    from workbench.prepare.corpus import Corpus
    from workbench.runs import launch
    from workbench.storage.run import Run, find_run

    if options.detach:
        begun_as = options.resume or options.name or options.criterion or "ce"
        print(launch.launch_and_wait(options.words(), begun_as, bool(options.resume)).folder)
        return 0
    if options.resume:
        return resume(find_run(options.resume), options)
    if not options.corpus:
        raise UserError("train: name a corpus, or --resume RUN")

    settings = options.settings
    corpus = Corpus.open(options.corpus)
    crowded = slot_sentences(settings, len(corpus.split("train")))
    for sentence in [*options.idle_sentences(), *options.start_sentences(), *crowded]:
        print(f"warning: {sentence}", file=sys.stderr)
    init: Run | runs.Transfer | None = None
    if options.init:
        init = find_run(options.init)
    elif options.transfer:
        init = runs.Transfer(find_run(options.transfer))
    if options.find_rate:
        settings = found_settings(corpus, settings, init)
    return train(corpus, settings, init, options)


def train(
    corpus: "Corpus", settings: Settings, init: "Run | Transfer | None", options: Options
) -> int:
    """Train a new run, or go on with the same one that was begun before; return the exit code."""
    from workbench import runs
    from workbench.runs.execution import cluster_at
    from workbench.storage.run import RunState, runs_called
    from workbench.storage.run_writer import RunExists

    namesakes = runs_called(options.name) if options.name else []
    address = options.cluster
    try:
        with bars() as progress, cluster_at(address, settings, options.dashboard) as executor:
            trained = runs.train(
                corpus,
                settings,
                name=options.name,
                init=init,
                progress=progress,
                executor=executor,
                record=options.record or None,
            )
    except RunExists as found:
        if found.run.status().state in (RunState.DONE, RunState.DIVERGED):
            raise
        print_remark(f"{found.run.name} was begun before; it goes on")
        return resume(found.run, options)

    if namesakes:
        print_remark(f"other runs are called {options.name} too; this one is {trained.name}")
    return report(trained)


def found_settings(corpus: "Corpus", settings: Settings, init: "Run | Transfer | None") -> Settings:
    """The settings with the learning rate that is found for them; print what was found."""
    from workbench.rates import find_rate

    with bars() as progress:
        search = find_rate(corpus, settings, init, progress)
    print(search)
    return settings.replace(learning_rate=search.found)


def resume(interrupted: "Run", options: Options) -> int:
    """Resume a run, on its own cluster unless another is given; return the exit code."""
    from workbench import runs
    from workbench.runs.execution import cluster_at

    settings = interrupted.settings
    address = options.cluster or interrupted.record.cluster
    with bars() as progress, cluster_at(address, settings, options.dashboard) as executor:
        resumed = runs.resume(interrupted, progress, executor=executor)
    return report(resumed)


def report(trained: "Run") -> int:
    """Print the folder of a run that is done, or how to resume one that was stopped."""
    from workbench.storage.run import RunState

    if trained.status().state == RunState.STOPPED:
        return report_interruption(trained.name)
    divergences = trained.summary.divergences
    if divergences:
        print(
            f"{trained.name}: training diverged, and the learning rate was halved (divergences: "
            f"{divergences}; see {trained.folder / 'log.txt'})",
            file=sys.stderr,
        )
    print(trained.folder)
    return 0
