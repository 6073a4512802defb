"""The synthesiser as a process that returns phones and samples (``espeak.py``)."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from workbench.system.processes import child_environment

# Run as a file: starting the whole package costs more than the speech of a shard.
PROGRAM = Path(__file__).with_name("espeak.py")


class SoundEvent(NamedTuple):
    """A sound or pause of the synthesiser, and the sample at which it starts."""

    mnemonic: str
    sample: int


@dataclass(frozen=True)
class Speech:
    """Samples int16 [n] at the synthesiser's rate, and the sounds in them."""

    samples: np.ndarray
    events: list[SoundEvent]


@dataclass(frozen=True)
class Manner:
    """How a voice speaks: words per minute, and pitch and its range from 0 to 100."""

    rate: int
    pitch: int
    range: int


class Synthesiser:
    """The process, a context manager; RuntimeError reports what the library could not do."""

    def __init__(self, data: Path | None = None, seed: int = 0):
        """Start the process with the voices in ``data`` (None: the library's own)."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(PYTHONIOENCODING="utf-8"),
        )
        try:
            folder = None if data is None else str(data.parent)
            answer = self._ask(do="open", data=folder, seed=seed)
        except BaseException:
            self.close()
            raise
        self.rate: int = answer["rate"]
        self.version: str = answer["version"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def pronounce(self, texts: list[str], voice: str) -> list[list[list[str]]]:
        """Return, for each text and each word that the synthesiser finds in it, the mnemonics."""
        answer = self._ask(do="pronounce", voice=voice, texts=texts)
        return [[word.split("_") for word in phones.split()] for phones in answer["phones"]]

    def say(self, text: str, voice: str, manner: Manner) -> Speech:
        """Return the speech of ``text``, which is spelled in [[mnemonics]]."""
        answer = self._ask(
            do="say",
            voice=voice,
            text=text,
            rate=manner.rate,
            pitch=manner.pitch,
            range=manner.range,
        )
        assert self._process.stdout is not None
        data = self._process.stdout.read(2 * answer["samples"])
        events = [SoundEvent(mnemonic, sample) for mnemonic, sample in answer["events"]]
        return Speech(np.frombuffer(data, "<i2"), events)

    def _ask(self, **request: object) -> dict[str, Any]:
        """Send one request and return the answer, JSON as ``espeak.py`` describes it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the speech synthesiser died with exit code {process.wait()}")

        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the speech synthesiser: {answer['error']}")
        return answer
