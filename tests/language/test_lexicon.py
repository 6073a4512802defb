"""Lexica and texts: a user's files are read exactly, or refused with every fault named."""

import gzip
import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language.lexicon import Lexicon, Pronunciation, read_lexicon, write_lexicon
from workbench.language.text import read_text
from workbench.settings import UserError


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_reads_words_phones_and_pronunciations_in_order(write):
    """Words are numbered as they occur, phones alphabetically after SIL, pronunciations by word."""
    lexicon = read_lexicon(write("lexicon.txt", "two t uw\nzero z ih r\n\ntwo t u\n"))
    assert lexicon.words == ("<eps>", "two", "zero")
    assert lexicon.phones == ("SIL", "ih", "r", "t", "u", "uw", "z")
    assert lexicon.of(1) == (Pronunciation(1, (3, 5), 0.0), Pronunciation(1, (3, 4), 0.0))
    assert lexicon.of(0) == ()
    assert lexicon.of(2)[0].phones == (6, 1, 2)
    assert lexicon.word_id("zero") == 2
    with pytest.raises(KeyError):
        lexicon.word_id("three")


def test_probabilities_are_kept_as_given(write):
    """lexiconp.txt keeps max-normalised probabilities: nothing is rescaled to sum to one."""
    lexicon = read_lexicon(write("lexiconp.txt", "the 1.0 dh ah\nthe 0.5 dh iy\n"))
    assert [p.log_probability for p in lexicon.of(1)] == [0.0, math.log(0.5)]


def test_a_folder_prefers_probabilities(write):
    """A folder with both files is read from lexiconp.txt."""
    write("lexicon.txt", "a x\n")
    folder = write("lexiconp.txt", "a 0.25 x\n").parent
    assert read_lexicon(folder).of(1)[0].log_probability == math.log(0.25)


@pytest.mark.parametrize(
    "entry", ["<sil> SIL", "!SIL SIL", "SIL SIL", "sil sil", "<eps> SIL", "<quiet> SIL", "<s> x"]
)
def test_silence_is_no_word(write, entry):
    """Entries that only state how silence is written are left out, however it is called."""
    assert read_lexicon(write("lexicon.txt", f"{entry}\na x y\n")).words == ("<eps>", "a")


def test_a_word_that_only_looks_like_silence_stays(write):
    """The Turkish word 'sil' has phones, so it is a word."""
    assert read_lexicon(write("lexicon.txt", "sil s i l\n")).words == ("<eps>", "sil")


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
def test_faults_are_named_with_their_line(write, content):
    """Each kind of fault is refused with its file, its line and what is wrong."""
    line, text = FAULTS[content]
    path = write("lexiconp.txt", content + "\n")
    with pytest.raises(UserError) as caught:
        read_lexicon(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert text in str(caught.value)


def test_all_faults_are_listed_together(write):
    """One message names every fault, bad encoding included, and shortens a long list."""
    path = write("lexicon.txt", b"good g\nempty\nbad \xff\ngood g\n")
    with pytest.raises(UserError) as caught:
        read_lexicon(path)
    heading, *faults = str(caught.value).split("\n")
    assert heading.endswith("3 faults")
    assert [fault.split(":")[1] for fault in faults] == ["2", "3", "4"]
    with pytest.raises(UserError, match=r"\.\.\. and 5 more"):
        read_lexicon(write("lexicon.txt", "".join(f"w{i}\n" for i in range(25))))


def test_missing_empty_and_damaged_files(write, tmp_path):
    """A missing file, one without words, and a truncated .gz raise a UserError that names it."""
    for path in (tmp_path / "none.txt", write("lexicon.txt", "<sil> SIL\n")):
        with pytest.raises(UserError, match=path.name):
            read_lexicon(path)
    truncated = write("lm.txt.gz", gzip.compress(b"a b\n" * 99)[:-12])
    with pytest.raises(UserError, match=r"lm\.txt\.gz"):
        read_text(truncated)


def test_a_given_inventory_is_kept_and_binding(write):
    """With a model's phones their numbers are the model's, and others are refused."""
    path = write("lexicon.txt", "a y x\n")
    assert read_lexicon(path, phones=("SIL", "z", "y", "x")).of(1)[0].phones == (2, 3)
    with pytest.raises(UserError, match="unknown phones: x"):
        read_lexicon(path, phones=("SIL", "y"))


def test_forms_of_unicode_are_one_word(write):
    """A word written composed and decomposed is one word, so its pronunciations join or clash."""
    decomposed = unicodedata.normalize("NFD", "ís")
    lexicon = read_lexicon(write("lexicon.txt", f"ís i s\n{decomposed} iː s\n"))
    assert lexicon.words == ("<eps>", "ís")
    assert len(lexicon.of(1)) == 2
    with pytest.raises(UserError, match="on line 1"):
        read_lexicon(write("lexicon.txt", f"ís i s\n{decomposed} i s\n"))


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
def test_an_inconsistent_lexicon_is_refused(words, pronunciations):
    """Words without phones, silence in words, wrong order and repetitions raise ValueError."""
    entries = tuple(Pronunciation(word, phones, 0.0) for word, phones in pronunciations)
    with pytest.raises(ValueError):
        Lexicon(words, ("SIL", "x"), entries)


letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"))
names = st.text(letters, max_size=4).map(lambda text: unicodedata.normalize("NFC", "w" + text))
phone_sequences = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(tuple)
probabilities = st.one_of(st.just(1.0), st.floats(1e-6, 1.0).map(lambda p: float(f"{p:.9g}")))
pronunciations_of_words = st.dictionaries(
    names,
    st.dictionaries(phone_sequences, probabilities, min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


@given(pronunciations_of_words)
@settings(max_examples=50, deadline=None)
def test_round_trip(tmp_path_factory, entries):
    """A lexicon is written and read back equal, bit for bit in the probabilities."""
    folder = tmp_path_factory.mktemp("lexicon")
    lines = [
        " ".join([word, repr(p), *phones])
        for word, pronunciations in entries.items()
        for phones, p in pronunciations.items()
    ]
    (folder / "lexiconp.txt").write_text("\n".join(lines), encoding="utf-8", newline="\n")
    lexicon = read_lexicon(folder / "lexiconp.txt")
    assert lexicon.words == ("<eps>", *entries)

    write_lexicon(lexicon, folder / "lexiconp.again")
    assert read_lexicon(folder / "lexiconp.again") == lexicon


def test_probabilities_are_not_lost_in_silence(write, tmp_path):
    """Writing a lexicon with probabilities to lexicon.txt is refused."""
    lexicon = read_lexicon(write("lexiconp.txt", "a 0.5 x\n"))
    with pytest.raises(ValueError, match="lexiconp"):
        write_lexicon(lexicon, tmp_path / "lexicon.txt")


def test_text_is_read_as_sentences(write):
    """Sentence marks, blank lines, a byte-order mark and Kaldi's utterance ids are no words."""
    text = read_text(write("lm.txt", b"\xef\xbb\xbf<s> a b </s>\n\n  \nc\xc2\x85d\r\n"))
    assert text.sentences == (("a", "b"), ("c\x85d",))
    assert text.blank == 2
    assert read_text(write("text", "utt1 a b\nutt2\n"), ids=True).sentences == (("a", "b"),)
    with pytest.raises(UserError, match=r"lm.txt:2: not UTF-8: byte 0xe9"):
        read_text(write("lm.txt", "a\nb é\n".encode("latin-1")))


def test_remarks_are_no_words_and_no_phones(write):
    """Lines of remarks and remarks behind an entry are left out; "#1" is not taken for one."""
    text = ";;; # a dictionary\n## two\n# three\n\na x y # place, danish\n#tag z\n"
    lexicon = read_lexicon(write("lexicon.txt", text))
    assert lexicon.words == ("<eps>", "a", "#tag")
    assert lexicon.phones == ("SIL", "x", "y", "z")
    with pytest.raises(UserError, match="disambiguation"):
        read_lexicon(write("lexicon.txt", "a x #1\n"))


def test_marked_variants_are_pronunciations_of_one_word(write):
    """A marked variant belongs to its word, but is a word of its own where that is missing."""
    lexicon = read_lexicon(write("lexicon.txt", "the dh ah\nthe(2) dh iy\nsmile:(1) s m\n"))
    assert lexicon.words == ("<eps>", "the", "smile:(1)")
    assert [len(lexicon.of(word)) for word in (1, 2)] == [2, 1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("between", [" ", "\t"])
@pytest.mark.parametrize("numbers", ["0.5", "0.5 0.2 1.1 0.97"])
def test_columns_of_numbers_are_understood(write, numbers, between, end):
    """A probability is kept and the numbers about silence are dropped, whatever the file is called.

    A byte order mark, tabs and Windows' ends of lines change nothing.
    """
    lines = ["<eps> SIL", f"a {numbers} x", f"b {numbers.replace('0.5', '1')} y"]
    text = "\ufeff" + "".join(line.replace(" ", between) + end for line in lines)
    lexicon = read_lexicon(write("english.dict", text))
    assert lexicon.words == ("<eps>", "a", "b")
    assert lexicon.phones == ("SIL", "x", "y")
    assert lexicon.of(1)[0].log_probability == math.log(0.5)


@pytest.mark.parametrize("odd", ["b y", "b 0.5 0.2 y", "b y 0.3"])
def test_numbers_on_some_lines_are_refused(write, odd):
    """Where lines differ nobody can tell phones from numbers: one sentence, with the first line."""
    path = write("lexicon.txt", f"a 0.5 x\n{odd}\n")
    with pytest.raises(UserError, match=r"lexicon\.txt:\d: \d lines have numbers") as caught:
        read_lexicon(path)
    assert "\n" not in str(caught.value)


def test_phones_may_be_numbers(write):
    """An inventory of whole numbers has no columns: nothing tells them from phones."""
    lexicon = read_lexicon(write("lexicon.txt", "a 1 2\nb 2\n"))
    assert lexicon.phones == ("SIL", "1", "2")
    assert len(lexicon.of(1)[0].phones) == 2
