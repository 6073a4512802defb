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
    """What is known of an utterance made; ``start`` and ``end`` in its recording, phones in itself, seconds."""

    id: str
    start: float
    end: float
    phones: list[tuple[str, float, float]] | None  # None: the synthesiser did not say what it was asked to
    pronunciations: list[str]  # of each word, canonical
    conditions: dict
