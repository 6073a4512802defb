"""A process that makes shards of a corpus: one job a line in, audio written, one line of results out.

What a shard contains depends on its job alone: the synthesiser is started anew for every shard (its random state leaks
from one utterance into the next), and every utterance has a random stream of its own. So the number of processes
changes nothing.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from workbench.corpus.synthesis import english, icelandic
from workbench.corpus.synthesis.difficulty import Difficulty
from workbench.corpus.synthesis.distortion import RATE, SYNTHESISER_RATE, distort, resample
from workbench.corpus.synthesis.job import Job, Result
from workbench.corpus.synthesis.phones import Spelling, bare, spell, spoken
from workbench.corpus.synthesis.speech import Synthesiser
from workbench.corpus.synthesis.voices import write_data
from workbench.settings import rng

SLOWEST, FASTEST = 120, 270  # words/min; above about 450 the synthesiser's times go wrong
Times = list[tuple[str, float, float]]  # phone, start, end in seconds
SOUNDS = {"is": icelandic.SOUNDS, "en": english.SOUNDS}


def serve(lines, out) -> None:
    """Answers each job of ``lines`` with the list of its results, or with what went wrong."""
    for line in lines:
        try:
            answer: dict = {"results": [asdict(r) for r in make(Job(**json.loads(line)))]}
        except (RuntimeError, OSError, ImportError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


def make(job: Job) -> list[Result]:
    """Says, distorts and writes the utterances of one shard into one FLAC file."""
    knobs = Difficulty(**job.difficulty)
    streams = [rng(job.seed, "utterance", id) for id, _, _ in job.utterances]
    said, words = said_clearly(job, knobs, streams)
    bank = [samples for samples, _ in said]
    results, parts, at = [], [], 0
    for (id, _, _), mnemonics, (samples, times), stream in zip(
        job.utterances, words, said, streams, strict=True
    ):
        recorded, conditions = distort(samples, knobs, bank, stream)
        true_row = (
            None if times is None else json.dumps({"utt": id, "phones": times}, ensure_ascii=False)
        )
        conditions_row = json.dumps({"utt": id, **asdict(conditions)})
        pronunciations = [" ".join(spoken(m, SOUNDS[job.language].fold) or ()) for m in mnemonics]
        end = at + len(recorded)
        results.append(Result(id, at / RATE, end / RATE, true_row, conditions_row, pronunciations))
        parts.append(np.round(recorded * 32767).astype(np.int16))
        at = end
    soundfile.write(job.audio, np.concatenate(parts), RATE, "PCM_16", format="FLAC")
    return results


def said_clearly(
    job: Job, knobs: Difficulty, streams
) -> tuple[list[tuple[np.ndarray, Times | None]], list]:
    """Of each utterance the undistorted samples with their phone times, and the mnemonics of its words."""
    state = int(rng(job.seed, "synthesiser", job.name).integers(1 << 31))
    names = sorted({voice for _, voice, _ in job.utterances})
    with (
        TemporaryDirectory(dir=Path(job.audio).parent) as folder,
        Synthesiser(write_data(Path(folder), names, job.seed), state) as synthesiser,
    ):
        words = in_context(synthesiser, job)
        todo = zip(job.utterances, words, streams, strict=True)
        return [
            say(synthesiser, job.language, voice, w, knobs, stream)
            for (_, voice, _), w, stream in todo
        ], words


def in_context(synthesiser: Synthesiser, job: Job) -> list[list[list[str]]]:
    """Mnemonics of every word of every utterance, as said in its sentence, or alone where that is not clear."""
    sounds = SOUNDS[job.language]
    texts = [words for _, _, words in job.utterances]
    single = list(dict.fromkeys(w for words in texts for w in words))
    alone = dict(
        zip(single, (p[0] for p in synthesiser.pronounce(single, sounds.voice)), strict=True)
    )
    out = []
    for words, said in zip(
        texts, synthesiser.pronounce([" ".join(w) for w in texts], sounds.voice), strict=True
    ):
        clear = len(said) == len(words) and all(spoken(m, sounds.fold) for m in said)
        out.append(said if clear else [alone[w] for w in words])
    return out


def say(
    synthesiser, language: str, voice: str, words, knobs: Difficulty, stream
) -> tuple[np.ndarray, Times | None]:
    """Samples at 16 kHz with silence around, peak at most 1, and the times of its phones."""
    sounds = SOUNDS[language]
    spelling = spell(
        words, sounds.fold, sounds.near, sounds.vowels, knobs.pronunciation_noise, stream
    )
    rate = int(np.clip(stream.normal(knobs.rate_mean, knobs.rate_spread), SLOWEST, FASTEST))
    pitch = int(np.clip(stream.normal(50, 10), 20, 85))
    pcm, events = synthesiser.say(
        spelling.text, f"{sounds.voice}+{voice}", rate, pitch, int(stream.integers(30, 80))
    )
    before, after = (
        int(stream.uniform(knobs.silence_shortest, knobs.silence_longest) * RATE) for _ in range(2)
    )
    speech = resample(pcm)
    speech = np.pad(speech / max(1.0, float(np.abs(speech).max())), (before, after))
    times = phone_times(spelling, events, sounds.fold, len(pcm), before / RATE)
    if times is not None:
        times = [
            ("SIL", 0.0, times[0][1]),
            *times,
            ("SIL", times[-1][2], round(len(speech) / RATE, 4)),
        ]
    return speech, times


def phone_times(
    spelling: Spelling, events, fold: dict[str, str], samples: int, offset: float
) -> Times | None:
    """(phone, start, end) of each phone, without gaps; None if the synthesiser said another number of phones.

    A sound that belongs to no phone and a pause lengthen the phone before; a phone swallowed whole is left out. A
    plosive begins with its burst, so its closure counts to the phone before, too.
    """
    heard = [(bare(mnemonic), sample) for mnemonic, sample in events if bare(mnemonic)]
    # the synthesiser adds glides of its own, which have no phone
    starts = [sample for sound, sample in heard if fold.get(sound, sound)]
    if len(starts) != len(spelling.owner):
        return None
    first: dict[int, int] = {}
    for owner, start in zip(spelling.owner, starts, strict=True):
        first.setdefault(owner, start)
    end = next(
        (sample for _, sample in events if sample > heard[-1][1]), samples
    )  # the pause after the last sound
    bounds = [*(first[i] for i in range(len(spelling.phones))), end]
    seconds = [round(b / SYNTHESISER_RATE + offset, 4) for b in bounds]
    return [
        (p, a, b)
        for p, a, b in zip(spelling.phones, seconds[:-1], seconds[1:], strict=True)
        if a < b
    ]


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
