"""Synthetic corpora: from a language, a size and a seed to a data directory, bit for bit the same on one machine."""

import collections
import importlib.metadata
import itertools
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import workbench
from workbench.corpus.synthesis import english, icelandic, pool, queries, vocabulary, voices, write
from workbench.corpus.synthesis.difficulty import SIZES, SPLITS, Difficulty, Size, difficulty
from workbench.corpus.synthesis.job import Job
from workbench.corpus.synthesis.phones import spoken
from workbench.corpus.synthesis.recipe import Recipe
from workbench.corpus.synthesis.speech import Synthesiser
from workbench.settings import UserError, rng

RECIPES = {"is": icelandic.recipe, "en": english.recipe}
SHARD = 100  # utterances; part of what decides on every sample, since the synthesiser's state lasts for one shard
VARIANT_COUNT = 3  # times that train must say a word in another way than alone before the lexicon lists it
Progress = Callable[[int, int, str], None]


def synthesise(
    folder: Path | str,
    language: str,
    size: str,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress | None = None,
    **knobs,
) -> Path:
    """Writes a Kaldi-style data directory of synthetic speech to ``folder``, which must not exist yet, and returns its
    path.

    ``language`` is "is" or "en", ``size`` one of ``SIZES``, ``knobs`` are fields of ``Difficulty``. ``jobs`` processes
    share the work and change nothing of the result. ``progress(done, total, what)`` counts utterances. The folder
    appears when all of it is written. UserError for an unknown language, size or knob, a folder that exists, or a
    package that is missing.

        {train,heldout,test}/{wav.scp,segments,text,utt2spk,audio/*.flac}   lexicon.txt   lm.txt   synthesis.json
        true/{split}.jsonl         {"utt", "phones": [[phone, start, end], ...]} in seconds; only utterances said as
        they were meant conditions/{split}.jsonl   {"utt", "snr", "noise", "reverb", "tilt", "telephone"}
    """
    folder, shape, hard = Path(folder), _checked(language, size), difficulty(**knobs)
    if folder.exists():
        raise UserError(f"{folder}: exists already")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, RECIPES[language](), size, shape, seed, jobs, progress or _silent, hard)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def _checked(language: str, size: str) -> Size:
    if language not in RECIPES:
        raise UserError(f"no recipe for language {language!r}; there are {', '.join(RECIPES)}")
    if size not in SIZES:
        raise UserError(f"no size {size!r}; there are {', '.join(SIZES)}")
    return SIZES[size]


def _fill(
    folder: Path, recipe: Recipe, name: str, size: Size, seed: int, jobs: int, progress: Progress, knobs: Difficulty
) -> None:
    total = sum(size.utterances)
    voices.source()  # what is missing is said before work begins
    progress(0, total, "choosing words")
    counts = recipe.counts(2 * size.vocabulary) if size.walks else None
    with Synthesiser() as synthesiser:
        version = synthesiser.version
        words = vocabulary.choose(
            recipe, size.vocabulary, size.walks, counts, lambda texts: synthesiser.pronounce(texts, recipe.sounds.voice)
        )
    progress(0, total, "writing sentences")
    grammar = queries.grammar(recipe, words, counts, knobs)
    utterances = _utterances(grammar, size, seed)
    write.lines(
        folder / "lm.txt",
        map(" ".join, itertools.islice(queries.sentences(grammar, seed, "lm", "train"), size.lm_sentences)),
    )
    del grammar, counts  # hundreds of megabytes
    results = _spoken(folder, utterances, recipe.language, seed, jobs, progress, knobs)
    measured = {split: write.split(folder, split, utterances[split], results[split]) for split in SPLITS}
    entries = _pronunciations(words, recipe, utterances["train"], itertools.chain(*results["train"]))
    write.lines(folder / "lexicon.txt", (f"{w} {p}" for w, p in entries))
    counted = {"words": len(words.mnemonics), "pronunciations": len(entries), "splits": measured}
    about = _about(recipe, name, size, seed, knobs, version) | counted
    (folder / "synthesis.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _utterances(grammar: queries.Grammar, size: Size, seed: int) -> dict[str, list[tuple[str, str, list[str]]]]:
    """For each split (id, speaker, words), sorted as Kaldi wants it: by speaker, then by number."""
    out, voices_before = {}, 0
    for split, count, voice_count in zip(SPLITS, size.utterances, size.voices, strict=True):
        names = voices.speakers(split, voices_before, voice_count)
        texts = itertools.islice(queries.sentences(grammar, seed, split, split), count)
        who = rng(seed, "speakers", split).permutation(count) % voice_count
        out[split] = sorted(
            (f"{names[k]}-{i:06d}", names[k], list(words)) for i, (k, words) in enumerate(zip(who, texts, strict=True))
        )
        voices_before += voice_count
    return out


def _spoken(
    folder: Path, utterances, language: str, seed: int, jobs: int, progress: Progress, knobs: Difficulty
) -> dict[str, list]:
    """For each split the results of its shards, in order, all audio written."""
    todo = [(split, first) for split, rows in utterances.items() for first in range(0, len(rows), SHARD)]
    for split in utterances:
        (folder / split / "audio").mkdir(parents=True)
    shards = [
        Job(
            audio=str(folder / split / "audio" / f"{write.recording(split, first // SHARD)}.flac"),
            language=language,
            seed=seed,
            name=write.recording(split, first // SHARD),
            utterances=utterances[split][first : first + SHARD],
            difficulty=asdict(knobs),
        )
        for split, first in todo
    ]
    made: dict[int, list] = {}
    done, total = 0, sum(map(len, utterances.values()))
    with closing(pool.results(shards, jobs)) as ready:
        for number, results in ready:
            made[number] = results
            done += len(results)
            progress(done, total, "speaking")
    return {split: [made[i] for i, (of, _) in enumerate(todo) if of == split] for split in utterances}


def _pronunciations(words: vocabulary.Vocabulary, recipe: Recipe, utterances, results) -> list[tuple[str, str]]:
    """(word, phones) of every word as said alone, and as said often enough in sentences of ``utterances``; sorted."""
    alone = {(w, " ".join(spoken(m, recipe.sounds.fold))) for w, m in words.mnemonics.items()}
    seen = collections.Counter(
        pair
        for (_, _, said), result in zip(utterances, results, strict=True)
        for pair in zip(said, result["pronunciations"], strict=True)
    )
    return sorted(alone | {pair for pair, n in seen.items() if n >= VARIANT_COUNT})


def _about(recipe: Recipe, name: str, size: Size, seed: int, knobs: Difficulty, espeak: str) -> dict:
    packages = ("espeakng-loader", *recipe.packages, "numpy", "scipy", "soundfile")
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "language": recipe.language,
        "size": name,
        "seed": seed,
        "difficulty": asdict(knobs),
        "shape": asdict(size),
        "versions": {"workbench": workbench.__version__, "espeak-ng": espeak, **versions},
    }


def _silent(done: int, total: int, what: str) -> None:
    pass
