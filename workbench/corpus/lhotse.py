"""Lhotse manifests (.jsonl, .jsonl.gz), read without Lhotse: recordings with supervisions, or cuts.

A file is called ``[PREFIX_]KIND_SPLIT.jsonl[.gz]`` or ``[SPLIT_]KIND.jsonl[.gz]``, where KIND is
one of recordings, supervisions and cuts. Splits that begin with train, dev or valid, test or eval
become train, heldout and test, unless the user names others. Further sets (noise, music) are left
out with a remark. If a split has cuts, they are read, and its recordings and supervisions are not.
Every supervision is an utterance; one without a speaker is its own speaker. Audio must come from
one file. Cuts that mix, and recordings that are transformed (speed, volume, ...), cannot be read
without Lhotse and are set aside.
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

from workbench.corpus.audio import Recording
from workbench.corpus.candidate import Candidate, Problem, build_data_set, split_words
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
LONGEST_LINE = 1 << 24
"""Bytes; a longer line is not one of a manifest, and must not fill the memory."""

Json = dict[
    str, Any
]  # an object of a manifest: any of its values may be missing or of a wrong kind


def read_lhotse(
    folder: Path, audio_root: Path | None = None, names: SetNames | None = None
) -> dict[str, DataSet]:
    """Return the splits train, heldout and test of a folder of manifests, as far as it has them.

    Relative audio paths are looked up under ``audio_root``, then in ``folder``, then in its parent.
    Raise UserError if there are no manifests, none for training, or one is cut short.
    """
    folder = Path(folder)
    roots = [folder, folder.resolve().parent]
    if audio_root:
        roots.insert(0, Path(audio_root))
    recordings = Recordings(roots)
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
    if not files.cuts:
        return build_data_set(_read_supervisions(files, recordings))

    notes = []
    if files.recordings or files.supervisions:
        notes.append(f"{files.cuts[0]}: cuts are read, recordings and supervisions are not")
    candidates: list[Candidate] = []
    for line in _read_lines(files.cuts):
        candidates.extend(_candidates_of_cut(line, recordings))
    return build_data_set(candidates, notes)


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
        if recording:
            found = _open_recording(recording, line, recordings)
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
        if isinstance(recording, dict):
            found = _open_recording(recording, line, recordings)
        else:
            found = Problem("missing audio", cut.where, "the cut has no recording")
        candidates.append(_to_candidate(line, offset, found))
    return candidates


def _to_candidate(supervision: _Line, offset: Seconds, recording: Recording | Problem) -> Candidate:
    """Return the utterance of a supervision whose times count from ``offset``."""
    content = supervision.content
    problems = [recording] if isinstance(recording, Problem) else []
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
        recording=None if isinstance(recording, Problem) else recording,
        start=start,
        end=start + _to_number(content.get("duration")),
        channel=_channel_of(supervision, recording),
        problems=tuple(problems),
    )


def _open_recording(
    content: Json, supervision: _Line, recordings: Recordings
) -> Recording | Problem:
    """Return the recording of ``supervision`` if it is in one file, else the problem."""
    where = supervision.where
    sources = content.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        return Problem("unsupported audio source", where, "the recording must have one source")

    kind = sources[0].get("type")
    source = sources[0].get("source")
    if kind != "file" or not isinstance(source, str) or not source or source.endswith("|"):
        return Problem("unsupported audio source", where, f"{kind}: only files")
    if content.get("transforms"):
        detail = "the recording is transformed: save the audio first"
        return Problem("unsupported transform", where, detail)

    return recordings.open(source, where)


def _channel_of(supervision: _Line, recording: Recording | Problem) -> int | None:
    """Return the channel that a supervision names; None for the mean of all that there are."""
    named = supervision.content.get("channel", 0)
    channels = named if isinstance(named, list) else [named]
    if isinstance(recording, Problem) or len(channels) > 1:
        return None
    return channels[0] if channels and isinstance(channels[0], int) else None


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
