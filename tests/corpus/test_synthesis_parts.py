"""The parts of synthesis one by one: noise, spelling, true times, walks through n-grams, voices."""

import ast
import collections
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from workbench.corpus.synthesis import icelandic
from workbench.corpus.synthesis.difficulty import NOISES, Difficulty
from workbench.corpus.synthesis.distortion import RATE, make_noise, scale_noise
from workbench.corpus.synthesis.icegrams_table import read_icegrams
from workbench.corpus.synthesis.icelandic import SOUNDS
from workbench.corpus.synthesis.job import Answer, Job, Made, Prompt
from workbench.corpus.synthesis.ngrams import Counts, find_followers
from workbench.corpus.synthesis.phones import Spelling, fold_word, spell
from workbench.corpus.synthesis.queries import build_grammar, generate_sentences, split_of
from workbench.corpus.synthesis.shard import find_phone_times
from workbench.corpus.synthesis.speech import Manner, SoundEvent, Speech, Synthesiser
from workbench.corpus.synthesis.vocabulary import choose_vocabulary
from workbench.corpus.synthesis.voices import write_voices
from workbench.settings import rng


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_the_asked_level(kind):
    """Noise of every kind has the asked level below active speech, and never pauses."""
    stream = rng(0, "test", kind)
    speech = np.zeros(RATE, np.float32)
    speech[4000:12000] = 0.3 * np.sin(np.arange(8000) / 5)
    bank = [stream.standard_normal(9000).astype(np.float32) for _ in range(3)]
    noise = make_noise(kind, RATE, bank, stream)
    assert noise.shape == (RATE,)
    for snr in (0.0, 12.0):
        level = scale_noise(noise, speech, snr)
        measured = 10 * np.log10(np.mean(speech[4000:12000] ** 2) / np.mean(level**2))
        assert measured == pytest.approx(snr, abs=0.3)
    assert all(np.any(part != 0) for part in np.split(noise, 10))


def test_pronunciation_noise_drops_and_replaces():
    """Some phones are left out, the others keep name and order; without noise nothing changes."""
    words = [["h", "'E", "s", "d", "y", "R"], ["t", "I:", "l#"], ["T", "'E", "s", "s2", "y"]]
    canonical = [phone for word in words for phone in fold_word(word, SOUNDS.fold)]
    assert " ".join(canonical) == "h E s d y r t I: lh T E s y"

    exact = spell(words, SOUNDS, 0.0, rng(0))
    assert list(exact.phones) == canonical
    assert exact.text == "[[h|'E|s|d|y|R]] [[t|I:|l#]] [[T|'E|s|s2|y]]"
    long_s = 11  # one phone of two sounds
    assert exact.owner == (*range(12), long_s, 12)

    changed = 0
    dropped = 0
    for i in range(200):
        noisy = spell(words, SOUNDS, 0.2, rng(i))
        left = iter(canonical)
        assert all(phone in left for phone in noisy.phones)  # a subsequence
        dropped += len(canonical) - len(noisy.phones)
        changed += noisy.text != exact.text
    assert changed > 100
    assert 0.02 < dropped / (200 * len(canonical)) < 0.06


def test_glides_of_the_synthesiser_take_no_phone():
    """Sounds without a phone lengthen the one before; a wrong number of sounds has no times."""
    spelling = Spelling("[[i:]] [[a]]", (0, 1), ("i:", "a"))
    sounds = [("'i:", 2205), (";", 4410), ("a", 6615), ("_:", 8820), ("_", 9000)]
    events = [SoundEvent(*sound) for sound in sounds]

    def find_times(heard: list[SoundEvent]):
        return find_phone_times(spelling, Speech(np.zeros(9000), heard), SOUNDS.fold, 1.0)

    assert find_times(events) == [("i:", 1.1, 1.3), ("a", 1.3, 1.4)]
    assert find_times(events[1:]) is None
    assert find_times([*events[:3], SoundEvent("l", 7000)]) is None


def test_walks_follow_the_counts():
    """Words are drawn in proportion to trigrams, else bigrams, and only from the vocabulary."""
    words = ("", "A", "b", "c", ".")
    counts = Counts(
        words=words,
        count=np.ones(5, np.int64),
        bigram_first=np.array([0, 2, 4, 5, 5, 5]),  # "" A 1, "" b 3; A b 1, A c 1; b . 2
        bigram_word=np.array([1, 2, 2, 3, 4]),
        bigram_count=np.array([1, 3, 1, 1, 2]),
        trigram_first=np.array([0, 2, 2, 2, 2, 2]),  # "" A: b 1, c 3
        trigram_word=np.array([2, 3]),
        trigram_count=np.array([1, 3]),
    )

    follow = find_followers(counts, {"a", "b", "c"}, {"."})
    assert [follow.draw(None, 0, u)[0] for u in (0.0, 0.24, 0.26, 0.99)] == [1, 1, 2, 2]
    assert [follow.draw(0, 1, u)[0] for u in (0.0, 0.24, 0.26, 0.99)] == [2, 2, 3, 3]
    assert follow.draw(0, 1, 0.5) == (3, 3)
    assert follow.draw(None, 2, 0.5) == (4, 4)
    assert follow.draw(None, 3, 0.5) is None

    narrow = find_followers(counts, {"a", "b"}, set())
    assert narrow.draw(0, 1, 0.99)[0] == 2
    assert narrow.draw(None, 2, 0.5) is None


@pytest.mark.slow
def test_table_of_icegrams_is_read_as_the_package_reads_it():
    """Unpacked counts of words, bigrams and trigrams are those that the package itself answers."""
    from icegrams import Ngrams

    leading = 20
    counts = read_icegrams(leading)
    package = Ngrams().ngrams
    stream = rng(0, "test", "icegrams")

    def draw(bounds: np.ndarray, run: int, most: int) -> list[int]:
        first, end = bounds[run : run + 2]
        return stream.integers(first, end, most).tolist() if end > first else []

    for first in [0, leading, *stream.integers(1, leading, 10).tolist()]:
        assert package.id_to_word(first) == counts.words[first]
        assert package.unigram_frequency(first) == counts.count[first]
        bigrams = draw(counts.bigram_first, first, 20)
        assert bool(bigrams) == (first < leading)
        for bigram in bigrams:
            second = int(counts.bigram_word[bigram])
            assert package.bigram_frequency(first, second) == counts.bigram_count[bigram]
            for trigram in draw(counts.trigram_first, bigram, 3):
                third = int(counts.trigram_word[trigram])
                count = counts.trigram_count[trigram]
                assert package.trigram_frequency(first, second, third) == count


def test_split_of_a_sentence():
    """A sentence belongs to one split for ever: a tenth to heldout, fifteen percent to test."""
    shares = collections.Counter(split_of((f"w{i}", "x")) for i in range(4000))
    assert shares["heldout"] / 4000 == pytest.approx(0.10, abs=0.02)
    assert shares["test"] / 4000 == pytest.approx(0.15, abs=0.02)
    assert split_of(("hvar", "er", "næsta", "safn")) == split_of(("hvar", "er", "næsta", "safn"))


def test_voices_are_those_of_the_shard(tmp_path):
    """A shard's data folder holds its voices and links to everything else."""
    data = write_voices(tmp_path, ["tr0001", "tr0002"], 0)
    assert sorted(path.name for path in (data / "voices" / "!v").iterdir()) == ["tr0001", "tr0002"]
    assert (data / "phondata").is_symlink()


def test_voices_sound_different(tmp_path):
    """Voices differ in spectrum; the library itself reports no missing voice."""

    def spectrum(synthesiser: Synthesiser, voice: str) -> np.ndarray:
        speech = synthesiser.say("[[h|'a:|l|oU]]", voice, Manner(180, 50, 50))
        transform = np.fft.rfft(speech.samples.astype(float), 16384)
        magnitude = np.abs(transform[: 16384 // 4]).reshape(64, -1).sum(1)
        return magnitude / np.linalg.norm(magnitude)

    with Synthesiser(write_voices(tmp_path, ["tr0001", "te0002"], 0)) as synthesiser:
        voices = ("is", "is+tr0001", "is+te0002", "is+missing")
        seen = [spectrum(synthesiser, voice) for voice in voices]
    alike = np.array(seen) @ np.array(seen).T
    assert alike[0, 3] > 0.995
    assert max(alike[0, 1], alike[0, 2], alike[1, 2]) < 0.98


@pytest.mark.slow
def test_the_synthesiser_is_loaded_in_one_module_only():
    """Only ``espeak.py`` imports the GPL library's loader, and no module imports ``espeak.py``."""
    package = Path(importlib.util.find_spec("workbench").origin).parent
    for path in package.rglob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        assert ("espeakng_loader" in names) == (path.name == "espeak.py"), path
        assert "workbench.corpus.synthesis.espeak" not in names, path


def test_sentences_belong_to_their_split():
    """Streams of different names draw different sentences, each of the split asked for."""
    recipe = icelandic.recipe()
    vocabulary = choose_vocabulary(
        recipe, 150, walks=False, counts=None, pronounce=lambda texts: [[["a"]] for _ in texts]
    )
    grammar = build_grammar(recipe, vocabulary, None, Difficulty())

    drawn = {}
    for name, split in (("train", "train"), ("lm", "train"), ("test", "test")):
        stream = generate_sentences(grammar, 0, name, split)
        drawn[name] = [next(stream) for _ in range(100)]
        assert {split_of(sentence) for sentence in drawn[name]} == {split}
    assert drawn["train"] != drawn["lm"]
    assert all(word in vocabulary.mnemonics for sentence in drawn["lm"] for word in sentence)


def test_messages_of_processes_survive_json():
    """A job and an answer are the same after they were written as a line and read again."""
    prompts = (Prompt("u0", "tr0001", ("góðan", "dag")), Prompt("u1", "tr0002", ("já",)))
    job = Job(Path("a b.flac"), "is", 3, "train-00000", prompts, Difficulty(noise=0.5))
    assert Job.from_json(job.to_json()) == job
    made = Made("u0", 0.0, 1.5, None, '{"utt": "u0"}', ["g ou D a n", "d a x"])
    for answer in (Answer((made,)), Answer(error="RuntimeError: no voice")):
        assert "\n" not in answer.to_json()
        assert Answer.from_json(answer.to_json()) == answer
