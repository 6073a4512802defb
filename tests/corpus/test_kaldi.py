"""Kaldi data directories: what is not usable is set aside with file, line and reason."""

import pytest
from data_directories import GOOD, count_reasons, make_directory, make_tone

from workbench.corpus.kaldi import read_kaldi, read_kaldi_splits
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.settings import UserError


def test_a_good_directory(tmp_path):
    """Words, speakers, rates and lengths are read, in the order of text, from wav, flac and ogg."""
    data = read_kaldi(make_directory(tmp_path / "train", GOOD))
    assert (data.set_aside, data.notes, data.seen) == ((), (), 3)
    first, second, third = data.utterances
    assert first == Utterance(
        "a", "s1", ("einn", "tveir"), tmp_path / "audio/a.wav", 0.0, None, "train/text:1", 8000, 0.5
    )
    assert (second.words, second.rate, second.seconds) == (("þrír",), 44100, 1.0)
    assert (third.speaker, third.where) == ("s2", "train/text:3")
    assert {u.speaker for u in data.utterances} == {"s1", "s2"}
    assert sum(u.seconds for u in data.utterances) == pytest.approx(3.5)


def test_segments(tmp_path):
    """Segments name recordings; -1 is the end of one, and an end just after it is cut to it."""
    segments = "a b 0.25 0.75\nb b 0.5 1.3\nc c 1 -1\n"
    data = read_kaldi(make_directory(tmp_path / "train", {**GOOD, "segments": segments}))
    assert not data.set_aside
    assert [(u.start, u.end, u.seconds) for u in data.utterances] == [
        (0.25, 0.75, 0.5),
        (0.5, 1.0, 0.5),
        (1.0, None, 1.0),
    ]


def test_paths_are_looked_up_in_order(tmp_path):
    """A relative path is looked up under audio_root, then beside wav.scp, then in its parent."""
    train = make_directory(
        tmp_path / "train",
        {**GOOD, "wav.scp": "a audio/a.wav\n", "text": "a einn\n", "utt2spk": "a s\n"},
    )
    assert read_kaldi(train).utterances[0].audio == tmp_path / "audio/a.wav"
    beside = make_tone(train / "audio/a.wav")
    assert read_kaldi(train).utterances[0].audio == beside
    rooted = make_tone(tmp_path / "root/audio/a.wav")
    assert read_kaldi(train, audio_root=tmp_path / "root").utterances[0].audio == rooted
    rooted.unlink()
    assert read_kaldi(train, audio_root=tmp_path / "root").utterances[0].audio == beside
    (train / "wav.scp").write_text(f"a {make_tone(tmp_path / 'far away/x.wav')}\n")
    assert read_kaldi(train).utterances[0].audio == tmp_path / "far away/x.wav"


def test_speakers_are_optional(tmp_path):
    """Without utt2spk every utterance is its own speaker, and a note says so."""
    data = read_kaldi(
        make_directory(tmp_path / "train", {k: v for k, v in GOOD.items() if k != "utt2spk"})
    )
    assert [u.speaker for u in data.utterances] == ["a", "b", "c"]
    assert len(data.notes) == 1
    assert "utt2spk" in data.notes[0]


def test_commands(tmp_path):
    """A command runs only if allowed; then its output is kept, and its failure is a reason."""
    files = {**GOOD, "wav.scp": f"a cat {tmp_path}/audio/a.wav | cat |\nb exit 3 |\nc true |\n"}
    train = make_directory(tmp_path / "train", files)
    refused = read_kaldi(train)
    assert [s.reason for s in refused.set_aside] == ["command refused"] * 3
    assert not (train / "from-commands").exists()
    allowed = read_kaldi(train, allow_commands=True)
    assert [(u.id, u.seconds) for u in allowed.utterances] == [("a", 0.5)]
    assert [(s.utterance, s.reason) for s in allowed.set_aside] == [
        ("b", "command failed"),
        ("c", "command failed"),
    ]
    assert "exit code 3" in allowed.set_aside[0].detail
    (tmp_path / "audio/a.wav").unlink()
    assert read_kaldi(train, allow_commands=True).utterances == allowed.utterances


def test_missing_tables_are_user_errors(tmp_path):
    """A directory without wav.scp or text is refused with the path of what is missing."""
    for name in ("wav.scp", "text"):
        train = make_directory(
            tmp_path / name / "train", {k: v for k, v in GOOD.items() if k != name}
        )
        with pytest.raises(UserError, match=name):
            read_kaldi(train)
    with pytest.raises(UserError, match="nowhere"):
        read_kaldi_splits(tmp_path / "nowhere")


def test_splits(tmp_path):
    """dev counts as heldout, and a single directory is a training split."""
    for name in ("train", "dev"):
        make_directory(tmp_path / name, GOOD)

    assert {k: v.seen for k, v in read_kaldi_splits(tmp_path).items()} == {"train": 3, "heldout": 3}
    assert list(read_kaldi_splits(tmp_path / "dev")) == ["train"]


def test_odd_but_good_audio_is_read(tmp_path):
    """Other sample formats, a wrong extension, a byte order mark and CRLF do no harm."""
    make_tone(tmp_path / "a.wav", subtype="PCM_24")
    make_tone(tmp_path / "b.wav", rate=8000, subtype="ULAW")
    make_tone(tmp_path / "d.wav").rename(tmp_path / "d.txt")
    make_tone(tmp_path / "e.wav", 1 / 16000)
    files = {
        "wav.scp": "a a.wav\r\nb b.wav\r\nd d.txt\r\ne e.wav\r\n",
        "text": b"\xef\xbb\xbfa x y\r\n\r\nb x\r\nd x\r\ne x",
    }
    data = read_kaldi(make_directory(tmp_path / "train", files))
    assert [(u.id, u.words) for u in data.utterances] == [
        ("a", ("x", "y")),
        ("b", ("x",)),
        ("d", ("x",)),
        ("e", ("x",)),
    ]


def test_words_are_in_form_nfc(tmp_path):
    """Decomposed letters are composed; words are split at ASCII white space only."""
    (first, *_) = read_kaldi(
        make_directory(tmp_path / "train", {**GOOD, "text": "a o\u0301k a\u2028b\n"})
    ).set_aside
    assert first.reason == "invisible character in text"
    data = read_kaldi(make_directory(tmp_path / "train", {**GOOD, "text": "a o\u0301k\tþ\n"}))
    assert data.utterances[0].words == ("\u00f3k", "þ")


def test_nothing_is_lost(tmp_path):
    """Usable and set aside add up to what was seen; another data set cannot be made."""
    data = read_kaldi(
        make_directory(tmp_path / "train", {**GOOD, "text": "a einn\na\nb x\nd x\nd x\n"})
    )
    assert data.seen == 6  # five lines, and c, which has no text
    assert (len(data.utterances), len(data.set_aside)) == (1, 5)
    assert count_reasons(data).total() == 5

    left = data.without([SetAside("b", "silent audio", "")])
    assert left.utterances == ()
    assert left.seen == 6
    with pytest.raises(KeyError, match="zz"):
        data.without([SetAside("zz", "silent audio", "")])
    with pytest.raises(ValueError, match="seen"):
        DataSet(data.utterances, (), seen=data.seen)


def test_real_digits(shared_digits):
    """Nothing of the real digit corpus is set aside."""
    splits = read_kaldi_splits(shared_digits)
    usable = {name: len(data.utterances) for name, data in splits.items()}
    assert usable == {"train": 394, "heldout": 97, "test": 100}
    assert all(not data.set_aside for data in splits.values())
    assert {u.rate for data in splits.values() for u in data.utterances} == {8000}
