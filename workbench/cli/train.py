"""``workbench train``: train a new run, or resume one."""

import argparse
from dataclasses import dataclass

from workbench.cli.options import add_settings_options, parse_changes, settings_help
from workbench.cli.progress import bars
from workbench.settings import Settings, UserError, preset

EXAMPLES = f"""examples:
  workbench train icelandic --preset laptop --name ce
  workbench train icelandic --preset laptop --criterion mmi --init ce --name mmi
  workbench train --resume mmi

{settings_help()}"""


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
        """The settings of a new run."""
        named = {"criterion": self.criterion, "clock": self.clock}
        given = {name: value for name, value in named.items() if value is not None}
        return preset(self.preset, **given, **parse_changes(self.changes))

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


def run(options: Options) -> None:
    """Train or resume, and print the run's folder."""
    from workbench import runs
    from workbench.runs import drive, launch

    if options.detach:
        begun_as = options.resume or options.name or options.criterion or "ce"
        print(launch.begun(options.words(), begun_as, bool(options.resume)).folder)
        return
    if options.resume:
        resume(options)
        return
    if not options.corpus:
        raise UserError("train: name a corpus, or --resume RUN")

    settings = options.settings
    with (
        bars() as progress,
        drive.cluster_at(options.cluster, settings, options.dashboard) as executor,
    ):
        trained = runs.train(
            options.corpus,
            settings,
            name=options.name,
            init=options.init,
            transfer_from=options.transfer,
            progress=progress,
            executor=executor,
            record=options.record or None,
        )
    print(trained.folder)


def resume(options: Options) -> None:
    """Resume the run that ``--resume`` names, on the cluster it was started on unless another is
    given.
    """
    from workbench import runs
    from workbench.runs import drive
    from workbench.storage.run import find_run

    assert options.resume is not None
    interrupted = find_run(options.resume)
    address = options.cluster or interrupted.record.get("cluster")
    with (
        bars() as progress,
        drive.cluster_at(address, interrupted.settings, options.dashboard) as executor,
    ):
        resumed = runs.resume(interrupted.name, progress, executor=executor)
    print(resumed.folder)
