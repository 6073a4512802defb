"""Kaldi data directories: everything usable is read, everything else is set aside with file, line and reason."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.corpus.kaldi import read_kaldi, read_kaldi_splits
from workbench.corpus.utterances import ID, DataSet, SetAside, Utterance, shown, summary
from workbench.settings import UserError

GOOD = {
    "wav.scp": "a audio/a.wav\nb audio/b.flac\nc audio/c.ogg\n",
    "text": "a einn tveir\nb þrír\nc fjórir fimm sex\n",
    "utt2spk": "a s1\nb s1\nc s2\n",
}


def tone(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1, **options) -> Path:
    """A file with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(np.arange(round(seconds * rate)) * 0.1)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate, **options)
    return path


def folder(root: Path, files: dict[str, str | bytes]) -> Path:
    """A data directory with three recordings of different kinds in its parent."""
    root.mkdir(parents=True, exist_ok=True)
    tone(root.parent / "audio" / "a.wav", 0.5, 8000)
    tone(root.parent / "audio" / "b.flac", 1.0, 44100)
    tone(root.parent / "audio" / "c.ogg", 2.0, 16000, 2)
    for name, content in files.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_a_good_directory(tmp_path):
    """Words, speakers, rates and lengths are read, in the order of text, from wav, flac and ogg alike."""
    data = read_kaldi(folder(tmp_path / "train", GOOD))
    assert (data.set_aside, data.notes, data.seen) == ((), (), 3)
    first, second, third = data.utterances
    assert first == Utterance(
        "a", "s1", ("einn", "tveir"), tmp_path / "audio/a.wav", 0.0, None, "train/text:1", 8000, 0.5
    )
    assert (second.words, second.rate, second.seconds) == (("þrír",), 44100, 1.0)
    assert (third.speaker, third.where) == ("s2", "train/text:3")
    counts = summary(data)
    assert (counts.usable, counts.set_aside, counts.speakers, counts.reasons) == (3, 0, 2, ())
    assert counts.hours == pytest.approx(3.5 / 3600)


def test_segments(tmp_path):
    """Segments name recordings; -1 is the end of one, and an end just after it is cut to it."""
    segments = "a b 0.25 0.75\nb b 0.5 1.3\nc c 1 -1\n"
    data = read_kaldi(folder(tmp_path / "train", {**GOOD, "segments": segments}))
    assert not data.set_aside
    assert [(u.start, u.end, u.seconds) for u in data.utterances] == [
        (0.25, 0.75, 0.5),
        (0.5, 1.0, 0.5),
        (1.0, None, 1.0),
    ]


def test_paths_are_looked_up_in_order(tmp_path):
    """A relative path is taken under audio_root, else beside wav.scp, else in its parent, where it first exists."""
    train = folder(tmp_path / "train", {**GOOD, "wav.scp": "a audio/a.wav\n", "text": "a einn\n", "utt2spk": "a s\n"})
    assert read_kaldi(train).utterances[0].audio == tmp_path / "audio/a.wav"
    beside = tone(train / "audio/a.wav")
    assert read_kaldi(train).utterances[0].audio == beside
    rooted = tone(tmp_path / "root/audio/a.wav")
    assert read_kaldi(train, audio_root=tmp_path / "root").utterances[0].audio == rooted
    rooted.unlink()
    assert read_kaldi(train, audio_root=tmp_path / "root").utterances[0].audio == beside
    (train / "wav.scp").write_text(f"a {tone(tmp_path / 'far away/x.wav')}\n")
    assert read_kaldi(train).utterances[0].audio == tmp_path / "far away/x.wav"


def test_speakers_are_optional(tmp_path):
    """Without utt2spk every utterance is its own speaker, and a note says so."""
    data = read_kaldi(folder(tmp_path / "train", {k: v for k, v in GOOD.items() if k != "utt2spk"}))
    assert [u.speaker for u in data.utterances] == ["a", "b", "c"]
    assert len(data.notes) == 1
    assert "utt2spk" in data.notes[0]


def test_commands(tmp_path):
    """A command is refused unless allowed; allowed, its output is read once, and its failure is a reason."""
    files = {**GOOD, "wav.scp": f"a cat {tmp_path}/audio/a.wav | cat |\nb exit 3 |\nc true |\n"}
    train = folder(tmp_path / "train", files)
    refused = read_kaldi(train)
    assert [s.reason for s in refused.set_aside] == ["command refused"] * 3
    assert not (train / "from-commands").exists()
    allowed = read_kaldi(train, allow_commands=True)
    assert [(u.id, u.seconds) for u in allowed.utterances] == [("a", 0.5)]
    assert [(s.utterance, s.reason) for s in allowed.set_aside] == [("b", "command failed"), ("c", "command failed")]
    assert "exit code 3" in allowed.set_aside[0].detail
    (tmp_path / "audio/a.wav").unlink()
    assert read_kaldi(train, allow_commands=True).utterances == allowed.utterances


def test_missing_tables_are_user_errors(tmp_path):
    """A directory without wav.scp or text is refused with the path of what is missing."""
    for name in ("wav.scp", "text"):
        train = folder(tmp_path / name / "train", {k: v for k, v in GOOD.items() if k != name})
        with pytest.raises(UserError, match=name):
            read_kaldi(train)
    with pytest.raises(UserError, match="nowhere"):
        read_kaldi_splits(tmp_path / "nowhere")


def test_splits(tmp_path):
    """dev counts as heldout, what is absent is left out, and a single directory is a training split."""
    for name in ("train", "dev"):
        folder(tmp_path / name, GOOD)
    assert {k: v.seen for k, v in read_kaldi_splits(tmp_path).items()} == {"train": 3, "heldout": 3}
    assert list(read_kaldi_splits(tmp_path / "dev")) == ["train"]


LONG = "x" * 10_000
# What is written into which table of a good directory, the id it concerns, the reason, and where that is found.
BAD = {
    "not in wav.scp": ({"wav.scp": "b audio/b.flac\nc audio/c.ogg\n"}, "a", "missing audio", "text:1"),
    "no such file": (
        {"wav.scp": "a audio/none.wav\nb audio/b.flac\nc audio/c.ogg\n"},
        "a",
        "missing audio",
        "wav.scp:1",
    ),
    "no path": ({"wav.scp": "a\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "unreadable audio", "wav.scp:1"),
    "path too long": ({"wav.scp": f"a {LONG}\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "missing audio", "wav.scp:1"),
    "NUL in path": ({"wav.scp": "a au\0dio\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "missing audio", "wav.scp:1"),
    "command": ({"wav.scp": "a touch /tmp/x |\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "command refused", "wav.scp:1"),
    "folder": ({"wav.scp": "a audio\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "unreadable audio", "wav.scp:1"),
    "path not UTF-8": ({"wav.scp": b"a \xff\xfe\nb audio/b.flac\nc audio/c.ogg\n"}, "a", "invalid UTF-8", "wav.scp:1"),
    "two paths": ({"wav.scp": GOOD["wav.scp"] + "a audio/b.flac\n"}, "a", "duplicate id", "wav.scp:4"),
    "empty text": ({"text": "a\nb þrír\nc fjórir\n"}, "a", "empty text", "text:1"),
    "text of spaces": ({"text": "a \t \nb þrír\nc fjórir\n"}, "a", "empty text", "text:1"),
    "text not UTF-8": ({"text": b"a \xe9inn\nb x\nc x\n"}, "a", "invalid UTF-8", "text:1"),
    "NUL in text": ({"text": "a ei\0nn\nb x\nc x\n"}, "a", "invisible character in text", "text:1"),
    "no-break space": ({"text": "a \u00a0\nb x\nc x\n"}, "a", "invisible character in text", "text:1"),
    "no text": ({"text": "b þrír\nc fjórir\n"}, "a", "no text", "wav.scp:1"),
    "two texts": ({"text": GOOD["text"] + "a sjö\n"}, "a", "duplicate id", "text:1"),
    "the same text twice": ({"text": GOOD["text"] + "a einn tveir\n"}, "a", "duplicate id", "text:4"),
    "no speaker": ({"utt2spk": "b s1\nc s2\n"}, "a", "missing speaker", "text:1"),
    "empty speaker": ({"utt2spk": "a\nb s1\nc s2\n"}, "a", "missing speaker", "text:1"),
    "two speakers": ({"utt2spk": GOOD["utt2spk"] + "a s2\n"}, "a", "duplicate id", "utt2spk:4"),
    "bad speaker": ({"utt2spk": "a <b>\nb s1\nc s2\n"}, "a", "bad speaker id", "text:1"),
    "spaces in speaker": ({"utt2spk": "a s 1\nb s1\nc s2\n"}, "a", "bad speaker id", "text:1"),
    "not in segments": ({"segments": "b b 0 1\nc c 0 1\n"}, "a", "missing audio", "text:1"),
    "unknown recording": ({"segments": "a z 0 1\nb b 0 1\nc c 0 1\n"}, "a", "unknown recording", "segments:1"),
    "no recording": ({"segments": "a\nb b 0 1\nc c 0 1\n"}, "a", "unknown recording", "segments:1"),
    "no times": ({"segments": "a b\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "times no numbers": ({"segments": "a b 0 end\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "times NaN": ({"segments": "a b nan 1\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "start infinite": ({"segments": "a b -inf 1\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "start negative": ({"segments": "a b -0.5 1\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "ends before start": ({"segments": "a b 0.9 0.1\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "ends at start": ({"segments": "a b 0.5 0.5\nb b 0 1\nc c 0 1\n"}, "a", "bad segment times", "text:1"),
    "starts after audio": ({"segments": "a b 1.2 1.4\nb b 0 1\nc c 0 1\n"}, "a", "segment outside audio", "text:1"),
    "ends after audio": ({"segments": "a b 0.5 2\nb b 0 1\nc c 0 1\n"}, "a", "segment outside audio", "text:1"),
    "ends never": ({"segments": "a b 0.5 inf\nb b 0 1\nc c 0 1\n"}, "a", "segment outside audio", "text:1"),
    "two segments": ({"segments": "a b 0 1\nb b 0 1\nc c 0 1\na b 0 0.5\n"}, "a", "duplicate id", "segments:4"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_set_aside(tmp_path, name):
    """Each kind of bad input sets aside the one utterance it concerns, with reason and place, and no other."""
    files, utterance, reason, where = BAD[name]
    data = read_kaldi(folder(tmp_path / "train", {**GOOD, **files}))
    assert [(s.utterance, s.reason) for s in data.set_aside] == [(utterance, reason)] * len(data.set_aside)
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
    endless[21:26] = bytes([endless[21] & 0xF0, 0, 0, 0, 0])  # number of samples not known, as if written to a pipe
    (root / "endless.flac").write_bytes(endless)
    unreadable = ("endless.flac", "fifo", "nothing", "noise.wav", "text.flac", "headerless.raw", "head.wav")
    other = {"loop": "missing audio", "empty.wav": "empty audio", "long.wav": "too long"}
    return {
        **dict.fromkeys(unreadable, "unreadable audio"),
        **other,
        **dict.fromkeys(("slow.wav", "fast.wav"), "unusable sample rate"),
    }


def test_bad_recordings_are_set_aside(tmp_path):
    """Files that are no audio, or unusable by their header alone, are set aside without reading or waiting for them."""
    wanted = bad_recordings(tmp_path / "bad")
    files = {"wav.scp": "".join(f"{n} {n}\n" for n in wanted), "text": "".join(f"{n} x\n" for n in wanted)}
    data = read_kaldi(folder(tmp_path / "train", files), audio_root=tmp_path / "bad")
    assert {s.utterance: s.reason for s in data.set_aside} == wanted


def test_odd_but_good_audio_is_read(tmp_path):
    """24 bits, mu-law, a wrong extension, one sample, a byte order mark and Windows line ends do no harm."""
    tone(tmp_path / "a.wav", subtype="PCM_24")
    tone(tmp_path / "b.wav", rate=8000, subtype="ULAW")
    tone(tmp_path / "d.wav").rename(tmp_path / "d.txt")
    tone(tmp_path / "e.wav", 1 / 16000)
    files = {
        "wav.scp": "a a.wav\r\nb b.wav\r\nd d.txt\r\ne e.wav\r\n",
        "text": b"\xef\xbb\xbfa x y\r\n\r\nb x\r\nd x\r\ne x",
    }
    data = read_kaldi(folder(tmp_path / "train", files))
    assert [(u.id, u.words) for u in data.utterances] == [
        ("a", ("x", "y")),
        ("b", ("x",)),
        ("d", ("x",)),
        ("e", ("x",)),
    ]


def test_words_are_in_form_nfc(tmp_path):
    """Decomposed letters are composed, as in the lexicon; words are split at ASCII white space only."""
    (first, *_) = read_kaldi(folder(tmp_path / "train", {**GOOD, "text": "a o\u0301k a\u2028b\n"})).set_aside
    assert first.reason == "invisible character in text"
    data = read_kaldi(folder(tmp_path / "train", {**GOOD, "text": "a o\u0301k\tþ\n"}))
    assert data.utterances[0].words == ("\u00f3k", "þ")


def test_everything_wrong_is_told_at_once(tmp_path):
    """Several faults of one utterance make one entry: the first is counted, the others are in its detail."""
    files = {**GOOD, "wav.scp": "b audio/b.flac\n", "text": "a\nb x\n", "utt2spk": "b s\n"}
    (found,) = read_kaldi(folder(tmp_path / "train", files)).set_aside
    assert found.reason == "missing audio"
    assert "missing speaker (train/text:1" in found.detail
    assert "empty text (train/text:1" in found.detail


def test_nothing_is_lost(tmp_path):
    """Usable and set aside add up to what was seen, and a data set for which they do not cannot be made."""
    data = read_kaldi(folder(tmp_path / "train", {**GOOD, "text": "a einn\na\nb x\nd x\nd x\n"}))
    counts = summary(data)
    assert counts.usable + counts.set_aside == counts.seen == 6  # five lines, and c, which has no text
    assert sum(n for _, n in counts.reasons) == counts.set_aside
    assert counts.share == pytest.approx(5 / 6)
    left = data.without([SetAside("b", "silent audio", "")])
    assert summary(left).usable == 0
    assert summary(left).seen == 6
    with pytest.raises(KeyError, match="zz"):
        data.without([SetAside("zz", "silent audio", "")])
    with pytest.raises(ValueError, match="seen"):
        DataSet(data.utterances, (), seen=data.seen)


def test_fuzzed_tables_never_crash(tmp_path):
    """1,500 mutilated directories: each ends in a data set that loses nothing."""
    train = folder(tmp_path / "train", {**GOOD, "segments": "a b 0.25 0.75\nb b 0.5 1.3\nc c 1 -1\n"})
    tables = {name: (train / name).read_bytes() for name in ("wav.scp", "text", "utt2spk", "segments")}
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


@pytest.fixture
def shared_digits() -> Path:
    """A real corpus of digits, where the checkout has one beside it."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "digits"
    if not path.is_dir():
        pytest.skip("no ../shared/data/digits")
    return path


def test_real_digits(shared_digits):
    """Nothing of the real digit corpus is set aside."""
    splits = read_kaldi_splits(shared_digits)
    assert {name: (summary(d).usable, summary(d).set_aside) for name, d in splits.items()} == {
        "train": (394, 0), "heldout": (97, 0), "test": (100, 0)
    }  # fmt: skip
    assert {u.rate for d in splits.values() for u in d.utterances} == {8000}
