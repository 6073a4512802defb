"""How hard a synthetic corpus is, and how large."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

from workbench.settings import Group, UserError, Value, setting

NOISES = ("pink", "car", "babble", "music", "white")
SPLITS = ("train", "heldout", "test")

RANGES = (
    ("silence_shortest", "silence_longest"),
    ("snr_lowest", "snr_highest"),
    ("reverb_shortest", "reverb_longest"),
)
"""Pairs of knobs between which a value is drawn."""


@dataclass(frozen=True)
class Difficulty(Group):
    """The knobs that make recognition harder or easier, recorded in ``synthesis.json``."""

    pronunciation_noise: float = setting(
        0.10,
        "share of phones replaced (7 of 10) or left out by the speaker",
        low=0.0,
        high=0.5,
    )
    rate_mean: float = setting(185.0, "mean rate of speaking", "words/min", low=120, high=270)
    rate_spread: float = setting(
        25.0,
        "standard deviation of the rate of speaking",
        "words/min",
        low=0.0,
        high=60.0,
    )
    silence_shortest: float = setting(
        0.1, "shortest silence before and after an utterance", "s", low=0.0, high=2.0
    )
    silence_longest: float = setting(
        0.4, "longest silence before and after an utterance", "s", low=0.0, high=2.0
    )
    noise: float = setting(1.0, "share of utterances with noise", low=0.0, high=1.0)
    noises: str = setting(
        " ".join(NOISES), "kinds of noise, one of which is drawn for each utterance"
    )
    snr_lowest: float = setting(
        5.0,
        "lowest ratio of speech (without its pauses) to noise",
        "dB",
        low=-20.0,
        high=60.0,
    )
    snr_highest: float = setting(
        20.0, "highest ratio of speech to noise", "dB", low=-20.0, high=60.0
    )
    reverb: float = setting(0.4, "share of utterances spoken in a room", low=0.0, high=1.0)
    reverb_shortest: float = setting(
        0.15,
        "shortest time in which a room's echo falls by 60 dB",
        "s",
        low=0.05,
        high=2.0,
    )
    reverb_longest: float = setting(
        0.5,
        "longest time in which a room's echo falls by 60 dB",
        "s",
        low=0.05,
        high=2.0,
    )
    tilt: float = setting(
        0.6,
        "greatest pre-emphasis of the microphone; half as much de-emphasis",
        low=0.0,
        high=0.9,
    )
    telephone: float = setting(0.3, "share of utterances limited to 300-3600 Hz", low=0.0, high=1.0)
    templates: float = setting(0.35, "share of queries made from templates", low=0.0, high=1.0)
    openings: float = setting(
        0.25,
        "share of queries drawn from n-grams from the start of a sentence",
        low=0.0,
        high=1.0,
    )
    slot_exponent: float = setting(
        0.5,
        "exponent of the Zipf distribution of the entries of a template's slot",
        low=0.0,
        high=2.0,
    )
    seed_exponent: float = setting(
        0.6,
        "exponent that flattens the counts of the words with which other queries begin",
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = self.noises.split()
        if not kinds or not set(kinds) <= set(NOISES):
            raise UserError(
                f"noises={self.noises!r}: some of {', '.join(NOISES)}, separated by spaces"
            )

        for low, high in RANGES:
            if getattr(self, low) > getattr(self, high):
                raise UserError(f"{low}={getattr(self, low)} is above {high}={getattr(self, high)}")

        if self.templates + self.openings > 1:
            raise UserError(
                f"templates={self.templates} and openings={self.openings} add up to more than 1"
            )


def make_difficulty(**knobs: Value) -> Difficulty:
    """Return the default difficulty with some knobs changed.

    Raise UserError for a knob that does not exist or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(Difficulty)]
    unknown = sorted(set(knobs) - set(known))
    if unknown:
        raise UserError(
            f"no such knob of difficulty: {', '.join(unknown)}; there are {', '.join(known)}"
        )
    return Difficulty(**knobs)  # type: ignore[arg-type]  # Group converts the values


class PerSplit(NamedTuple):
    """A number for each split."""

    train: int
    heldout: int
    test: int


@dataclass(frozen=True)
class Size:
    """How much of everything a corpus has."""

    utterances: PerSplit
    voices: PerSplit
    vocabulary: int
    lm_sentences: int
    walks: bool = True  # whether text is also drawn from n-grams, whose table takes seconds to read
    knobs: tuple[tuple[str, float], ...] = ()  # of difficulty, if this size changes some


LONG_SILENCES = (("silence_shortest", 0.2), ("silence_longest", 0.97))
"""With these, 90,000 queries fill the 60 hours of the paper."""

# What a test can find depends on its voices and words; see docs/verdicts.md. Every split has random
# streams of its own and test comes last, so another number there leaves train and heldout as
# they are, bit for bit.
SIZES = {
    "tiny": Size(PerSplit(44, 8, 12), PerSplit(8, 3, 4), 150, 1_000, walks=False),
    "smoke": Size(PerSplit(370, 70, 100), PerSplit(40, 8, 12), 800, 8_000),
    "demo": Size(PerSplit(4_300, 360, 2_000), PerSplit(250, 30, 300), 4_000, 40_000),
    "default": Size(PerSplit(10_500, 1_050, 10_000), PerSplit(400, 50, 400), 29_000, 100_000),
    "paper": Size(
        PerSplit(90_000, 1_050, 10_000),
        PerSplit(3_000, 100, 400),
        29_000,
        200_000,
        knobs=LONG_SILENCES,
    ),
}
