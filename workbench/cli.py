"""The command line: ``workbench COMMAND --help`` teaches each command.

Exit codes: 0 done, 1 failed (one line says why), 2 wrong usage, 130 interrupted (what was begun can be resumed).
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.settings import PRESETS, Settings, UserError, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(arguments)
    try:
        return args.run(args) or 0
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


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="workbench", description="What does asynchrony do to my training?")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for add in (_prepare, _train, _test, _tune, _table, _decode, _sweep, _report, _lab, _demo, _info):
        add(commands)
    return top


def _command(commands, name: str, run, help: str, epilog: str = "") -> argparse.ArgumentParser:
    sub = commands.add_parser(
        name, help=help, description=help, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sub.set_defaults(run=run)
    return sub


def _prepare(commands) -> None:
    p = _command(commands, "prepare", prepare, "make a corpus: features, lexicon, language models, tied states, graphs",
                 "examples:\n  workbench prepare icelandic --synthetic is --size demo\n"
                 "  workbench prepare digits --kaldi path/to/digits --states 90")  # fmt: skip
    p.add_argument("name", help="what the corpus is to be called")
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--synthetic", choices=("is", "en"), help="synthesise Icelandic or English voice search")
    source.add_argument(
        "--kaldi", type=Path, metavar="DIR", help="Kaldi data directories train, [heldout|dev], [test] and a lexicon"
    )
    source.add_argument("--lhotse", type=Path, metavar="DIR", help="Lhotse manifests (.jsonl, .jsonl.gz)")
    p.add_argument(
        "--size", default="demo", help="of the synthetic corpus: tiny, smoke, demo, default, paper (default: demo)"
    )
    p.add_argument("--lexicon", type=Path, help="lexicon.txt or lexiconp.txt, if not in the data directory")
    p.add_argument("--audio-root", type=Path, help="folder against which relative audio paths resolve")
    p.add_argument("--allow-commands", action="store_true", help="run the command pipes of wav.scp (they run as you)")
    p.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    from workbench.preparation import Preparation

    for f in dataclasses.fields(Preparation):
        p.add_argument(f"--{f.name}", default=None, help=f"{f.metadata['doc']} (default: {f.default})")


def _train(commands) -> None:
    p = _command(commands, "train", train, "train a model on a corpus, or resume a run",
                 "examples:\n  workbench train icelandic --preset laptop --name ce\n"
                 "  workbench train icelandic --preset laptop --criterion mmi --init ce --name mmi\n"
                 "  workbench train --resume mmi\n\nsettings, for --set:\n" + settings_help())  # fmt: skip
    p.add_argument("corpus", nargs="?", help="a prepared corpus")
    p.add_argument("--preset", choices=sorted(PRESETS), default="laptop", help="size of the network (default: laptop)")
    p.add_argument("--criterion", help="ce, mmi, bmmi, mpe or smbr (default: ce)")
    p.add_argument("--init", metavar="RUN", help="start from this run's model")
    p.add_argument("--transfer", metavar="RUN", help="take hidden layers only, from a run on another corpus")
    p.add_argument("--clock", choices=("free", "cost", "measured"), help="what time is (default: free)")
    p.add_argument("--cluster", metavar="ADDRESS", help="'local' or tcp://host:port of a Dask scheduler")
    p.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="change settings, see below"
    )
    p.add_argument("--name", help="name of the run (default: the criterion)")
    p.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped or lost")


def _test(commands) -> None:
    p = _command(commands, "test", test, "word error rate on the test set with the full language model")
    p.add_argument("run_name", metavar="RUN")


def _tune(commands) -> None:
    p = _command(commands, "tune", tune, "held-out word error rate against acoustic scale and prior scale")
    p.add_argument("run_name", metavar="RUN")
    p.add_argument("--acoustic", nargs="+", type=float, default=[0.05, 0.1, 0.15, 0.2, 0.3], help="scales to try")
    p.add_argument("--prior", nargs="+", type=float, default=[1.0], help="prior scales to try")


def _table(commands) -> None:
    p = _command(commands, "table", table, "the numbers of runs, side by side")
    p.add_argument("runs", nargs="*", metavar="RUN", help="default: all")
    p.add_argument("--json", action="store_true", help="print a list with one object per run")


def _decode(commands) -> None:
    p = _command(commands, "decode", decode, "transcribe audio files with a run's model")
    p.add_argument("run_name", metavar="RUN")
    p.add_argument("audio", nargs="+", type=Path)


def _sweep(commands) -> None:
    p = _command(commands, "sweep", sweep, "many runs that differ in chosen settings; the same command again goes on with it",
                 "examples:\n  workbench sweep icelandic --axis shuffling=none,on-the-fly,full --seeds 0,1,2 --jobs 2\n"
                 "  workbench sweep icelandic --recipe e3-fetch-interval --init ce --dry-run")  # fmt: skip
    p.add_argument("corpus", nargs="?", help="a prepared corpus")
    p.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="FIELD=V1,V2,...",
        help="a setting and its values; may be repeated",
    )
    p.add_argument("--seeds", help="seeds of every cell (default: 0)", metavar="0,1,2")
    p.add_argument("--preset", choices=sorted(PRESETS), default="laptop", help="size of the network (default: laptop)")
    p.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="settings that all runs share"
    )
    p.add_argument("--init", metavar="RUN", help="all start from this run's model")
    p.add_argument("--recipe", help="a ready-made sweep; `--recipe list` lists them")
    p.add_argument(
        "--size", default="watch", help="of the recipe: watch (at most ten minutes) or laptop (default: watch)"
    )
    p.add_argument("--file", type=Path, help="a sweep.json, for lists of points and random draws")
    p.add_argument(
        "--name", help="of the sweep (default: made of corpus and axes); alone: go on with the sweep of this name"
    )
    p.add_argument("--jobs", type=int, default=2, help="runs side by side (default: 2)")
    p.add_argument("--no-test", action="store_true", help="do not test the models: faster, but no significance")
    p.add_argument("--retry", action="store_true", help="run failed cells again")
    p.add_argument("--dry-run", action="store_true", help="say what would be run and how long it would take")


def _report(commands) -> None:
    p = _command(
        commands,
        "report",
        report,
        "one self-contained HTML file about runs or a sweep, with Markdown, CSV and notebook",
    )
    p.add_argument("runs", nargs="+", metavar="RUN|SWEEP")
    p.add_argument("--out", type=Path, default=None, help="file to write (default: data/reports/<first name>.html)")
    p.add_argument("--title", default=None)


def _lab(commands) -> None:
    p = _command(commands, "lab", lab, "the notebooks, in JupyterLab on this computer alone, with its token")
    p.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    p.add_argument("--no-open", action="store_true", help="do not open a browser; the address is printed")


def _demo(commands) -> None:
    p = _command(commands, "demo", demo, "the main job: corpus, cross entropy, MMI, word error rates, report")
    p.add_argument("--size", default="demo", help="of the corpus (default: demo)")
    p.add_argument("--no-open", action="store_true", help="do not open the report")


def _info(commands) -> None:
    _command(commands, "info", info, "versions, processor, kernels, disk, corpora and runs")


def settings_help() -> str:
    """One line per setting: name, default, unit, choices or range, explanation."""
    lines = []
    for f in dataclasses.fields(Settings):
        m = f.metadata
        lines.append(f"  {f.name}={f.default}{' ' + m['unit'] if m['unit'] else ''}: {m['doc']}")
    return "\n".join(lines)


def changes(pairs: Sequence[str]) -> dict[str, object]:
    """``FIELD=VALUE`` words as a dictionary of parsed values."""
    known = {f.name: f for f in dataclasses.fields(Settings)}
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise UserError(f"--set {pair}: " + ("write FIELD=VALUE" if not equals else f"no such setting: {name}"))
        out[name] = parse(known[name], value)
    return out


def prepare(args) -> None:
    from workbench import preparation
    from workbench.views.progress import bars

    values = {f.name: parse(f, getattr(args, f.name)) for f in dataclasses.fields(preparation.Preparation)
              if getattr(args, f.name) is not None}  # fmt: skip
    source = preparation.Source(
        args.synthetic, args.size, args.kaldi, args.lhotse, args.audio_root, args.lexicon, args.allow_commands
    )
    with bars() as progress:
        corpus = preparation.prepare(args.name, source, preparation.Preparation(**values), args.jobs, progress)
    print(preparation.describe(corpus))


def train(args) -> None:
    from workbench import runs
    from workbench.settings import preset
    from workbench.views.progress import bars

    if args.resume:
        with bars() as progress:
            print(runs.resume(args.resume, progress).folder)
        return
    if not args.corpus:
        raise UserError("train: name a corpus, or --resume RUN")
    given = {k: v for k, v in (("criterion", args.criterion), ("clock", args.clock)) if v is not None}
    settings = preset(args.preset, **given, **changes(args.set))
    with bars() as progress:
        run = runs.train(args.corpus, settings, name=args.name, init=args.init, transfer_from=args.transfer,
                         progress=progress)  # fmt: skip
    print(run.folder)


def test(args) -> None:
    from workbench import recognition
    from workbench.views.progress import bars
    from workbench.views.tables import text_table

    with bars() as progress:
        run = recognition.test(args.run_name, progress)
    print(text_table([run]))


def tune(args) -> None:
    from workbench import recognition
    from workbench.views.progress import bars

    with bars() as progress:
        print(recognition.tune(args.run_name, args.acoustic, args.prior, progress).to_string(index=False))


def table(args) -> None:
    from workbench.store import all_runs, find_run
    from workbench.views.tables import run_rows, text_table

    found = [find_run(name) for name in args.runs] if args.runs else all_runs()
    print(json.dumps(run_rows(found), indent=1) if args.json else text_table(found))


def decode(args) -> None:
    from workbench import recognition

    for path, words in recognition.decode(args.run_name, args.audio):
        print(f"{path}\t{' '.join(words)}")


def sweep(args) -> int:
    from workbench import sweeping
    from workbench.sweeping.command import sweep_of
    from workbench.views.progress import bars

    if args.recipe == "list":
        print("\n".join(f"{name:28} {question}" for name, question in sweeping.recipes().items()))
        return 0
    wanted = sweep_of(args)
    print(f"sweep {wanted.name}: {sweeping.estimate(wanted, args.jobs)}")
    if args.dry_run:
        print(
            "\n".join(f"  {c.state:8} {c.cell.id}  seed {c.cell.seed}  {c.cell.label}" for c in sweeping.plan(wanted))
        )
        return 0
    with bars() as progress:
        cells = sweeping.run(wanted, args.jobs, args.retry, progress)
    found = sweeping.results(sweeping.find_sweep(wanted.name))
    print(sweeping.text(found))
    return int(any(c.state == "failed" for c in cells))


def report(args) -> None:
    from workbench.store import find_run
    from workbench.sweeping import find_sweep, results
    from workbench.views.report import write_report
    from workbench.views.sweep_report import write_sweep_report

    try:
        found = [find_run(name) for name in args.runs]
    except UserError:
        if len(args.runs) > 1:
            raise
        print(write_sweep_report(results(find_sweep(args.runs[0])), args.out, args.title))
        return
    print(write_report(found, args.out, args.title))


def lab(args) -> int:
    from workbench.views.lab import run_lab

    return run_lab(args.port, not args.no_open)


def demo(args) -> None:
    from workbench import demo as main_job

    main_job.run(args.size, open_report=not args.no_open)


def info(args) -> None:
    from workbench import doctor

    print(doctor.describe())


if __name__ == "__main__":
    sys.exit(main())
