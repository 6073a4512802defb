"""Data against a lexicon, and the splits that are taken off where a corpus has none."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from data_directories import count_reasons

from workbench.corpus.check import check, count_missing_words, write_set_aside
from workbench.corpus.split import derive_splits
from workbench.corpus.utterances import DataSet, SetAside, Utterance
from workbench.language.lexicon import Lexicon, Pronunciation
from workbench.settings import UserError

LEXICON = Lexicon(
    ("<eps>", "einn", "tveir"),
    ("SIL", "e", "n", "t"),
    (Pronunciation(1, (1, 2), 0.0), Pronunciation(2, (3, 1), 0.0)),
)


def make_utterance(
    name: str, *words: str, seconds: float | None = 1.0, speaker: str = "s"
) -> Utterance:
    """Return an utterance without audio."""
    return Utterance(
        name, speaker, words, Path("a.wav"), where=f"text:{name}", rate=16000, seconds=seconds
    )


def test_unknown_words():
    """Words outside the lexicon are counted, and utterances that have one set aside with them."""
    data = DataSet(
        (
            make_utterance("1", "einn", "tveir"),
            make_utterance("2", "sjö", "einn", "sjö"),
            make_utterance("3", "<script>"),
            make_utterance("4", "sjö", "<eps>"),
        )
    )
    missing = count_missing_words(data, LEXICON)
    assert missing == Counter({"sjö": 3, "<eps>": 1, "<script>": 1})
    assert list(missing) == ["sjö", "<eps>", "<script>"]

    found = check(data, LEXICON)
    assert [u.id for u in found.utterances] == ["1"]
    details = {s.utterance: s.detail for s in found.set_aside}
    assert details == {"2": "sjö", "3": "<script>", "4": "sjö, <eps>"}
    assert found.notes == ("3 words (5 tokens) not in the lexicon: sjö 3, <eps> 1, <script> 1",)
    assert count_reasons(found) == {"word not in lexicon": 3}
    assert found.seen == 4


def test_too_short_for_its_text():
    """An utterance of exactly the least number of frames is kept, one of a frame fewer is not."""
    lengths = range(1, 12)
    data = DataSet(tuple(make_utterance(str(n), "einn", seconds=n / 100) for n in lengths))
    found = check(data, LEXICON, lambda words: 6 * len(words))
    assert [s.utterance for s in found.set_aside] == ["1", "2", "3", "4", "5"]
    assert count_reasons(found) == {"too short for its text": 5}
    assert found.set_aside[-1].detail == "5 frames; 1 words need 6"

    unknown = DataSet((make_utterance("u", "einn", seconds=None),))
    checked = check(unknown, LEXICON, lambda words: 99)
    assert not checked.set_aside, "a length that the header does not give is checked when decoding"


def test_what_was_set_aside_before_stays():
    """Checking adds to the utterances that a reader set aside and loses none of them."""
    data = DataSet(
        (make_utterance("1", "sjö"),), (SetAside("0", "missing audio", "wav.scp:1"),), ("a note",)
    )
    found = check(data, LEXICON)
    assert [s.utterance for s in found.set_aside] == ["0", "1"]
    assert found.notes[0] == "a note"
    assert count_reasons(found) == {"missing audio": 1, "word not in lexicon": 1}
    assert (found.seen, found.utterances) == (2, ())


def test_the_table_has_one_line_for_each_entry(tmp_path):
    """The table has one line for each entry, whatever characters are in its fields."""
    hostile = SetAside("u\t1", "bad\nid", "text:1", "a\u2028b\x1b[31m\ud800\tc")
    write_set_aside(tmp_path / "a.tsv", [hostile, SetAside("v", "r", "w")])
    lines = (tmp_path / "a.tsv").read_bytes().decode().split("\n")
    assert [line.count("\t") for line in lines] == [3, 3, 3, 0]
    assert lines[1] == "u 1\tbad id\ttext:1\ta b [31m c"


def make_speakers(count: int, each: int, seconds: float = 4.0) -> DataSet:
    """Return ``each`` utterances of each of ``count`` speakers, and one that was set aside."""
    utterances = [
        make_utterance(f"s{s}-{n}", "einn", seconds=seconds, speaker=f"s{s}")
        for s in range(count)
        for n in range(each)
    ]
    return DataSet(tuple(utterances), (SetAside("gone", "missing audio", "wav.scp:1"),))


@pytest.mark.parametrize(
    ("data", "seconds", "unit"),
    [
        (make_speakers(100, 20), 800.0, "speakers"),  # 10 % of 8,000 s
        (make_speakers(300, 100, 3.0), 1800.0, "speakers"),  # 30 min of 25 h
        (make_speakers(3, 100), 120.0, "utterances"),  # a speaker would be a third
        (make_speakers(10, 50), 200.0, "utterances"),  # one voice could decide nothing
        (make_speakers(1, 50), 20.0, "utterances"),
        (make_speakers(40, 1), 16.0, "speakers"),  # every utterance a speaker of its own
    ],
)
def test_splits_are_taken_off(data, seconds, unit):
    """Held-out and test have about 10 % or 30 min each, are disjoint, and nothing is lost."""
    splits = derive_splits({"train": data}, seed=1)
    assert list(splits) == ["train", "heldout", "test"]

    ids = [u.id for split in splits.values() for u in split.utterances]
    assert sorted(ids) == sorted(u.id for u in data.utterances)
    assert sum(split.seen for split in splits.values()) == data.seen
    assert sum(u.seconds for u in splits["heldout"].utterances) == pytest.approx(seconds, rel=0.5)
    assert f"by {unit}" in splits["heldout"].notes[0]
    if unit == "speakers":
        owners = [{u.speaker for u in split.utterances} for split in splits.values()]
        assert sum(map(len, owners)) == len(set.union(*owners))

    order = {u.id: n for n, u in enumerate(data.utterances)}
    for split in splits.values():
        places = [order[u.id] for u in split.utterances]
        assert places == sorted(places)


def test_splits_are_deterministic():
    """The same seed gives the same splits, another one others; existing splits are not touched."""
    data = make_speakers(50, 10)
    assert derive_splits({"train": data}, 3) == derive_splits({"train": data}, 3)
    assert derive_splits({"train": data}, 3) != derive_splits({"train": data}, 4)

    given = {"train": data, "test": make_speakers(2, 2)}
    made = derive_splits(given, 3)
    assert made["test"] is given["test"]
    assert made["heldout"] == derive_splits({"train": data}, 3)["heldout"]
    assert derive_splits(made, 3) == made

    with pytest.raises(UserError, match="too few"):
        derive_splits({"train": make_speakers(1, 2)})


def test_marks_of_silence_are_left_out():
    """Silence may be anywhere, so texts need not name it; a text of nothing else is empty."""
    lexicon = replace(LEXICON, silent=LEXICON.silent | {"[pause]"})
    data = DataSet(
        (
            make_utterance("1", "<s>", "einn", "SIL", "[pause]", "tveir", "</s>"),
            make_utterance("2", "<sil>"),
        )
    )
    found = check(data, lexicon)
    assert [(u.id, u.words) for u in found.utterances] == [("1", ("einn", "tveir"))]
    assert count_reasons(found) == {"empty text": 1}
    assert found.notes == (
        "5 marks of silence or of sentences left out: <s> 1, SIL 1, [pause] 1, </s> 1, <sil> 1",
    )

    a_word = replace(LEXICON, words=("<eps>", "SIL", "tveir"))
    assert check(DataSet((make_utterance("1", "SIL"),)), a_word).utterances[0].words == ("SIL",)


def test_words_in_another_form_are_told():
    """Texts in capitals or with punctuation do not fit a lexicon without, and that is said."""
    data = DataSet((make_utterance("1", "EINN", "«Tveir,»", "sjö", "einn"),))
    note = check(data, LEXICON).notes[-1]
    assert note.startswith("2 of these words (2 tokens) are in the lexicon in another case")
    assert len(check(DataSet((make_utterance("1", "sjö"),)), LEXICON).notes) == 1


def test_words_of_a_test_that_the_lexicon_lacks_are_errors():
    """Test texts keep them, <unk> or not: a test without them would be too easy."""
    texts = [make_utterance(str(n), "einn", "tveir") for n in range(4)]
    data = DataSet((*texts, make_utterance("x", "sjö", "einn")))
    lexicon = replace(
        LEXICON,
        words=("<eps>", "einn", "tveir", "<unk>"),
        pronunciations=(*LEXICON.pronunciations, Pronunciation(3, (1,), 0.0)),
    )
    for unknown in (None, "<unk>"):
        found = check(data, lexicon, lambda words: len(words), unknown, tested=True)
        assert found.utterances == data.utterances
        assert found.notes == (
            "1 words (1 tokens) not in the lexicon, each an error of every test: sjö 1",
        )

    foreign = DataSet((*texts[:1], make_utterance("x", "sjö", "sjö")))
    assert count_reasons(check(foreign, LEXICON, tested=True)) == {"word not in lexicon": 1}
