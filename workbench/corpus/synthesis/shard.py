"""A process that makes shards of a corpus: one job a line in, audio written, one answer a line out.

A shard depends on its job alone. The synthesiser is started anew for every shard, as its random
state leaks from one utterance into the next, and every utterance has its own random stream. So the
number of processes changes nothing.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np
import soundfile

from workbench.corpus.synthesis import english, icelandic
from workbench.corpus.synthesis.difficulty import Difficulty
from workbench.corpus.synthesis.distortion import RATE, SYNTHESISER_RATE, distort, resample
from workbench.corpus.synthesis.job import Answer, Job, Made
from workbench.corpus.synthesis.phones import Mnemonics, Spelling, fold_word, spell, strip_stress
from workbench.corpus.synthesis.recipe import Sounds
from workbench.corpus.synthesis.speech import Manner, SoundEvent, Speech, Synthesiser
from workbench.corpus.synthesis.voices import write_voices
from workbench.corpus.utterances import PhoneTime
from workbench.settings import rng

SLOWEST = 120  # words/min
FASTEST = 270  # words/min; above about 450 the synthesiser's times go wrong
SILENCE = "SIL"
SOUNDS = {"is": icelandic.SOUNDS, "en": english.SOUNDS}


def serve(lines: Iterable[str], out: TextIO) -> None:
    """Answer each job of ``lines`` on ``out``."""
    for line in lines:
        try:
            answer = Answer(tuple(make_shard(Job.from_json(line))))
        except (RuntimeError, OSError, ImportError) as error:
            answer = Answer(error=f"{type(error).__name__}: {error}")
        out.write(answer.to_json() + "\n")
        out.flush()


@dataclass(frozen=True)
class SpokenPrompt:
    """A prompt as spoken without distortion, and the mnemonics of its words."""

    samples: np.ndarray  # float32 [n] at 16 kHz, peak at most 1
    times: list[PhoneTime] | None  # None: not known
    words: list[Mnemonics]


def make_shard(job: Job) -> list[Made]:
    """Speak and distort the prompts of ``job`` into one FLAC file, and describe them."""
    streams = [rng(job.seed, "utterance", prompt.id) for prompt in job.prompts]
    spoken = speak_prompts(job, streams)
    bank = [one.samples for one in spoken]

    made: list[Made] = []
    parts: list[np.ndarray] = []
    start = 0
    for prompt, one, stream in zip(job.prompts, spoken, streams, strict=True):
        recorded, conditions = distort(one.samples, job.difficulty, bank, stream)
        parts.append(np.round(recorded * 32767).astype(np.int16))
        end = start + len(recorded)

        true_row = None
        if one.times is not None:
            true_row = json.dumps({"utt": prompt.id, "phones": one.times}, ensure_ascii=False)
        entry = Made(
            id=prompt.id,
            start=start / RATE,
            end=end / RATE,
            true_row=true_row,
            conditions_row=json.dumps({"utt": prompt.id, **asdict(conditions)}),
            pronunciations=_write_pronunciations(one.words, SOUNDS[job.language]),
        )
        made.append(entry)
        start = end

    soundfile.write(job.audio, np.concatenate(parts), RATE, "PCM_16", format="FLAC")
    return made


def speak_prompts(job: Job, streams: list[np.random.Generator]) -> list[SpokenPrompt]:
    """Return the prompts of ``job`` as spoken by one synthesiser; each has a random stream."""
    sounds = SOUNDS[job.language]
    state = int(rng(job.seed, "synthesiser", job.name).integers(1 << 31))
    voices = sorted({prompt.voice for prompt in job.prompts})
    with (
        TemporaryDirectory(dir=job.audio.parent) as folder,
        Synthesiser(write_voices(Path(folder), voices, job.seed), state) as synthesiser,
    ):
        texts = [prompt.words for prompt in job.prompts]
        pronounced = pronounce_in_context(synthesiser, sounds, texts)

        spoken: list[SpokenPrompt] = []
        for prompt, words, stream in zip(job.prompts, pronounced, streams, strict=True):
            voice = f"{sounds.voice}+{prompt.voice}"
            spoken.append(speak(synthesiser, sounds, voice, words, job.difficulty, stream))
    return spoken


def pronounce_in_context(
    synthesiser: Synthesiser, sounds: Sounds, texts: list[tuple[str, ...]]
) -> list[list[Mnemonics]]:
    """Return the mnemonics of every word of every text, as spoken in its sentence.

    A sentence whose sounds cannot be assigned to its words gets its words as spoken alone.
    """
    distinct = list(dict.fromkeys(word for words in texts for word in words))
    answers = synthesiser.pronounce(distinct, sounds.voice)
    alone = {word: answer[0] for word, answer in zip(distinct, answers, strict=True)}

    sentences = synthesiser.pronounce([" ".join(words) for words in texts], sounds.voice)
    pronounced: list[list[Mnemonics]] = []
    for words, sentence in zip(texts, sentences, strict=True):
        clear = len(sentence) == len(words) and all(fold_word(m, sounds.fold) for m in sentence)
        pronounced.append(list(sentence) if clear else [alone[word] for word in words])
    return pronounced


def speak(
    synthesiser: Synthesiser,
    sounds: Sounds,
    voice: str,
    words: list[Mnemonics],
    difficulty: Difficulty,
    stream: np.random.Generator,
) -> SpokenPrompt:
    """Return ``words`` as spoken by ``voice``, with silence around, and the times of its phones."""
    spelling = spell(words, sounds, difficulty.pronunciation_noise, stream)
    speech = synthesiser.say(spelling.text, voice, _draw_manner(difficulty, stream))

    before = _draw_silence(difficulty, stream)
    after = _draw_silence(difficulty, stream)
    samples = resample(speech.samples)
    peak = max(1.0, float(np.abs(samples).max()))
    samples = np.pad(samples / peak, (before, after))

    times = find_phone_times(spelling, speech, sounds.fold, before / RATE)
    if times is not None:
        first = PhoneTime(SILENCE, 0.0, times[0].start)
        last = PhoneTime(SILENCE, times[-1].end, round(len(samples) / RATE, 4))
        times = [first, *times, last]
    return SpokenPrompt(samples, times, words)


def find_phone_times(
    spelling: Spelling, speech: Speech, fold: dict[str, str], offset: float
) -> list[PhoneTime] | None:
    """Return the phones of an utterance that starts at ``offset`` seconds, without gaps.

    None if the synthesiser spoke another number of phones than ``spelling`` has. A sound that
    belongs to no phone and a pause lengthen the phone before; a phone that is swallowed is left
    out. A plosive begins with its burst, so its closure counts as part of the phone before.
    """
    heard = [
        SoundEvent(strip_stress(event.mnemonic), event.sample)
        for event in speech.events
        if strip_stress(event.mnemonic)
    ]
    # The synthesiser adds glides, which have no phone.
    starts = [event.sample for event in heard if fold.get(event.mnemonic, event.mnemonic)]
    if len(starts) != len(spelling.owner):
        return None

    first: dict[int, int] = {}
    for owner, start in zip(spelling.owner, starts, strict=True):
        first.setdefault(owner, start)
    # The pause after the last sound, or the end of the speech.
    later = (event.sample for event in speech.events if event.sample > heard[-1].sample)
    end = next(later, len(speech.samples))

    bounds = [first[i] for i in range(len(spelling.phones))] + [end]
    seconds = [round(bound / SYNTHESISER_RATE + offset, 4) for bound in bounds]
    times = map(PhoneTime, spelling.phones, seconds[:-1], seconds[1:])
    return [time for time in times if time.start < time.end]


def _draw_manner(difficulty: Difficulty, stream: np.random.Generator) -> Manner:
    rate = stream.normal(difficulty.rate_mean, difficulty.rate_spread)
    pitch = stream.normal(50, 10)
    return Manner(
        rate=int(np.clip(rate, SLOWEST, FASTEST)),
        pitch=int(np.clip(pitch, 20, 85)),
        range=int(stream.integers(30, 80)),
    )


def _draw_silence(difficulty: Difficulty, stream: np.random.Generator) -> int:
    """Return a number of samples."""
    return int(stream.uniform(difficulty.silence_shortest, difficulty.silence_longest) * RATE)


def _write_pronunciations(words: Iterable[Mnemonics], sounds: Sounds) -> list[str]:
    """Return the phones of each word, separated by spaces."""
    return [" ".join(fold_word(mnemonics, sounds.fold) or ()) for mnemonics in words]


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
