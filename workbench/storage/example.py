"""One utterance in detail, kept in a run's folder for reports and panels to draw."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.storage.files import read_json, write_json, write_npz
from workbench.storage.run import Run

ARRAYS = "example.npz"
TEXT = "example.json"

# What became of a frame.
CANCELLED = 0
KEPT = 1
REJECTED = 2


class AlignedUnit(NamedTuple):
    """A word or phone of the alignment, from frame ``first`` up to but without frame ``end``."""

    name: str
    first: int
    end: int


class LatticeWord(NamedTuple):
    """A word of the lattice, with its posterior.

    Paths reach it from frame ``first`` up to but without frame ``end``.
    """

    word: str
    first: int
    end: int
    posterior: float


@dataclass(frozen=True)
class Example:
    """One utterance of a run.

    ``hypotheses``: words by run. ``features``: log-mel energies float32 [frames, mel].
    ``numerator`` and ``denominator``: occupancies [frames, columns] of the tied ``states`` int64
    [columns]. ``fate`` [frames]: CANCELLED, KEPT or REJECTED.
    """

    utterance: str
    reference: str
    hypotheses: dict[str, str]
    words: list[AlignedUnit]
    phones: list[AlignedUnit]
    features: np.ndarray
    states: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    fate: np.ndarray
    lattice_words: list[LatticeWord]

    @property
    def frames(self) -> int:
        """Length of the utterance."""
        return len(self.features)


def save_example(run: Run, example: Example) -> None:
    """Write the utterance into the run's folder: arrays as ``example.npz``, text as JSON."""
    write_npz(
        run.folder / ARRAYS,
        features=example.features,
        states=example.states,
        numerator=example.numerator,
        denominator=example.denominator,
        fate=example.fate,
    )

    text = {
        "utterance": example.utterance,
        "reference": example.reference,
        "hypotheses": example.hypotheses,
        "words": example.words,
        "phones": example.phones,
        "labels": example.lattice_words,
    }
    write_json(run.folder / TEXT, text)


def read_example(run: Run) -> Example | None:
    """Return the utterance that was left in the run, or None if there is none."""
    arrays = run.folder / ARRAYS
    if not arrays.exists():
        return None

    text = read_json(run.folder / TEXT)
    with np.load(arrays, allow_pickle=False) as loaded:
        return Example(
            utterance=text["utterance"],
            reference=text["reference"],
            hypotheses=text["hypotheses"],
            words=[AlignedUnit(*word) for word in text["words"]],
            phones=[AlignedUnit(*phone) for phone in text["phones"]],
            features=loaded["features"],
            states=loaded["states"],
            numerator=loaded["numerator"],
            denominator=loaded["denominator"],
            fate=loaded["fate"],
            lattice_words=[LatticeWord(*word) for word in text["labels"]],
        )
