"""Kaldi data directories: what is not usable is set aside with file, line and reason."""

import numpy as np
import pytest
import soundfile
from data_directories import GOOD, count_reasons, make_directory, make_tone

from workbench.corpus.audio import AudioError, AudioReader, read_audio, read_header
from workbench.corpus.kaldi import read_kaldi, read_kaldi_splits
from workbench.corpus.mpeg import count_samples
from workbench.corpus.set_names import SetNames
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.settings import UserError


def test_a_good_directory(tmp_path):
    """Words, speakers, rates and lengths are read, in the order of text, from wav, flac and ogg."""
    data = read_kaldi(make_directory(tmp_path / "train", GOOD))
    assert (data.set_aside, data.seen) == ((), 3)
    assert data.notes[0].startswith("1 utterances are the mean of several channels")
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


def test_the_fifth_column_of_segments_chooses_a_channel(tmp_path):
    """Channels count from 0; the features are those of that channel, and no remark is made."""
    segments = "c0 c 0 -1 0\nc1 c 0 -1 1\nc2 c 0 -1 2\ncx c 0 -1 left\n"
    text = "c0 einn\nc1 einn\nc2 einn\ncx einn\n"
    speakers = "c0 s\nc1 s\nc2 s\ncx s\n"
    files = {**GOOD, "segments": segments, "text": text, "utt2spk": speakers}
    train = make_directory(tmp_path / "train", files)
    both = np.stack([np.full(8000, 0.1), np.full(8000, 0.3)], axis=1)
    soundfile.write(tmp_path / "audio" / "c.wav", both, 16000)
    (train / "wav.scp").write_text("c audio/c.wav\n")

    data = read_kaldi(train)
    assert count_reasons(data) == {"unknown channel": 2}
    assert not data.notes
    for utterance, level in zip(data.utterances, (0.1, 0.3), strict=True):
        samples, _ = read_audio(utterance.audio, channel=utterance.channel)
        np.testing.assert_allclose(samples, level, atol=1e-3)


def test_what_cannot_be_sought_is_read_from_its_beginning(tmp_path):
    """GSM 6.10 in WAV has no seeking; any segment of it can be read all the same."""
    path = make_tone(tmp_path / "a.wav", 1.0, 8000, subtype="GSM610")
    with AudioReader() as reader:
        whole, _ = reader.read(path)
        for start, end in ((0.5, 0.75), (0.25, 0.5)):
            part, rate = reader.read(path, start, end)
            assert rate == 8000
            np.testing.assert_array_equal(part, whole[round(8000 * start) : round(8000 * end)])


def test_an_estimated_length_is_no_promise(tmp_path):
    """A little less than an MP3's header estimates is the recording; much less is a cut file."""
    path = make_tone(tmp_path / "a.mp3", 3.0, 16000)
    whole = path.read_bytes()
    for share, is_read in ((0.95, True), (0.4, False)):
        path.write_bytes(whole[: int(share * len(whole))])
        if is_read:
            assert 44000 < len(read_audio(path)[0]) < 48000
            continue
        with pytest.raises(AudioError, match="truncated audio"):
            read_audio(path)


def test_an_estimate_that_is_too_short_loses_nothing(tmp_path):
    """An MP3 that begins with large frames is read to its end, and a part of it from its place."""
    draw = np.random.default_rng(0)
    noise = (0.1 * draw.normal(size=48000)).astype(np.float32)
    pieces = []
    for level in (0.0, 0.9):  # of compression: the largest bit rate, and nearly the smallest
        path = tmp_path / f"{level}.mp3"
        soundfile.write(
            path, noise, 16000, format="MP3", compression_level=level, bitrate_mode="CONSTANT"
        )
        data = path.read_bytes()
        length = data.index(data[:2], 4)  # the first frame holds the tag with the true length
        pieces.append(data[length:])
    large, small = pieces
    both = tmp_path / "both.mp3"
    both.write_bytes(large + small)
    assert soundfile.info(both).frames < 70_000

    samples, rate = read_audio(both)
    assert abs(len(samples) - 2 * len(noise)) < 4000
    assert read_header(both).samples >= len(samples)
    part, _ = read_audio(both, 4.0, 4.5)
    assert np.abs(part - samples[4 * rate : 4 * rate + rate // 2]).mean() < 0.01


@pytest.mark.parametrize("version", [3, 4])
def test_a_picture_in_an_mp3_is_no_sound(tmp_path, version):
    """Bytes in a tag that look like frames do not make the recording longer."""
    path = make_tone(tmp_path / "a.mp3", 3.0, 16000)
    sound = path.read_bytes()
    picture = np.random.default_rng(0).bytes(400 << 10)
    size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3" + bytes([version, 0, 0]) + size + picture + sound)
    assert read_header(path).seconds == pytest.approx(3.0, abs=0.2)
    assert len(read_audio(path)[0]) == pytest.approx(48000, abs=3200)

    path.write_bytes(sound + b"APETAGEX" + picture)
    assert count_samples(path) == pytest.approx(48000, abs=3200)


def test_names_of_recipes_are_found(tmp_path):
    """Sets may have further words in their names; several for one split are refused by name."""
    for name in ("train_clean_5", "dev_clean_2", "test_clean"):
        make_directory(tmp_path / "data" / name, GOOD)
    assert list(read_kaldi_splits(tmp_path / "data")) == ["train", "heldout", "test"]

    make_directory(tmp_path / "data" / "test_other", GOOD)
    with pytest.raises(UserError, match=r"test: test_clean, test_other; name one with --test"):
        read_kaldi_splits(tmp_path / "data")
    named = SetNames(train="test_other", test="test_clean")
    assert list(read_kaldi_splits(tmp_path / "data", names=named)) == ["train", "heldout", "test"]
    with pytest.raises(UserError, match=r"no wav.scp in .*nothing; there are dev_clean_2, test_"):
        read_kaldi_splits(tmp_path / "data", names=SetNames(train="nothing"))


def test_a_folder_without_train_names_what_is_there(tmp_path):
    """The message lists the sets that were found, and the option that names one."""
    make_directory(tmp_path / "data" / "si284", GOOD)
    with pytest.raises(UserError, match=r"no set is called train.*found: si284; .*--train"):
        read_kaldi_splits(tmp_path / "data")


def test_speakers_may_be_listed_with_their_utterances(tmp_path):
    """Where only spk2utt is there, it says the same; two speakers of one utterance are a fault."""
    files = {name: content for name, content in GOOD.items() if name != "utt2spk"}
    folder = make_directory(tmp_path / "x", {**files, "spk2utt": "s1 a b\ns2 c\n"})
    data = read_kaldi(folder)
    assert [u.speaker for u in data.utterances] == ["s1", "s1", "s2"]
    assert not any("speaker" in note for note in data.notes)

    (folder / "spk2utt").write_text("s1 a b\ns2 b c\n")
    assert count_reasons(read_kaldi(folder)) == {"duplicate id": 1}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    """A table that an editor of another system wrote is one fault, not one for every utterance."""
    folder = make_directory(tmp_path / "x", GOOD)
    (folder / "text").write_bytes(("\ufeff" + GOOD["text"]).encode(encoding))
    with pytest.raises(UserError, match="text: is UTF-16; write it again as UTF-8"):
        read_kaldi(folder)
