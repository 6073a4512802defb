"""What can be said on the command line: the commands, their options and examples."""

import argparse
from pathlib import Path

from workbench.settings import PRESETS, SETTINGS, settings_of


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="workbench", description="What does asynchrony do to my training?"
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        *(_prepare, _train, _attach, _stop, _replay, _test, _tune, _align, _table, _decode),
        *(_sweep, _report, _calibrate, _lab, _demo, _info),
    ):
        add(commands)
    return top


def _command(commands, name: str, help: str, epilog: str = "") -> argparse.ArgumentParser:
    sub = commands.add_parser(
        name,
        help=help,
        description=help,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(command=name)
    return sub


def _prepare(commands) -> None:
    p = _command(
        commands,
        "prepare",
        "make a corpus: features, lexicon, language models, tied states, graphs",
        "examples:\n  workbench prepare icelandic --synthetic is --size demo\n"
        "  workbench prepare digits --kaldi path/to/digits --states 90",
    )
    p.add_argument("name", help="what the corpus is to be called")
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--synthetic", choices=("is", "en"), help="synthesise Icelandic or English voice search"
    )
    source.add_argument(
        "--kaldi",
        type=Path,
        metavar="DIR",
        help="Kaldi data directories train, [heldout|dev], [test] and a lexicon",
    )
    source.add_argument(
        "--lhotse", type=Path, metavar="DIR", help="Lhotse manifests (.jsonl, .jsonl.gz)"
    )
    p.add_argument(
        "--size",
        default="demo",
        help="of the synthetic corpus: tiny, smoke, demo, default, paper (default: demo)",
    )
    p.add_argument(
        "--lexicon", type=Path, help="lexicon.txt or lexiconp.txt, if not in the data directory"
    )
    p.add_argument(
        "--audio-root", type=Path, help="folder against which relative audio paths resolve"
    )
    p.add_argument(
        "--allow-commands",
        action="store_true",
        help="run the command pipes of wav.scp (they run as you)",
    )
    p.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    from workbench.prepare.pipeline import Preparation

    for f in settings_of(Preparation).values():
        p.add_argument(f"--{f.name}", default=None, help=f"{f.doc} (default: {f.default})")


def _train(commands) -> None:
    p = _command(
        commands,
        "train",
        "train a model on a corpus, or resume a run",
        "examples:\n  workbench train icelandic --preset laptop --name ce\n"
        "  workbench train icelandic --preset laptop --criterion mmi --init ce --name mmi\n"
        "  workbench train --resume mmi\n\nsettings, for --set:\n" + settings_help(),
    )
    p.add_argument("corpus", nargs="?", help="a prepared corpus")
    p.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="laptop",
        help="size of the network (default: laptop)",
    )
    p.add_argument("--criterion", help="ce, mmi, bmmi, mpe or smbr (default: ce)")
    p.add_argument("--init", metavar="RUN", help="start from this run's model")
    p.add_argument(
        "--transfer", metavar="RUN", help="take hidden layers only, from a run on another corpus"
    )
    p.add_argument(
        "--clock", choices=("free", "cost", "measured"), help="what time is (default: free)"
    )
    p.add_argument(
        "--cluster", metavar="ADDRESS", help="'local' or tcp://host:port of a Dask scheduler"
    )
    p.add_argument(
        "--dashboard",
        action="store_true",
        help="with --cluster local: Dask's dashboard, without login, on loopback",
    )
    p.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="change settings, see below",
    )
    p.add_argument("--name", help="name of the run (default: the criterion)")
    p.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped or lost")
    p.add_argument(
        "--record",
        action="store_true",
        help="keep the schedule for `replay`; on a cluster it is always kept",
    )
    p.add_argument(
        "--detach",
        action="store_true",
        help="run in a session of its own, which outlives this terminal",
    )


def _attach(commands) -> None:
    p = _command(commands, "attach", "follow a run until it ends; Ctrl-C leaves it alone")
    p.add_argument("run_name", metavar="RUN")


def _stop(commands) -> None:
    p = _command(commands, "stop", "ask a run, wherever it runs, to come to rest at a checkpoint")
    p.add_argument("run_name", metavar="RUN")
    p.add_argument(
        "--kill-worker",
        metavar="K",
        help="kill worker K of its `--cluster local` instead: the run goes on from its last checkpoint",
    )


def _replay(commands) -> None:
    p = _command(
        commands,
        "replay",
        "do a recorded run again, call by call, and name the first difference if there is one",
    )
    p.add_argument("run_name", metavar="RUN")


def _calibrate(commands) -> None:
    p = _command(
        commands,
        "calibrate",
        "measure this machine for the cost clock: --set clock=cost machine=FILE",
        "examples:\n  workbench calibrate mmi --out data/machines/desk.json",
    )
    p.add_argument(
        "run_name",
        metavar="RUN",
        help="a run with a model: its corpus, network and settings are measured",
    )
    p.add_argument(
        "--out", type=Path, default=None, help="file to write (default: data/machines/<host>.json)"
    )
    p.add_argument(
        "--no-network",
        action="store_true",
        help="do not start a small Dask cluster to measure messages",
    )


def _test(commands) -> None:
    p = _command(commands, "test", "word error rate on the test set with the full language model")
    p.add_argument("run_name", metavar="RUN")
    _search(p)


def _tune(commands) -> None:
    p = _command(
        commands, "tune", "held-out word error rate against acoustic scale and prior scale"
    )
    p.add_argument("run_name", metavar="RUN")
    p.add_argument(
        "--acoustic",
        nargs="+",
        type=float,
        default=[0.05, 0.1, 0.15, 0.2, 0.3],
        help="scales to try",
    )
    p.add_argument("--prior", nargs="+", type=float, default=[1.0], help="prior scales to try")


def _align(commands) -> None:
    p = _command(commands, "align", "a corpus of the same frames, aligned anew by a run's model")
    p.add_argument("run_name", metavar="RUN")
    p.add_argument("--name", required=True, help="what the corpus is to be called")


def _table(commands) -> None:
    p = _command(commands, "table", "the numbers of runs, side by side")
    p.add_argument("runs", nargs="*", metavar="RUN", help="default: all")
    p.add_argument("--json", action="store_true", help="print a list with one object per run")


def _decode(commands) -> None:
    p = _command(commands, "decode", "transcribe audio files with a run's model")
    p.add_argument("run_name", metavar="RUN")
    p.add_argument("audio", nargs="+", type=Path)
    _search(p)


def _search(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--search",
        choices=("rescoring", "graph"),
        default="rescoring",
        help="a wide unigram lattice rescored by the language model, or its own graph (default: rescoring)",
    )


def _sweep(commands) -> None:
    p = _command(
        commands,
        "sweep",
        "many runs that differ in chosen settings; the same command again goes on with it",
        "examples:\n  workbench sweep icelandic --axis shuffling=none,on-the-fly,full --seeds 0,1,2 --jobs 2\n"
        "  workbench sweep icelandic --recipe e3-fetch-interval --init ce --dry-run",
    )
    p.add_argument("corpus", nargs="?", help="a prepared corpus")
    p.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="FIELD=V1,V2,...",
        help="a setting and its values; may be repeated",
    )
    p.add_argument("--seeds", help="seeds of every cell (default: 0)", metavar="0,1,2")
    p.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="laptop",
        help="size of the network (default: laptop)",
    )
    p.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="settings that all runs share",
    )
    p.add_argument("--init", metavar="RUN", help="all start from this run's model")
    p.add_argument("--recipe", help="a ready-made sweep; `--recipe list` lists them")
    p.add_argument(
        "--size",
        default="watch",
        help="of the recipe: watch (at most ten minutes) or laptop (default: watch)",
    )
    p.add_argument("--file", type=Path, help="a sweep.json, for lists of points and random draws")
    p.add_argument(
        "--name",
        help="of the sweep (default: made of corpus and axes); alone: go on with the sweep of this name",
    )
    p.add_argument("--jobs", type=int, default=2, help="runs side by side (default: 2)")
    p.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="as Dask tasks: local, or tcp://scheduler:8786 (data shared)",
    )
    p.add_argument(
        "--no-test", action="store_true", help="do not test the models: faster, but no significance"
    )
    p.add_argument("--retry", action="store_true", help="run failed cells again")
    p.add_argument(
        "--dry-run", action="store_true", help="say what would be run and how long it would take"
    )


def _report(commands) -> None:
    p = _command(
        commands,
        "report",
        "one self-contained HTML file about runs or a sweep, with Markdown, CSV and notebook",
    )
    p.add_argument("runs", nargs="+", metavar="RUN|SWEEP")
    p.add_argument(
        "--out",
        type=Path,
        default=None,
        help="file to write (default: data/reports/<first name>.html)",
    )
    p.add_argument("--title", default=None)


def _lab(commands) -> None:
    p = _command(
        commands, "lab", "the notebooks, in JupyterLab on this computer alone, with its token"
    )
    p.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    p.add_argument(
        "--no-open", action="store_true", help="do not open a browser; the address is printed"
    )


def _demo(commands) -> None:
    p = _command(
        commands, "demo", "the main job: corpus, cross entropy, MMI, word error rates, report"
    )
    p.add_argument("--size", default="demo", help="of the corpus (default: demo)")
    p.add_argument("--no-open", action="store_true", help="do not open the report")


def _info(commands) -> None:
    _command(commands, "info", "versions, processor, kernels, disk, corpora and runs")


def settings_help() -> str:
    """One line per setting: name, default, unit, choices or range, explanation."""
    lines = []
    for f in SETTINGS.values():
        unit = f" {f.unit}" if f.unit else ""
        lines.append(f"  {f.name}={f.default}{unit}: {f.doc}")
    return "\n".join(lines)
