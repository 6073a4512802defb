"""Synthetic corpora: from a language, a size and a seed to a data directory, bit for bit the same on one machine."""

import collections
import importlib.metadata
import itertools
import json
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import workbench
from workbench.corpus.synthesis import english, icelandic, pool, queries, vocabulary, voices, write
from workbench.corpus.synthesis.difficulty import SIZES, SPLITS, Difficulty, Size, difficulty
from workbench.corpus.synthesis.job import Job
from workbench.corpus.synthesis.phones import spoken
from workbench.corpus.synthesis.recipe import Recipe
from workbench.corpus.synthesis.speech import Synthesiser
from workbench.progress import Progress
from workbench.settings import UserError, rng

RECIPES = {"is": icelandic.recipe, "en": english.recipe}
SHARD = 100  # utterances; part of what decides on every sample, since the synthesiser's state lasts for one shard
VARIANT_COUNT = (
    3  # times that train must say a word in another way than alone before the lexicon lists it
)
Utterance = tuple[str, str, list[str]]  # id, speaker, words


def synthesise(
    folder: Path | str,
    language: str,
    size: str,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress | None = None,
    **knobs,
) -> Path:
    """Writes a Kaldi-style data directory of synthetic speech to ``folder``, which must not exist; returns its path.

    ``language`` is "is" or "en", ``size`` one of ``SIZES``, ``knobs`` are fields of ``Difficulty``. ``jobs`` processes
    share the work and change nothing of the result. ``progress(done, total, what)`` counts utterances. The folder
    appears when all of it is written. UserError for an unknown language, size or knob, a folder that exists, or a
    package that is missing.

    - ``{train,heldout,test}/{wav.scp,segments,text,utt2spk,audio/*.flac}``, ``lexicon.txt``, ``lm.txt``
    - ``true/{split}.jsonl``: utt, phones [[phone, start, end], ...] in seconds; only of utterances said as meant
    - ``conditions/{split}.jsonl``: utt, snr, noise, reverb, tilt, telephone
    - ``synthesis.json``: what it was made with, and counts
    """
    plan = _plan(language, size, seed, knobs)
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder}: exists already")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, plan, jobs, progress or _silent)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


@dataclass(frozen=True)
class Plan:
    """All that decides on a corpus."""

    recipe: Recipe
    name: str  # of the size
    size: Size
    seed: int
    knobs: Difficulty


def _plan(language: str, size: str, seed: int, knobs: dict) -> Plan:
    if language not in RECIPES:
        raise UserError(f"no recipe for language {language!r}; there are {', '.join(RECIPES)}")
    if size not in SIZES:
        raise UserError(f"no size {size!r}; there are {', '.join(SIZES)}")
    voices.source()  # what is missing is said before work begins
    return Plan(
        RECIPES[language](), size, SIZES[size], seed, difficulty(**dict(SIZES[size].knobs) | knobs)
    )


def _fill(folder: Path, plan: Plan, jobs: int, progress: Progress) -> None:
    total = sum(plan.size.utterances)
    progress(0, total, "choosing words")
    words, utterances, version = _written(folder, plan)
    shards = _shards(folder, plan, utterances)
    made: dict[str, list] = {}
    done = 0
    with closing(pool.results(shards, jobs)) as ready:
        for number, answer in ready:
            made[shards[number].name] = answer
            done += len(answer)
            progress(done, total, "speaking")
    results = {
        split: [made[s.name] for s in shards if s.name.startswith(split)] for split in SPLITS
    }
    measured = {
        split: write.split(folder, split, utterances[split], results[split]) for split in SPLITS
    }
    entries = _pronunciations(
        words, plan.recipe, utterances["train"], itertools.chain(*results["train"])
    )
    write.lines(folder / "lexicon.txt", (f"{word} {phones}" for word, phones in entries))
    counted = {"words": len(words.mnemonics), "pronunciations": len(entries), "splits": measured}
    about = json.dumps(_about(plan, version) | counted, indent=1, ensure_ascii=False)
    (folder / "synthesis.json").write_text(about + "\n", encoding="utf-8")


def _written(
    folder: Path, plan: Plan
) -> tuple[vocabulary.Vocabulary, dict[str, list[Utterance]], str]:
    """The vocabulary, the text of all splits, and the synthesiser's version; writes the LM text.

    The counts and the grammar, hundreds of megabytes, are gone when it returns.
    """
    recipe, size = plan.recipe, plan.size
    counts = recipe.counts(2 * size.vocabulary) if size.walks else None
    with Synthesiser() as synthesiser:
        version = synthesiser.version

        def pronounce(texts: list[str]) -> list[list[list[str]]]:
            return synthesiser.pronounce(texts, recipe.sounds.voice)

        words = vocabulary.choose(recipe, size.vocabulary, size.walks, counts, pronounce)
    grammar = queries.grammar(recipe, words, counts, plan.knobs)
    lm = itertools.islice(queries.sentences(grammar, plan.seed, "lm", "train"), size.lm_sentences)
    write.lines(folder / "lm.txt", map(" ".join, lm))
    return words, _utterances(grammar, size, plan.seed), version


def _utterances(grammar: queries.Grammar, size: Size, seed: int) -> dict[str, list[Utterance]]:
    """The utterances of each split, sorted as Kaldi wants it: by speaker, then by number."""
    out, voices_before = {}, 0
    for split, count, voice_count in zip(SPLITS, size.utterances, size.voices, strict=True):
        names = voices.speakers(split, voices_before, voice_count)
        texts = itertools.islice(queries.sentences(grammar, seed, split, split), count)
        who = rng(seed, "speakers", split).permutation(count) % voice_count
        rows = enumerate(zip(who, texts, strict=True))
        out[split] = sorted(
            (f"{names[k]}-{i:06d}", names[k], list(words)) for i, (k, words) in rows
        )
        voices_before += voice_count
    return out


def _shards(folder: Path, plan: Plan, utterances: dict[str, list[Utterance]]) -> list[Job]:
    """The jobs of all splits, and the folders that they write into."""
    jobs = []
    for split, rows in utterances.items():
        audio = folder / split / "audio"
        audio.mkdir(parents=True)
        for number, first in enumerate(range(0, len(rows), SHARD)):
            name = write.recording(split, number)
            part = rows[first : first + SHARD]
            jobs.append(
                Job(
                    str(audio / f"{name}.flac"),
                    plan.recipe.language,
                    plan.seed,
                    name,
                    part,
                    asdict(plan.knobs),
                )
            )
    return jobs


def _pronunciations(
    words: vocabulary.Vocabulary, recipe: Recipe, utterances, results
) -> list[tuple[str, str]]:
    """(word, phones) of every word as said alone, and as said often enough in sentences of ``utterances``; sorted."""
    alone = {(w, " ".join(spoken(m, recipe.sounds.fold) or ())) for w, m in words.mnemonics.items()}
    seen = collections.Counter(
        pair
        for (_, _, said), result in zip(utterances, results, strict=True)
        for pair in zip(said, result["pronunciations"], strict=True)
    )
    return sorted(alone | {pair for pair, n in seen.items() if n >= VARIANT_COUNT})


def _about(plan: Plan, espeak: str) -> dict:
    packages = ("espeakng-loader", *plan.recipe.packages, "numpy", "scipy", "soundfile")
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "language": plan.recipe.language,
        "size": plan.name,
        "seed": plan.seed,
        "difficulty": asdict(plan.knobs),
        "shape": asdict(plan.size),
        "versions": {"workbench": workbench.__version__, "espeak-ng": espeak, **versions},
    }


def _silent(done: int, total: int, what: str) -> None:
    pass
