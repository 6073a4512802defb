"""Frames per second of a Dask cluster of two workers against one process, and where the rest of the
time goes.

    PYTHONPATH=tests python -m benchmarks.bench_cluster [--corpus NAME] [--units 256] [--epochs 1]

Without --corpus a small one is synthesised and prepared in a folder that is removed again. Wall
seconds from the first to the last push, so neither the start of workers nor the last evaluation
counts; evaluation is switched off as far as it can be. Parallel work is worth at most what the
machine's cores give to two processes that share nothing: that limit is measured beside it, as the
same one-process run done by two processes at once.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from workbench import runs
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.runs.execution import cluster_at
from workbench.runs.task import Task
from workbench.settings import Settings
from workbench.storage.home import data_folder
from workbench.storage.rows import PushRow, UsageRow
from workbench.storage.run import Run
from workbench.system.processes import child_environment

ONE = "from benchmarks.bench_cluster import alone; import sys; alone(*sys.argv[1:])"


def settings(criterion: str, units: int, epochs: float, **changes) -> Settings:
    """Two replicas unless said otherwise; measured at the start and at the end, on few
    utterances.
    """
    sequence = criterion != "ce"
    given = dict(
        criterion=criterion,
        hidden_layers=2,
        hidden_units=units,
        batch=32 if sequence else 200,
        learning_rate=0.002 if sequence else 0.1,
        epochs=epochs,
        evaluate_every=1000.0,
        evaluate_utterances=2,
        checkpoint_every=1000.0,
        decays=0,
        replicas=2,
    )
    return Settings.of(**{**given, **changes})


def alone(corpus: str, criterion: str, units: str, epochs: str, name: str) -> None:
    """One replica in one process, on the clock that costs nothing; prints frames per
    wall second.
    """
    begun: list[tuple[float, int]] = []

    def note(done: int, total: int, what: str) -> None:
        begun.append((time.perf_counter(), done))

    task = settings(criterion, int(units), float(epochs), replicas=1)
    runs.train(Corpus.open(corpus), task, name=name, progress=note)
    start, first = begun[0]
    end, last = begun[-1]
    print((last - first) / (end - start))


def processes(corpus: str, criterion: str, units: int, epochs: float, count: int) -> float:
    """Frames per second of ``count`` such processes at once, summed."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    words = [
        [corpus, criterion, str(units), str(epochs), f"{criterion}-{count}-{i}"]
        for i in range(count)
    ]
    environment = child_environment(PYTHONPATH=path, WORKBENCH_DATA=str(data_folder()))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ONE, *w], stdout=subprocess.PIPE, text=True, env=environment
        )
        for w in words
    ]
    return sum(float(p.communicate()[0].split()[-1]) for p in started)


def on_cluster(corpus: str, criterion: str, units: int, epochs: float) -> tuple[float, Run]:
    """Frames per second of two replicas on two workers, and the run."""
    wanted = settings(criterion, units, epochs)
    with cluster_at("local", wanted) as cluster:
        run = runs.train(Corpus.open(corpus), wanted, name=f"{criterion}-cluster", executor=cluster)
    rows = run.table(PushRow).sort_values("seconds")
    seconds = rows["seconds"].iloc[-1] - rows["seconds"].iloc[0]
    return float(rows["frames"].iloc[1:].sum() / seconds), run


def shares(run: Run) -> str:
    """How the processes of a run spent their time: shares of all processes of a kind, by what they
    did.
    """
    usage = run.table(UsageRow)
    lines = []
    for kind in ("replica", "decoder", "server"):
        mine = usage[usage.process.str.startswith(kind)]
        columns = [
            c
            for c in ("work_seconds", "ask_seconds", "put_seconds", "take_seconds", "busy_seconds")
            if c in mine
        ]
        spent = mine[columns].sum()
        whole = float(run.table(PushRow)["seconds"].max()) * mine.process.nunique()
        if len(mine):
            parts = ", ".join(
                f"{c.removesuffix('_seconds')} {100 * spent[c] / whole:.0f} %"
                for c in columns
                if spent[c]
            )
            lines.append(f"    {kind}: {parts}")
    return "\n".join(lines)


@contextmanager
def some_corpus(name: str | None) -> Iterator[str]:
    """The corpus that was asked for, or a small one of its own."""
    if name:
        yield name
        return
    with TemporaryDirectory() as folder:
        os.environ["WORKBENCH_DATA"] = folder
        prepare("bench", Source(synthetic="is", size="smoke"), Preparation(states=300), jobs=2)
        yield "bench"


def main() -> None:
    """Print a line per way of running."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--epochs", type=float, default=1.0)
    args = parser.parse_args()
    with some_corpus(args.corpus) as corpus, TemporaryDirectory() as folder:
        frames = Task(Corpus.open(corpus), Settings()).train.frames
        print(
            f"{corpus}: {frames} training frames, 2 x {args.units} hidden units, "
            f"{os.cpu_count()} cores"
        )
        (data_folder() / "runs").mkdir(exist_ok=True)
        source = Corpus.open(corpus).folder.resolve()
        os.environ["WORKBENCH_DATA"] = folder
        for criterion in ("ce", "mmi"):
            given = (str(source), criterion, args.units, args.epochs)
            one = processes(*given, 1)
            two = processes(*given, 2)
            both, run = on_cluster(*given)
            ages = run.table(PushRow)["staleness_inner"]
            print(
                f"{criterion}: one process {one:.0f} frames/s; "
                f"two at once {two:.0f} ({two / one:.2f} x);"
            )
            print(
                f"  cluster of two workers {both:.0f} ({both / one:.2f} x), "
                f"staleness {np.mean(ages):.2f} updates"
            )
            print(shares(run), flush=True)


if __name__ == "__main__":
    main()
