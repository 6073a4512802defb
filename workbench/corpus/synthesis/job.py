"""What the parent process and a shard's process say to each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One shard: where to write it and from what; utterances are (id, voice, words)."""

    audio: str
    language: str
    seed: int
    name: str
    utterances: list[tuple[str, str, list[str]]]
    difficulty: dict


@dataclass(frozen=True)
class Result:
    """What is known of an utterance made. Rows of files are ready to be written: of 60 hours they are many."""

    id: str
    start: float  # seconds in its recording
    end: float
    true_row: (
        str | None
    )  # None: the synthesiser did not say what it was asked to, so phone times are not known
    conditions_row: str
    pronunciations: list[str]  # of each word, canonical
