"""True phones of synthetic speech, frame by frame: to measure alignments with, never for training.

A file true/SPLIT.jsonl has a line ``{"utt": ..., "phones": [[phone, start, end], ...]}`` for each
utterance, with times in seconds from its start.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.corpus.utterances import PhoneTime
from workbench.settings import UserError
from workbench.settings.frame import FRAME_SECONDS

NOT_KNOWN = -1
SILENCE = 0


class TruePhones:
    """An index of such a file; the times themselves are read from disk when they are asked for."""

    def __init__(self, path: Path, phones: Sequence[str]):
        """Read where each utterance stands in ``path``; raise UserError if a line is broken.

        The positions of ``phones``, the lexicon's, are the ids; 0 is silence.
        """
        if not phones:
            raise ValueError("the phones of the lexicon are needed to number the true ones")
        self._path = Path(path)
        self._ids = {phone: i for i, phone in enumerate(phones)}
        self._places = self._index()

    def times(self, utterance: str) -> list[PhoneTime]:
        """Return the phones of ``utterance`` with their times; empty if it is not in the file."""
        place = self._places.get(utterance)
        if place is None:
            return []
        with open(self._path, "rb") as file:
            file.seek(place)
            line = json.loads(file.readline())
        return [PhoneTime(*entry) for entry in line["phones"]]

    def frames(self, utterance: str, frames: int) -> np.ndarray:
        """Return phone ids int16 [frames]: the phone at the middle of each frame.

        It is silence (0) where the file has no phone, and -1 for a phone that the lexicon lacks or
        an utterance that the file lacks.
        """
        times = self.times(utterance)
        out = np.full(frames, SILENCE if times else NOT_KNOWN, np.int16)
        for phone, start, end in times:
            first = _first_frame_from(start)
            last = _first_frame_from(end)
            out[first:last] = self._ids.get(phone, NOT_KNOWN)
        return out

    def _index(self) -> dict[str, int]:
        """Return the offset in bytes of each utterance's line."""
        places: dict[str, int] = {}
        place = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    utterance = json.loads(line)["utt"]
                    places[utterance] = place
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{self._path}:{number}: not a line of phone times: {error}"
                    ) from None
                place += len(line)
        return places


def _first_frame_from(seconds: float) -> int:
    """Return the first frame whose middle is not before ``seconds``."""
    return max(0, int(np.ceil(seconds / FRAME_SECONDS - 0.5)))
