"""True phones of synthetic speech, frame by frame: to measure alignments with, never for training.

A file true/SPLIT.jsonl has a line ``{"utt": ..., "phones": [[phone, start, end], ...]}`` an utterance, times in seconds
from the start of the utterance.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.settings import UserError

NOT_KNOWN = -1
FRAME = 0.01  # seconds


class TruePhones:
    """An index of the file; the times themselves are read when asked for."""

    def __init__(self, path: Path, phones: Sequence[str]):
        """``phones``: the lexicon's; their positions are the ids, 0 is silence. UserError if a line is broken."""
        if not phones:
            raise ValueError("the phones of the lexicon are needed to number the true ones")
        self._path, self._ids = Path(path), {phone: i for i, phone in enumerate(phones)}
        self._places: dict[str, int] = {}
        place = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    self._places[json.loads(line)["utt"]] = place
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{self._path}:{number}: not a line of phone times: {error}"
                    ) from None
                place += len(line)

    def times(self, utterance: str) -> list[tuple[str, float, float]]:
        """Phone, start and end in seconds; none if the file does not have the utterance."""
        place = self._places.get(utterance)
        if place is None:
            return []
        with open(self._path, "rb") as file:
            file.seek(place)
            return [
                (phone, start, end) for phone, start, end in json.loads(file.readline())["phones"]
            ]

    def frames(self, utterance: str, frames: int) -> np.ndarray:
        """Phone ids int16 [frames]: what is said at the middle of each frame.

        Silence (0) where the file has nothing; -1 for a phone that the lexicon lacks, or an utterance that is missing.
        """
        times = self.times(utterance)
        out = np.full(frames, 0 if times else NOT_KNOWN, np.int16)
        for phone, start, end in times:
            first, last = (max(0, int(np.ceil(t / FRAME - 0.5))) for t in (start, end))
            out[first:last] = self._ids.get(phone, NOT_KNOWN)
        return out
