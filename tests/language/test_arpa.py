"""ARPA files: the same numbers after a round trip, other vocabularies, and malformed files."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language import arpa
from workbench.language.arpa import read_arpa, write_arpa
from workbench.language.backoff import Level
from workbench.language.ngram import estimate
from workbench.settings import UserError

LOG_10 = math.log(10)
WORDS = ("<eps>", "a", "b", "ö")
ARPA = """made by hand
\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99\t<s>\t-0.3
-0.5\ta\t-0.2
-0.6\tb
-1\tö
-0.7\t</s>

\\2-grams:
-0.1\t<s> a
-0.25\ta b
-0.4\tb </s>

\\end\\
"""


@pytest.fixture
def read(tmp_path):
    """A function that reads an ARPA text."""

    def read_text(text, words=WORDS):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "lm.arpa").write_bytes(content)
        return read_arpa(tmp_path / "lm.arpa", words)

    return read_text


def test_by_hand(read):
    """Listed n-grams have their own score, others back off, in natural logarithms."""
    ngram = read(ARPA)
    assert ngram.score(ngram.start, 1) == pytest.approx(-0.1 * LOG_10)
    assert ngram.score((ngram.bos,), 2) == pytest.approx((-0.3 - 0.6) * LOG_10)
    assert ngram.score((1,), 3) == pytest.approx((-0.2 - 1) * LOG_10)
    assert ngram.score((3,), 1) == pytest.approx(-0.5 * LOG_10)
    assert ngram.score((), ngram.bos) == -math.inf
    assert ngram.notes == ()


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "ö", "x"]), max_size=5), min_size=1, max_size=9),
    st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_round_trip(tmp_path_factory, text, order):
    """A model is read back from its file with the same n-grams and the same bits."""
    path = tmp_path_factory.mktemp("arpa") / "lm.arpa"
    ngram = estimate(text, WORDS, order)
    write_arpa(ngram, path)
    again = read_arpa(path, WORDS)
    assert again.words == ngram.words
    assert again.notes == ()
    assert again.order == order
    for old, new in zip(ngram.levels, again.levels, strict=True):
        for field in fields(Level):
            np.testing.assert_array_equal(getattr(new, field.name), getattr(old, field.name))


@given(st.floats(-200, 0, width=32))
def test_nine_digits_determine_a_float32(tmp_path_factory, log_p):
    """Any float32 log probability within the format's limits survives as log10 text."""
    ngram = estimate([["a"]], WORDS, 1)
    ngram.levels[0].log_p[1] = log_p
    path = tmp_path_factory.mktemp("arpa") / "lm.arpa"
    write_arpa(ngram, path)
    assert read_arpa(path, WORDS).levels[0].log_p[1] == np.float32(log_p)


def test_compressed(tmp_path):
    """A .gz file holds the same model."""
    ngram = estimate([["a", "b"]], WORDS, 2)
    write_arpa(ngram, tmp_path / "lm.arpa.gz")
    assert (tmp_path / "lm.arpa.gz").read_bytes().startswith(b"\x1f\x8b")
    assert read_arpa(tmp_path / "lm.arpa.gz", WORDS).score((1,), 2) == ngram.score((1,), 2)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, name):
    """Writing that is cut off leaves the file of before, and nothing beside it."""
    path = tmp_path / name
    ngram = estimate([["a", "b"]], WORDS, 2)
    write_arpa(ngram, path)
    before = path.read_bytes()
    format_lines = arpa.format_lines

    def format_some(level, grams, left_out):
        yield from format_lines(level, grams, left_out)
        raise KeyboardInterrupt

    monkeypatch.setattr(arpa, "format_lines", format_some)
    with pytest.raises(KeyboardInterrupt):
        write_arpa(ngram, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_words_are_dropped_and_counted(read):
    """N-grams with words outside the vocabulary are left out and counted; the others stay."""
    ngram = read(ARPA, ("<eps>", "a", "ö"))
    assert ngram.notes == ("3 n-grams dropped: 1 of their words are not in the vocabulary",)
    assert ngram.score((1,), 2) == pytest.approx((-0.2 - 1) * LOG_10)
    assert [len(level.word) for level in ngram.levels] == [5, 1]


def test_words_that_the_file_lacks(read):
    """Such words share the mass of <unk>, or have probability 0 without it; a note counts them."""
    words = (*WORDS, "new", "newer")
    ngram = read(ARPA, words)
    assert ngram.score((), 4) == -math.inf
    assert "2 words are not in the file and cannot" in ngram.notes[0]

    with_unknown = ARPA.replace("1=5", "1=6").replace("-1\tö", "-1\tö\n-0.8\t<unk>\t-0.1")
    ngram = read(with_unknown, words)
    assert ngram.score((), 4) == ngram.score((), 5)
    assert ngram.score((), 4) == pytest.approx(-0.8 * LOG_10 - math.log(2))
    assert "share" in ngram.notes[0]


def test_a_model_of_other_words_is_refused(read):
    """A model in capitals for a lexicon in lower case could say nothing."""
    with pytest.raises(UserError, match=r"lm\.arpa:\d+: none of the lexicon's words is in it"):
        read(ARPA, ("<eps>", "A", "B", "Ö"))


def test_an_unknown_word_of_our_own(read):
    """If <unk> is in the lexicon it is a word like any other."""
    text = ARPA.replace("1=5", "1=6").replace("-1\tö", "-1\tö\n-0.8\t<unk>")
    ngram = read(text, (*WORDS, "<unk>"))
    assert ngram.score((), 4) == pytest.approx(-0.8 * LOG_10)
    assert ngram.notes == ()


def test_a_pruned_model_without_its_suffixes(read):
    """An n-gram may be listed although its last words alone are not: these back off."""
    text = ARPA.replace("2=3", "2=3\nngram 3=1")
    ngram = read(text.replace("\n\\end", "\n\\3-grams:\n-0.05\t<s> a ö\n\n\\end"))
    assert ngram.score((ngram.bos, 1), 3) == pytest.approx(-0.05 * LOG_10)
    assert ngram.score((2, 1), 3) == pytest.approx(-1.2 * LOG_10)


MALFORMED = [
    ("\\data\\", "\\date\\", None, "ends early"),
    ("ngram 1=5", "ngram 1=x", 3, "expected ngram 1=COUNT,"),
    ("ngram 2=3", "ngram 3=3", 4, "expected ngram 2=COUNT,"),
    ("\\1-grams:", "\\2-grams:", 6, "expected \\1-grams:,"),
    ("ngram 1=5", "ngram 1=6", 13, "5 1-grams listed, 6 announced"),
    ("-0.5\ta", "O.5\ta", 8, "'O.5' is not a logarithm"),
    ("-0.5\ta", "nan\ta", 8, "'nan' is not a logarithm"),
    ("-0.5\ta", "0.5\ta", 8, "'0.5' is not a logarithm of a probability"),
    ("-0.25\ta b", "-0.25\ta b -0.1", 15, "2 words"),
    ("-0.25\ta b", "-0.25\ta", 15, "2 words"),
    ("-0.25\ta b", "-0.25\t<s> a", 15, "listed before"),
    ("-0.6\tb", "-0.6\ta", 9, "listed before"),
    ("-0.6\tb", "-0.6\tq", 15, "without its prefix or its unigrams"),
    ("-0.7\t</s>", "-0.7\tq", None, "no unigram </s>"),
    ("\\end\\", "", 18, "ends early"),
    ("\\end\\", "\\3-grams:", 18, "expected \\end\\,"),
]


@pytest.mark.parametrize("old, new, line, reason", MALFORMED)
def test_malformed_files_are_refused(read, old, new, line, reason):
    """Each fault is refused with its line and what was expected there."""
    assert old in ARPA
    with pytest.raises(UserError) as caught:
        read(ARPA.replace(old, new))
    assert reason in str(caught.value)
    assert line is None or f"lm.arpa:{line}: " in str(caught.value)


def test_a_prefix_must_be_listed(read):
    """A trigram whose first two words are no bigram of the file is refused."""
    text = ARPA.replace("2=3", "2=3\nngram 3=1")
    text = text.replace("\n\\end", "\n\\3-grams:\n-0.05\tö a b\n\n\\end")
    with pytest.raises(UserError, match=r"lm.arpa:20: an n-gram without its prefix"):
        read(text)


def test_bytes_that_are_not_utf_8(read):
    """Bytes that are not UTF-8 are the reason given, not the counts that they upset."""
    with pytest.raises(UserError, match=r"lm.arpa:10: not UTF-8: byte 0xff"):
        read(ARPA.encode().replace("ö".encode(), b"\xff"))
