"""Lhotse manifests (.jsonl, .jsonl.gz), read without Lhotse: recordings with supervisions, or cuts.

A file is called ``[PREFIX_]KIND_SPLIT.jsonl[.gz]`` or ``[SPLIT_]KIND.jsonl[.gz]``, where KIND is
one of recordings, supervisions and cuts. Splits that begin with train, dev or valid, test or eval
become train, heldout and test, unless the user names others. Further sets (noise, music) are left
out with a remark. If a split has cuts, they are read, and its recordings and supervisions are not.
Every supervision is an utterance; one without a speaker is its own speaker. What a second file of
the split repeats (a shard beside the whole) is read once. `lhotse_sources` finds the audio. Cuts
that mix cannot be read without Lhotse and are set aside, as are recordings that are transformed
(speed, volume, ...); but a transformed copy of an utterance that is there itself is left out.
"""

import gzip
import json
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from workbench.corpus.candidate import Candidate, Problem, build_data_set, split_words
from workbench.corpus.lhotse_sources import UNSUPPORTED_TRANSFORM, OpenedSource, open_source
from workbench.corpus.recordings import Recordings
from workbench.corpus.set_names import SetNames, require_train
from workbench.corpus.utterances import DataSet, Seconds
from workbench.settings import UserError

NAME = re.compile(
    r"(?:(?P<before>.*?)[_.-])?"
    r"(?P<kind>recordings|supervisions|cuts)"
    r"(?:[_.-](?P<after>.*))?"
    r"\.jsonl(?:\.gz)?"
)
PERTURBED = re.compile(r"(?:_(?:sp|vp|tp|wp|volume)-?[\d.]*)+$")
"""How Lhotse ends the id of a copy whose speed, volume or tempo was changed."""

LONGEST_LINE = 1 << 24
"""Bytes; a longer line is not one of a manifest, and must not fill the memory."""

Json = dict[
    str, Any
]  # an object of a manifest: any of its values may be missing or of a wrong kind


def read_lhotse(
    folder: Path,
    audio_root: Path | None = None,
    names: SetNames | None = None,
    allow_commands: bool = False,
) -> dict[str, DataSet]:
    """Return the splits train, heldout and test of a folder of manifests, as far as it has them.

    Relative audio paths are looked up under ``audio_root``, then in ``folder``, then in its parent.
    ``allow_commands`` runs sources that are commands, and keeps the audio in
    ``folder``/from-commands. Raise UserError if there are no manifests, none for training, or one
    is cut short.
    """
    folder = Path(folder)
    recordings = Recordings.of(folder, audio_root, allow_commands)
    found = _find_manifests(folder)
    manifests, notes = _choose_sets(folder, found, names or SetNames())
    splits = {split: _read_split(files, recordings) for split, files in manifests.items()}
    splits["train"] = replace(splits["train"], notes=(*splits["train"].notes, *notes))
    return splits


@dataclass
class _Manifests:
    """The manifests of one set or split, by kind."""

    recordings: list[Path]
    supervisions: list[Path]
    cuts: list[Path]

    def kinds(self) -> list[str]:
        return [kind for kind, paths in vars(self).items() if paths]

    def add(self, other: "_Manifests") -> None:
        self.recordings += other.recordings
        self.supervisions += other.supervisions
        self.cuts += other.cuts


def _find_manifests(folder: Path) -> dict[str, _Manifests]:
    """Return the manifests in ``folder`` by the name of their set; UserError if there are none."""
    found: dict[str, _Manifests] = defaultdict(lambda: _Manifests([], [], []))
    for path in sorted(folder.glob("*.jsonl*")) if folder.is_dir() else []:
        match = NAME.fullmatch(path.name)
        if match:
            name = match["after"] or match["before"] or "train"
            getattr(found[name], match["kind"]).append(path)

    if not found:
        raise UserError(
            f"{folder}: no Lhotse manifests such as recordings_train.jsonl.gz or "
            f"cuts_train.jsonl.gz{_advise_on_json(folder)}"
        )
    return found


def _advise_on_json(folder: Path) -> str:
    """Return what to do with manifests in Lhotse's older form; "" if there are none."""
    for path in sorted(folder.glob("*.json*")):
        for ending in (".json", ".json.gz"):
            stem = path.name.removesuffix(ending)
            if stem != path.name and NAME.fullmatch(f"{stem}.jsonl"):
                return f"; convert those in .json: lhotse copy {path.name} {stem}.jsonl.gz"
    return ""


def _choose_sets(
    folder: Path, found: dict[str, _Manifests], names: SetNames
) -> tuple[dict[str, _Manifests], list[str]]:
    """Return the manifests by split, and a note on each set that is left out.

    Raise UserError if a split lacks a kind, a named set is not there, or none is for training.
    """
    for name in names.all():
        if name not in found:
            raise UserError(f"{folder}: no set is called {name}; found: {', '.join(found)}")

    splits: dict[str, _Manifests] = defaultdict(lambda: _Manifests([], [], []))
    notes = []
    for name, files in found.items():
        split = names.split_of(name)
        if split is None:
            notes.append(f"set {name} is left out ({', '.join(files.kinds())})")
        else:
            splits[split].add(files)

    require_train(folder, splits, list(found))
    for split, files in splits.items():
        if not files.cuts and not (files.recordings and files.supervisions):
            raise UserError(
                f"{folder}: {split} needs cuts, or recordings and supervisions; "
                f"it has only {', '.join(files.kinds())}"
            )
    return splits, notes


def _read_split(files: _Manifests, recordings: Recordings) -> DataSet:
    notes: list[str] = []
    candidates: list[Candidate] = []
    if not files.cuts:
        candidates = _read_supervisions(files, recordings)
    else:
        if files.recordings or files.supervisions:
            notes.append(f"{files.cuts[0]}: cuts are read, recordings and supervisions are not")
        for line in _read_lines(files.cuts):
            candidates.extend(_candidates_of_cut(line, recordings))

    once = _without_repetitions(candidates, notes)
    data = build_data_set(_without_perturbed_copies(once, notes), notes)
    return replace(data, origin=", ".join(path.name for path in files.cuts or files.supervisions))


def _without_repetitions(candidates: list[Candidate], notes: list[str]) -> list[Candidate]:
    """Return the candidates without those that another file repeats, which a note counts."""
    first: dict[str, Candidate] = {}
    kept = []
    repeated = 0
    for candidate in candidates:
        known = first.setdefault(candidate.id, candidate)
        in_other_file = _file_of(known.where) != _file_of(candidate.where)
        if in_other_file and replace(candidate, where=known.where) == known:
            repeated += 1
        else:
            kept.append(candidate)

    if repeated:
        notes.append(f"{repeated} utterances are in several files, and are read once")
    return kept


def _file_of(where: str) -> str:
    return where.rpartition(":")[0]


def _without_perturbed_copies(candidates: list[Candidate], notes: list[str]) -> list[Candidate]:
    """Return the candidates without transformed copies of others, which a note counts."""
    ids = {candidate.id for candidate in candidates}

    def is_copy(candidate: Candidate) -> bool:
        transformed = any(each.reason == UNSUPPORTED_TRANSFORM for each in candidate.problems)
        original = PERTURBED.sub("", candidate.id)
        return transformed and original != candidate.id and original in ids

    kept = [candidate for candidate in candidates if not is_copy(candidate)]
    left_out = len(candidates) - len(kept)
    if left_out:
        notes.append(f"{left_out} copies at another speed or volume are left out")
    return kept


def _read_supervisions(files: _Manifests, recordings: Recordings) -> list[Candidate]:
    """Return an utterance for each supervision, with the recording that it names."""
    known = {
        str(line.content["id"]): line.content
        for line in _read_lines(files.recordings)
        if "id" in line.content
    }
    candidates = []
    for line in _read_lines(files.supervisions):
        if line.problem:
            candidates.append(line.to_broken_candidate(line.problem))
            continue

        name = str(line.content.get("recording_id"))
        recording = known.get(name)
        found: OpenedSource | Problem
        if recording:
            found = open_source(recording, _channels_named(line), line.where, recordings)
        else:
            found = Problem("unknown recording", line.where, f"{name}: not in the recordings")
        candidates.append(_to_candidate(line, 0.0, found))
    return candidates


@dataclass(frozen=True)
class _Line:
    """A line of a manifest or an object within one; ``problem`` if it is not a JSON object."""

    where: str
    content: Json
    problem: Problem | None = None

    @property
    def id(self) -> str:
        """Return the id, or the place where there is none."""
        return str(self.content["id"]) if "id" in self.content else self.where

    def to_broken_candidate(self, problem: Problem) -> Candidate:
        return Candidate(self.id, self.where, None, problems=(problem,))


def _candidates_of_cut(cut: _Line, recordings: Recordings) -> list[Candidate]:
    """Return the utterances of a cut; times of its supervisions count from its own start."""
    if cut.problem:
        return [cut.to_broken_candidate(cut.problem)]
    if cut.content.get("type", "MonoCut") not in ("MonoCut", "MultiCut"):
        detail = f"{cut.content.get('type')}: only MonoCut"
        return [cut.to_broken_candidate(Problem("unsupported cut", cut.where, detail))]
    supervisions = cut.content.get("supervisions")
    if not isinstance(supervisions, list) or not supervisions:
        return [cut.to_broken_candidate(Problem("no text", cut.where, "no supervision"))]

    offset = _to_number(cut.content.get("start"))
    recording = cut.content.get("recording")
    candidates = []
    for supervision in supervisions:
        line = _Line(cut.where, supervision if isinstance(supervision, dict) else {})
        found: OpenedSource | Problem
        if isinstance(recording, dict):
            found = open_source(recording, _channels_named(line), line.where, recordings)
        else:
            found = Problem("missing audio", cut.where, "the cut has no recording")
        candidates.append(_to_candidate(line, offset, found))
    return candidates


def _channels_named(supervision: _Line) -> object:
    """Return the channel or channels that a supervision names; without a word it is the first."""
    return supervision.content.get("channel", 0)


def _to_candidate(supervision: _Line, offset: Seconds, source: OpenedSource | Problem) -> Candidate:
    """Return the utterance of a supervision whose times count from ``offset``."""
    content = supervision.content
    problems = [source] if isinstance(source, Problem) else []
    words = None
    text = content.get("text")
    if isinstance(text, str):
        words = split_words(text)
    else:
        problems.append(Problem("no text", supervision.where, "the supervision has no text"))

    start = offset + _to_number(content.get("start"))
    return Candidate(
        id=supervision.id,
        where=supervision.where,
        words=words,
        speaker=str(content.get("speaker") or supervision.id),
        recording=None if isinstance(source, Problem) else source.recording,
        start=start,
        end=start + _to_number(content.get("duration")),
        channel=None if isinstance(source, Problem) else source.channel,
        problems=tuple(problems),
    )


def _to_number(value: object) -> float:
    """Return ``value``, or NaN if it is not a number; a candidate with NaN is set aside."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return math.nan


def _read_lines(paths: list[Path]) -> Iterator[_Line]:
    """Yield all lines of some manifests that are not blank."""
    for path in paths:
        try:
            with _open_manifest(path) as file:
                number = 0
                while line := file.readline(LONGEST_LINE):
                    number += 1
                    if line.strip():
                        yield _parse_line(line, f"{path.name}:{number}")
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot be read to its end: {error}") from None


def _open_manifest(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return open(path, "rb")


def _parse_line(line: bytes, where: str) -> _Line:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        problem = Problem("bad manifest line", where, f"{type(error).__name__}: {error}")
        return _Line(where, {}, problem)
    if not isinstance(value, dict):
        return _Line(where, {}, Problem("bad manifest line", where, "not an object"))
    return _Line(where, value)
