"""Held-out and test splits for corpora that come without."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from workbench.corpus.utterances import DataSet, Seconds, Utterance
from workbench.settings import UserError, rng

TARGET: Seconds = 30 * 60.0
"""Length of a split: about 30 minutes (paper, section 4)."""

TARGET_SHARE = 0.1  # of the training data, where 30 minutes would be more
UNKNOWN_LENGTH: Seconds = 3.0  # taken for an utterance whose header was not read
LEAST_UTTERANCES = 3

LEAST_BY_SPEAKERS = 0.5  # shares of the target within which a split by speakers is accepted
MOST_BY_SPEAKERS = 1.5

LEAST_SPEAKERS = 3
"""Voices of a split by speakers; fewer can decide nothing."""


def derive_splits(splits: dict[str, DataSet], seed: int = 0) -> dict[str, DataSet]:
    """Return ``splits`` with heldout and test, taken off train where they are missing.

    Each has about 30 minutes, or 10 % of train if that is less. Whole speakers are taken where that
    gives about the right amount and several voices, else utterances; a note names which. The same
    seed gives the same splits. Raise UserError if train has too few utterances.
    """
    out = dict(splits)
    for name in ("heldout", "test"):
        if name not in out:
            out["train"], out[name] = take_off(out["train"], name, seed)
    return out


def take_off(train: DataSet, name: str, seed: int = 0) -> tuple[DataSet, DataSet]:
    """Return the rest of ``train`` and the new split ``name``, in the order of the corpus."""
    utterances = train.utterances
    if len(utterances) < LEAST_UTTERANCES:
        raise UserError(f"{len(utterances)} usable utterances: too few to take a {name} set off")

    target = min(TARGET, TARGET_SHARE * _total_seconds(utterances))
    unit = "speakers"
    chosen = _choose_by_speakers(utterances, target, name, seed)
    if not chosen:
        unit = "utterances"
        chosen = _choose_utterances(utterances, target, name, seed)

    taken = tuple(u for u in utterances if u.id in chosen)
    kept = tuple(u for u in utterances if u.id not in chosen)
    minutes = _total_seconds(taken) / 60
    amount = f"{len(taken)} utterances ({minutes:.1f} min)"
    note = f"{amount} taken off the training data, by {unit}"
    # Utterances that were set aside stay with train, so that each is counted once.
    rest = replace(train, utterances=kept, seen=-1)
    return rest, DataSet(taken, notes=(note,), origin=part_of(train))


def part_of(train: DataSet) -> str:
    """Return the origin of a set that was taken off ``train``."""
    return f"{train.origin}, a part"


def _choose_by_speakers(
    utterances: Sequence[Utterance], target: Seconds, name: str, seed: int
) -> set[str]:
    """Return the ids of all utterances of some speakers, of about ``target`` seconds together.

    Training keeps at least half of the speakers. The set is empty if no such speakers were found,
    or fewer than `LEAST_SPEAKERS`.
    """
    seconds: dict[str, float] = defaultdict(float)
    for u in utterances:
        seconds[u.speaker] += _length(u)

    speakers = sorted(seconds)
    taken: set[str] = set()
    total = 0.0
    for i in rng(seed, "split", name, "speakers").permutation(len(speakers)):
        speaker = speakers[i]
        fits = total + seconds[speaker] <= MOST_BY_SPEAKERS * target
        if total < target and fits and len(taken) < len(speakers) // 2:
            taken.add(speaker)
            total += seconds[speaker]

    if total < LEAST_BY_SPEAKERS * target or len(taken) < LEAST_SPEAKERS:
        return set()
    return {u.id for u in utterances if u.speaker in taken}


def _choose_utterances(
    utterances: Sequence[Utterance], target: Seconds, name: str, seed: int
) -> set[str]:
    """Return the ids of random utterances of ``target`` seconds together, at least one."""
    taken: set[str] = set()
    total = 0.0
    for i in rng(seed, "split", name, "utterances").permutation(len(utterances)):
        if total >= target:
            break
        taken.add(utterances[i].id)
        total += _length(utterances[i])
    return taken


def _length(u: Utterance) -> Seconds:
    return UNKNOWN_LENGTH if u.seconds is None else u.seconds


def _total_seconds(utterances: Iterable[Utterance]) -> Seconds:
    return sum(map(_length, utterances))
