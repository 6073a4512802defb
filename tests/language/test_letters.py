"""Words said by their letters, in scripts of several kinds."""

import pytest

from workbench.language.letters import NOISE, spell, spell_words


@pytest.mark.parametrize(
    ("word", "letters"),
    [
        ("Þórður", "þ ó r ð u r"),
        ("don't", "d o n t"),
        ("nine.", "n i n e"),
        ("sɛ́k", "s ɛ́ k"),  # an accent that no letter of Unicode has
        ("शून्य", "श ू न य"),  # the sign that mutes a vowel is no letter
        ("क़लम", "क़ ल म"),
        ("ثَلاثة", "ث َ ل ا ث ة"),
        ("三二五", "三 二 五"),
        ("-", ""),
        ("\u0301", ""),
    ],
)
def test_a_word_is_its_letters(word: str, letters: str) -> None:
    """Case, punctuation and what only changes another letter are no letters."""
    assert " ".join(spell(word)) == letters


@pytest.mark.parametrize("word", ["<noise>", "[laughter]", "(hm)", "{BRTH}"])
def test_a_tag_is_noise(word: str) -> None:
    """What stands in brackets is not read out."""
    assert spell(word) == (NOISE,)


def test_the_lexicon_has_each_word_once() -> None:
    """Words keep their case, marks of silence and dashes are no words, and SIL is phone 0."""
    lexicon = spell_words(["ab", "Ba", "ab", "-", "<eps>", "<sil>", "SIL"])
    assert lexicon.words == ("<eps>", "Ba", "ab")
    assert lexicon.phones == ("SIL", "a", "b")
    assert [p.phones for p in lexicon.pronunciations] == [(2, 1), (1, 2)]
    with pytest.raises(ValueError, match="no word has letters"):
        spell_words(["-", "..."])
