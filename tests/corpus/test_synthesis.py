"""Synthetic corpora: reproducible, disjoint, complete, with true times and the noise asked for."""

import hashlib
import importlib.util
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.corpus.synthesis import synthesise
from workbench.corpus.synthesis.difficulty import NOISES, SIZES, SPLITS, Difficulty, make_difficulty
from workbench.corpus.synthesis.distortion import RATE, distort
from workbench.corpus.synthesis.voices import describe_voice
from workbench.settings import UserError, rng

pytestmark = pytest.mark.slow

CLEAN = dict(noise=0.0, reverb=0.0, telephone=0.0, tilt=0.0, pronunciation_noise=0.0)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The same tiny corpus by one and by two processes, a clean one, and an English one."""
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder / "one", "is", "tiny", jobs=1)
    synthesise(folder / "two", "is", "tiny", jobs=2)
    synthesise(folder / "clean", "is", "tiny", seed=1, **CLEAN)
    synthesise(folder / "english", "en", "tiny")
    return folder


def digest_files(folder: Path) -> dict[str, str]:
    """Return the digest of every file by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text."""
    return path.read_text(encoding="utf-8").splitlines()


def read_table(path: Path) -> dict[str, list[str]]:
    """Return a Kaldi table: from the first word of each line to the others."""
    rows = [line.split() for line in read_lines(path)]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def read_rows(path: Path) -> dict[str, dict]:
    """Return the rows of a file of JSON lines by their utterance."""
    rows = [json.loads(line) for line in read_lines(path)]
    return {row["utt"]: row for row in rows}


def read_samples(folder: Path, split: str) -> dict[str, np.ndarray]:
    """Return the samples of every utterance, cut out of the recordings as in segments."""
    recordings = {}
    for name, (path,) in read_table(folder / split / "wav.scp").items():
        recordings[name], rate = soundfile.read(folder / split / path, dtype="float32")
        assert rate == RATE

    samples = {}
    for utterance, (name, start, end) in read_table(folder / split / "segments").items():
        first = round(float(start) * RATE)
        last = round(float(end) * RATE)
        samples[utterance] = recordings[name][first:last]
    return samples


def test_number_of_processes_changes_no_bit(corpora):
    """One seed and size give the same files, bit for bit, for any number of processes."""
    assert digest_files(corpora / "one") == digest_files(corpora / "two")


def test_a_larger_test_set_changes_nothing_else(corpora, tmp_path, monkeypatch):
    """More test utterances and voices leave training, held-out and LM data as they are."""
    size = SIZES["tiny"]
    larger = replace(
        size,
        utterances=size.utterances._replace(test=30),
        voices=size.voices._replace(test=10),
    )
    monkeypatch.setitem(SIZES, "tiny", larger)
    synthesise(tmp_path / "larger", "is", "tiny", jobs=1)
    before = digest_files(corpora / "one")
    after = digest_files(tmp_path / "larger")
    for part in ("train/", "heldout/", "true/train", "true/heldout", "lm.txt", "lexicon.txt"):
        files = [path for path in before if path.startswith(part)]
        assert files
        assert [after[path] for path in files] == [before[path] for path in files]
    assert len(read_table(tmp_path / "larger" / "test" / "text")) > 2 * len(
        read_table(corpora / "one" / "test" / "text")
    )


def test_another_seed_makes_another_corpus(corpora):
    """Another seed gives other sentences, other voices and other audio."""
    texts = [read_lines(corpora / name / "test" / "text") for name in ("one", "clean")]
    assert texts[0] != texts[1]

    voices = [(0, "te0001"), (1, "te0001"), (0, "te0002")]
    described = {describe_voice("voice", rng(seed, "voice", name)) for seed, name in voices}
    assert len(described) == 3


@pytest.mark.parametrize("name", ["one", "clean", "english"])
def test_splits_share_neither_voices_nor_sentences(corpora, name):
    """No voice or sentence is in two splits, and the LM text has none of held-out or test."""
    speakers = []
    sentences = []
    for split in SPLITS:
        folder = corpora / name / split
        speakers.append({speaker for (speaker,) in read_table(folder / "utt2spk").values()})
        sentences.append({" ".join(words) for words in read_table(folder / "text").values()})
    for sets in (speakers, sentences):
        assert len(set.union(*sets)) == sum(map(len, sets))

    lm_text = set(read_lines(corpora / name / "lm.txt"))
    _, heldout, test = sentences
    assert not lm_text & (heldout | test)


@pytest.mark.parametrize("name", ["one", "english"])
def test_lexicon_holds_every_word(corpora, name):
    """Every word of every transcript and of the LM text has a pronunciation of known phones."""
    lines = read_lines(corpora / name / "lexicon.txt")
    assert lines == sorted(set(lines))
    entries = [line.split() for line in lines]
    assert all(len(entry) > 1 for entry in entries)
    phones = {phone for entry in entries for phone in entry[1:]}
    assert 30 < len(phones) < 50

    in_lexicon = {entry[0] for entry in entries}
    texts = read_lines(corpora / name / "lm.txt")
    for split in SPLITS:
        spoken = read_table(corpora / name / split / "text").values()
        texts += [" ".join(words) for words in spoken]
    assert {word for text in texts for word in text.split()} <= in_lexicon


def test_files_of_a_split_are_those_of_kaldi(corpora):
    """All tables of a split list the same utterances in order; segments fill the recordings."""
    for split in SPLITS:
        folder = corpora / "one" / split
        text, speakers, segments = (
            read_table(folder / name) for name in ("text", "utt2spk", "segments")
        )
        assert list(text) == list(speakers) == list(segments) == sorted(text)
        assert all(utterance.startswith(speaker) for utterance, (speaker,) in speakers.items())

        ends = defaultdict(float)
        for name, start, end in segments.values():
            assert float(start) == ends[name] < float(end)
            ends[name] = float(end)
        lengths = {
            name: soundfile.info(folder / path).duration
            for name, (path,) in read_table(folder / "wav.scp").items()
        }
        assert ends == pytest.approx(lengths, abs=2e-5)


@pytest.mark.parametrize("name", ["one", "english"])
def test_true_times_fill_the_utterance(corpora, name):
    """True phones run without gap from 0 to the end of an utterance, silence first and last."""
    known = 0
    total = 0
    for split in SPLITS:
        true = read_rows(corpora / name / "true" / f"{split}.jsonl")
        samples = read_samples(corpora / name, split)
        known += len(true)
        total += len(samples)
        for utterance, row in true.items():
            phones, starts, ends = zip(*row["phones"], strict=True)
            assert starts[0] == 0
            assert list(starts[1:]) == list(ends[:-1])
            assert all(start < end for start, end in zip(starts, ends, strict=True))
            assert ends[-1] == pytest.approx(len(samples[utterance]) / RATE, abs=1e-3)
            assert phones[0] == phones[-1] == "SIL"
            assert "SIL" not in phones[1:-1]
    assert known > 0.8 * total


def test_true_times_are_where_the_sound_is(corpora):
    """Without noise, true phones are those of the lexicon and hold all the speech."""
    lexicon = read_table(corpora / "clean" / "lexicon.txt")
    text = read_table(corpora / "clean" / "test" / "text")
    samples = read_samples(corpora / "clean", "test")
    true = read_rows(corpora / "clean" / "true" / "test.jsonl")
    assert true
    for utterance, row in true.items():
        _, *spoken, last = row["phones"]
        in_lexicon = [phone for word in text[utterance] for phone in lexicon[word]]
        assert [phone for phone, _, _ in spoken] == in_lexicon

        x = samples[utterance]
        # A closure before the first burst is not quite silent.
        begin = round(spoken[0][1] * RATE) - 80
        end = round(last[1] * RATE) + 800
        energy = float(np.sum(x**2))
        assert float(np.sum(x[:begin] ** 2)) < 0.02 * energy
        assert float(np.sum(x[begin:end] ** 2)) > 0.95 * energy
        assert np.abs(x).max() < 1


def test_conditions_lie_where_asked(corpora):
    """Recorded conditions lie within the difficulty that was asked for."""
    difficulty = Difficulty()
    rows = []
    for split in SPLITS:
        rows += read_rows(corpora / "one" / "conditions" / f"{split}.jsonl").values()

    ratios = [row["snr"] for row in rows]
    assert difficulty.snr_lowest <= min(ratios) <= max(ratios) <= difficulty.snr_highest
    assert max(ratios) - min(ratios) > 8
    assert {row["noise"] for row in rows} <= set(NOISES)
    assert 0.2 < np.mean([row["reverb"] is not None for row in rows]) < 0.6


def test_distorted_speech_never_clips():
    """However loud the noise, no sample reaches 1."""
    difficulty = make_difficulty(snr_lowest=-10, snr_highest=-5)
    loud = np.sign(np.sin(np.arange(8000))).astype(np.float32)
    for i in range(20):
        recorded, _ = distort(loud, difficulty, [loud], rng(i))
        assert np.abs(recorded).max() < 1


def test_knobs_are_recorded(corpora):
    """``synthesis.json`` has the settings and versions of a corpus, and correct counts."""
    about = json.loads((corpora / "clean" / "synthesis.json").read_text(encoding="utf-8"))
    assert about["seed"] == 1
    assert about["difficulty"] == {**about["difficulty"], **CLEAN}
    for split in SPLITS:
        samples = read_samples(corpora / "clean", split)
        seconds = sum(map(len, samples.values())) / RATE
        assert about["splits"][split]["utterances"] == len(samples)
        assert about["splits"][split]["seconds"] == pytest.approx(seconds, abs=0.01)
    assert "espeak-ng" in about["versions"]


def test_a_broken_run_leaves_nothing(tmp_path):
    """A run that ends in the middle leaves no folder behind, nor half of one."""

    def interrupt(done, total, what):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "corpus", "is", "tiny", progress=interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("message", "language", "size", "knobs"),
    [
        ("no recipe for language 'fr'; there are is, en", "fr", "tiny", {}),
        ("no size 'huge'; there are tiny", "is", "huge", {}),
        ("no such knob of difficulty: loudness", "is", "tiny", {"loudness": 3}),
        ("reverb=2: must be between 0 and 1", "is", "tiny", {"reverb": 2}),
        ("snr_lowest=30.0 is above snr_highest=20.0", "is", "tiny", {"snr_lowest": 30}),
        ("noises='hum'", "is", "tiny", {"noises": "hum"}),
    ],
)
def test_errors_name_what_to_mend(tmp_path, message, language, size, knobs):
    """Unknown names and values out of range are UserErrors before anything is written."""
    with pytest.raises(UserError, match=message):
        synthesise(tmp_path / "corpus", language, size, **knobs)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept(tmp_path):
    """A folder that exists is a UserError and is not touched."""
    with pytest.raises(UserError, match="exists already"):
        synthesise(tmp_path, "is", "tiny")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    """Without the synthesiser's package, a UserError states what to install."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "espeakng_loader" else find(name)
    )
    with pytest.raises(UserError, match=r"espeakng-loader: pip install 'workbench\[data\]'"):
        synthesise(tmp_path / "corpus", "is", "tiny")
    assert not list(tmp_path.iterdir())
