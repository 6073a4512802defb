"""Speakers: random variants of the synthesiser's voice, as files in a folder of its own data."""

import importlib.util
from pathlib import Path

import numpy as np

from workbench.settings import UserError, rng

FORMANTS = 9
FEMALE_TRACT = 1.13  # formants relative to the synthesiser's voice
MALE_TRACT = 0.99


def name_speakers(split: str, first: int, count: int) -> list[str]:
    """Return the names of the voices of one split; ``first`` voices belong to splits before it."""
    return [f"{split[:2]}{number:04d}" for number in range(first, first + count)]


def find_espeak_data() -> Path:
    """Return the folder of the synthesiser's data.

    The package is only looked up, not loaded. Raise UserError if it is missing.
    """
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        raise UserError(
            "speech synthesis needs the package espeakng-loader: pip install 'workbench[data]'"
        )
    return Path(spec.origin).parent / "espeak-ng-data"


def write_voices(folder: Path, names: list[str], seed: int) -> Path:
    """Write the synthesiser's data with the voices ``names``, and return the folder of it.

    All else is links. The synthesiser reads every variant at its start and knows at most 349, so a
    folder holds the voices of one shard.
    """
    data = folder / "espeak-ng-data"
    variants = data / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in sorted(find_espeak_data().iterdir()):
        if entry.name != "voices":
            (data / entry.name).symlink_to(entry)

    for name in names:
        text = describe_voice(name, rng(seed, "voice", name))
        (variants / name).write_text(text, encoding="ascii")
    return data


def describe_voice(name: str, stream: np.random.Generator) -> str:
    """Return a voice file with random vocal tract, formants, pitch, roughness and timbre.

    docs/voices.md of eSpeak NG describes the format.
    """
    female = stream.random() < 0.5
    tract = (FEMALE_TRACT if female else MALE_TRACT) * stream.normal(1.0, 0.04)
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
