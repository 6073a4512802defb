"""What a corpus loses is counted at every step, listed, and refused beyond the tolerance."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.prepare.losses import Losses
from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.settings import UserError

WORDS = ("ein", "tveir", "ma\u00f0ur", "kona")
LEXICON = "ein e i n\ntveir t v e i r\nma\u00f0ur m a d u r\nkona k o n a\n"
RATE = 16000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Kaldi folder of three sets with noise in place of speech, and a data folder of its own."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "home"))
    folder = tmp_path / "data"
    draw = np.random.default_rng(0)
    for split, count in (("train", 40), ("heldout", 6), ("test", 6)):
        (folder / split).mkdir(parents=True)
        tables: dict[str, list[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
        for n in range(count):
            name = f"{split}{n:02}"
            words = " ".join(draw.choice(WORDS, 3))
            tables["wav.scp"].append(f"{name} {name}.flac")
            tables["text"].append(f"{name} {words}")
            tables["utt2spk"].append(f"{name} voice{n % 4}-{split}")
            samples = 0.1 * draw.normal(size=RATE)
            soundfile.write(folder / split / f"{name}.flac", samples, RATE)
        for table, lines in tables.items():
            (folder / split / table).write_text("".join(f"{line}\n" for line in lines))
    (folder / "lexicon.txt").write_text(LEXICON)
    return folder


def make(data: Path, **how: float) -> str:
    """Prepare the folder and return the refusal; fails if it is not refused."""
    with pytest.raises(UserError) as caught:
        prepare("c", Source(kaldi=data), Preparation(states=20, **how))
    return str(caught.value)


def listed(home: Path) -> list[str]:
    """The utterances in the list of a refused preparation."""
    lines = (home / "logs" / "c-set-aside.tsv").read_text().splitlines()
    return [line.split("\t")[0] for line in lines[1:]]


def test_nothing_usable_says_why_and_lists_all(data: Path, tmp_path: Path) -> None:
    """Without any audio the refusal has the reason, its count, a place, and a list of all."""
    for path in (data / "train").glob("*.flac"):
        path.unlink()
    message = make(data)
    assert "train: 40 of 40 utterances cannot be used" in message
    assert "missing audio 40" in message
    assert "train/wav.scp:1" in message
    assert str(tmp_path / "home" / "logs" / "c-set-aside.tsv") in message
    assert len(listed(tmp_path / "home")) == 40
    assert not (tmp_path / "home" / "corpora" / "c").exists()


def test_what_decoding_finds_counts_like_headers(data: Path, tmp_path: Path) -> None:
    """Files whose header is whole and whose data are cut count against the tolerance."""
    for n in range(5):
        path = data / "train" / f"train{n:02}.flac"
        path.write_bytes(path.read_bytes()[:9000])
    message = make(data)
    assert "train: 5 of 40 utterances cannot be used (12 %, and 1 % are tolerated)" in message
    assert sorted(listed(tmp_path / "home")) == [f"train{n:02}" for n in range(5)]


def test_an_empty_set_is_refused_whatever_is_tolerated(data: Path) -> None:
    """A test set of another sampling rate is lost as a whole, and no tolerance allows that."""
    for path in (data / "test").glob("*.flac"):
        soundfile.write(path, np.zeros(4000), 4000)
    assert "test: 6 of 6 utterances cannot be used" in make(data, tolerance=1.0)


def test_alignment_is_counted_too() -> None:
    """Every step adds to the same count."""
    from workbench.corpus.utterances import DataSet, SetAside, Utterance

    losses = Losses("c", 0.1)
    utterances = tuple(Utterance(str(n), "s", ("a",), Path("a.wav")) for n in range(20))
    losses.take_split("train", DataSet(utterances))
    losses.add("train", [SetAside("1", "not aligned", "text:1"), SetAside("2", "cut", "text:2")])
    losses.refuse()
    losses.add("train", [SetAside("3", "not aligned", "text:3")])
    with pytest.raises(UserError, match=r"3 of 20 .*not aligned 2, cut 1"):
        losses.refuse()


def interrupt(*_: object, **given: object) -> None:
    """In place of what comes after the features: Ctrl-C."""
    raise KeyboardInterrupt


def test_a_corrected_transcript_is_seen(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that change between an interruption and the next attempt are read again."""
    from workbench.prepare import pipeline

    monkeypatch.setattr(pipeline, "train_gaussians", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare("c", Source(kaldi=data), Preparation(states=20))
    monkeypatch.undo()
    monkeypatch.setenv("WORKBENCH_DATA", str(data.parent / "home"))

    text = data / "train" / "text"
    first, *rest = text.read_text().splitlines()
    corrected = f"{first.split()[0]} kona"
    text.write_text("\n".join([corrected, *rest]) + "\n")
    monkeypatch.setattr(pipeline, "train_gaussians", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare("c", Source(kaldi=data), Preparation(states=20))
    store = pipeline.FrameStore.open(data.parent / "home" / "corpora" / "c" / "train")
    assert store.words[0] == ("kona",)


def test_unknown_words_become_the_unknown_word(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With <unk> in the lexicon no utterance is lost for a word; the remarks tell how many."""
    from workbench.prepare import pipeline

    monkeypatch.setattr(pipeline, "train_gaussians", interrupt)
    with (data / "lexicon.txt").open("a") as lexicon:
        lexicon.write("<unk> s p n\n")
    lines = (data / "train" / "text").read_text().splitlines()
    lines[0] = f"{lines[0].split()[0]} kona geimvera"
    (data / "train" / "text").write_text("\n".join(lines) + "\n")
    with pytest.raises(KeyboardInterrupt):
        prepare("c", Source(kaldi=data), Preparation(states=20))
    store = pipeline.FrameStore.open(data.parent / "home" / "corpora" / "c" / "train")
    assert len(store) == 40
    assert store.words[0] == ("kona", "<unk>")


def test_a_test_keeps_what_the_lexicon_lacks(data: Path) -> None:
    """Unknown words of the test set are not lost: they are in references, and cannot be right."""
    text = data / "test" / "text"
    lines = text.read_text().splitlines()
    text.write_text("\n".join([f"{lines[0]} bíll", *lines[1:]]) + "\n")
    corpus = prepare("c", Source(kaldi=data), Preparation(states=60))
    assert corpus.split("test").words[0][-1] == "bíll"
    assert corpus.info["splits"]["test"]["set_aside"] == {}
    assert "each an error of every test: bíll 1" in (corpus.folder / "remarks.txt").read_text()
