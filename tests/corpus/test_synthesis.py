"""The synthetic corpora: reproducible, disjoint, complete, and true about what was said when and how loud noise is."""

import collections
import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from workbench.corpus.synthesis import synthesise
from workbench.corpus.synthesis.difficulty import NOISES, SPLITS, Difficulty, difficulty
from workbench.corpus.synthesis.distortion import RATE, distort
from workbench.corpus.synthesis.voices import variant
from workbench.settings import UserError, rng

CLEAN = dict(noise=0.0, reverb=0.0, telephone=0.0, tilt=0.0, pronunciation_noise=0.0)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The same tiny corpus made by one and by two processes, a clean one of another seed, and an English one."""
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder / "one", "is", "tiny", jobs=1)
    synthesise(folder / "two", "is", "tiny", jobs=2)
    synthesise(folder / "clean", "is", "tiny", seed=1, **CLEAN)
    synthesise(folder / "english", "en", "tiny")
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def table(path: Path) -> dict[str, list[str]]:
    """A Kaldi table: first word of each line -> the others."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def rows(path: Path) -> dict[str, dict]:
    return {
        row["utt"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    }


def audio(folder: Path, split: str) -> dict[str, np.ndarray]:
    """Samples of every utterance, cut out of the recordings as segments say."""
    scp = table(folder / split / "wav.scp")
    recordings = {
        name: soundfile.read(folder / split / path, dtype="float32")
        for name, (path,) in scp.items()
    }
    assert all(rate == RATE for _, rate in recordings.values())
    return {
        utt: recordings[name][0][round(float(start) * RATE) : round(float(end) * RATE)]
        for utt, (name, start, end) in table(folder / split / "segments").items()
    }


def test_number_of_processes_changes_no_bit(corpora):
    """One seed and size give the same files, bit for bit, whatever the number of processes."""
    assert digests(corpora / "one") == digests(corpora / "two")


def test_another_seed_makes_another_corpus(corpora):
    """Another seed gives other sentences, other voices and other audio."""
    one, other = corpora / "one", corpora / "clean"
    assert (one / "test" / "text").read_text() != (other / "test" / "text").read_text()
    assert variant("te0001", rng(0, "voice", "te0001")) != variant(
        "te0001", rng(1, "voice", "te0001")
    )
    assert variant("te0001", rng(0, "voice", "te0001")) != variant(
        "te0002", rng(0, "voice", "te0002")
    )


@pytest.mark.parametrize("name", ["one", "clean", "english"])
def test_splits_share_neither_voices_nor_sentences(corpora, name):
    """No voice and no sentence is in two splits, and the LM text holds none of the held-out or test sentences."""
    speakers = [
        {s for (s,) in table(corpora / name / split / "utt2spk").values()} for split in SPLITS
    ]
    texts = [
        {tuple(words) for words in table(corpora / name / split / "text").values()}
        for split in SPLITS
    ]
    for sets in (speakers, texts):
        assert len(set.union(*sets)) == sum(map(len, sets))
    lm = {
        tuple(line.split())
        for line in (corpora / name / "lm.txt").read_text(encoding="utf-8").splitlines()
    }
    assert not lm & (texts[1] | texts[2])


@pytest.mark.parametrize("name", ["one", "english"])
def test_lexicon_holds_every_word(corpora, name):
    """Every word of every transcript and of the LM text has a pronunciation, made of phones that the recipe knows."""
    lines = (corpora / name / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    words = {line.split()[0] for line in lines}
    assert lines == sorted(set(lines))
    said = {
        w
        for split in SPLITS
        for words in table(corpora / name / split / "text").values()
        for w in words
    }
    assert said <= words
    assert {
        w
        for line in (corpora / name / "lm.txt").read_text(encoding="utf-8").splitlines()
        for w in line.split()
    } <= words
    phones = {p for line in lines for p in line.split()[1:]}
    assert 30 < len(phones) < 50
    assert all(line.split()[1:] for line in lines)


def test_files_of_a_split_are_those_of_kaldi(corpora):
    """All files of a split list the same utterances in order; segments lie one after the other in recordings."""
    for split in SPLITS:
        folder = corpora / "one" / split
        tables = [table(folder / name) for name in ("text", "utt2spk", "segments")]
        assert list(tables[0]) == list(tables[1]) == list(tables[2]) == sorted(tables[0])
        assert all(utt.startswith(speaker) for utt, (speaker,) in tables[1].items())
        lengths = {
            name: soundfile.info(folder / path).duration
            for name, (path,) in table(folder / "wav.scp").items()
        }
        ends = collections.defaultdict(float)
        for name, start, end in tables[2].values():
            assert float(start) == ends[name] < float(end)
            ends[name] = float(end)
        assert ends == pytest.approx(lengths, abs=2e-5)


@pytest.mark.parametrize("name", ["one", "english"])
def test_true_times_fill_the_utterance(corpora, name):
    """True phones follow each other without gap from 0 to the utterance's end, silence first and last."""
    known = total = 0
    for split in SPLITS:
        true, samples = (
            rows(corpora / name / "true" / f"{split}.jsonl"),
            audio(corpora / name, split),
        )
        known, total = known + len(true), total + len(samples)
        for utt, row in true.items():
            phones, starts, ends = zip(*row["phones"], strict=True)
            assert starts[0] == 0
            assert list(starts[1:]) == list(ends[:-1])
            assert all(a < b for a, b in zip(starts, ends, strict=True))
            assert ends[-1] == pytest.approx(len(samples[utt]) / RATE, abs=1e-3)
            assert phones[0] == phones[-1] == "SIL"
            assert "SIL" not in phones[1:-1]
    assert known > 0.8 * total


def test_true_times_are_where_the_sound_is(corpora):
    """Without any noise, true phones are those of the lexicon, they hold the speech, and true silences hold nothing."""
    lexicon = table(corpora / "clean" / "lexicon.txt")
    text, samples = table(corpora / "clean" / "test" / "text"), audio(corpora / "clean", "test")
    true = rows(corpora / "clean" / "true" / "test.jsonl")
    assert true
    for utt, row in true.items():
        x = samples[utt]
        assert [p for p, _, _ in row["phones"][1:-1]] == [p for w in text[utt] for p in lexicon[w]]
        begin, end = round(row["phones"][1][1] * RATE), round(row["phones"][-1][1] * RATE)
        energy = float(np.sum(x**2))
        assert (
            float(np.sum(x[: begin - 80] ** 2)) < 0.02 * energy
        )  # a closure before the first burst is not quite silent
        assert float(np.sum(x[begin - 80 : end + 800] ** 2)) > 0.95 * energy
        assert np.abs(x).max() < 1


def test_conditions_lie_where_asked(corpora):
    """Recorded conditions lie within the difficulty asked for, and a signal never clips."""
    knobs = Difficulty()
    seen = [
        row
        for split in SPLITS
        for row in rows(corpora / "one" / "conditions" / f"{split}.jsonl").values()
    ]
    assert all(
        knobs.snr_lowest <= row["snr"] <= knobs.snr_highest and row["noise"] in NOISES
        for row in seen
    )
    assert 0.2 < np.mean([row["reverb"] is not None for row in seen]) < 0.6
    assert max(row["snr"] for row in seen) - min(row["snr"] for row in seen) > 8
    loud = np.sign(np.sin(np.arange(8000))).astype(np.float32)
    for i in range(20):
        recorded, _ = distort(loud, difficulty(snr_lowest=-10, snr_highest=-5), [loud], rng(i))
        assert np.abs(recorded).max() < 1


def test_knobs_are_recorded(corpora):
    """``synthesis.json`` says with what a corpus was made and counts what is in it."""
    about = json.loads((corpora / "clean" / "synthesis.json").read_text(encoding="utf-8"))
    assert about["seed"] == 1
    assert about["difficulty"] == {**about["difficulty"], **CLEAN}
    for split in SPLITS:
        samples = audio(corpora / "clean", split)
        assert about["splits"][split]["utterances"] == len(samples)
        assert about["splits"][split]["seconds"] == pytest.approx(
            sum(map(len, samples.values())) / RATE, abs=0.01
        )
    assert "espeak-ng" in about["versions"]


def test_a_broken_run_leaves_nothing(tmp_path):
    """A run that ends in the middle leaves no folder behind, nor half of one."""

    def interrupt(done, total, what):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "corpus", "is", "tiny", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_errors_name_what_to_mend(tmp_path, monkeypatch):
    """Unknown names, values out of range, folders in the way and missing packages are told before any work."""
    (tmp_path / "there").mkdir()
    for match, call in {
        "no recipe for language 'fr'; there are is, en": lambda: synthesise(
            tmp_path / "x", "fr", "tiny"
        ),
        "no size 'huge'; there are tiny": lambda: synthesise(tmp_path / "x", "is", "huge"),
        "no such knob of difficulty: loudness": lambda: synthesise(
            tmp_path / "x", "is", "tiny", loudness=3
        ),
        "reverb=2: between 0.0 and 1.0": lambda: difficulty(reverb=2),
        "snr_lowest=30.0 is above snr_highest=20.0": lambda: difficulty(snr_lowest=30),
        "noises='hum'": lambda: difficulty(noises="hum"),
        "there: exists already": lambda: synthesise(tmp_path / "there", "is", "tiny"),
    }.items():
        with pytest.raises(UserError, match=match):
            call()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "espeakng_loader" else find(name)
    )
    with pytest.raises(UserError, match=r"espeakng-loader: pip install 'workbench\[data\]'"):
        synthesise(tmp_path / "x", "is", "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
