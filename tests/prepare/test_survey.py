"""What `workbench check` says of data before anything is computed, and what it foretells."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_directories import make_corpus_directory

from workbench.cli import main
from workbench.prepare import pipeline
from workbench.prepare.corpus import SPLITS
from workbench.prepare.pipeline import Preparation, prepare
from workbench.prepare.reading import LETTERS, Source, guess_source
from workbench.prepare.survey import Survey, survey
from workbench.settings import UserError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Kaldi folder that can be prepared, and a data folder of the test's own."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "home"))
    return make_corpus_directory(tmp_path / "mine")


def look(data: Path, **how: float) -> Survey:
    """What is said of a folder."""
    return survey(guess_source(data), Preparation(**how))


def change_line(path: Path, number: int, line: str) -> None:
    """Put another line into a table."""
    lines = path.read_text().splitlines()
    lines[number] = line
    path.write_text("\n".join(lines) + "\n")


def test_good_data_are_told_in_numbers(data: Path, capsys: pytest.CaptureFixture) -> None:
    """Sets, lexicon, rates, channels and durations are there, and nothing is written."""
    before = sorted(path for path in data.parent.rglob("*"))
    assert main.main(["check", str(data)]) == 0
    text = capsys.readouterr().out
    for part in (
        "3 words, 3 pronunciations, 9 phones",
        "train: 30 utterances, 30 s, 60 words (3 different), 5 speakers",
        "16000 Hz; one channel",
        "durations: 1 to 1 s",
        "features of 16000 Hz",
        "prepare can begin",
    ):
        assert part in text
    assert sorted(path for path in data.parent.rglob("*")) == before


def test_json_has_the_same_as_an_object(data: Path, capsys: pytest.CaptureFixture) -> None:
    """With --json the numbers can be read by a program."""
    assert main.main(["check", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["split"] for each in found["sets"]] == list(SPLITS)
    assert found["sets"][0]["seconds"] == [1.0] * 5
    assert found["refusal"] == ""


def test_all_faults_are_told_together(data: Path) -> None:
    """What is lost when sets are read does not hide unknown words and low rates."""
    for n in range(8):
        (data / "train" / f"train-{n:03}.flac").unlink()
    change_line(data / "train" / "text", 20, "train-020 einn kona")
    soundfile.write(data / "heldout" / "heldout-001.flac", 0.1 * np.ones(9000), 8000)
    stereo = 0.1 * np.random.default_rng(0).normal(size=(16000, 2))
    soundfile.write(data / "test" / "test-000.flac", stereo, 16000)

    found = look(data)
    train, heldout, test = found.sets
    assert {lost.reason: lost.count for lost in train.lost} == {
        "missing audio": 8,
        "word not in lexicon": 1,
    }
    assert train.lost[0].first[0].startswith("train/wav.scp:1: train-000")
    assert "kona 1" in train.notes[-1]
    assert [lost.reason for lost in heldout.lost] == ["sample rate too low"]
    assert (test.averaged, dict(test.channels)) == (1, {"1": 2, "2": 1})
    assert "train: 9 of 30 utterances cannot be used" in found.refusal
    assert "tolerance" in found.refusal
    assert main.main(["check", str(data)]) == 1
    with pytest.raises(UserError) as caught:
        prepare("c", Source(kaldi=data), Preparation())
    assert str(caught.value).startswith(found.refusal)


def test_it_foretells_what_prepare_does(data: Path) -> None:
    """Where it refuses, preparation refuses with the same words; else that takes the same sets."""
    source = Source(kaldi=data)
    for n in range(3):
        soundfile.write(data / "test" / f"test-00{n}.flac", 0.1 * np.ones(9000), 8000)
    refused = look(data, states=27).refusal
    assert "test: 3 of 3" in refused
    assert "whatever is tolerated" in refused
    assert "--tolerance" not in refused
    with pytest.raises(UserError) as caught:
        prepare("c", source, Preparation(states=27))
    assert str(caught.value).startswith(refused)

    for path in (data / "test").iterdir():
        path.unlink()
    (data / "test").rmdir()
    found = look(data, states=27)
    assert found.refusal == ""
    info = prepare("c", source, Preparation(states=27)).info["splits"]
    assert {each.split: each.utterances for each in found.sets} == {
        split: counts["utterances"] for split, counts in info.items()
    }
    (taken,) = found.sets[2].notes
    assert "taken off the training data, by" in taken
    remarks = (data.parent / "home" / "corpora" / "c" / "remarks.txt").read_text()
    assert f"test: {taken}" in remarks.splitlines()


@pytest.mark.parametrize(
    "name, content, part",
    [
        ("lexicon.txt", "einn\n", "1 fault"),
        ("lm.arpa", "\\data\\\n\\1-grams:\n", "expected ngram 1=COUNT, found \\1-grams:"),
        ("train/wav.scp", None, "no set is called train"),
    ],
)
def test_what_cannot_be_read_is_the_refusal(
    data: Path, name: str, content: str | None, part: str
) -> None:
    """A fault of a whole file is told in the words of prepare, not as a traceback."""
    if content is None:
        (data / name).unlink()
    else:
        (data / name).write_text(content)
    assert part in look(data).refusal


@pytest.mark.parametrize("name", ["lm.arpa", "lm.txt"])
def test_a_faulty_language_model_hides_nothing(
    data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sets are told beside its fault, and preparation refuses it before features are made."""
    (data / name).write_bytes(b"\\data\\\n\xff\n")
    found = look(data)
    assert [each.utterances for each in found.sets] == [30, 3, 3]
    assert name in found.refusal

    monkeypatch.setattr(pipeline, "prepare_features", lambda *_: pytest.fail("features were made"))
    with pytest.raises(UserError) as caught:
        prepare("c", Source(kaldi=data), Preparation())
    assert str(caught.value).startswith(found.refusal)
    assert not (data.parent / "home" / "corpora" / "c").exists()

    for path in (data / "test").glob("*.flac"):
        path.unlink()
    refusal = look(data).refusal
    assert "test: 3 of 3" in refusal and name in refusal


def test_the_rate_is_that_of_what_can_be_used(data: Path) -> None:
    """Recordings with unknown words do not choose the rate by which others are set aside."""
    train = data / "train"
    for n in range(20):
        name = f"train-{n:03}"
        soundfile.write(train / f"{name}.flac", 0.1 * np.ones(80_000), 8000)
        if n:
            change_line(train / "text", n, f"{name} kona")
    found = look(data)
    assert found.feature_rate == 16000
    assert {lost.reason: lost.count for lost in found.sets[0].lost} == {
        "word not in lexicon": 19,
        "sample rate too low": 1,
    }


def test_a_test_set_without_speakers_for_a_verdict_is_told(data: Path) -> None:
    """Before anything is computed, since no training mends it."""
    remark = "remark: a verdict on two systems needs a test set of 3 speakers"
    (data / "test" / "utt2spk").write_text("test-000 s0\ntest-001 s1\ntest-002 s2\n")
    assert remark not in str(look(data))

    (data / "test" / "utt2spk").write_text("test-000 s0\ntest-001 s1\ntest-002 s1\n")
    assert remark in str(look(data))


def test_without_a_lexicon_the_sets_are_told(data: Path) -> None:
    """A lexicon that is missing does not hide what else is there, or wrong."""
    (data / "lexicon.txt").unlink()
    found = look(data)
    assert "no lexicon" in found.refusal
    assert [each.utterances for each in found.sets] == [30, 3, 3]
    (data / "train" / "wav.scp").unlink()
    refusal = look(data).refusal
    assert "no lexicon" in refusal
    assert "no set is called train" in refusal


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(UserError, match="nowhere: no such folder"):
        look(tmp_path / "nowhere")
    (tmp_path / "cuts_train.jsonl.gz").touch()
    assert guess_source(tmp_path) == Source(lhotse=tmp_path)


def test_what_may_be_a_lexicon_is_named(data: Path) -> None:
    """A lexicon under another name, or deeper, is found for the user, but not taken."""
    (data / "data" / "local" / "dict").mkdir(parents=True)
    (data / "lexicon.txt").rename(data / "data" / "local" / "dict" / "lexicon.txt")
    refusal = look(data).refusal
    assert f"this may be one: {data}/data/local/dict/lexicon.txt" in refusal
    assert "--lexicon FILE" in refusal
    assert "--lexicon letters" in refusal


def test_words_can_be_said_by_their_letters(data: Path) -> None:
    """Without a lexicon, letters are phones: of the words of all sets and of lm.txt."""
    (data / "lexicon.txt").unlink()
    (data / "lm.txt").write_text("einn tveir þrír\n")
    assert main.main(["check", str(data), "--lexicon", "letters"]) == 0
    source = Source(kaldi=data, lexicon=LETTERS)
    found = survey(source, Preparation(states=40))
    assert (found.lexicon, found.words, found.phones) == ("letters", 4, 11)

    corpus = prepare("c", source, Preparation(states=40))
    assert corpus.lexicon.words == ("<eps>", "einn", "fimm", "tveir", "þrír")
    assert prepare("c", source, Preparation(states=40)).folder == corpus.folder


def test_folders_one_level_deeper_are_named(data: Path) -> None:
    """Who gives the folder of a recipe, with data/train in it, is told which one it should be."""
    (data.parent / "recipe").mkdir()
    data.rename(data.parent / "recipe" / "data")
    refusal = look(data.parent / "recipe").refusal
    assert f"{data.parent}/recipe/data has some: give that folder" in refusal


def test_without_training_data_other_sets_are_not_blamed(data: Path) -> None:
    """Sets of 8 kHz are not called too low for features of training data that are all lost."""
    for split in ("train", "heldout", "test"):
        for path in (data / split).glob("*.flac"):
            soundfile.write(path, 0.1 * np.ones(9000), 8000)
    for path in (data / "train").glob("*.flac"):
        path.unlink()
    train, heldout, test = look(data).sets
    assert [lost.reason for lost in train.lost] == ["missing audio"]
    assert (heldout.lost, test.lost) == ((), ())


def test_what_sets_share_with_training_is_told(data: Path) -> None:
    """Recordings that were trained on, or else their speakers, make a test easier than it looks."""
    for name in ("wav.scp", "text", "utt2spk"):
        lines = (data / "train" / name).read_text().splitlines()[:4]
        moved = [line.replace(" train", " ../train/train") for line in lines]
        (data / "heldout" / name).write_text("\n".join(moved) + "\n")
    (data / "test" / "utt2spk").write_text("test-000 s0\ntest-001 new\ntest-002 new\n")
    _, heldout, test = look(data, tolerance=1).sets
    assert heldout.notes[-1].startswith("4 utterances are training data too")
    assert test.notes[-1] == "1 of 2 speakers are in the training data too"


def test_a_refusal_for_words_says_what_can_be_done(data: Path) -> None:
    """The way out that most recipes take, a word for all unknown words, is named."""
    change_line(data / "train" / "text", 0, "train-000 kona")
    change_line(data / "train" / "text", 1, "train-001 kona")
    assert '"<unk> SPN"' in look(data).refusal
    with open(data / "lexicon.txt", "a") as file:
        file.write("<unk> SPN\n")
    found = look(data)
    assert found.refusal == ""
    assert "taken for <unk>" in found.sets[0].notes[0]
