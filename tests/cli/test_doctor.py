"""`workbench doctor` finds what is wrong or left over, says what to do, and removes leftovers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.cli.exit_codes import FAILED
from workbench.cli.main import main
from workbench.settings import preset
from workbench.storage.checkpoints import write_checkpoint
from workbench.storage.files import write_json
from workbench.storage.run import Run
from workbench.sweeping import Sweep


@pytest.fixture
def run(data_folder: Path) -> Run:
    """A run with two checkpoints."""
    run = fake_run("ce-01234567", preset("tiny"))
    for step in (1, 2):
        write_checkpoint(run.folder, step, {"a": b"x" * 100})
    return run


@pytest.fixture
def dead_pid() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def found(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    """The findings of a call, which must end with the code that goes with them."""
    code = main(["doctor", *words, "--json"])
    findings: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    assert code == (FAILED if findings else 0)
    assert all(finding["advice"] for finding in findings)
    return findings


def test_a_healthy_run_has_no_findings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of what is well, and the code is 0."""
    assert found(capsys, run.name) == []
    assert main(["doctor", run.name]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def tear(path: Path) -> None:
    """Damage a line in the middle of a file."""
    lines = path.read_bytes().split(b"\n")
    lines[1] = b'{"process'
    path.write_bytes(b"\n".join(lines))


# (the file, what happens to it, the kind of finding, what the finding says)
HARM: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("settings.json", cut, "damaged", "settings.json: damaged"),
    ("settings.json", lambda p: p.write_text("[]"), "damaged", "must be an object"),
    ("status.json", cut, "damaged", "status.json: damaged"),
    ("checkpoints/0000000002/a", cut, "damaged", "0000000002/a: damaged"),
    ("checkpoints/0000000001/a", lambda p: p.unlink(), "damaged", "0000000001/a: missing"),
    ("checkpoints/0000000002/manifest.json", cut, "damaged", "manifest.json: damaged"),
    ("checkpoints/0000000002/manifest.json", lambda p: p.unlink(), "left over", "never completed"),
    ("stop", lambda p: p.write_text(""), "left over", "a request to stop"),
    ("rows-replica-0.jsonl", tear, "damaged", "rows-replica-0.jsonl:2: damaged"),
]


@pytest.mark.parametrize("name, harm, kind, what", HARM)
def test_each_fault_of_a_run_is_named(
    name: str,
    harm: Callable[[Path], None],
    kind: str,
    what: str,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exactly the fault that was made is found."""
    harm(run.folder / name)
    (finding,) = found(capsys, str(run.folder))
    assert finding["kind"] == kind
    assert what in finding["what"]


def test_a_run_whose_process_is_gone_is_named_with_how_to_resume_it(
    run: Run, dead_pid: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state that says running, with no process behind it, is unfinished work."""
    status = {"state": "running", "pid": dead_pid, "host": os.uname().nodename, "heartbeat": 0.0}
    write_json(run.folder / "status.json", status)
    (finding,) = found(capsys, run.name)
    assert finding["kind"] == "unfinished"
    assert finding["advice"] == f"workbench train --resume {run.name}"


def test_leftovers_are_removed_and_nothing_else(
    run: Run, dead_pid: int, capsys: pytest.CaptureFixture[str], data_folder: Path
) -> None:
    """Files of writers that are gone are removed on request; those of living ones stay."""
    dead = run.folder / f".rows.parquet.{dead_pid}-3.tmp"
    living = run.folder / f".rows.parquet.{os.getpid()}-3.tmp"
    others = run.folder / ".something.tmp"
    for path in (dead, living, others):
        path.write_text("")
    before = {path for path in data_folder.rglob("*") if path != dead}

    assert [finding["kind"] for finding in found(capsys, run.name)] == ["left over"]
    assert found(capsys, run.name, "--remove") == []
    assert set(data_folder.rglob("*")) == before
    assert found(capsys, run.name) == []


def test_the_whole_data_folder(
    run: Run, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a name, everything is looked at: runs, corpora, sweeps."""
    (data_folder / "runs" / "empty").mkdir()
    (data_folder / "corpora" / "half").mkdir(parents=True)
    write_json(data_folder / "corpora" / "half" / "begun.json", {})
    (data_folder / "corpora" / "new.partial").mkdir()
    sweep = Sweep(name="s", corpus="c").save()
    (sweep.folder / "sweep.json").write_text("{}")
    shared = data_folder / "sweeps" / "ce-c"  # cells of several sweeps
    shared.mkdir()
    write_json(shared / "cell-0.json", {})

    said = [f for f in found(capsys) if f["kind"] != "environment"]
    assert {(finding["kind"], Path(finding["where"]).name) for finding in said} == {
        ("left over", "empty"),
        ("unfinished", "half"),
        ("left over", "new.partial"),
        ("damaged", "s"),
    }


def test_a_corpus_is_verified(tiny_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed bit of one file of a corpus is found."""
    assert found(capsys, "tiny") == []
    changed = tiny_home / "corpora" / "changed"
    shutil.copytree(tiny_home / "corpora" / "tiny", changed)
    manifests = [changed / split / "manifest.json" for split in ("train", "heldout", "test")]
    files = [changed / "priors.npy", *(m for m in changed.glob("train/*.npy"))]
    assert all(manifest.exists() for manifest in manifests)
    for path in files:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        (finding,) = found(capsys, "changed")
        assert f"/{path.name}: " in finding["what"]
        data[-1] ^= 1
        path.write_bytes(data)
    assert found(capsys, "changed") == []


def test_an_unknown_name_is_said(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is neither run, corpus nor sweep is answered in one line."""
    assert main(["doctor", "nope"]) == FAILED
    assert "nope: no such run" in capsys.readouterr().err
