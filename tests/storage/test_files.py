"""Files are written whole or not at all, and the data folder is where it is documented to be."""

import os

import numpy as np
import pytest
from full_disk import largest_file

from workbench.settings import UserError
from workbench.storage import home
from workbench.storage.files import (
    FileWriter,
    read_json,
    read_json_lines,
    write_file,
    write_json,
    write_npy,
)
from workbench.storage.manifest import read_manifest, write_manifest


def test_a_file_is_replaced_as_a_whole(tmp_path):
    """While a file is written its old content is read, and no temporary file is left."""
    path = tmp_path / "x"
    write_file(path, b"old")
    with FileWriter(path) as out:
        out.write(b"ne")
        assert path.read_bytes() == b"old"
        out.write(b"w")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, call):
    """If the disk is full or the process is stopped, the old file and nothing else is there."""
    path = tmp_path / "x"
    write_file(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="disk full"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path):
    """Wherever writing ends: in a write, or when what was kept back is written at the end."""
    path = tmp_path / "x"
    write_file(path, b"old")
    data = bytes(20_000)
    for size in range(0, len(data), 999):
        with largest_file(size), pytest.raises(OSError, match="too large") as caught:
            write_in_pieces(path, data)
        assert caught.value.filename == str(path)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


def write_in_pieces(path, data):
    """Write a file through the buffer of its writer."""
    with FileWriter(path) as out:
        for start in range(0, len(data), 700):
            out.write(data[start : start + 700])


def test_the_block_of_a_writer_that_raises_leaves_nothing(tmp_path):
    """A file whose writer is interrupted never gets its name."""

    def fail():
        with FileWriter(tmp_path / "x") as out:
            out.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """Two writers of the same file have a temporary file each; the last to commit counts."""
    path = tmp_path / "x"
    with FileWriter(path) as first, FileWriter(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"


def test_json_is_read_as_it_was_written(tmp_path):
    """JSON keeps order, characters and numbers; damage and absence are named."""
    path = tmp_path / "x.json"
    value = {"ö": [1, 0.1, None], "a": "\u202e"}
    write_json(path, value)
    assert read_json(path) == value
    assert list(read_json(path)) == list(value)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"x\.json: damaged"):
        read_json(path)
    with pytest.raises(UserError, match=r"y\.json: no such file"):
        read_json(tmp_path / "y.json")


def test_lines_of_json(tmp_path):
    """Lines are numbered from 1; a torn last line counts unless the file is still growing."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n[2]\n3')
    assert list(read_json_lines(path)) == [(1, {"a": 1}), (2, [2]), (3, 3)]
    assert list(read_json_lines(path, growing=True)) == [(1, {"a": 1}), (2, [2])]
    path.write_text("1\n{\n3\n")
    with pytest.raises(UserError, match=r"x\.jsonl:2: damaged"):
        list(read_json_lines(path, growing=True))


@pytest.fixture
def folder(tmp_path):
    """A folder with a manifest of two files."""
    files = {
        "a.npy": write_npy(tmp_path / "a.npy", np.arange(3)),
        "b": write_file(tmp_path / "b", b"text"),
    }
    write_manifest(tmp_path, {"format": 1, "files": files})
    return tmp_path


def test_a_manifest_finds_what_was_changed(folder):
    """Sizes are checked without reading, digests by reading; the message ends in the advice."""
    manifest = read_manifest(folder, advice="make it again")
    assert manifest.fields == {"format": 1}
    manifest.check_sizes()
    manifest.verify()
    assert manifest.read_file("b") == b"text"

    (folder / "b").write_bytes(b"TEXT")
    manifest.check_sizes()
    for check in (manifest.verify, lambda: manifest.read_file("b")):
        with pytest.raises(UserError, match=r"b: damaged: its SHA-256 .*; make it again"):
            check()

    (folder / "b").write_bytes(b"longer text")
    with pytest.raises(UserError, match="b: 11 bytes where 4 were written; make it again"):
        manifest.check_sizes()
    (folder / "a.npy").unlink()
    with pytest.raises(UserError, match=r"a\.npy: missing; make it again"):
        manifest.check_sizes()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {"b": {"x": 1}}}'])
def test_a_manifest_of_another_form_is_refused(folder, text):
    """A manifest that is missing or not one is a UserError that names it."""
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: damaged.*; make it again"):
        read_manifest(folder, advice="make it again")
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json: missing, .*; make it again"):
        read_manifest(folder, advice="make it again")


def test_the_data_folder(tmp_path, monkeypatch, capsys):
    """WORKBENCH_DATA decides, then the checkout, then the current folder; that is reported once."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "mine"))
    assert home.data_folder() == tmp_path / "mine"
    monkeypatch.delenv("WORKBENCH_DATA")
    assert home.data_folder() == home.CHECKOUT / "data"

    monkeypatch.setattr(home, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert home.data_folder() == tmp_path / "data"
    assert (tmp_path / "data").is_dir()
    assert capsys.readouterr().err.count("data are kept in") == 1
