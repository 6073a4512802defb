"""Small Kaldi data directories with real audio, for tests of what reads them."""

from pathlib import Path

import numpy as np
import soundfile

GOOD = {
    "wav.scp": "a audio/a.wav\nb audio/b.flac\nc audio/c.ogg\n",
    "text": "a einn tveir\nb þrír\nc fjórir fimm sex\n",
    "utt2spk": "a s1\nb s1\nc s2\n",
}


def tone(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1, **options) -> Path:
    """A file with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(np.arange(round(seconds * rate)) * 0.1)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate, **options)
    return path


def folder(root: Path, files: dict[str, str | bytes]) -> Path:
    """A data directory with three recordings of different kinds in its parent."""
    root.mkdir(parents=True, exist_ok=True)
    tone(root.parent / "audio" / "a.wav", 0.5, 8000)
    tone(root.parent / "audio" / "b.flac", 1.0, 44100)
    tone(root.parent / "audio" / "c.ogg", 2.0, 16000, 2)
    for name, content in files.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
