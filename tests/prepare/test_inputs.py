"""Data that are corrected between an interrupted preparation and the next try."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_directories import make_corpus_directory

from workbench.corpus.utterances import DataSet, Utterance
from workbench.language.lexicon import read_lexicon
from workbench.prepare.inputs import digest_inputs
from workbench.prepare.pipeline import Preparation, Source, prepare

HOW = Preparation(states=27)


def interrupt(data: Path) -> None:
    """Leave a corpus as an interruption before its last step would."""
    (data / "corpora" / "c" / "corpus.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("table", ["train/text", "train/utt2spk", "lexicon.txt", "lm.txt"])
def test_corrected_data_are_read_again(table: str, data_folder: Path, tmp_path: Path) -> None:
    """What was made from the data before is not taken for a result of the data of today."""
    directory = make_corpus_directory(tmp_path / "kaldi")
    (directory / "lm.txt").write_text("einn tveir\n")
    prepare("c", Source(kaldi=directory), HOW)
    interrupt(data_folder)

    path = directory / table
    changed = path.read_text().replace("tveir t v", "tveir t").replace("einn tveir", "fimm")
    path.write_text(changed.replace("train-000 s0", "train-000 s1").replace("tveir\n", "fimm\n"))
    corpus = prepare("c", Source(kaldi=directory), HOW)

    lines = (directory / "train" / "text").read_text().splitlines()
    assert [" ".join(words) for words in corpus.split("train").words] == [
        line.split(maxsplit=1)[1] for line in lines
    ]
    assert corpus.split("train").speakers[0] == ("s1" if table == "train/utt2spk" else "s0")
    pronunciation = corpus.lexicon.of(corpus.lexicon.word_id("tveir"))[0]
    assert len(pronunciation.phones) == (4 if table == "lexicon.txt" else 5)
    counted = (corpus.folder / "lm-3.arpa").read_text()
    assert ("einn tveir" in counted) == (table != "lm.txt")


def test_corrected_audio_is_read_again(data_folder: Path, tmp_path: Path) -> None:
    """A file that was written again since has its features made again."""
    directory = make_corpus_directory(tmp_path / "kaldi")
    prepare("c", Source(kaldi=directory), HOW)
    interrupt(data_folder)
    audio = directory / "train"
    (audio / "train-000.flac").write_bytes((audio / "train-001.flac").read_bytes())
    corpus = prepare("c", Source(kaldi=directory), HOW)
    store = corpus.split("train")
    first, second, third = store.offsets[:3]
    assert np.array_equal(store.features[first:second], store.features[second:third])


def test_a_corrected_channel_is_read_again(data_folder: Path, tmp_path: Path) -> None:
    """Another channel in the last column of segments has the features made again."""
    directory = make_corpus_directory(tmp_path / "kaldi")
    train = directory / "train"
    left, rate = soundfile.read(train / "train-000.flac")
    right, _ = soundfile.read(train / "train-001.flac")
    soundfile.write(train / "train-000.flac", np.stack([left, right], axis=1), rate)
    names = [line.split()[0] for line in (train / "wav.scp").read_text().splitlines()]
    segments = "".join(f"{name} {name} 0 1 0\n" for name in names)
    (train / "segments").write_text(segments)
    prepare("c", Source(kaldi=directory), HOW)
    interrupt(data_folder)

    (train / "segments").write_text(segments.replace("train-000 0 1 0", "train-000 0 1 1"))
    store = prepare("c", Source(kaldi=directory), HOW).split("train")
    first, second, third = store.offsets[:3]
    assert np.array_equal(store.features[first:second], store.features[second:third])


def test_the_digest_of_one_channel_stays(tmp_path: Path) -> None:
    """What an earlier release has begun without channels goes on; each channel counts."""
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"sound")
    os.utime(audio, ns=(0, 10**9))
    (tmp_path / "lexicon.txt").write_text("einn e i n\n")
    (tmp_path / "lm.txt").write_text("einn\n")
    lexicon = read_lexicon(tmp_path / "lexicon.txt")

    def digest(channel: int | None) -> str:
        utterance = Utterance("u", "s", ("einn",), audio, 0.5, 1.5, channel=channel)
        splits = {"train": DataSet((utterance,))}
        return digest_inputs(tmp_path, splits, lexicon, [tmp_path / "lm.txt"])

    known = "fc5d106596493273407ea151d68f88081eb5f907b3b693e34edcc8d42bfa0a53"
    assert digest(None) == known
    assert len({digest(None), digest(0), digest(1)}) == 3
