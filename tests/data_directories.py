"""Small Kaldi data directories with real audio, for tests of what reads them."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from workbench.corpus.utterances import DataSet

GOOD = {
    "wav.scp": "a audio/a.wav\nb audio/b.flac\nc audio/c.ogg\n",
    "text": "a einn tveir\nb þrír\nc fjórir fimm sex\n",
    "utt2spk": "a s1\nb s1\nc s2\n",
}


def make_tone(
    path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1, **options
) -> Path:
    """Write a file with a tone, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(np.arange(round(seconds * rate)) * 0.1)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate, **options)
    return path


def make_directory(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write a data directory whose parent has three recordings of different kinds."""
    root.mkdir(parents=True, exist_ok=True)
    make_tone(root.parent / "audio" / "a.wav", 0.5, 8000)
    make_tone(root.parent / "audio" / "b.flac", 1.0, 44100)
    make_tone(root.parent / "audio" / "c.ogg", 2.0, 16000, 2)
    for name, content in files.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


LEXICON = "einn e i n\ntveir t v e i r\nfimm f i m\n"
SPLIT_SIZES = {"train": 30, "heldout": 3, "test": 3}


def make_corpus_directory(root: Path, sizes: dict[str, int] = SPLIT_SIZES) -> Path:
    """Write a data directory that can be prepared: words in noise, lexicon.txt and all splits."""
    words = [line.split()[0] for line in LEXICON.splitlines()]
    chance = random.Random(1)
    for split, size in sizes.items():
        folder = root / split
        folder.mkdir(parents=True)
        names = [f"{split}-{n:03}" for n in range(size)]
        for n, name in enumerate(names):
            make_noise(folder / f"{name}.flac", seed=n)
        _write_table(folder / "wav.scp", {name: f"{name}.flac" for name in names})
        texts = {name: f"{chance.choice(words)} {chance.choice(words)}" for name in names}
        _write_table(folder / "text", texts)
        _write_table(folder / "utt2spk", {name: f"s{n % 5}" for n, name in enumerate(names)})
    (root / "lexicon.txt").write_text(LEXICON)
    return root


def make_noise(path: Path, seed: int = 0, seconds: float = 1.0, rate: int = 16000) -> Path:
    """Write a file with noise whose level goes up and down, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round(seconds * rate)
    level = 0.1 * np.abs(np.sin(np.arange(count) * 0.001 * (1 + seed % 7)))
    samples = level * np.random.default_rng(seed).normal(size=count)
    soundfile.write(path, samples.clip(-0.99, 0.99), rate)
    return path


def _write_table(path: Path, rows: dict[str, str]) -> None:
    path.write_text("".join(f"{key} {rest}\n" for key, rest in rows.items()))


def count_reasons(data: DataSet) -> Counter[str]:
    """Return how many utterances were set aside for each reason."""
    return Counter(s.reason for s in data.set_aside)


def mutilate(data: bytes, chance: random.Random, pieces: list[bytes]) -> bytes:
    """Return ``data`` with one to three places of up to two bytes replaced by one of ``pieces``."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(changed))
        changed[at : at + chance.randrange(3)] = chance.choice(pieces)
    return bytes(changed)
