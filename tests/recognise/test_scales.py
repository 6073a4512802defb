"""The scales of a test: the fewest errors, unless those of the other model are as good."""

import pytest

from workbench.metrics.words import WordErrors, word_errors
from workbench.recognise.evaluate import RecognitionScales, choose_scales

WORDS = ("a",) * 10
SPEAKERS = [f"speaker {u % 6}" for u in range(60)]
PARENT = RecognitionScales(0.15, 1.5)
OTHER = RecognitionScales(0.1, 1.0)


def utterances(wrong: list[int]) -> list[WordErrors]:
    """The errors of utterances of ten words, of which so many are wrong, in turn."""
    counts = [wrong[u % len(wrong)] for u in range(len(SPEAKERS))]
    return [word_errors(WORDS, ("b",) * n + WORDS[n:]) for n in counts]


def test_the_fewest_errors_are_chosen() -> None:
    """Without another model the best scales are taken, however little they are better."""
    tried = {PARENT: utterances([5, 5, 5, 6]), OTHER: utterances([5, 5, 5, 5])}
    assert choose_scales(tried, SPEAKERS) == OTHER


@pytest.mark.parametrize(
    ("wrong", "chosen"),
    [
        ([6, 3, 6, 3, 6, 5], PARENT),  # better for some speakers and worse for others
        ([4, 4, 4, 4, 4, 5], OTHER),  # better for nearly all
        ([5, 5, 5, 5, 5, 5], PARENT),
    ],
)
def test_the_scales_of_the_other_model_are_left_for_what_is_clearly_better(
    wrong: list[int], chosen: RecognitionScales
) -> None:
    """A gain within a standard error over speakers is noise, and would decide the comparison."""
    tried = {PARENT: utterances([5, 5, 5, 5, 5, 5]), OTHER: utterances(wrong)}
    assert choose_scales(tried, SPEAKERS, PARENT) == chosen


def test_few_speakers_are_compared_by_utterances() -> None:
    """Two speakers have no standard error to speak of."""
    tried = {PARENT: utterances([5, 5]), OTHER: utterances([9, 0])}
    assert choose_scales(tried, ["one", "two"] * 30, PARENT) == PARENT


def test_of_equally_good_scales_the_middle_is_taken() -> None:
    """On a few held-out utterances many scales make no errors; the smallest would be a corner."""
    none = utterances([0])
    tried = {
        RecognitionScales(acoustic, lm): utterances([1]) if lm > 2 else none
        for acoustic in (0.07, 0.1, 0.15)
        for lm in (0.6, 0.8, 1.0, 1.2, 1.5, 2.5)
    }
    assert choose_scales(tried, SPEAKERS) == RecognitionScales(0.1, 1.0)
