"""Speakers: random variants of the synthesiser's voice, as files in a data directory of its own format."""

import importlib.util
from pathlib import Path

import numpy as np

from workbench.settings import UserError, rng

FORMANTS = 9


def speakers(split: str, first: int, count: int) -> list[str]:
    """Names of the voices of one split; ``first`` is the number of voices that other splits have before."""
    return [f"{split[:2]}{number:04d}" for number in range(first, first + count)]


def source() -> Path:
    """The synthesiser's data; UserError if the package that holds it is missing. It is only looked for, not loaded."""
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        raise UserError(
            "speech synthesis needs the package espeakng-loader: pip install 'workbench[data]'"
        )
    return Path(spec.origin).parent / "espeak-ng-data"


def write_data(folder: Path, names: list[str], seed: int) -> Path:
    """A copy of the synthesiser's data, by links, whose voice variants are those of ``names``; returns its path.

    The synthesiser reads all of them at its start and knows at most 349, so a folder holds what one shard needs.
    """
    data = folder / "espeak-ng-data"
    variants = data / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in sorted(source().iterdir()):
        if entry.name != "voices":
            (data / entry.name).symlink_to(entry)
    for name in names:
        (variants / name).write_text(variant(name, rng(seed, "voice", name)), encoding="ascii")
    return data


def variant(name: str, stream: np.random.Generator) -> str:
    """A voice file (docs/voices.md of eSpeak NG): vocal tract, formants, pitch, roughness and timbre at random."""
    female = stream.random() < 0.5
    tract = (1.13 if female else 0.99) * stream.normal(1.0, 0.04)
    pitch = stream.uniform(140, 210) if female else stream.uniform(70, 125)
    lines = [
        "language variant",
        f"name {name}",
        f"gender {'female' if female else 'male'}",
        f"pitch {pitch:.0f} {pitch * stream.uniform(1.3, 1.7):.0f}",
        f"flutter {stream.integers(1, 8)}",
        f"roughness {stream.integers(0, 6)}",
        f"voicing {stream.integers(75, 115)}",
        f"consonants {stream.integers(60, 140)} {stream.integers(60, 140)}",
    ]
    for formant in range(FORMANTS):
        frequency = 100 * tract * stream.normal(1, 0.025)
        strength = np.clip(stream.normal(100, 12), 60, 150)
        width = np.clip(stream.normal(105, 15), 70, 170)
        lines.append(f"formant {formant} {frequency:.0f} {strength:.0f} {width:.0f}")
    if stream.random() < 0.3:
        a, b, c, d = stream.integers(60, 220, 4)
        lines.append(f"tone 600 {a} 1200 {b} 2000 {c} 3000 {d}")
    return "\n".join(lines) + "\n"
