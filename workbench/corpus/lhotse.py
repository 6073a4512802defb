"""Lhotse manifests (.jsonl, .jsonl.gz), read without Lhotse: recordings with supervisions, or cuts.

A file is called ``[PREFIX_]KIND_SPLIT.jsonl[.gz]`` or ``[SPLIT_]KIND.jsonl[.gz]``, KIND one of recordings,
supervisions, cuts. Splits that begin with train, dev or valid, test or eval become train, heldout and test; other names
stay. Where a split has cuts, they are read and not its recordings and supervisions. Every supervision is an utterance;
one without a speaker is a speaker of its own. Audio must come from one file; cuts that mix, and recordings that are
transformed (speed, volume, ...), would need Lhotse to be heard and are set aside.
"""

import gzip
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.corpus.candidate import Candidate, Problem, settle, split_words
from workbench.corpus.recordings import Recordings
from workbench.corpus.utterances import DataSet
from workbench.settings import UserError

NAME = re.compile(
    r"(?:(?P<before>.*?)[_.-])?(?P<kind>recordings|supervisions|cuts)(?:[_.-](?P<after>.*))?\.jsonl(?:\.gz)?"
)
SPLITS = {
    "train": "train",
    "dev": "heldout",
    "valid": "heldout",
    "heldout": "heldout",
    "test": "test",
    "eval": "test",
}
LINE = 1 << 24  # bytes; a longer line is no manifest, and must not fill the memory
Json = dict[str, Any]


def read_lhotse(folder: Path, audio_root: Path | None = None) -> dict[str, DataSet]:
    """The splits of a folder of manifests.

    Relative audio paths are looked up under ``audio_root``, then in ``folder``, then in its parent. UserError if there
    are no manifests, or one is cut short.
    """
    folder = Path(folder)
    files = _files(folder)
    roots = [*([Path(audio_root)] if audio_root else []), folder, folder.resolve().parent]
    recordings = Recordings(roots)
    return {split: _split(kinds, recordings) for split, kinds in files.items()}


def _files(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Manifests by split and kind."""
    files: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.jsonl*")) if folder.is_dir() else []:
        match = NAME.fullmatch(path.name)
        if match:
            files[_canonical(match["after"] or match["before"] or "train")][match["kind"]].append(
                path
            )
    for split, kinds in files.items():
        if not kinds["cuts"] and not (kinds["recordings"] and kinds["supervisions"]):
            raise UserError(
                f"{folder}: {split} needs cuts, or recordings and supervisions; it has {', '.join(kinds)}"
            )
    if not files:
        raise UserError(
            f"{folder}: no Lhotse manifests such as recordings_train.jsonl.gz or cuts_train.jsonl.gz"
        )
    return files


def _canonical(name: str) -> str:
    return next((split for start, split in SPLITS.items() if name.lower().startswith(start)), name)


def _split(kinds: dict[str, list[Path]], recordings: Recordings) -> DataSet:
    notes: list[str] = []
    candidates: list[Candidate] = []
    if kinds["cuts"]:
        if kinds["recordings"] or kinds["supervisions"]:
            notes.append(f"{kinds['cuts'][0]}: cuts are read, recordings and supervisions are not")
        for where, line in _lines(kinds["cuts"]):
            candidates += _of_cut(line, where, recordings)
        return settle(candidates, notes)
    known = {
        str(line["id"]): (line, where)
        for where, line in _lines(kinds["recordings"])
        if "id" in line
    }
    for where, line in _lines(kinds["supervisions"]):
        name = str(line.get("recording_id"))
        recording, _ = known.get(name, (None, where))
        problems = (
            ()
            if recording
            else (Problem("unknown recording", where, f"{name}: not in the recordings"),)
        )
        candidates.append(_of_supervision(line, where, 0.0, recording, recordings, problems))
    return settle(candidates, notes)


def _of_cut(cut: Json, where: str, recordings: Recordings) -> Iterator[Candidate]:
    """The utterances of a cut; times of its supervisions count from its own start."""
    supervisions, start = cut.get("supervisions"), _number(cut.get("start"))
    if cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or "problem" in cut:
        broken = cut.get("problem") or Problem(
            "unsupported cut", where, f"{cut.get('type')}: only MonoCut"
        )
        yield Candidate(_name(cut, where), where, None, "", problems=(broken,))
    elif not isinstance(supervisions, list) or not supervisions:
        yield Candidate(
            _name(cut, where),
            where,
            None,
            "",
            problems=(Problem("no text", where, "no supervision"),),
        )
    else:
        recording = cut.get("recording")
        problems = (
            ()
            if isinstance(recording, dict)
            else (Problem("missing audio", where, "the cut has no recording"),)
        )
        for supervision in supervisions:
            line = supervision if isinstance(supervision, dict) else {}
            yield _of_supervision(
                line, where, start, recording if not problems else None, recordings, problems
            )


def _of_supervision(
    line: Json,
    where: str,
    offset: float,
    recording: Json | None,
    recordings: Recordings,
    problems: tuple[Problem, ...],
) -> Candidate:
    if "problem" in line:
        return Candidate(_name(line, where), where, None, "", problems=(line["problem"],))
    start, duration = offset + _number(line.get("start")), _number(line.get("duration"))
    text, speaker = line.get("text"), line.get("speaker")
    found = _open(recording, line, where, recordings) if recording is not None else None
    if isinstance(found, Problem):
        problems, found = (*problems, found), None
    if not isinstance(text, str):
        problems = (*problems, Problem("no text", where, "the supervision has no text"))
    path, header = found or (None, None)
    words = split_words(text) if isinstance(text, str) else None
    name = _name(line, where)
    return Candidate(
        name, where, words, str(speaker or name), path, header, start, start + duration, problems
    )


def _open(recording: Json, supervision: Json, where: str, recordings: Recordings):
    """Path and header of a recording that one file holds, else the problem."""
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        return Problem("unsupported audio source", where, "the recording must have one source")
    kind, source = sources[0].get("type"), sources[0].get("source")
    if kind != "file" or not isinstance(source, str) or not source or source.endswith("|"):
        return Problem("unsupported audio source", where, f"{kind}: only files")
    if recording.get("transforms"):
        return Problem(
            "unsupported transform", where, "the recording is transformed: save the audio first"
        )
    found = recordings.open(source, where)
    if isinstance(found, Problem) or found[1].channels == 1:
        return found
    channels = supervision.get("channel", 0)
    if len(channels if isinstance(channels, list) else [channels]) != found[1].channels:
        return Problem(
            "unsupported channel",
            where,
            f"one of {found[1].channels} channels: save it as a file of its own",
        )
    return found


def _name(line: Json, where: str) -> str:
    """The id of a line, or its place where it has none."""
    return str(line["id"]) if "id" in line else where


def _number(value: Any) -> float:
    """NaN for what is no number: ``settle`` then says where."""
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else float("nan")
    )


def _lines(paths: list[Path]) -> Iterator[tuple[str, Json]]:
    """Place and content of every line; a line that is no JSON object has the one entry "problem"."""
    for path in paths:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(LINE), b""), 1):
                    if line.strip():
                        where = f"{path.name}:{number}"
                        yield where, _parse(line, where)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot be read to its end: {error}") from None


def _parse(line: bytes, where: str) -> Json:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"problem": Problem("bad manifest line", where, f"{type(error).__name__}: {error}")}
    return (
        value
        if isinstance(value, dict)
        else {"problem": Problem("bad manifest line", where, "not an object")}
    )
