"""Data against a lexicon, and the splits that are taken off where a corpus has none."""

from collections import Counter
from pathlib import Path

import pytest

from workbench.corpus.check import (
    check,
    missing_words,
    unknown_phones,
    write_missing_words,
    write_set_aside,
)
from workbench.corpus.split import derive_splits
from workbench.corpus.utterances import DataSet, SetAside, Utterance, summary
from workbench.language.lexicon import Lexicon, Pronunciation
from workbench.settings import UserError

LEXICON = Lexicon(
    ("<eps>", "einn", "tveir", "ü"),
    ("SIL", "e", "n", "t", "x"),
    (
        Pronunciation(1, (1, 2), 0.0),
        Pronunciation(2, (3, 1), 0.0),
        Pronunciation(2, (4,), -1.0),
        Pronunciation(3, (4, 4), 0.0),
    ),
)


def utterance(name: str, *words: str, seconds: float | None = 1.0, speaker: str = "s") -> Utterance:
    """An utterance without audio."""
    return Utterance(
        name, speaker, words, Path("a.wav"), where=f"text:{name}", rate=16000, seconds=seconds
    )


def test_unknown_words():
    """All words outside the lexicon are counted, and the utterances that have one are set aside with their words."""
    rows = (
        utterance("1", "einn", "tveir"),
        utterance("2", "sjö", "einn", "sjö"),
        utterance("3", "<script>"),
    )
    data = DataSet((*rows, utterance("4", "sjö", "<eps>")))
    assert missing_words(data, LEXICON) == Counter({"sjö": 3, "<eps>": 1, "<script>": 1})
    found = check(data, LEXICON)
    assert [u.id for u in found.utterances] == ["1"]
    assert {s.reason for s in found.set_aside} == {"word not in lexicon"}
    assert {s.utterance: s.detail for s in found.set_aside} == {
        "2": "sjö",
        "3": "<script>",
        "4": "sjö, <eps>",
    }
    assert found.notes == ("3 words (5 tokens) not in the lexicon: sjö 3, <eps> 1, <script> 1",)
    assert summary(found).reasons == (("word not in lexicon", 3),)
    assert found.seen == 4


def test_too_short_for_its_text():
    """An utterance of exactly the least number of frames is kept, one of a frame fewer is set aside."""
    data = DataSet(tuple(utterance(str(n), "einn", seconds=n / 100) for n in range(1, 12)))
    found = check(data, LEXICON, lambda words: 6 * len(words))
    assert [s.utterance for s in found.set_aside] == ["1", "2", "3", "4", "5"]
    assert {s.reason for s in found.set_aside} == {"too short for its text"}
    assert found.set_aside[-1].detail == "5 frames; 1 words need 6"
    unknown = DataSet((utterance("u", "einn", seconds=None),))
    assert not check(unknown, LEXICON, lambda words: 99).set_aside, (
        "what the header does not tell, decoding will"
    )


def test_unknown_phones():
    """A phone outside the phone set is told with its words; only words without another pronunciation are unusable."""
    phones = ("SIL", "e", "n", "t")
    assert unknown_phones(LEXICON, phones) == Counter({"x": 2})
    assert unknown_phones(LEXICON, None) == unknown_phones(LEXICON, LEXICON.phones) == Counter()
    data = DataSet((utterance("1", "einn", "tveir"), utterance("2", "ü")))
    found = check(data, LEXICON, phones=phones)
    assert [u.id for u in found.utterances] == ["1"]
    assert [(s.reason, s.detail) for s in found.set_aside] == [("unknown phone", "ü")]
    assert "x 2" in found.notes[0]
    assert not check(data, LEXICON, phones=LEXICON.phones).set_aside


def test_what_was_set_aside_before_stays():
    """Checking adds to what a reader set aside and loses none of it."""
    data = DataSet(
        (utterance("1", "sjö"),), (SetAside("0", "missing audio", "wav.scp:1"),), ("a note",)
    )
    found = check(data, LEXICON)
    assert [s.utterance for s in found.set_aside] == ["0", "1"]
    assert found.notes[0] == "a note"
    assert str(summary(found)) == (
        "0 of 2 utterances usable (0.00 h, 0 speakers), 2 set aside; 1 missing audio; 1 word not in lexicon"
    )


def test_tables(tmp_path):
    """The tables have one line for each entry, whatever is in the fields."""
    hostile = SetAside("u\t1", "bad\nid", "text:1", "a\u2028b\x1b[31m\ud800\tc")
    write_set_aside(tmp_path / "a.tsv", [hostile, SetAside("v", "r", "w")])
    lines = (tmp_path / "a.tsv").read_bytes().decode().split("\n")
    assert [line.count("\t") for line in lines] == [3, 3, 3, 0]
    assert lines[1] == "u 1\tbad id\ttext:1\ta b [31m c"
    write_set_aside(tmp_path / "b.tsv", DataSet((), (hostile,)))
    assert (tmp_path / "b.tsv").read_text().splitlines() == lines[:2]
    write_missing_words(tmp_path / "c.tsv", Counter({"sjö": 3, "a": 1}))
    assert (tmp_path / "c.tsv").read_text() == "sjö\t3\na\t1\n"


def speakers(count: int, each: int, seconds: float = 4.0) -> DataSet:
    """``each`` utterances of each of ``count`` speakers."""
    names = [(f"s{s}", f"s{s}-{n}") for s in range(count) for n in range(each)]
    aside = (SetAside("gone", "missing audio", "wav.scp:1"),)
    return DataSet(
        tuple(utterance(name, "einn", seconds=seconds, speaker=who) for who, name in names), aside
    )


@pytest.mark.parametrize(
    ("data", "seconds", "unit"),
    [
        (speakers(100, 20), 400.0, "speakers"),  # 5 % of 8,000 s
        (speakers(300, 100, 3.0), 1800.0, "speakers"),  # 30 min of 25 h
        (speakers(3, 100), 60.0, "utterances"),  # a speaker would be a third
        (speakers(1, 50), 10.0, "utterances"),
        (speakers(40, 1), 8.0, "speakers"),  # every utterance a speaker of its own
    ],
)
def test_splits_are_taken_off(data, seconds, unit):
    """Held-out and test are each about 5 % or 30 min, disjoint, by speakers where they can be; nothing is lost."""
    splits = derive_splits({"train": data}, seed=1)
    assert list(splits) == ["train", "heldout", "test"]
    ids = [u.id for split in splits.values() for u in split.utterances]
    assert sorted(ids) == sorted(u.id for u in data.utterances)
    assert sum(split.seen for split in splits.values()) == data.seen
    assert sum(u.seconds for u in splits["heldout"].utterances) == pytest.approx(seconds, rel=0.5)
    assert f"by {unit}" in splits["heldout"].notes[0]
    if unit == "speakers":
        owners = [{u.speaker for u in split.utterances} for split in splits.values()]
        assert not (owners[0] & owners[1]) | (owners[0] & owners[2]) | (owners[1] & owners[2])
    order = {u.id: n for n, u in enumerate(data.utterances)}
    for split in splits.values():
        places = [order[u.id] for u in split.utterances]
        assert places == sorted(places)


def test_splits_are_deterministic():
    """The same seed gives the same splits, another one others, and splits that exist are not touched."""
    data = speakers(50, 10)
    assert derive_splits({"train": data}, 3) == derive_splits({"train": data}, 3)
    assert derive_splits({"train": data}, 3) != derive_splits({"train": data}, 4)
    given = {"train": data, "test": speakers(2, 2)}
    made = derive_splits(given, 3)
    assert made["test"] is given["test"]
    assert made["heldout"] == derive_splits({"train": data}, 3)["heldout"]
    assert derive_splits(made, 3) == made
    with pytest.raises(UserError, match="too few"):
        derive_splits({"train": speakers(1, 2)})
