"""The messages to and from the processes that make shards: one line of JSON each."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.corpus.synthesis.difficulty import Difficulty


@dataclass(frozen=True)
class Prompt:
    """A sentence that a voice is to read."""

    id: str
    voice: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One shard: the prompts to read, and the audio file to write."""

    audio: Path
    language: str
    seed: int
    name: str
    prompts: tuple[Prompt, ...]
    difficulty: Difficulty

    def to_json(self) -> str:
        """Return one line that `from_json` reads."""
        return json.dumps({**asdict(self), "audio": str(self.audio)})

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """Return the job that ``line`` describes."""
        fields = json.loads(line)
        prompts = (Prompt(p["id"], p["voice"], tuple(p["words"])) for p in fields["prompts"])
        return cls(
            audio=Path(fields["audio"]),
            language=fields["language"],
            seed=fields["seed"],
            name=fields["name"],
            prompts=tuple(prompts),
            difficulty=Difficulty(**fields["difficulty"]),
        )


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of an utterance that was made.

    Rows are lines of files, ready to be written, because 60 hours of speech have many of them.
    """

    id: str
    start: float  # seconds in its recording
    end: float
    true_row: (
        str | None
    )  # None: the synthesiser spoke other phones than asked, so times are unknown
    conditions_row: str
    pronunciations: list[str]  # canonical, of each word


@dataclass(frozen=True)
class Answer:
    """The utterances of a shard, in the order of its prompts, or why there are none."""

    made: tuple[Made, ...] = ()
    error: str = ""

    def to_json(self) -> str:
        """Return one line that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Answer":
        """Return the answer that ``line`` holds."""
        fields = json.loads(line)
        return cls(tuple(Made(**made) for made in fields["made"]), fields["error"])
