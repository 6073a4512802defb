"""A packed run is the same run elsewhere, or nothing."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.archive.pack import open_pack, pack
from workbench.settings import Settings, UserError
from workbench.storage.run import Run, all_runs, find_run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that moves to the data folder of someone."""

    def move(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("WORKBENCH_DATA", str(folder))
        return folder

    return move


def contents(run: Run) -> dict[str, bytes]:
    """Every file of a run by its path in the folder."""
    paths = (path for path in run.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in paths}


def packed_run(home: Callable[[str], Path], tmp_path: Path) -> tuple[Run, Path]:
    """A run with a parent and a checkpoint, and the file it is packed in."""
    home("mine")
    fake_run("ce-00000000", Settings())
    run = fake_run("mmi-00000000", Settings(), parent="ce-00000000")
    (run.folder / "checkpoints" / "0000000001").mkdir()
    (run.folder / "checkpoints" / "0000000001" / "manifest.json").write_text("{}")
    (run.folder / ".writer").write_text("")
    (run.folder / "stop").write_text("")
    out = tmp_path / "packed.zip"
    pack([run], out)
    return run, out


def test_a_run_comes_back_with_its_ancestors(home: Callable[[str], Path], tmp_path: Path) -> None:
    """Every file arrives byte for byte, but locks and requests to stop do not.

    As after training, only the owner may read it, whatever the umask.
    """
    run, out = packed_run(home, tmp_path)
    before = contents(run)
    home("yours")
    umask = os.umask(0)
    try:
        opened = open_pack(out)
    finally:
        os.umask(umask)
    assert opened.runs == ["ce-00000000", "mmi-00000000"]
    there = find_run("mmi").folder
    modes = {path: path.stat().st_mode & 0o777 for path in (there, *there.rglob("*"))}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
    left_out = {".writer", "stop"}
    assert contents(find_run("mmi")) == {k: v for k, v in before.items() if k not in left_out}
    assert open_pack(out).runs == []  # a second time everything is here already


def test_the_same_runs_make_the_same_file(home: Callable[[str], Path], tmp_path: Path) -> None:
    """A pack is a function of what it holds, and never replaces a file."""
    run, out = packed_run(home, tmp_path)
    again = tmp_path / "again.zip"
    pack([run], again)
    assert out.read_bytes() == again.read_bytes()
    with pytest.raises(UserError, match="exists; choose another --out"):
        pack([run], out)


def test_corpora_and_checkpoints_as_wanted(home: Callable[[str], Path], tmp_path: Path) -> None:
    """The corpus travels where it is wanted; checkpoints stay where they are not."""
    run, _ = packed_run(home, tmp_path)
    corpus = home("mine") / "corpora" / "c"
    (corpus / "train").mkdir(parents=True)
    (corpus / "corpus.json").write_text("{}")
    (corpus / "train" / "frames.npy").write_bytes(b"frames")
    out = tmp_path / "whole.zip"
    assert pack([run], out, corpus=True, checkpoints=False).corpora == ["c"]
    yours = home("yours")
    open_pack(out)
    assert (yours / "corpora/c/train/frames.npy").read_bytes() == b"frames"
    assert find_run("mmi").checkpoints() == []


def test_a_corpus_elsewhere_travels_too(home: Callable[[str], Path], tmp_path: Path) -> None:
    """The corpus of a run is taken from where it lies, and arrives under data/corpora."""
    run, _ = packed_run(home, tmp_path)
    elsewhere = tmp_path / "elsewhere" / "c"
    elsewhere.mkdir(parents=True)
    (elsewhere / "corpus.json").write_text("{}")
    for each in (find_run("ce"), run):
        record = json.loads((each.folder / "settings.json").read_text())
        record["corpus"]["folder"] = str(elsewhere)
        (each.folder / "settings.json").write_text(json.dumps(record))
    out = tmp_path / "whole.zip"
    pack([run], out, corpus=True)
    yours = home("yours")
    open_pack(out)
    assert (yours / "corpora/c/corpus.json").read_text() == "{}"


def rewritten(path: Path, out: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of a zip file with the contents of its members changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1] + b"?"])
def test_a_changed_file_is_refused(
    home: Callable[[str], Path], tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """A file that is longer or different than its record says is named, and nothing is kept."""
    _, out = packed_run(home, tmp_path)
    bad = rewritten(
        out,
        tmp_path / "bad.zip",
        lambda name, data: change(data) if name.endswith("mmi-00000000/test.ref") else data,
    )
    yours = home("yours")
    with pytest.raises(UserError, match=r"test\.ref: damaged"):
        open_pack(bad)
    assert all_runs() == []
    assert [path.name for path in yours.iterdir()] == []


@pytest.mark.parametrize(
    "name", ["runs/../../x/y", "/etc/passwd", "runs/a", "other/a/b", "runs/a/.b", "runs//a/b"]
)
def test_paths_that_lead_away_are_refused(
    home: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """A pack writes below runs and corpora, and nowhere else."""
    bad = tmp_path / "bad.zip"
    record = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    with zipfile.ZipFile(bad, "w") as archive:
        manifest = {"format": "workbench runs 1", "files": {name: record}}
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr(name, b"x")
    yours = home("yours")
    with pytest.raises(UserError, match="is not a path of a run"):
        open_pack(bad)
    assert list(yours.iterdir()) == []


def test_what_is_no_pack_is_named(home: Callable[[str], Path], tmp_path: Path) -> None:
    """A missing, foreign or cut file is a mistake of one line."""
    _, out = packed_run(home, tmp_path)
    home("yours")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(out.read_bytes()[:-100])
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("a", "b")
    for path, message in [
        (tmp_path / "none.zip", "no such file"),
        (cut, "damaged"),
        (foreign, "not a packed run"),
    ]:
        with pytest.raises(UserError, match=message):
            open_pack(path)
    assert all_runs() == []


def test_another_run_of_the_name_stays(home: Callable[[str], Path], tmp_path: Path) -> None:
    """A run here that is not the packed one is never replaced."""
    _, out = packed_run(home, tmp_path)
    home("yours")
    other = fake_run("mmi-00000000", Settings.of(learning_rate=0.5))
    before = contents(other)
    with pytest.raises(UserError, match="exists and is another one"):
        open_pack(out)
    assert contents(other) == before
    assert len(all_runs()) == 1
