"""The synthesiser as seen from this package: a process that answers with phones and samples (``espeak.py``)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from workbench.processes import child_environment

PROGRAM = Path(__file__).with_name(
    "espeak.py"
)  # run as a file: starting the whole package costs more than a shard's speech


class Synthesiser:
    """One process, alive inside a ``with`` block; RuntimeError tells what the library could not do."""

    def __init__(self, data: Path | None = None, seed: int = 0):
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(PYTHONIOENCODING="utf-8"),
        )
        try:
            answer = self._ask(do="open", data=data and str(data.parent), seed=seed)
        except BaseException:
            self.close()
            raise
        self.rate: int = answer["rate"]
        self.version: str = answer["version"]

    def __enter__(self) -> "Synthesiser":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()

    def pronounce(self, texts: list[str], voice: str) -> list[list[list[str]]]:
        """For each text, for each word as the synthesiser sees it, its mnemonics."""
        answer = self._ask(do="pronounce", voice=voice, texts=texts)
        return [[word.split("_") for word in text.split()] for text in answer["phones"]]

    def say(
        self, text: str, voice: str, rate: int, pitch: int, spread: int
    ) -> tuple[np.ndarray, list[tuple[str, int]]]:
        """int16 samples of ``text``, spelled as [[mnemonics]], and (mnemonic, first sample) of sounds and pauses."""
        answer = self._ask(
            do="say", voice=voice, text=text, spelled=True, rate=rate, pitch=pitch, range=spread
        )
        data = self.process.stdout.read(2 * answer["samples"])
        return np.frombuffer(data, "<i2"), [
            (mnemonic, sample) for mnemonic, sample in answer["events"]
        ]

    def _ask(self, **request) -> dict:
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the speech synthesiser died with exit code {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the speech synthesiser: {answer['error']}")
        return answer
