"""Lattices: ours against k2's and Kaldi's decoders on the same graph, scores and beams, in
interleaved rounds.

``PYTHONPATH=tests python -m benchmarks.bench_lattice [--words N ...] [--kinds easy hard] [--beams
narrow wide] [--rounds N] [--utterances N]`` for other sizes, or a part of them. Frames per second
of one core by the CPU time of the process, so that a busy machine does not count (k2's pruning
thread then does); medians over rounds and utterances. A peer that is not installed has no column.
Kaldi lattice is LatticeFasterDecoder without determinisation; Kaldi best path is FasterDecoder,
which makes no lattice at all. Columns:

    ours, k2                a lattice, pruned exactly
    k2 raw, Kaldi lattice   a lattice as the peer leaves it
    sums, k2 sums           total and occupancies: ours of the pruned lattice, k2's of its raw one
"""

import argparse
import importlib.util
import itertools
import resource
import time
from collections.abc import Callable

import numpy as np
import pytest
from benchmarks.lattice_task import EASY, HARD, Recogniser, planted, recogniser
from kaldi_decoders import KaldiGraph

from workbench.sequence import search as native
from workbench.sequence.occupancy import best_path, occupancies

FRAMES = 300
SUMS = 20  # calls of the sums, which are too short to be timed alone
BEAMS = {"narrow": (8.0, 4.0, 2000), "wide": (12.0, 6.0, 10000)}
KINDS = {"easy": EASY, "hard": HARD}


def cpu_seconds(work: Callable, argument) -> tuple[float, object]:
    """CPU seconds of all threads of the process for one call, and its result."""
    start = time.process_time()
    result = work(argument)
    return time.process_time() - start, result


def k2_rows(task: Recogniser, limits) -> dict[str, Callable[[np.ndarray], object]]:
    import k2
    import torch

    from workbench.sequence import k2_lattice

    beam, lattice_beam, max_active = limits
    automaton = k2_lattice.k2_automaton(task.graph)

    def raw(scores: np.ndarray):
        columns = np.concatenate([np.full((len(scores), 1), -np.inf, np.float32), scores], axis=1)
        dense = k2.DenseFsaVec(
            torch.from_numpy(columns)[None], torch.tensor([[0, 0, len(scores)]], dtype=torch.int32)
        )
        return k2.intersect_dense_pruned(automaton, dense, beam, lattice_beam, 30, max_active)

    return {"k2": lambda x: k2_lattice.search(task.graph, x, *limits), "k2 raw": raw}


def k2_sums(lattice) -> tuple:
    """Total and arc occupancies of k2's lattice, in double precision."""
    return lattice.get_tot_scores(True, True), lattice.get_arc_post(True, True)


def anew(found: dict) -> list:
    """k2's lattice several times, since k2 keeps the sums of one that it knows."""
    import k2

    return [k2.Fsa(found["k2 raw"].arcs) for _ in range(SUMS)]


def kaldi_rows(task: Recogniser, limits) -> dict[str, Callable[[np.ndarray], object]]:
    graph = KaldiGraph(task.graph, *limits)
    return {"Kaldi lattice": graph.decode_lattice, "Kaldi best path": graph.decode_best}


def installed(package: str) -> bool:
    """Whether a peer can be imported."""
    return importlib.util.find_spec(package) is not None


def time_sums(work: Callable, lattices: list) -> float:
    """CPU seconds per frame of sums, which are too short to be timed alone."""
    seconds, _ = cpu_seconds(lambda several: [work(lattice) for lattice in several], lattices)
    return seconds / len(lattices) / FRAMES


def compare(
    task: Recogniser, kind: dict, limits, rounds: int, kaldi: bool, utterances: int = 3
) -> dict[str, float]:
    """Seconds per frame of every row, and what the lattices are like; the best paths must agree."""
    rows: dict[str, Callable[[np.ndarray], object]] = {
        "ours": lambda x: native.search(task.graph, x, *limits)
    }
    if installed("k2"):
        rows |= k2_rows(task, limits)
    if kaldi and installed("kaldi_hmm_gmm"):
        rows |= kaldi_rows(task, limits)
    if len(rows) == 1:
        pytest.skip("neither k2 nor kaldi-hmm-gmm is installed: pip install -e '.[bench]'")
    times: dict[str, list[float]] = {name: [] for name in (*rows, "sums")}
    if "k2" in rows:
        times["k2 sums"] = []
    for r in range(rounds + 1):
        for u in range(utterances):
            scores = planted(task, FRAMES, u, **kind)
            found = {}
            for name, work in rows.items():
                seconds, found[name] = cpu_seconds(work, scores)
                times[name].append(seconds / FRAMES)
            times["sums"].append(time_sums(occupancies, [found["ours"]] * SUMS))
            said = best_path(found["ours"]).words
            if "k2" in rows:
                times["k2 sums"].append(time_sums(k2_sums, anew(found)))
                assert best_path(found["k2"]).words == said
            if "Kaldi lattice" in rows:
                assert found["Kaldi lattice"].words == said
        if not r:  # the first round compiles and warms up
            times = {name: [] for name in times}
    density = {"ours": found["ours"].arcs / FRAMES}
    if "k2" in rows:
        density["k2"] = found["k2"].arcs / FRAMES
        density["k2 raw"] = found["k2 raw"].num_arcs / FRAMES
    return {name: float(np.median(t)) for name, t in times.items()} | {
        f"arcs {k}": v for k, v in density.items()
    }


def report(words: int, name: str, limits, m: dict[str, float]) -> float:
    """Print one setting; returns how many times faster than the best peer we are."""
    rates = "  ".join(f"{k} {1 / v:,.0f}" for k, v in m.items() if not k.startswith("arcs"))
    best = min(m[k] for k in ("k2", "k2 raw", "Kaldi lattice", "Kaldi best path") if k in m)
    arcs = ", ".join(f"{k[5:]} {v:.1f}" for k, v in m.items() if k.startswith("arcs"))
    print(f"{words} words, {name}, {':'.join(f'{x:g}' for x in limits)}: {rates} frames/s")
    sums = f", sums {m['k2 sums'] / m['sums']:.0f} x k2" if "k2 sums" in m else ""
    print(f"    {best / m['ours']:.1f} x the best peer{sums}; arcs per frame: {arcs}")
    return best / m["ours"]


def test_lattices():
    """At narrow and wide beams, easy and hard, ours is at least twice as fast as the best peer."""
    task = recogniser(500)
    for name, kind in KINDS.items():
        for limits in BEAMS.values():
            assert report(500, name, limits, compare(task, kind, limits, 1, True, 2)) > 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--words", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--beams", choices=BEAMS, nargs="+", default=list(BEAMS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--utterances", type=int, default=3)
    parser.add_argument("--without-kaldi", action="store_true")
    args = parser.parse_args()
    for words in args.words:
        task = recogniser(words)
        graph = task.graph
        megabytes = graph.nbytes / 1e6
        print(f"{words} words: {graph.states:,} states, {graph.arcs:,} arcs, {megabytes:.0f} MB")
        for name, beam in itertools.product(args.kinds, args.beams):
            limits = BEAMS[beam]
            kaldi = not args.without_kaldi
            times = compare(task, KINDS[name], limits, args.rounds, kaldi, args.utterances)
            report(words, name, limits, times)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
