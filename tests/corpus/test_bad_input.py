"""Bad input: each kind sets aside the one utterance that it concerns, with a reason and a place, and nothing else."""

import os
import random
from pathlib import Path

import pytest
from data_directories import GOOD, folder, tone

from workbench.corpus.kaldi import read_kaldi
from workbench.corpus.utterances import ID, shown

LONG = "x" * 10_000
# What is written into which table of a good directory, the id it concerns, the reason, and where that is found.
BAD = {
    "not in wav.scp": (
        {"wav.scp": "b audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "missing audio",
        "text:1",
    ),
    "no such file": (
        {"wav.scp": "a audio/none.wav\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "missing audio",
        "wav.scp:1",
    ),
    "no path": (
        {"wav.scp": "a\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "unreadable audio",
        "wav.scp:1",
    ),
    "path too long": (
        {"wav.scp": f"a {LONG}\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "missing audio",
        "wav.scp:1",
    ),
    "NUL in path": (
        {"wav.scp": "a au\0dio\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "missing audio",
        "wav.scp:1",
    ),
    "command": (
        {"wav.scp": "a touch refused |\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "command refused",
        "wav.scp:1",
    ),
    "folder": (
        {"wav.scp": "a audio\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "unreadable audio",
        "wav.scp:1",
    ),
    "path not UTF-8": (
        {"wav.scp": b"a \xff\xfe\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "invalid UTF-8",
        "wav.scp:1",
    ),
    "two paths": (
        {"wav.scp": GOOD["wav.scp"] + "a audio/b.flac\n"},
        "a",
        "duplicate id",
        "wav.scp:4",
    ),
    "empty text": ({"text": "a\nb þrír\nc fjórir\n"}, "a", "empty text", "text:1"),
    "text of spaces": ({"text": "a \t \nb þrír\nc fjórir\n"}, "a", "empty text", "text:1"),
    "text not UTF-8": ({"text": b"a \xe9inn\nb x\nc x\n"}, "a", "invalid UTF-8", "text:1"),
    "NUL in text": ({"text": "a ei\0nn\nb x\nc x\n"}, "a", "invisible character in text", "text:1"),
    "no-break space": (
        {"text": "a \u00a0\nb x\nc x\n"},
        "a",
        "invisible character in text",
        "text:1",
    ),
    "no text": ({"text": "b þrír\nc fjórir\n"}, "a", "no text", "wav.scp:1"),
    "two texts": ({"text": GOOD["text"] + "a sjö\n"}, "a", "duplicate id", "text:1"),
    "the same text twice": (
        {"text": GOOD["text"] + "a einn tveir\n"},
        "a",
        "duplicate id",
        "text:4",
    ),
    "no speaker": ({"utt2spk": "b s1\nc s2\n"}, "a", "missing speaker", "text:1"),
    "empty speaker": ({"utt2spk": "a\nb s1\nc s2\n"}, "a", "missing speaker", "text:1"),
    "two speakers": ({"utt2spk": GOOD["utt2spk"] + "a s2\n"}, "a", "duplicate id", "utt2spk:4"),
    "bad speaker": ({"utt2spk": "a <b>\nb s1\nc s2\n"}, "a", "bad speaker id", "text:1"),
    "spaces in speaker": ({"utt2spk": "a s 1\nb s1\nc s2\n"}, "a", "bad speaker id", "text:1"),
    "not in segments": ({"segments": "b b 0 1\nc c 0 1\n"}, "a", "missing audio", "text:1"),
    "unknown recording": (
        {"segments": "a z 0 1\nb b 0 1\nc c 0 1\n"},
        "a",
        "unknown recording",
        "segments:1",
    ),
    "no recording": ({"segments": "a\nb b 0 1\nc c 0 1\n"}, "a", "unknown recording", "segments:1"),
    "no times": ({"segments": "a b\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "times no numbers": (
        {"segments": "a b 0 end\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "times NaN": (
        {"segments": "a b nan 1\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "start infinite": (
        {"segments": "a b -inf 1\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "start negative": (
        {"segments": "a b -0.5 1\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "ends before start": (
        {"segments": "a b 0.9 0.1\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "ends at start": (
        {"segments": "a b 0.5 0.5\nb b 0 1\nc c 0 1\n"},
        "a",
        "bad segment times",
        "text:1",
    ),
    "starts after audio": (
        {"segments": "a b 1.2 1.4\nb b 0 1\nc c 0 1\n"},
        "a",
        "segment outside audio",
        "text:1",
    ),
    "ends after audio": (
        {"segments": "a b 0.5 2\nb b 0 1\nc c 0 1\n"},
        "a",
        "segment outside audio",
        "text:1",
    ),
    "ends never": (
        {"segments": "a b 0.5 inf\nb b 0 1\nc c 0 1\n"},
        "a",
        "segment outside audio",
        "text:1",
    ),
    "two segments": (
        {"segments": "a b 0 1\nb b 0 1\nc c 0 1\na b 0 0.5\n"},
        "a",
        "duplicate id",
        "segments:4",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_set_aside(tmp_path, name):
    """Each kind of bad input sets aside the one utterance it concerns, with reason and place, and no other."""
    files, utterance, reason, where = BAD[name]
    data = read_kaldi(folder(tmp_path / "train", {**GOOD, **files}))
    assert [(s.utterance, s.reason) for s in data.set_aside] == [(utterance, reason)] * len(
        data.set_aside
    )
    assert data.set_aside[0].where == f"train/{where}"
    assert {"b", "c"} <= {u.id for u in data.utterances}


IDS = [
    "../b",
    "a/b",
    ".a",
    "emoji\U0001f600",
    "þ",
    "x" * 129,
    LONG,
    "nul\0",
    "<script>",
    "rtl\u202e",
    "bell\7",
    "a|b",
    "a'b",
]


@pytest.mark.parametrize("bad", IDS)
def test_bad_ids_are_set_aside(tmp_path, bad):
    """An id that would not be safe as the name of a file is refused, and shown in visible ASCII only."""
    files = {name: content.replace("a ", f"{bad} ", 1) for name, content in GOOD.items()}
    (found,) = read_kaldi(folder(tmp_path / "train", files)).set_aside
    assert found.reason == "bad id"
    assert found.utterance == shown(bad)
    assert len(found.utterance) <= 128
    assert found.utterance.isprintable()
    assert found.utterance.isascii()
    assert not ID.fullmatch(bad)


def bad_recordings(root: Path) -> dict[str, str]:
    """Recordings that headers give away, and the reason they are to be set aside for."""
    root.mkdir()
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to(root / "loop")
    (root / "nothing").write_bytes(b"")
    (root / "noise.wav").write_bytes(random.Random(0).randbytes(5000))
    (root / "text.flac").write_text("not audio")
    (root / "headerless.raw").write_bytes(bytes(1000))
    head = tone(root / "head.wav").read_bytes()[:30]
    (root / "head.wav").write_bytes(head)
    tone(root / "empty.wav", 0)
    tone(root / "slow.wav", rate=4000)
    tone(root / "fast.wav", 0.01, rate=400_000)
    tone(root / "long.wav", 301, rate=8000, subtype="ULAW")
    endless = bytearray(tone(root / "endless.flac").read_bytes())
    endless[21:26] = bytes(
        [endless[21] & 0xF0, 0, 0, 0, 0]
    )  # number of samples not known, as if written to a pipe
    (root / "endless.flac").write_bytes(endless)
    unreadable = (
        "endless.flac",
        "fifo",
        "nothing",
        "noise.wav",
        "text.flac",
        "headerless.raw",
        "head.wav",
    )
    other = {"loop": "missing audio", "empty.wav": "empty audio", "long.wav": "too long"}
    return {
        **dict.fromkeys(unreadable, "unreadable audio"),
        **other,
        **dict.fromkeys(("slow.wav", "fast.wav"), "unusable sample rate"),
    }


def test_bad_recordings_are_set_aside(tmp_path):
    """Files that are no audio, or unusable by their header alone, are set aside without reading or waiting for them."""
    wanted = bad_recordings(tmp_path / "bad")
    files = {
        "wav.scp": "".join(f"{n} {n}\n" for n in wanted),
        "text": "".join(f"{n} x\n" for n in wanted),
    }
    data = read_kaldi(folder(tmp_path / "train", files), audio_root=tmp_path / "bad")
    assert {s.utterance: s.reason for s in data.set_aside} == wanted


def test_everything_wrong_is_told_at_once(tmp_path):
    """Several faults of one utterance make one entry: the first is counted, the others are in its detail."""
    files = {**GOOD, "wav.scp": "b audio/b.flac\n", "text": "a\nb x\n", "utt2spk": "b s\n"}
    (found,) = read_kaldi(folder(tmp_path / "train", files)).set_aside
    assert found.reason == "missing audio"
    assert "missing speaker (train/text:1" in found.detail
    assert "empty text (train/text:1" in found.detail


def test_fuzzed_tables_never_crash(tmp_path):
    """1,500 mutilated directories: each ends in a data set that loses nothing."""
    train = folder(
        tmp_path / "train", {**GOOD, "segments": "a b 0.25 0.75\nb b 0.5 1.3\nc c 1 -1\n"}
    )
    tables = {
        name: (train / name).read_bytes() for name in ("wav.scp", "text", "utt2spk", "segments")
    }
    chance, usable = random.Random(0), set()
    for _ in range(1500):
        name = chance.choice(list(tables))
        data = bytearray(tables[name])
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.choice(
                [b"", b"\n", b" ", b"\0", b"\xff", b"a", b"|", b"-", b"9e9"]
            )
        (train / name).write_bytes(data)
        found = read_kaldi(train)
        usable.add(len(found.utterances))
        assert all(s.reason and s.where for s in found.set_aside)
        (train / name).write_bytes(tables[name])
    assert {1, 2, 3} <= usable, "the mutations must hit, and must not hit everything"
