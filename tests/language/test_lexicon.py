"""Lexica and texts: what a user brings, read exactly or refused with every fault named."""

import gzip
import math
import pickle
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language.lexicon import Lexicon, Pronunciation, read_lexicon, write_lexicon
from workbench.language.text import coverage, read_text
from workbench.settings import UserError


@pytest.fixture
def written(tmp_path):
    """Writes a file and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_reads_words_phones_and_pronunciations_in_order(written):
    """Words are numbered as they occur, phones alphabetically after SIL, pronunciations stay with their word."""
    lexicon = read_lexicon(written("lexicon.txt", "two t uw\nzero z ih r\n\ntwo t u\n"))
    assert lexicon.words == ("<eps>", "two", "zero")
    assert lexicon.phones == ("SIL", "ih", "r", "t", "u", "uw", "z")
    assert lexicon.of(1) == (Pronunciation(1, (3, 5), 0.0), Pronunciation(1, (3, 4), 0.0))
    assert lexicon.of(0) == () and lexicon.of(2)[0].phones == (6, 1, 2)
    assert lexicon.word_id("zero") == 2
    with pytest.raises(KeyError):
        lexicon.word_id("three")


def test_probabilities_are_kept_as_given(written):
    """lexiconp.txt keeps max-normalised probabilities: nothing is rescaled to sum to one."""
    lexicon = read_lexicon(written("lexiconp.txt", "the 1.0 dh ah\nthe 0.5 dh iy\n"))
    assert [p.log_probability for p in lexicon.of(1)] == [0.0, math.log(0.5)]


def test_a_folder_prefers_probabilities(written):
    """A folder with both files is read from lexiconp.txt."""
    written("lexicon.txt", "a x\n")
    folder = written("lexiconp.txt", "a 0.25 x\n").parent
    assert read_lexicon(folder).of(1)[0].log_probability == math.log(0.25)


@pytest.mark.parametrize(
    "entry", ["<sil> SIL", "!SIL SIL", "SIL SIL", "sil sil", "<eps> SIL", "<quiet> SIL", "<s> x"]
)
def test_silence_is_no_word(written, entry):
    """Entries that only say how silence is written are left out, however it is called."""
    assert read_lexicon(written("lexicon.txt", f"{entry}\na x y\n")).words == ("<eps>", "a")


def test_a_word_that_only_looks_like_silence_stays(written):
    """The Turkish word 'sil' has phones, so it is a word."""
    assert read_lexicon(written("lexicon.txt", "sil s i l\n")).words == ("<eps>", "sil")


FAULTS = {
    "a 0.5 x\na 0.7 x": (2, "on line 1"),
    "a 0.5": (1, "no phones"),
    "a 0 x": (1, "not a probability"),
    "a 1.5 x": (1, "not a probability"),
    "a nan x": (1, "not a probability"),
    "a x y": (1, "not a probability"),
    "a 1 x SIL y": (1, "silence among"),
    "a 1 x #1": (1, "disambiguation"),
    "#1 1 x": (1, "disambiguation"),
    "a\u00a0b 1 x": (1, "U+00A0"),
}


@pytest.mark.parametrize("content", FAULTS)
def test_faults_are_named_with_their_line(written, content):
    """Each kind of fault is refused with file, line and what is wrong."""
    line, text = FAULTS[content]
    path = written("lexiconp.txt", content + "\n")
    with pytest.raises(UserError) as caught:
        read_lexicon(path)
    assert f"{path}:{line}: " in str(caught.value) and text in str(caught.value)


def test_all_faults_are_listed_together(written):
    """One message names every fault, those of the encoding included, and cuts a long list with its length."""
    path = written("lexicon.txt", b"good g\nempty\nbad \xff\ngood g\n")
    with pytest.raises(UserError) as caught:
        read_lexicon(path)
    lines = str(caught.value).split("\n")
    assert lines[0].endswith("3 faults") and [line.split(":")[1] for line in lines[1:]] == [
        "2",
        "3",
        "4",
    ]
    with pytest.raises(UserError, match=r"\.\.\. and 5 more"):
        read_lexicon(written("lexicon.txt", "".join(f"w{i}\n" for i in range(25))))


def test_missing_empty_and_damaged_files(written, tmp_path):
    """A file that is not there, has no words, or is a torn .gz is the user's to mend, not a traceback."""
    for path in (tmp_path / "none.txt", written("lexicon.txt", "<sil> SIL\n")):
        with pytest.raises(UserError, match=path.name):
            read_lexicon(path)
    torn = written("lm.txt.gz", gzip.compress(b"a b\n" * 99)[:-12])
    with pytest.raises(UserError, match=r"lm\.txt\.gz"):
        read_text(torn)


def test_a_given_inventory_is_kept_and_binding(written):
    """With a model's phones their numbers are the model's, and others are refused."""
    path = written("lexicon.txt", "a y x\n")
    assert read_lexicon(path, phones=("SIL", "z", "y", "x")).of(1)[0].phones == (2, 3)
    with pytest.raises(UserError, match="unknown phones: x"):
        read_lexicon(path, phones=("SIL", "y"))


def test_forms_of_unicode_are_one_word(written):
    """A word written composed and decomposed is one word, so its pronunciations join (and may clash)."""
    decomposed = unicodedata.normalize("NFD", "ís")
    lexicon = read_lexicon(written("lexicon.txt", f"ís i s\n{decomposed} iː s\n"))
    assert lexicon.words == ("<eps>", "ís") and len(lexicon.of(1)) == 2
    with pytest.raises(UserError, match="on line 1"):
        read_lexicon(written("lexicon.txt", f"ís i s\n{decomposed} i s\n"))


def test_subset_renumbers_words_and_keeps_phones(written):
    """A smaller vocabulary keeps the order of words and the numbers of phones, which models depend on."""
    lexicon = read_lexicon(written("lexicon.txt", "a x\nb y\nc z\nc y z\n"))
    small = lexicon.subset({"c", "b"})
    assert small.words == ("<eps>", "b", "c") and small.phones == lexicon.phones
    assert [p.phones for p in small.of(2)] == [p.phones for p in lexicon.of(3)]
    with pytest.raises(KeyError):
        lexicon.subset(["d"])


@pytest.mark.parametrize(
    "words, pronunciations",
    [
        (("a",), ()),
        (("<eps>", "a"), ()),
        (("<eps>", "a"), ((1, ()),)),
        (("<eps>", "a"), ((1, (0,)),)),
        (("<eps>", "a"), ((1, (2,)),)),
        (("<eps>", "a", "b"), ((2, (1,)), (1, (1,)))),
        (("<eps>", "a", "a"), ((1, (1,)), (2, (1,)))),
    ],
)
def test_a_lexicon_that_does_not_fit_together_is_none(words, pronunciations):
    """The record itself refuses words without phones, silence in words, wrong order and repetitions."""
    with pytest.raises(ValueError):
        Lexicon(
            words,
            ("SIL", "x"),
            tuple(Pronunciation(w, phones, 0.0) for w, phones in pronunciations),
        )


letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"))
word = st.text(letters, max_size=4).map(lambda text: unicodedata.normalize("NFC", "w" + text))
said = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(tuple)
probability = st.one_of(st.just(1.0), st.floats(1e-6, 1.0).map(lambda p: float(f"{p:.9g}")))


@given(
    st.dictionaries(
        word, st.dictionaries(said, probability, min_size=1, max_size=3), min_size=1, max_size=5
    )
)
@settings(max_examples=50, deadline=None)
def test_round_trip(tmp_path_factory, entries):
    """Whatever was read is written and read back equal, bit for bit in the probabilities."""
    folder = tmp_path_factory.mktemp("lexicon")
    lines = [
        " ".join([w, repr(p), *said]) for w, saids in entries.items() for said, p in saids.items()
    ]
    (folder / "lexiconp.txt").write_text("\n".join(lines), encoding="utf-8", newline="\n")
    lexicon = read_lexicon(folder / "lexiconp.txt")
    assert lexicon.words == ("<eps>", *entries)
    write_lexicon(lexicon, folder / "lexiconp.again")
    assert read_lexicon(folder / "lexiconp.again") == lexicon
    assert pickle.loads(pickle.dumps(lexicon)) == lexicon


def test_probabilities_are_not_lost_in_silence(written, tmp_path):
    """Writing a lexicon with probabilities to lexicon.txt is refused."""
    lexicon = read_lexicon(written("lexiconp.txt", "a 0.5 x\n"))
    with pytest.raises(ValueError, match="lexiconp"):
        write_lexicon(lexicon, tmp_path / "lexicon.txt")


def test_text_is_read_as_sentences(written):
    """Marks of sentence ends, blank lines, byte-order mark and the first field of Kaldi's text are no words."""
    text = read_text(written("lm.txt", b"\xef\xbb\xbf<s> a b </s>\n\n  \nc\xc2\x85d\r\n"))
    assert text.sentences == (("a", "b"), ("c\x85d",)) and text.blank == 2
    assert read_text(written("text", "utt1 a b\nutt2\n"), ids=True).sentences == (("a", "b"),)
    with pytest.raises(UserError, match=r"lm.txt:2: not UTF-8: byte 0xe9"):
        read_text(written("lm.txt", "a\nb é\n".encode("latin-1")))


def test_coverage_adds_up():
    """Tokens are either in the vocabulary or listed as unknown, most frequent first."""
    found = coverage([["a", "x"], ["y", "x", "a"], []], ("<eps>", "a"))
    assert (found.sentences, found.tokens, found.unknown_tokens) == (3, 5, 3)
    assert found.unknown == (("x", 2), ("y", 1))
