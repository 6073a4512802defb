"""Settings that suit a corpus, each with its reason.

The rules are those by which this project's own corpora of a minute to 60 hours were set by hand.
They look at amounts only: no corpus is known by name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.prepare.corpus import Corpus
from workbench.settings import SETTINGS, Settings, Value, preset

SMALLEST_LAYER = 32  # units
LARGEST_LAYER = 1024  # units, as in the paper
DEEP = {32: 1, 64: 2, 128: 2, 256: 2, 512: 3, 1024: 4}
"""Hidden layers for each number of units; four of 1,024 are the paper's network."""

FEW_FRAMES = 100_000
"""Below so many training frames batches are smaller, so that an epoch has some hundred updates."""

FRAME_WORK = 6_000_000
FRAME_EPOCHS = (6.0, 20.0)
SEQUENCE_WORK = 1_100_000
SEQUENCE_EPOCHS = (1.5, 4.0)
"""Frames that training visits, and the bounds of the epochs that follow from them."""

MEASURED_SHARE = 0.15
"""Held-out frames of an evaluation, as a share of the training frames between two."""

LEAST_MEASURED = 60  # utterances

FIRST_SCALE = 0.1
"""The acoustic scale by which cross entropy is measured, before scales are chosen.

A network that is not sure of itself yet, or of new speakers, needs a small one.
"""

MEASUREMENTS = 20
"""Evaluations of a training, about; each may find that the rate is to fall."""

OFTEN = 0.25
SELDOM = 0.5
"""Epochs between evaluations: of a short training where that is affordable, and else."""


@dataclass(frozen=True)
class ChosenSetting:
    """One setting that was chosen, and why."""

    name: str
    value: Value
    reason: str


@dataclass(frozen=True)
class CorpusSize:
    """The amounts of a corpus on which choices depend."""

    frames: int
    heldout_frames: int
    heldout_utterances: int

    @classmethod
    def of(cls, corpus: Corpus) -> "CorpusSize":
        """The amounts of a prepared corpus."""
        heldout = corpus.split("heldout")
        return cls(corpus.split("train").frames, heldout.frames, len(heldout))


def network_choices(size: CorpusSize) -> list[ChosenSetting]:
    """Return the size of the network: its parameters grow as the frames do."""
    wanted = math.sqrt(size.frames) / 2
    units = 2 ** round(math.log2(max(1.0, wanted)))
    units = min(LARGEST_LAYER, max(SMALLEST_LAYER, units))
    reason = f"{size.frames:,} training frames: half their root, to a power of two"
    return [
        ChosenSetting("hidden_units", units, reason),
        ChosenSetting("hidden_layers", DEEP[units], f"as deep as layers of {units} units are wide"),
    ]


def frame_choices(size: CorpusSize) -> list[ChosenSetting]:
    """Return the settings of cross entropy."""
    epochs = _epochs(FRAME_WORK, size.frames, FRAME_EPOCHS)
    small = size.frames < FEW_FRAMES
    return [
        *network_choices(size),
        ChosenSetting(
            "batch",
            64 if small else 200,
            "small, for enough updates in an epoch" if small else "as in the paper",
        ),
        ChosenSetting(
            "epochs", epochs, f"about {FRAME_WORK:,} frames in all, within {FRAME_EPOCHS}"
        ),
        *_measuring(size, epochs),
        ChosenSetting("patience", 1, "the rate falls as soon as the held-out curve is flat"),
        ChosenSetting(
            "flat", 0.03, "relative gain that counts as flat while much is still learned"
        ),
        ChosenSetting("decays", 3, "training ends when three smaller rates gain nothing more"),
        ChosenSetting("acoustic_scale", FIRST_SCALE, "for measuring, before scales are chosen"),
    ]


def sequence_choices(
    size: CorpusSize, network: Sequence[ChosenSetting], criterion: str
) -> list[ChosenSetting]:
    """Return the settings of sequence training that starts from a ``network``."""
    epochs = _epochs(SEQUENCE_WORK, size.frames, SEQUENCE_EPOCHS)
    return [
        ChosenSetting("criterion", criterion, "as asked for"),
        *(replace(choice, reason="that of cross entropy") for choice in network),
        ChosenSetting("batch", 32, "as in the paper: most frames cancel"),
        ChosenSetting(
            "epochs", epochs, f"about {SEQUENCE_WORK:,} frames, within {SEQUENCE_EPOCHS}"
        ),
        *_measuring(size, epochs),
        ChosenSetting("patience", 2, "the curve of sequence training is noisier"),
        ChosenSetting("flat", 0.01, "relative gain that counts as flat"),
        ChosenSetting("decays", 2, "training ends when two smaller rates gain nothing more"),
    ]


def _epochs(work: int, frames: int, bounds: tuple[float, float]) -> float:
    """Passes over the data by which about ``work`` frames are visited, to a half."""
    low, high = bounds
    return min(high, max(low, round(2 * work / max(1, frames)) / 2))


def _measuring(size: CorpusSize, epochs: float) -> list[ChosenSetting]:
    """How often, and on how many utterances, training is measured, and how often it is saved."""
    every = _interval(size, epochs)
    affordable = _affordable(size, every)
    utterances = min(size.heldout_utterances, max(LEAST_MEASURED, affordable))
    what = "all held-out utterances"
    if utterances < size.heldout_utterances:
        what = f"{MEASURED_SHARE:.0%} of the frames that are trained on meanwhile"
    return [
        ChosenSetting("evaluate_every", every, "soon enough for the rate to fall in time"),
        ChosenSetting("evaluate_utterances", utterances, what),
        ChosenSetting("checkpoint_every", max(0.5, every), "what a kill can cost at most"),
    ]


def _interval(size: CorpusSize, epochs: float) -> float:
    """Epochs between evaluations: often where training is short, seldom where data are few."""
    if epochs <= MEASUREMENTS * OFTEN + 1 and _affordable(size, OFTEN) >= LEAST_MEASURED:
        return OFTEN
    return SELDOM if epochs <= MEASUREMENTS * SELDOM + 1 else 1.0


def _affordable(size: CorpusSize, every: float) -> int:
    """Utterances of an evaluation after every so many epochs, as `MEASURED_SHARE` allows."""
    frames_each = size.heldout_frames / max(1, size.heldout_utterances)
    return round(MEASURED_SHARE * every * size.frames / max(1.0, frames_each))


def with_given(choices: Sequence[ChosenSetting], given: Mapping[str, Value]) -> list[ChosenSetting]:
    """Return the choices with values that were given in the place of chosen ones, or added."""
    parsed = {name: SETTINGS[name].parse(value) for name, value in given.items()}
    kept = [choice for choice in choices if choice.name not in parsed]
    return [*kept, *(ChosenSetting(name, value, "as given") for name, value in parsed.items())]


def settings_by(choices: Sequence[ChosenSetting], criterion: str) -> Settings:
    """Return the settings that the choices make."""
    values = {choice.name: choice.value for choice in choices}
    return preset("laptop", **{"criterion": criterion, **values})
