"""The parts of synthesis one by one: noise, spelling, true times, walks through n-grams, voices."""

import ast
import collections
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from workbench.corpus.synthesis import icegrams_table, icelandic, queries, vocabulary
from workbench.corpus.synthesis.difficulty import NOISES, Difficulty
from workbench.corpus.synthesis.distortion import RATE, noise, scaled
from workbench.corpus.synthesis.icelandic import SOUNDS
from workbench.corpus.synthesis.ngrams import Counts, followers
from workbench.corpus.synthesis.phones import Spelling, spell, spoken
from workbench.corpus.synthesis.queries import sentences, zone
from workbench.corpus.synthesis.shard import phone_times
from workbench.corpus.synthesis.speech import Synthesiser
from workbench.corpus.synthesis.voices import write_data
from workbench.settings import rng


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_the_asked_level(kind):
    """Noise of every kind lies as many decibels below the active speech as asked, and goes on all the time."""
    stream = rng(0, "test", kind)
    speech = np.zeros(RATE, np.float32)
    speech[4000:12000] = 0.3 * np.sin(np.arange(8000) / 5)
    bank = [stream.standard_normal(9000).astype(np.float32) for _ in range(3)]
    made = noise(kind, RATE, bank, stream)
    assert made.shape == (RATE,)
    for snr in (0.0, 12.0):
        level = scaled(made, speech, snr)
        measured = 10 * np.log10(np.mean(speech[4000:12000] ** 2) / np.mean(level**2))
        assert measured == pytest.approx(snr, abs=0.3)
    assert all(np.any(part != 0) for part in np.split(made, 10))


def test_pronunciation_noise_drops_and_replaces():
    """Noise leaves out some phones and keeps names and order of the rest; without noise nothing changes."""
    words = [["h", "'E", "s", "d", "y", "R"], ["t", "I:", "l#"], ["T", "'E", "s", "s2", "y"]]
    canonical = [p for w in words for p in spoken(w, SOUNDS.fold)]
    assert " ".join(canonical) == "h E s d y r t I: lh T E s y"
    exact = spell(words, SOUNDS.fold, SOUNDS.near, SOUNDS.vowels, 0.0, rng(0))
    assert list(exact.phones) == canonical
    assert exact.text == "[[h|'E|s|d|y|R]] [[t|I:|l#]] [[T|'E|s|s2|y]]"
    assert exact.owner == (
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        11,
        12,
    )  # the long s is one phone of two sounds
    changed = dropped = 0
    for i in range(200):
        noisy = spell(words, SOUNDS.fold, SOUNDS.near, SOUNDS.vowels, 0.2, rng(i))
        left = iter(canonical)
        assert all(phone in left for phone in noisy.phones)  # a subsequence
        dropped += len(canonical) - len(noisy.phones)
        changed += noisy.text != exact.text
    assert changed > 100
    assert 0.02 < dropped / (200 * len(canonical)) < 0.06


def test_glides_of_the_synthesiser_take_no_phone():
    """Sounds without a phone lengthen the one before; a sound too many or too few leaves no times."""
    spelling = Spelling("[[i:]] [[a]]", (0, 1), ("i:", "a"))
    events = [("'i:", 2205), (";", 4410), ("a", 6615), ("_:", 8820), ("_", 9000)]
    assert phone_times(spelling, events, SOUNDS.fold, 9000, 1.0) == [
        ("i:", 1.1, 1.3),
        ("a", 1.3, 1.4),
    ]
    assert phone_times(spelling, events[1:], SOUNDS.fold, 9000, 1.0) is None
    assert phone_times(spelling, [*events[:3], ("l", 7000)], SOUNDS.fold, 9000, 1.0) is None


def test_walks_follow_the_counts():
    """A word is drawn in proportion to the triples, else the pairs, and never outside the vocabulary."""
    words = ("", "A", "b", "c", ".")
    counts = Counts(
        words=words,
        count=np.ones(5, np.int64),
        pair_first=np.array([0, 2, 4, 5, 5, 5]),  # "" A 1, "" b 3; A b 1, A c 1; b . 2
        pair_word=np.array([1, 2, 2, 3, 4]),
        pair_count=np.array([1, 3, 1, 1, 2]),
        triple_first=np.array([0, 2, 2, 2, 2, 2]),  # "" A: b 1, c 3
        triple_word=np.array([2, 3]),
        triple_count=np.array([1, 3]),
    )
    follow = followers(counts, {"a", "b", "c"}, frozenset((".",)))
    assert [follow.draw(None, 0, u)[0] for u in (0.0, 0.24, 0.26, 0.99)] == [1, 1, 2, 2]
    assert [follow.draw(0, 1, u)[0] for u in (0.0, 0.24, 0.26, 0.99)] == [2, 2, 3, 3]
    assert follow.draw(0, 1, 0.5) == (3, 3)
    assert follow.draw(None, 2, 0.5) == (4, 4)
    assert follow.draw(None, 3, 0.5) is None
    narrow = followers(counts, {"a", "b"}, frozenset())
    assert narrow.draw(0, 1, 0.99)[0] == 2
    assert narrow.draw(None, 2, 0.5) is None


def test_table_of_icegrams_is_read_as_the_package_reads_it():
    """Unpacked counts of words, pairs and triples are those that the package itself answers."""
    from icegrams import Ngrams

    counts, own = icegrams_table.read(20), Ngrams().ngrams
    stream = rng(0, "test", "icegrams")
    for first in [0, 20, *stream.integers(1, 20, 10)]:
        assert own.id_to_word(int(first)) == counts.words[first]
        assert own.unigram_frequency(int(first)) == counts.count[first]
        a, b = counts.pair_first[first], counts.pair_first[first + 1]
        for pair in stream.integers(a, b, 20) if b > a else ():
            second = int(counts.pair_word[pair])
            assert own.bigram_frequency(int(first), second) == counts.pair_count[pair]
            c, d = counts.triple_first[pair], counts.triple_first[pair + 1]
            for triple in stream.integers(c, d, 3) if d > c else ():
                third = int(counts.triple_word[triple])
                assert (
                    own.trigram_frequency(int(first), second, third) == counts.triple_count[triple]
                )
        assert (first == 20) == (a == b)


def test_zones_of_sentences():
    """A sentence belongs to one split for good; a tenth are held-out's, fifteen percent the test's."""
    shares = collections.Counter(zone((f"w{i}", "x")) for i in range(4000))
    assert shares["heldout"] / 4000 == pytest.approx(0.10, abs=0.02)
    assert shares["test"] / 4000 == pytest.approx(0.15, abs=0.02)
    assert zone(("hvar", "er", "næsta", "safn")) == zone(("hvar", "er", "næsta", "safn"))


def test_voices_are_those_of_the_shard(tmp_path):
    """A shard's data folder holds its voices and links to everything else."""
    data = write_data(tmp_path, ["tr0001", "tr0002"], 0)
    assert sorted(path.name for path in (data / "voices" / "!v").iterdir()) == ["tr0001", "tr0002"]
    assert (data / "phondata").is_symlink()


def test_voices_sound_different(tmp_path):
    """Voices of one sentence have different spectra: the library falls back silently on the plain voice otherwise."""

    def spectrum(synthesiser: Synthesiser, voice: str) -> np.ndarray:
        samples, _ = synthesiser.say("[[h|'a:|l|oU]]", voice, 180, 50, 50)
        power = (
            np.abs(np.fft.rfft(samples.astype(float), 16384)[: 16384 // 4]).reshape(64, -1).sum(1)
        )
        return power / np.linalg.norm(power)

    with Synthesiser(write_data(tmp_path, ["tr0001", "te0002"], 0)) as synthesiser:
        seen = [
            spectrum(synthesiser, voice) for voice in ("is", "is+tr0001", "is+te0002", "is+missing")
        ]
    alike = np.array(seen) @ np.array(seen).T
    assert alike[0, 3] > 0.995
    assert max(alike[0, 1], alike[0, 2], alike[1, 2]) < 0.98


def test_the_synthesiser_is_loaded_in_one_module_only():
    """No module but ``espeak.py`` imports the GPL library's loader, and none imports ``espeak.py``."""
    package = Path(importlib.util.find_spec("workbench").origin).parent
    for path in package.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module or ""} | {
                    f"{node.module}.{alias.name}" for alias in node.names
                }
        assert ("espeakng_loader" in names) == (path.name == "espeak.py"), path
        assert "workbench.corpus.synthesis.espeak" not in names, path


def test_sentences_belong_to_their_split():
    """Streams of different names draw different sentences, each of the split asked for."""
    words = {w: [[p]] for w, p in ((w, "a") for w in icelandic.BUSINESSES.split())}
    recipe = icelandic.recipe()
    chosen = vocabulary.choose(
        recipe, 150, False, None, lambda texts: [words.get(t, [["a"]]) for t in texts]
    )
    grammar = queries.grammar(recipe, chosen, None, Difficulty())
    drawn = {}
    for name, split in (("train", "train"), ("lm", "train"), ("test", "test")):
        stream = sentences(grammar, 0, name, split)
        drawn[name] = [next(stream) for _ in range(100)]
        assert {zone(s) for s in drawn[name]} == {split}
    assert drawn["train"] != drawn["lm"]
    assert all(w in chosen.mnemonics for s in drawn["lm"] for w in s)
