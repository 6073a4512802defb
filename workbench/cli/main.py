"""The command line: ``workbench COMMAND --help`` teaches each command.

Exit codes: 0 done, 1 failed (one line says why), 2 wrong usage, 130 interrupted (what was begun can be resumed).
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from workbench.cli.options import parser
from workbench.settings import SETTINGS, UserError, settings_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(arguments)
    args.words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return COMMANDS[args.command](args) or 0
    except UserError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nworkbench: interrupted; what was done is kept, run the same command (or --resume RUN) to go on",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has gone
        sys.stderr.close()
        return 1


def changes(pairs: Sequence[str]) -> dict[str, object]:
    """``FIELD=VALUE`` words as a dictionary of parsed values."""
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in SETTINGS:
            raise UserError(
                f"--set {pair}: "
                + ("write FIELD=VALUE" if not equals else f"no such setting: {name}")
            )
        out[name] = SETTINGS[name].parse(value)
    return out


def prepare(args) -> None:
    from workbench.cli.progress import bars
    from workbench.prepare import pipeline

    values = {
        name: described.parse(getattr(args, name))
        for name, described in settings_of(pipeline.Preparation).items()
        if getattr(args, name) is not None
    }
    source = pipeline.Source(
        args.synthetic,
        args.size,
        args.kaldi,
        args.lhotse,
        args.audio_root,
        args.lexicon,
        args.allow_commands,
    )
    with bars() as progress:
        corpus = pipeline.prepare(
            args.name, source, pipeline.Preparation(**values), args.jobs, progress
        )
    print(pipeline.describe(corpus))


def train(args) -> None:
    from workbench import runs
    from workbench.cli.progress import bars
    from workbench.runs import drive
    from workbench.settings import preset
    from workbench.storage.run import find_run

    if not args.corpus and not args.resume:
        raise UserError("train: name a corpus, or --resume RUN")
    if args.detach:
        return _detached(args)
    given = {
        k: v for k, v in (("criterion", args.criterion), ("clock", args.clock)) if v is not None
    }
    settings = (
        find_run(args.resume).settings
        if args.resume
        else preset(args.preset, **given, **changes(args.set))
    )
    address = args.cluster or (find_run(args.resume).record.get("cluster") if args.resume else None)
    with bars() as progress, drive.cluster_at(address, settings, args.dashboard) as executor:
        if args.resume:
            run = runs.resume(args.resume, progress, executor=executor)
        else:
            run = runs.train(
                args.corpus,
                settings,
                name=args.name,
                init=args.init,
                transfer_from=args.transfer,
                progress=progress,
                executor=executor,
                record=args.record or None,
            )
    print(run.folder)


def _detached(args) -> None:
    """The same command in a session of its own; its run's folder is printed as soon as there is one."""
    from workbench.runs import launch

    words = [word for word in args.words if word != "--detach"]
    print(
        launch.begun(
            words, args.resume or args.name or args.criterion or "ce", bool(args.resume)
        ).folder
    )


def attach(args) -> None:
    from workbench.cli.follow import follow
    from workbench.storage.run import find_run

    follow(find_run(args.run_name), sys.stdout)


def stop(args) -> None:
    from workbench.runs.launch import kill_worker, stop_run
    from workbench.storage.run import find_run

    run = find_run(args.run_name)
    if args.kill_worker is not None:
        print(
            f"{run.name}: killed worker {args.kill_worker} (process {kill_worker(run, args.kill_worker)}); it goes on"
        )
        return
    stop_run(run)
    print(
        f"{run.name} comes to rest at a checkpoint; go on with: workbench train --resume {run.name}"
    )


def replay(args) -> None:
    from workbench.cli.progress import bars
    from workbench.runs import replay

    with bars() as progress:
        print(replay.replay(args.run_name, progress))


def calibrate(args) -> None:
    from workbench.cli.progress import bars
    from workbench.runs.calibrate import calibrate as measure

    with bars() as progress:
        path = measure(args.run_name, args.out, not args.no_network, progress)
    print(path)


def test(args) -> None:
    from workbench.cli.progress import bars
    from workbench.figures.tables import text_table
    from workbench.recognise import evaluate

    with bars() as progress:
        run = evaluate.test(args.run_name, progress, args.search)
    print(text_table([run]))


def tune(args) -> None:
    from workbench.cli.progress import bars
    from workbench.recognise import evaluate

    with bars() as progress:
        print(
            evaluate.tune(args.run_name, args.acoustic, args.prior, progress).to_string(index=False)
        )


def align(args) -> None:
    from workbench.cli.progress import bars
    from workbench.prepare import pipeline
    from workbench.recognise import realign

    with bars() as progress:
        print(pipeline.describe(realign.realign(args.run_name, args.name, progress)))


def table(args) -> None:
    from workbench.figures.tables import run_rows, text_table
    from workbench.storage.run import all_runs, find_run

    found = [find_run(name) for name in args.runs] if args.runs else all_runs()
    print(json.dumps(run_rows(found), indent=1) if args.json else text_table(found))


def decode(args) -> None:
    from workbench.recognise import evaluate

    for path, words in evaluate.decode(args.run_name, args.audio, args.search):
        print(f"{path}\t{' '.join(words)}")


def sweep(args) -> int:
    from workbench import sweeping
    from workbench.cli.progress import bars
    from workbench.cli.sweep_options import sweep_of, text

    if args.recipe == "list":
        print("\n".join(f"{name:28} {question}" for name, question in sweeping.recipes().items()))
        return 0
    wanted = sweep_of(args)
    print(f"sweep {wanted.name}: {sweeping.estimate(wanted, args.jobs)}")
    if args.dry_run:
        print(
            "\n".join(
                f"  {c.state:8} {c.cell.id}  seed {c.cell.seed}  {c.cell.label}"
                for c in sweeping.plan(wanted)
            )
        )
        return 0
    with bars() as progress, sweeping.on_cluster(args.cluster, args.jobs) as executor:
        cells = sweeping.run(wanted, args.jobs, args.retry, progress, executor)
    found = sweeping.results(sweeping.find_sweep(wanted.name))
    print(text(found))
    return int(any(c.state == "failed" for c in cells))


def report(args) -> None:
    from workbench.reports.report import write_report
    from workbench.reports.sweep_report import write_sweep_report
    from workbench.storage.run import find_run
    from workbench.sweeping import find_sweep, results

    try:
        found = [find_run(name) for name in args.runs]
    except UserError:
        if len(args.runs) > 1:
            raise
        print(write_sweep_report(results(find_sweep(args.runs[0])), args.out, args.title))
        return
    print(write_report(found, args.out, args.title))


def lab(args) -> int:
    from workbench.cli.lab import run_lab

    return run_lab(args.port, not args.no_open)


def demo(args) -> None:
    from workbench.cli import demo as main_job

    main_job.run(args.size, open_report=not args.no_open)


def info(args) -> None:
    from workbench.cli import doctor

    print(doctor.describe())


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    f.__name__: f
    for f in (
        *(prepare, train, attach, stop, replay, test, tune, align, table, decode),
        *(sweep, report, calibrate, lab, demo, info),
    )
}

if __name__ == "__main__":
    sys.exit(main())
