"""Held-out and test splits for corpora that come without."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from workbench.corpus.utterances import DataSet, Utterance
from workbench.settings import UserError, rng

SECONDS = 30 * 60.0  # paper, section 4: about 30 minutes
SHARE = 0.05
GUESS = 3.0  # seconds of an utterance whose header does not say


def derive_splits(splits: dict[str, DataSet], seed: int = 0) -> dict[str, DataSet]:
    """``splits`` with heldout and test taken off train where they are missing: 30 min each, or 5 % if that is less.

    By speakers where that gives about the right amount, else by utterances; a note says which. The same seed gives the
    same splits. UserError if train has too few utterances.
    """
    out = dict(splits)
    for name in ("heldout", "test"):
        if name not in out:
            out["train"], out[name] = take_off(out["train"], name, seed)
    return out


def take_off(train: DataSet, name: str, seed: int = 0) -> tuple[DataSet, DataSet]:
    """What is left of ``train``, and the new split ``name``; both in the order of the corpus."""
    if len(train.utterances) < 3:
        raise UserError(
            f"{len(train.utterances)} usable utterances: too few to take a {name} set off"
        )
    target = min(SECONDS, SHARE * sum(map(_seconds, train.utterances)))
    chosen, unit = _speakers(train.utterances, target, name, seed), "speakers"
    if not chosen:
        chosen, unit = _utterances(train.utterances, target, name, seed), "utterances"
    taken = tuple(u for u in train.utterances if u.id in chosen)
    kept = tuple(u for u in train.utterances if u.id not in chosen)
    minutes = sum(map(_seconds, taken)) / 60
    note = f"{name}: {len(taken)} utterances ({minutes:.1f} min) taken off the training data, by {unit}"
    # What was set aside stays with train, so that it is counted once.
    left = replace(train, utterances=kept, notes=(*train.notes, note), seen=-1)
    return left, DataSet(taken, notes=(note,))


def _speakers(utterances: Sequence[Utterance], target: float, name: str, seed: int) -> set[str]:
    """Utterances of some speakers that come within a half of ``target``; none if no such speakers were found.

    Never all speakers: training keeps at least half of them.
    """
    seconds: dict[str, float] = defaultdict(float)
    for u in utterances:
        seconds[u.speaker] += _seconds(u)
    speakers, total = sorted(seconds), 0.0
    taken: set[str] = set()
    for i in rng(seed, "split", name, "speakers").permutation(len(speakers)):
        if (
            total < target
            and total + seconds[speakers[i]] <= 1.5 * target
            and len(taken) < len(speakers) // 2
        ):
            taken.add(speakers[i])
            total += seconds[speakers[i]]
    return {u.id for u in utterances if u.speaker in taken} if total >= 0.5 * target else set()


def _utterances(utterances: Sequence[Utterance], target: float, name: str, seed: int) -> set[str]:
    """Random utterances up to ``target`` seconds, at least one."""
    taken: set[str] = set()
    total = 0.0
    for i in rng(seed, "split", name, "utterances").permutation(len(utterances)):
        if total >= target:
            break
        taken.add(utterances[i].id)
        total += _seconds(utterances[i])
    return taken


def _seconds(u: Utterance) -> float:
    return GUESS if u.seconds is None else u.seconds
