"""Whatever happens to a checkpoint, it is found and named, and the last good one is loaded.

A save is cut short after each of its calls to the system, the disk is full at each budget of bytes,
and a thousand checkpoints are damaged: bits, lengths, zeros, files that belong elsewhere.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench.settings import UserError
from workbench.storage import checkpoints, files
from workbench.storage.checkpoints import (
    CHECKPOINTS_KEPT,
    checkpoint_folders,
    latest_checkpoint,
    write_checkpoint,
)
from workbench.storage.manifest import MANIFEST

ARRAYS = "arrays.safetensors"
STATE = "state.json"
CASES = 1000


def content(step: int) -> dict[str, bytes]:
    """The files of a checkpoint."""
    draw = np.random.default_rng(step)
    return {STATE: b'{"step": %d}' % step * 9, ARRAYS: draw.bytes(700)}


def new_run(folder: Path, name: str, steps: int = CHECKPOINTS_KEPT) -> Path:
    """A run with some checkpoints."""
    run = folder / name
    run.mkdir(parents=True)
    (run / checkpoints.RECORD).write_text(f'{{"name": "{name}"}}')
    for step in range(1, steps + 1):
        write_checkpoint(run, step, content(step))
    return run


# --- a save that is cut short


CALLS = ("mkdir", "open", "fsync", "replace", "unlink", "rmdir")


class Camera:
    """Copies a folder before each call to the system, as a kill would leave it there."""

    def __init__(self, run: Path, copies: Path, monkeypatch: pytest.MonkeyPatch):
        self.run = run
        self.copies = copies
        self.calls: list[str] = []
        for name in CALLS:
            monkeypatch.setattr(os, name, self.before(name, getattr(os, name)))
        monkeypatch.setattr(files, "open", self.before("open file", open), raising=False)

    def before(self, name, call):
        """The call, of which a picture is taken before."""

        def pictured(*args, **options):
            if self.taking:
                self.taking = False
                shutil.copytree(self.run, self.copies / f"{len(self.calls):03d}")
                self.calls.append(name)
                self.taking = True
            return call(*args, **options)

        return pictured

    taking = False


@pytest.mark.parametrize("step", [4, 3], ids=["new", "again"])
def test_killed_at_every_step_of_a_save(tmp_path, monkeypatch, step):
    """At every moment the newest checkpoint that is whole can be loaded: the old or the new one."""
    run = new_run(tmp_path, "run")
    copies = tmp_path / "copies"
    copies.mkdir()
    camera = Camera(run, copies, monkeypatch)
    camera.taking = True
    new = {name: data[::-1] for name, data in content(step).items()}
    write_checkpoint(run, step, new)
    camera.taking = False

    assert {"open file", "fsync", "replace", "unlink"} <= set(camera.calls)
    assert len(camera.calls) > 10
    older = [content(3), content(2), new]
    seen = [latest_checkpoint(copy).files for copy in sorted(copies.iterdir())]
    assert all(found in older for found in seen)
    assert latest_checkpoint(run).files == new
    assert not list(run.rglob("*.tmp"))


def test_what_a_kill_leaves_behind_is_no_obstacle(tmp_path, monkeypatch):
    """After a kill at any step the next save succeeds, and as many checkpoints are kept."""
    run = new_run(tmp_path, "run")
    copies = tmp_path / "copies"
    copies.mkdir()
    camera = Camera(run, copies, monkeypatch)
    camera.taking = True
    write_checkpoint(run, 4, content(4))
    camera.taking = False
    for copy in copies.iterdir():
        write_checkpoint(copy, 5, content(5))
        assert latest_checkpoint(copy).files == content(5)
        assert len(checkpoint_folders(copy)) == CHECKPOINTS_KEPT


# --- a full disk


class Disk:
    """Files that take ``budget`` bytes in all, and then are on a full disk."""

    def __init__(self, budget: int):
        self.left = budget

    def open(self, path, mode, **options):
        """As `open`."""
        disk = self
        file = open(path, mode, **options)  # noqa: SIM115  FileWriter closes it

        class OnDisk:
            """A file of the disk."""

            def write(self, data):
                room = min(len(data), disk.left)
                disk.left -= room
                file.write(data[:room])
                if room < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

            def __getattr__(self, name):
                return getattr(file, name)

        return OnDisk()


@pytest.mark.slow
def test_the_disk_is_full_at_every_budget(tmp_path, monkeypatch):
    """The save fails, the checkpoint before is as it was, and once there is room a save works."""
    run = new_run(tmp_path, "run")
    needed = sum(len(data) for data in content(4).values())
    budgets = range(0, needed + 100, 7)
    for budget in budgets:
        with monkeypatch.context() as patch:
            patch.setattr(files, "open", Disk(budget).open, raising=False)
            with pytest.raises(OSError, match="No space left") as caught:
                write_checkpoint(run, 4, content(4))
        assert caught.value.errno == errno.ENOSPC
        assert latest_checkpoint(run).files == content(3)
        assert not list(run.rglob("*.tmp"))
    assert len(budgets) > 100
    write_checkpoint(run, 4, content(4))
    assert latest_checkpoint(run).files == content(4)


# --- damage


def damaged(run: Path, other: Path, draw: np.random.Generator) -> Iterator[tuple[str, Path]]:
    """Damage the newest checkpoint again and again; yields the kind and its folder each time."""
    newest = checkpoint_folders(run)[-1]
    older = checkpoint_folders(run)[-2]
    foreign = checkpoint_folders(other)[-1]
    names = (STATE, ARRAYS, MANIFEST)
    before = {name: (newest / name).read_bytes() for name in names}
    case = 0

    while True:
        name = names[case % len(names)]
        data = bytearray(before[name])
        kind = KINDS[case // len(names) % len(KINDS)]
        place = int(draw.integers(len(data)))
        if kind == "bit":
            data[place] ^= 1 << int(draw.integers(8))
        elif kind == "cut":
            del data[place:]
        elif kind == "zeros":
            data[place:] = bytes(len(data) - place)
        elif kind == "longer":
            data += draw.bytes(1 + place)
        elif kind == "older file":
            data = (older / name).read_bytes()
        elif kind == "file of another run":
            data = (foreign / name).read_bytes()

        if kind == "missing":
            (newest / name).unlink()
        elif kind == "older checkpoint":
            for each in names:
                (newest / each).write_bytes((older / each).read_bytes())
        elif kind == "checkpoint of another run":
            for each in names:
                (newest / each).write_bytes((foreign / each).read_bytes())
        else:
            (newest / name).write_bytes(data)

        changed = [n for n in names if not is_as_before(newest / n, before[n])]
        if changed:
            yield f"{kind}: {name}", newest
        for each in changed:
            (newest / each).write_bytes(before[each])
        case += 1


def is_as_before(path: Path, data: bytes) -> bool:
    """Whether a file has these bytes."""
    return path.exists() and path.read_bytes() == data


KINDS = (
    *("bit", "bit", "bit", "cut", "zeros", "longer", "older file", "file of another run"),
    *("missing", "older checkpoint", "checkpoint of another run"),
)


@pytest.mark.slow
def test_a_thousand_damaged_checkpoints_are_found_and_named(tmp_path):
    """Each is passed over with its folder in the message, and the one before is loaded."""
    run = new_run(tmp_path, "run")
    other = new_run(tmp_path, "other")
    whole = latest_checkpoint(run)
    assert (whole.files, whole.damage) == (content(3), [])

    cases = damaged(run, other, np.random.default_rng(0))
    for _ in range(CASES):
        kind, newest = next(cases)
        found = latest_checkpoint(run)
        assert found.files == content(2), kind
        if kind != f"missing: {MANIFEST}":  # without it the folder is that of a save cut short
            assert len(found.damage) == 1, kind
            assert newest.name in found.damage[0], kind


def test_if_all_are_damaged_each_is_named(tmp_path):
    """There is nothing to go on from, and the message says why."""
    run = new_run(tmp_path, "run")
    for folder in checkpoint_folders(run):
        (folder / ARRAYS).write_bytes(b"")
    with pytest.raises(UserError, match=r"no valid checkpoint.*0003.*0002.*0001"):
        latest_checkpoint(run)


def test_checkpoints_of_the_form_before_are_read(tmp_path):
    """Their manifests have no run."""
    run = new_run(tmp_path, "run", steps=1)
    folder = checkpoint_folders(run)[0]
    text = (folder / MANIFEST).read_text()
    start = text.index(' "run"')
    end = text.index(' "files"')
    (folder / MANIFEST).write_text(text[:start] + text[end:])
    assert latest_checkpoint(run).files == content(1)
