"""Synthetic corpora: language, size and seed give a data directory, the same bits each time."""

import importlib.metadata
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import workbench
from workbench.corpus.synthesis import english, icelandic
from workbench.corpus.synthesis.data_directory import name_recording, write_lines, write_split
from workbench.corpus.synthesis.difficulty import (
    SIZES,
    SPLITS,
    Difficulty,
    Size,
    make_difficulty,
)
from workbench.corpus.synthesis.job import Job, Made, Prompt
from workbench.corpus.synthesis.phones import fold_word
from workbench.corpus.synthesis.pool import make_shards
from workbench.corpus.synthesis.queries import Grammar, build_grammar, generate_sentences
from workbench.corpus.synthesis.recipe import Recipe
from workbench.corpus.synthesis.speech import Synthesiser
from workbench.corpus.synthesis.vocabulary import Vocabulary, choose_vocabulary
from workbench.corpus.synthesis.voices import find_espeak_data, name_speakers
from workbench.progress import Progress, no_progress
from workbench.settings import UserError, Value, rng
from workbench.storage.files import write_json

RECIPES = {"is": icelandic.recipe, "en": english.recipe}

SHARD_PROMPTS = 100
"""Prompts of a shard; every sample depends on it, because the synthesiser's state lasts for one
shard.
"""

VARIANT_COUNT = 3
"""How often train must pronounce a word in another way than alone before the lexicon lists that."""


def synthesise(
    folder: Path | str,
    language: str,
    size: str,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress | None = None,
    **knobs: Value,
) -> Path:
    """Write a Kaldi data directory of synthetic speech to ``folder``, and return its path.

    ``language`` is "is" or "en", ``size`` one of ``SIZES``, ``knobs`` are fields of ``Difficulty``.
    ``jobs`` processes share the work; their number does not change the result. Progress counts
    utterances. ``folder`` must not exist, and appears when all of it is written. Raise UserError
    for an unknown language, size or knob, a folder that exists, or a package that is missing.

    - ``{train,heldout,test}/{wav.scp,segments,text,utt2spk,audio/*.flac}``
    - ``lexicon.txt``, ``lm.txt``
    - ``true/{split}.jsonl``: utt, phones [[phone, start, end], ...] in seconds; an utterance in
      which the synthesiser spoke other phones than asked is left out
    - ``conditions/{split}.jsonl``: utt, snr, noise, reverb, tilt, telephone
    - ``synthesis.json``: what decided on the corpus, and counts
    """
    plan = _make_plan(language, size, seed, knobs)
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder}: exists already")

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_corpus(partial, plan, jobs, progress or no_progress)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


@dataclass(frozen=True)
class CorpusPlan:
    """All that decides on a corpus."""

    recipe: Recipe
    size_name: str
    size: Size
    seed: int
    difficulty: Difficulty


@dataclass(frozen=True)
class Texts:
    """What the synthesiser is to read: the vocabulary, and the prompts of each split."""

    vocabulary: Vocabulary
    prompts: dict[str, list[Prompt]]
    espeak_version: str


def _make_plan(language: str, size: str, seed: int, knobs: dict[str, Value]) -> CorpusPlan:
    """Return the plan; raise UserError for what is unknown or missing, before any work begins."""
    if language not in RECIPES:
        raise UserError(f"no recipe for language {language!r}; there are {', '.join(RECIPES)}")
    if size not in SIZES:
        raise UserError(f"no size {size!r}; there are {', '.join(SIZES)}")
    find_espeak_data()
    difficulty = make_difficulty(**{**dict(SIZES[size].knobs), **knobs})
    return CorpusPlan(RECIPES[language](), size, SIZES[size], seed, difficulty)


def _write_corpus(folder: Path, plan: CorpusPlan, workers: int, progress: Progress) -> None:
    total = sum(plan.size.utterances)
    progress(0, total, "choosing words")
    texts = _write_texts(folder, plan)

    jobs = _plan_shards(folder, plan, texts)
    made: dict[str, tuple[Made, ...]] = {}
    done = 0
    with closing(make_shards(jobs, workers)) as shards:
        for shard in shards:
            made[jobs[shard.number].name] = shard.made
            done += len(shard.made)
            progress(done, total, "speaking")

    counts = {}
    in_order: dict[str, list[tuple[Made, ...]]] = {}
    for split in SPLITS:
        in_order[split] = [made[job.name] for job in jobs if job.name.startswith(split)]
        counts[split] = write_split(folder, split, texts.prompts[split], in_order[split])

    trained_on = list(itertools.chain.from_iterable(in_order["train"]))
    lexicon = _list_pronunciations(texts, plan.recipe, trained_on)
    write_lines(folder / "lexicon.txt", (f"{word} {phones}" for word, phones in lexicon))

    about = {
        **_describe(plan, texts.espeak_version),
        "words": len(texts.vocabulary.mnemonics),
        "pronunciations": len(lexicon),
        "splits": counts,
    }
    write_json(folder / "synthesis.json", about)


def _write_texts(folder: Path, plan: CorpusPlan) -> Texts:
    """Return the prompts of all splits, and write the text of the language model.

    The n-grams and the grammar, hundreds of megabytes, are freed when this returns.
    """
    recipe = plan.recipe
    size = plan.size
    counts = recipe.read_counts(2 * size.vocabulary) if size.walks else None
    with Synthesiser() as synthesiser:
        version = synthesiser.version

        def pronounce(texts: list[str]) -> list[list[list[str]]]:
            return synthesiser.pronounce(texts, recipe.sounds.voice)

        vocabulary = choose_vocabulary(recipe, size.vocabulary, size.walks, counts, pronounce)

    grammar = build_grammar(recipe, vocabulary, counts, plan.difficulty)
    sentences = generate_sentences(grammar, plan.seed, "lm", "train")
    lm_text = itertools.islice(sentences, size.lm_sentences)
    write_lines(folder / "lm.txt", map(" ".join, lm_text))
    return Texts(vocabulary, _draw_prompts(grammar, size, plan.seed), version)


def _draw_prompts(grammar: Grammar, size: Size, seed: int) -> dict[str, list[Prompt]]:
    """Return the prompts of each split, sorted as Kaldi requires: by speaker, then by number."""
    prompts: dict[str, list[Prompt]] = {}
    voices_before = 0
    for split, count, voice_count in zip(SPLITS, size.utterances, size.voices, strict=True):
        voices = name_speakers(split, voices_before, voice_count)
        voices_before += voice_count
        sentences = itertools.islice(generate_sentences(grammar, seed, split, split), count)
        order = rng(seed, "speakers", split).permutation(count) % voice_count

        drawn = []
        for i, (k, words) in enumerate(zip(order, sentences, strict=True)):
            drawn.append(Prompt(f"{voices[k]}-{i:06d}", voices[k], words))
        drawn.sort(key=lambda prompt: prompt.id)
        prompts[split] = drawn
    return prompts


def _plan_shards(folder: Path, plan: CorpusPlan, texts: Texts) -> list[Job]:
    """Return the jobs of all splits, and make the folders that they write to."""
    jobs = []
    for split, prompts in texts.prompts.items():
        audio = folder / split / "audio"
        audio.mkdir(parents=True)
        for number, batch in enumerate(_split_into_shards(prompts)):
            name = name_recording(split, number)
            job = Job(
                audio=audio / f"{name}.flac",
                language=plan.recipe.language,
                seed=plan.seed,
                name=name,
                prompts=batch,
                difficulty=plan.difficulty,
            )
            jobs.append(job)
    return jobs


def _split_into_shards(prompts: list[Prompt]) -> Iterable[tuple[Prompt, ...]]:
    for first in range(0, len(prompts), SHARD_PROMPTS):
        yield tuple(prompts[first : first + SHARD_PROMPTS])


def _list_pronunciations(texts: Texts, recipe: Recipe, made: list[Made]) -> list[tuple[str, str]]:
    """Return (word, phones) of every word as spoken alone, and as often spoken in train; sorted."""
    alone = {
        (word, " ".join(fold_word(mnemonics, recipe.sounds.fold) or ()))
        for word, mnemonics in texts.vocabulary.mnemonics.items()
    }

    in_sentences: Counter[tuple[str, str]] = Counter()
    for prompt, utterance in zip(texts.prompts["train"], made, strict=True):
        in_sentences.update(zip(prompt.words, utterance.pronunciations, strict=True))
    frequent = {entry for entry, count in in_sentences.items() if count >= VARIANT_COUNT}
    return sorted(alone | frequent)


def _describe(plan: CorpusPlan, espeak_version: str) -> dict[str, object]:
    """Return what decided on the corpus, for ``synthesis.json``."""
    packages = ("espeakng-loader", *plan.recipe.packages, "numpy", "scipy", "soundfile")
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "language": plan.recipe.language,
        "size": plan.size_name,
        "seed": plan.seed,
        "difficulty": asdict(plan.difficulty),
        "shape": asdict(plan.size),
        "versions": {
            "workbench": workbench.__version__,
            "espeak-ng": espeak_version,
            **versions,
        },
    }
