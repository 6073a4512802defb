"""Making speech and features: times real time per core, against kaldi-native-fbank and a batched
FFT in torch.

    PYTHONPATH=tests python -m benchmarks.bench_corpus [--rounds 7] [--utterances 60]

* features: log-mel energies of utterances of 3 s that are in memory; the limit is the Fourier
  transform alone.
* from FLAC to a frame store: everything between audio files and training; the limit is decoding the
  FLAC files.
* synthesis: speech with noise, rooms and phone times, one process; the limit is eSpeak NG itself,
  in the same voices.

Processor time; equal features (1e-3) are asserted.
"""

import argparse
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from benchmarks.rounds import medians, peak_megabytes, print_compared, print_heading
from kaldi_fbank import kaldi_log_mel

from workbench.corpus.audio import AudioReader
from workbench.corpus.synthesis import Difficulty
from workbench.corpus.synthesis.job import Job, Prompt
from workbench.corpus.synthesis.shard import make_shard
from workbench.corpus.synthesis.speech import Manner, Synthesiser
from workbench.corpus.utterances import DataSet, Utterance
from workbench.features.logmel import FLOOR, filterbank, log_mel
from workbench.features.prepare import prepare_features

RATE = 16000
SECONDS = 3.0
QUERIES = [
    "veður í reykjavík á morgun",
    "hvar er næsta kaffihús",
    "hringdu í mömmu",
    "hvað er klukkan núna",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--utterances", type=int, default=60)
    options = parser.parse_args()
    print_heading("what", "x real time per core", "x the best peer", "of the limit")
    with TemporaryDirectory() as folder:
        features(options.rounds, options.utterances)
        from_files(Path(folder), options.rounds, options.utterances)
        synthesis(Path(folder), options.rounds)
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def features(rounds: int, count: int) -> None:
    """Log-mel energies of what is in memory."""
    speech = [noise(n) for n in range(count)]
    np.testing.assert_allclose(log_mel(speech[0], RATE), kaldi_log_mel(speech[0], RATE), atol=1e-3)
    np.testing.assert_allclose(log_mel(speech[0], RATE), torch_log_mel(speech[0]), atol=1e-3)
    frames = np.zeros((int(100 * SECONDS), filterbank(RATE).transform_size), np.float32)
    ways = {
        "features": lambda: [log_mel(s, RATE) for s in speech],
        "peer: kaldi-native-fbank": lambda: [kaldi_log_mel(s, RATE) for s in speech],
        "peer: batched FFT in torch": lambda: [torch_log_mel(s) for s in speech],
        "limit: Fourier transform alone": lambda: [transform(frames) for _ in speech],
    }
    report(medians(ways, rounds), count * SECONDS)


def transform(frames: np.ndarray) -> np.ndarray:
    import scipy.fft

    return scipy.fft.rfft(frames, axis=1)


def torch_log_mel(samples: np.ndarray) -> np.ndarray:
    """The same features as a user of torch would compute them: all frames at once, a product with
    the filters.
    """
    import torch

    bank = filterbank(RATE)
    length = len(bank.window)
    shift = bank.shift
    x = torch.from_numpy(samples)
    ahead = length // 2 - shift // 2
    count = (len(samples) + shift // 2) // shift
    behind = (count - 1) * shift + length - ahead - len(samples)
    x = torch.cat([x[:ahead].flip(0), x, x[len(x) - max(0, behind) :].flip(0)])
    frames = x.unfold(0, length, shift)[:count]
    frames = frames - frames.mean(1, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[:, :1], frames[:, :-1]], 1)
    spectrum = torch.fft.rfft(frames * torch.from_numpy(bank.window), n=bank.transform_size)
    power = spectrum.real**2 + spectrum.imag**2
    return torch.log((power @ torch.from_numpy(filters()).t()).clamp_min(float(FLOOR))).numpy()


def filters(made: list = []) -> np.ndarray:  # noqa: B006  they are made once
    """The mel filters as a matrix [40, bins]."""
    if not made:
        bank = filterbank(RATE)
        made.append(np.zeros((len(bank.first), bank.transform_size // 2 + 1), np.float32))
        for m, (first, count) in enumerate(zip(bank.first, bank.count, strict=True)):
            made[0][m, first : first + count] = bank.weight[m, :count]
    return made[0]


def from_files(folder: Path, rounds: int, count: int) -> None:
    """From FLAC files, one for a hundred utterances as the synthesiser writes them, to a frame
    store.
    """
    path = folder / "speech.flac"
    soundfile.write(
        path, np.concatenate([noise(n) for n in range(count)]), RATE, "PCM_16", format="FLAC"
    )
    utterances = tuple(
        Utterance(f"u{n}", "s", ("w",), path, n * SECONDS, (n + 1) * SECONDS, "", RATE, SECONDS)
        for n in range(count)
    )

    def decode() -> None:
        with AudioReader() as reader:
            for u in utterances:
                reader.read(u.audio, u.start, u.end)

    ways = {
        "from FLAC to a frame store": lambda: prepare_features(
            DataSet(utterances, ()), folder / "store"
        ),
        "limit: decoding FLAC": decode,
    }
    report(medians(ways, rounds), count * SECONDS)


def synthesis(folder: Path, rounds: int) -> None:
    """One shard of queries in one process, and eSpeak NG saying the same."""
    texts = [QUERIES[n % len(QUERIES)] for n in range(20)]
    prompts = tuple(Prompt(f"u{n}", "anna", tuple(text.split())) for n, text in enumerate(texts))
    audio = folder / "shard.flac"
    job = Job(audio, "is", 0, "train-0000", prompts, Difficulty())

    def speak() -> None:
        with Synthesiser() as synthesiser:
            for text in texts:
                synthesiser.say(text, "is", Manner(185, 50, 50))

    ways = {"synthesis": lambda: make_shard(job), "limit: eSpeak NG alone": speak}
    report(medians(ways, rounds), soundfile.info(audio).duration)


def report(found: dict[str, float], seconds: float) -> None:
    peers = [name for name in found if name.startswith("peer")]
    (limit,) = (name for name in found if name.startswith("limit"))
    print_compared(found, lambda each: f"{seconds / each:,.0f}", peers, limit)


def noise(seed: int) -> np.ndarray:
    """Noise under a slow envelope, float32 in (-1, 1)."""
    t = np.arange(int(SECONDS * RATE)) / RATE
    envelope = 0.1 * np.maximum(0.001, np.sin(2 * math.pi * 1.7 * t + seed))
    return (
        (np.random.default_rng(seed).standard_normal(len(t)) * envelope)
        .clip(-0.99, 0.99)
        .astype(np.float32)
    )


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
