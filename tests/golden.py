"""Digests of what the program computes, to hold a change that must not change a number against what
was before.

`python tests/golden.py` prints them; `--write` keeps them in `golden.json`, under the kernel,
processor and torch that they belong to: products of matrices round differently on other processors.
Those of numpy round as on one kind of processor for each set of instructions, for OpenBLAS goes by
the model of the processor, and takes an old one's code where it does not know the model.
The toy's digests are the same everywhere, and `test_golden.py` holds them.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from toy import Toy, settings

from workbench import runs
from workbench.engine import Cost, load_machine
from workbench.figures.tables import display_rows
from workbench.model import kernels
from workbench.prepare import pipeline
from workbench.prepare.corpus import Corpus
from workbench.recognise import evaluate
from workbench.runs import replay
from workbench.settings import preset
from workbench.storage.rows import Row
from workbench.storage.run import Run, find_run
from workbench.system.processes import set_environment
from workbench.system.processor import this_processor

GOLDEN = Path(__file__).with_name("golden.json")
VOLATILE = {"process_seconds", "wall_seconds"}
SMALL = dict(
    hidden_layers=1, hidden_units=24, learning_rate=0.03, checkpoint_every=0.5, evaluate_every=1.0
)
SEQUENCE = {**SMALL, "criterion": "mmi", "epochs": 0.5, "batch": 16, "learning_rate": 0.002}
# At the usual beams no held-out lattice of so poor a model has its reference.
WIDE = dict(beam=24.0, lattice_beam=16.0)
TOYS: dict[str, dict[str, Any]] = {
    "sgd": dict(),
    "twelve replicas, four shards": dict(replicas=12, shards=4, epochs=3.0),
    "mmi, synchronous fetch": dict(
        criterion="mmi",
        replicas=3,
        decoder_fetch="synchronous",
        decoder_seconds=2.0,
        shards=2,
        epochs=3.0,
    ),
    "momentum": dict(optimizer="momentum", replicas=4, push_every=2),
    "adagrad": dict(optimizer="adagrad", replicas=4, fetch_every=3),
    "synchronous, one backup": dict(synchronous=True, backups=1, replicas=4, shards=2),
    "bfloat16 on the wire, prefetch": dict(wire="bfloat16", prefetch=True, replicas=4, shards=2),
    "delay compensation": dict(delay_compensation=0.1, replicas=5, staleness_step=True),
}


def digest_array(theta: np.ndarray) -> str:
    """Of the bytes of an array."""
    return hashlib.sha256(np.ascontiguousarray(theta).tobytes()).hexdigest()[:16]


def digest_rows(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> str:
    """Of all rows in order of process, whatever the order of their columns."""
    text = [
        json.dumps({k: v for k, v in r.items() if k not in VOLATILE}, sort_keys=True) for r in rows
    ]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def toys() -> dict[str, list[str]]:
    """Digests of parameters and rows of the toy on the cost clock; the same on every machine."""
    clock = Cost(load_machine("paper"), seed=1)
    found = {}
    for name, changes in TOYS.items():
        theta, rows, _, _ = Toy().run(settings(**changes), clock)
        found[name] = [
            digest_array(np.round(theta, 4)),
            digest_rows([{**r} for r in rows if r["kind"] != "evaluate"]),
        ]
    return found


def digest_run(run: Run) -> list[str]:
    """Digests of a run's parameters and rows."""
    theta, _, _ = runs.load_model(run.folder / "model")
    return [digest_array(theta), digest_rows([row.to_dict() for row in run.rows(Row)])]


def corpus_runs() -> dict[str, Any]:
    """Digests of real training on the tiny corpus, which is prepared in a folder of its own."""
    corpus = pipeline.prepare(
        "g", pipeline.Source(synthetic="is", size="tiny"), pipeline.Preparation(states=150)
    )
    found: dict[str, Any] = {}

    def train(label: str, init: Run | None = None, **changes: Any) -> Run:
        name = label.replace(" ", "-").replace(",", "")
        run = runs.train(corpus, preset("tiny", **changes), name=name, init=init)
        found[label] = digest_run(run)
        print(label, *found[label], flush=True)
        return run

    found["corpus"] = runs.corpus_digest(corpus)
    for shuffling in ("none", "on-the-fly", "full"):
        train(f"ce {shuffling}", **SMALL, epochs=1.0, shuffling=shuffling)
    ce = train("ce", **SMALL, epochs=6.0)
    train("ce forty", **SMALL, epochs=1.0, replicas=40, shards=4, clock="cost")
    for engine in ("native", "exact", "k2"):
        try:
            mmi = train(f"mmi {engine}", ce, **SEQUENCE, lattice_engine=engine)
        except (ImportError, OSError) as error:
            print(f"mmi {engine}: {error}")
    mmi = train("mmi", ce, **SEQUENCE)
    train("mmi twenty", ce, **SEQUENCE, replicas=20, shards=2, clock="cost", trained="last")
    for criterion in ("bmmi", "mpe", "smbr"):
        train(criterion, ce, **{**SEQUENCE, "criterion": criterion, "boost": 0.5, **WIDE})
    for auxiliary in ("proximal", "fresh"):
        train(auxiliary, ce, **SEQUENCE, auxiliary=auxiliary)
    train("smoothing", ce, **SEQUENCE, smoothing=0.1)
    train("realigned", ce, **SEQUENCE, denominator="none-realigned")
    found["resumed"] = digest_run(resumed(corpus, ce))
    recorded = runs.train(
        corpus,
        preset("tiny", **SEQUENCE, replicas=3, clock="cost"),
        name="rec",
        init=ce,
        record=True,
    )
    found["recorded"] = digest_run(recorded)
    found["replayed"] = replay.replay(recorded).parameters_digest
    for run in (ce, mmi):
        evaluate.test(run)
        found[f"transcripts {run.name.split('-')[0]}"] = hashlib.sha256(
            (run.folder / "test.hyp").read_bytes()
        ).hexdigest()[:16]
    table = [{k: v for k, v in row.items() if k != "run"} for row in display_rows([ce, mmi])]
    found["table"] = hashlib.sha256(json.dumps(table).encode()).hexdigest()[:16]
    return found


def resumed(corpus: Corpus, init: Run) -> Run:
    """A run that was killed after two thirds and resumed."""

    def kill(done: int, total: int, what: str) -> None:
        if done > 0.7 * total:
            raise InterruptedError

    try:
        runs.train(
            corpus,
            preset("tiny", **{**SEQUENCE, "epochs": 1.0}),
            name="killed",
            init=init,
            progress=kill,
        )
    except InterruptedError:
        return runs.resume(find_run("killed"))
    raise AssertionError("the run was not killed")


def environment() -> str:
    """What the digests of real training depend on: the processor, torch, and numpy's functions."""
    instructions = "avx512" if this_processor().vector_bytes == 64 else "avx2"
    versions = f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"
    return f"{kernels.choice().kernel}, {instructions}, {versions}"


def pin_products() -> None:
    """Start this program again with the products that are the same on all processors of a kind.

    OpenBLAS reads its variable when numpy is imported, which has happened by now.
    """
    pinned = {
        # Not the fastest on every machine, but the same on all.
        "WORKBENCH_KERNEL": os.environ.get("WORKBENCH_KERNEL", "tiles"),
        "OPENBLAS_CORETYPE": "SkylakeX" if this_processor().vector_bytes == 64 else "Haswell",
    }
    if not pinned.items() <= os.environ.items():
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **pinned})


def main() -> int:
    """Print the digests, keep them, or compare them with those that are kept; 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the digests")
    write = parser.parse_args().write
    pin_products()
    set_environment()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_DATA"] = folder
        found = {"toys": toys(), environment(): corpus_runs()}
    kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if write:
        GOLDEN.write_text(json.dumps(kept | found, indent=1) + "\n")
        return 0

    for key in found.keys() - kept.keys():
        print(f"no digests are kept for: {key}")
    differing = [
        f"{key}: {name}"
        for key in found.keys() & kept.keys()
        for name, value in found[key].items()
        if kept[key].get(name) != value
    ]
    print("\n".join(differing) or "all digests agree")
    return bool(differing)


if __name__ == "__main__":
    raise SystemExit(main())
