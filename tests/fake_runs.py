"""Runs without training: directories with rows, summary and transcripts as a training would leave them."""

import json
from pathlib import Path
from typing import Any

from workbench.settings import Settings, rng
from workbench.storage.run import Run, home

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def fake_run(
    name: str,
    settings: Settings,
    state: str = "done",
    error: str = "",
    wrong: int = 1,
    parent: str | None = None,
    corpus: str = "c",
    steps: int = 40,
) -> Run:
    """A run in the data folder, ``wrong`` of its eight words misrecognised in every test utterance."""
    folder = home() / "runs" / name
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    record = {
        "settings": settings.to_dict(),
        "corpus": {"name": corpus, "digest": "0" * 16},
        "parent": {"run": parent} if parent else None,
        "versions": {"python": "3.11"},
        "command": f"workbench train {corpus} --name {name}",
    }
    _json(folder / "settings.json", record)
    _json(
        folder / "status.json",
        {"state": state, "pid": 0, "host": "nowhere", "heartbeat": 0.0, "error": error},
    )
    processes: dict[str, list[dict]] = {}
    for row in rows(settings, steps):
        processes.setdefault(row["process"], []).append(row)
    for process, found in processes.items():
        path = folder / f"rows-{process.replace(' ', '-')}.jsonl"
        path.write_text("".join(json.dumps(r) + "\n" for r in found))
    if state == "done":
        _finish(folder, wrong)
    return Run(folder)


def _finish(folder: Path, wrong: int) -> None:
    reference = {f"u{i}": WORDS for i in range(20)}
    said = {
        u: ["x"] * (wrong * (i % 2)) + w[wrong * (i % 2) :]
        for i, (u, w) in enumerate(reference.items())
    }
    for kind, each in (("ref", reference), ("hyp", said)):
        (folder / f"test.{kind}").write_text(
            "".join(f"{u} {' '.join(w)}\n" for u, w in each.items())
        )
    rate = wrong / 16
    _json(
        folder / "summary.json",
        {
            "updates": 40,
            "heldout_mmi": -0.1 * (1 + wrong),
            "heldout_wer": rate,
            "heldout_sub": rate,
            "heldout_del": 0.0,
            "heldout_ins": 0.0,
            "frame_error": 0.3 - 0.01 * wrong,
            "test_wer": rate,
            "test_wer_low": rate - 0.01,
            "test_wer_high": rate + 0.01,
            "p_value": 0.2,
            "frames_seen": 4000,
            "frames_kept": 1000,
            "frames_rejected": 10,
            "utterances_set_aside": 1,
            "set_aside": {"no path": 1},
            "seconds": 100.0,
            "rows_digest": "0" * 64,
            "parameters_digest": "0" * 16,
        },
    )


def rows(settings: Settings, steps: int) -> list[dict[str, Any]]:
    """Rows as the processes of a run emit them, times rising."""
    stream, replicas = rng(settings.seed, "fake rows"), min(settings.asynchrony.replicas, 3)
    out: list[dict[str, Any]] = []
    for n in range(steps):
        out += _step(n, replicas, int(stream.integers(0, 2 * replicas)))
    return out + _evaluations() + _usage()


def _step(n: int, replicas: int, stale: int) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    out.append(
        {
            "process": f"replica {n % replicas}",
            "seconds": 2.0 * n + 2,
            "kind": "push",
            "replica": n % replicas,
            "step": n // replicas,
            "status": "applied",
            "batch": 32,
            "frames": 100,
            "version": n,
            "versions": [n, n],
            "inner_versions": [max(0, n - stale)] * 2,
            "staleness_inner": min(n, stale),
            "staleness_outer": min(n, 3.0 * stale),
            "inner_seconds": 0.5 * stale,
            "outer_seconds": 2.0 * stale,
            "skew": stale % 2,
            "idle_seconds": 0.5,
        }
    )
    out.append(
        {
            "process": f"decoder {n % replicas}",
            "seconds": 2.0 * n + 1,
            "kind": "decode",
            "utterance": n,
            "frames": 100,
            "kept": 30,
            "cancelled": 65,
            "rejected": 5,
            "reason": None,
            "queue": n % 4,
            "put_seconds": 0.1,
            "age_seconds": float(stale),
            "value": -1.0,
        }
    )
    return out


def _evaluations() -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for i in range(5):
        wer = 0.5 - 0.05 * i
        out.append(
            {
                "process": "evaluator",
                "seconds": 20.0 * i,
                "kind": "evaluate",
                "index": i,
                "updates": 10 * i,
                "epochs": 0.5 * i,
                "frames": 1000 * i,
                "criterion": -1.0 + 0.1 * i,
                "mmi": -1.0 + 0.1 * i,
                "ce": -2.0 + 0.2 * i,
                "wer": wer,
                "sub": 0.7 * wer,
                "del": 0.2 * wer,
                "ins": 0.1 * wer,
                "frame_error": 0.4 - 0.02 * i,
                "set_aside": 0,
            }
        )
    return out


def _usage() -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for who, spent in (("replica 0", (60, 10, 0, 10)), ("decoder 0", (50, 5, 25, 0))):
        out.append(
            {
                "process": who,
                "seconds": 80.0,
                "kind": "usage",
                **dict(
                    zip(
                        ("work_seconds", "ask_seconds", "put_seconds", "take_seconds"),
                        spent,
                        strict=True,
                    )
                ),
            }
        )
    return out


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
