"""Bad input sets aside the utterance that it concerns, with reason and place, and no other."""

import os
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from data_directories import GOOD, make_directory, make_tone, mutilate

from workbench.corpus.kaldi import read_kaldi
from workbench.corpus.utterances import is_id, to_printable

LONG = "x" * 10_000


class Fault(NamedTuple):
    """One table of a good directory replaced, so that utterance "a" is set aside."""

    table: str
    content: str | bytes
    reason: str
    where: str


FAULTS = {
    "not in wav.scp": Fault(
        "wav.scp", "b audio/b.flac\nc audio/c.ogg\n", "missing audio", "text:1"
    ),
    "no such file": Fault(
        "wav.scp", "a audio/none.wav\nb audio/b.flac\nc audio/c.ogg\n", "missing audio", "wav.scp:1"
    ),
    "no path": Fault(
        "wav.scp", "a\nb audio/b.flac\nc audio/c.ogg\n", "unreadable audio", "wav.scp:1"
    ),
    "path too long": Fault(
        "wav.scp", f"a {LONG}\nb audio/b.flac\nc audio/c.ogg\n", "missing audio", "wav.scp:1"
    ),
    "NUL in path": Fault(
        "wav.scp", "a au\x00dio\nb audio/b.flac\nc audio/c.ogg\n", "missing audio", "wav.scp:1"
    ),
    "command": Fault(
        "wav.scp",
        "a touch refused |\nb audio/b.flac\nc audio/c.ogg\n",
        "command refused",
        "wav.scp:1",
    ),
    "folder": Fault(
        "wav.scp", "a audio\nb audio/b.flac\nc audio/c.ogg\n", "unreadable audio", "wav.scp:1"
    ),
    "path not UTF-8": Fault(
        "wav.scp", b"a \xff\xfe\nb audio/b.flac\nc audio/c.ogg\n", "invalid UTF-8", "wav.scp:1"
    ),
    "two paths": Fault(
        "wav.scp", GOOD["wav.scp"] + "a audio/b.flac\n", "duplicate id", "wav.scp:4"
    ),
    "empty text": Fault("text", "a\nb þrír\nc fjórir\n", "empty text", "text:1"),
    "text of spaces": Fault("text", "a \t \nb þrír\nc fjórir\n", "empty text", "text:1"),
    "text not UTF-8": Fault("text", b"a \xe9inn\nb x\nc x\n", "invalid UTF-8", "text:1"),
    "NUL in text": Fault("text", "a ei\x00nn\nb x\nc x\n", "invisible character in text", "text:1"),
    "no-break space": Fault(
        "text", "a \u00a0\nb x\nc x\n", "invisible character in text", "text:1"
    ),
    "no text": Fault("text", "b þrír\nc fjórir\n", "no text", "wav.scp:1"),
    "two texts": Fault("text", GOOD["text"] + "a sjö\n", "duplicate id", "text:1"),
    "the same text twice": Fault("text", GOOD["text"] + "a einn tveir\n", "duplicate id", "text:4"),
    "no speaker": Fault("utt2spk", "b s1\nc s2\n", "missing speaker", "text:1"),
    "empty speaker": Fault("utt2spk", "a\nb s1\nc s2\n", "missing speaker", "text:1"),
    "two speakers": Fault("utt2spk", GOOD["utt2spk"] + "a s2\n", "duplicate id", "utt2spk:4"),
    "bad speaker": Fault("utt2spk", "a s\7\nb s1\nc s2\n", "bad speaker id", "text:1"),
    "spaces in speaker": Fault("utt2spk", "a s 1\nb s1\nc s2\n", "bad speaker id", "text:1"),
    "not in segments": Fault("segments", "b b 0 1\nc c 0 1\n", "missing audio", "text:1"),
    "unknown recording": Fault(
        "segments", "a z 0 1\nb b 0 1\nc c 0 1\n", "unknown recording", "segments:1"
    ),
    "no recording": Fault("segments", "a\nb b 0 1\nc c 0 1\n", "unknown recording", "segments:1"),
    "no times": Fault("segments", "a b\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"),
    "times no numbers": Fault(
        "segments", "a b 0 end\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"
    ),
    "times NaN": Fault("segments", "a b nan 1\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"),
    "start infinite": Fault(
        "segments", "a b -inf 1\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"
    ),
    "start negative": Fault(
        "segments", "a b -0.5 1\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"
    ),
    "ends before start": Fault(
        "segments", "a b 0.9 0.1\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"
    ),
    "ends at start": Fault(
        "segments", "a b 0.5 0.5\nb b 0 1\nc c 0 1\n", "bad segment times", "text:1"
    ),
    "starts after audio": Fault(
        "segments", "a b 1.2 1.4\nb b 0 1\nc c 0 1\n", "segment outside audio", "text:1"
    ),
    "ends after audio": Fault(
        "segments", "a b 0.5 2\nb b 0 1\nc c 0 1\n", "segment outside audio", "text:1"
    ),
    "ends never": Fault(
        "segments", "a b 0.5 inf\nb b 0 1\nc c 0 1\n", "segment outside audio", "text:1"
    ),
    "two segments": Fault(
        "segments", "a b 0 1\nb b 0 1\nc c 0 1\na b 0 0.5\n", "duplicate id", "segments:4"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_set_aside(tmp_path, name):
    """Each fault sets aside the one utterance it concerns, with reason and place, and no other."""
    fault = FAULTS[name]
    tables = {**GOOD, fault.table: fault.content}
    data = read_kaldi(make_directory(tmp_path / "train", tables))
    assert {(s.utterance, s.reason) for s in data.set_aside} == {("a", fault.reason)}
    assert data.set_aside[0].where == f"train/{fault.where}"
    assert {"b", "c"} <= {u.id for u in data.utterances}


IDS = [
    "x" * 1001,
    LONG,
    "nul\0",
    "rtl\u202e",
    "bell\7",
    "no-break\u00a0space",
]


@pytest.mark.parametrize("bad", IDS)
def test_bad_ids_are_set_aside(tmp_path, bad):
    """An id with what cannot be seen is refused, and shown in visible ASCII only."""
    files = {name: content.replace("a ", f"{bad} ", 1) for name, content in GOOD.items()}
    (found,) = read_kaldi(make_directory(tmp_path / "train", files)).set_aside
    assert found.reason == "bad id"
    assert found.utterance == to_printable(bad)
    assert len(found.utterance) <= 128
    assert found.utterance.isprintable()
    assert found.utterance.isascii()
    assert not is_id(bad)


OTHERS_IDS = ["an4/a", "../a", ".a", "þór", "x" * 300, "<b>", "a|b", "a'b", "話者=1", "🙂"]


@pytest.mark.parametrize("name", OTHERS_IDS)
def test_ids_that_others_allow_are_usable(tmp_path, name):
    """Kaldi's ids of utterances and speakers are whatever has no white space."""
    files = {table: content.replace("a ", f"{name} ", 1) for table, content in GOOD.items()}
    files["utt2spk"] = files["utt2spk"].replace("s1", name)
    data = read_kaldi(make_directory(tmp_path / "train", files))
    assert not data.set_aside
    assert (data.utterances[0].id, data.utterances[0].speaker) == (name, name)


def make_bad_recordings(root: Path) -> dict[str, str]:
    """Write recordings with unusable headers, and return the reason for each."""
    root.mkdir()
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to(root / "loop")
    (root / "nothing").write_bytes(b"")
    (root / "noise.wav").write_bytes(random.Random(0).randbytes(5000))
    (root / "text.flac").write_text("not audio")
    (root / "headerless.raw").write_bytes(bytes(1000))

    head = make_tone(root / "head.wav").read_bytes()[:30]
    (root / "head.wav").write_bytes(head)
    make_tone(root / "empty.wav", 0)
    make_tone(root / "slow.wav", rate=4000)
    make_tone(root / "fast.wav", 0.01, rate=400_000)
    make_tone(root / "long.wav", 301, rate=8000, subtype="ULAW")

    endless = bytearray(make_tone(root / "endless.flac").read_bytes())
    # The number of samples is not known, as if the file had been written to a pipe.
    endless[21:26] = bytes([endless[21] & 0xF0, 0, 0, 0, 0])
    (root / "endless.flac").write_bytes(endless)

    return {
        "endless.flac": "unreadable audio",
        "fifo": "unreadable audio",
        "nothing": "unreadable audio",
        "noise.wav": "unreadable audio",
        "text.flac": "unreadable audio",
        "headerless.raw": "unreadable audio",
        "head.wav": "unreadable audio",
        "loop": "missing audio",
        "empty.wav": "empty audio",
        "long.wav": "too long",
        "slow.wav": "unusable sample rate",
        "fast.wav": "unusable sample rate",
    }


def test_bad_recordings_are_set_aside(tmp_path):
    """A file that is no audio, or unusable by its header, is set aside without waiting."""
    reasons = make_bad_recordings(tmp_path / "bad")
    files = {
        "wav.scp": "".join(f"{name} {name}\n" for name in reasons),
        "text": "".join(f"{name} x\n" for name in reasons),
    }
    data = read_kaldi(make_directory(tmp_path / "train", files), audio_root=tmp_path / "bad")
    assert {s.utterance: s.reason for s in data.set_aside} == reasons


def test_all_faults_are_reported_at_once(tmp_path):
    """The first of several faults of an utterance is counted, and its detail has the others."""
    files = {**GOOD, "wav.scp": "b audio/b.flac\n", "text": "a\nb x\n", "utt2spk": "b s\n"}
    (found,) = read_kaldi(make_directory(tmp_path / "train", files)).set_aside
    assert found.reason == "missing audio"
    assert "missing speaker (train/text:1" in found.detail
    assert "empty text (train/text:1" in found.detail


@pytest.mark.slow
def test_fuzzed_tables_never_crash(tmp_path):
    """1,500 mutilated directories: each ends in a data set that loses nothing."""
    segments = "a b 0.25 0.75\nb b 0.5 1.3\nc c 1 -1\n"
    train = make_directory(tmp_path / "train", {**GOOD, "segments": segments})
    names = ("wav.scp", "text", "utt2spk", "segments")
    tables = {name: (train / name).read_bytes() for name in names}
    pieces = [b"", b"\n", b" ", b"\0", b"\xff", b"a", b"|", b"-", b"9e9"]

    chance = random.Random(0)
    usable = set()
    for _ in range(1500):
        name = chance.choice(names)
        (train / name).write_bytes(mutilate(tables[name], chance, pieces))
        found = read_kaldi(train)
        usable.add(len(found.utterances))
        assert all(s.reason and s.where for s in found.set_aside)
        (train / name).write_bytes(tables[name])
    assert {1, 2, 3} <= usable, "the mutations must hit, and must not hit everything"
