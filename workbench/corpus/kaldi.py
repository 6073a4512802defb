"""Kaldi data directories: wav.scp, text, and optionally segments and utt2spk.

    wav.scp   RECORDING path | RECORDING command |      text     UTTERANCE word word ...
    segments  UTTERANCE RECORDING start end             utt2spk  UTTERANCE speaker

Without segments an utterance is a recording. Relative paths are looked up under ``audio_root``, then in the folder of
wav.scp, then in its parent: the first under which the file exists. An end of -1 means the end of the recording; one up
to 0.5 s after it is cut, as Kaldi does. Without utt2spk every utterance is its own speaker, and a note says so. White
space is ASCII only; words are brought to Unicode's form NFC. Nothing that is wrong stops the reading.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.corpus.audio import Header
from workbench.corpus.candidate import Candidate, Problem, settle, split_words
from workbench.corpus.recordings import Recordings
from workbench.corpus.utterances import DataSet
from workbench.settings import UserError

HELDOUT_NAMES = ("heldout", "dev", "valid", "validation")
BOM = b"\xef\xbb\xbf"


def read_kaldi(
    folder: Path, audio_root: Path | None = None, allow_commands: bool = False
) -> DataSet:
    """The utterances of one split in the order of its ``text``, then those that have none.

    ``allow_commands``: run "command |" entries of wav.scp and keep the audio in ``folder``/from-commands. UserError
    only if wav.scp or text cannot be read at all.
    """
    folder = Path(folder)
    source = _Source.read(folder)
    roots = [*([Path(audio_root)] if audio_root else []), folder, folder.resolve().parent]
    recordings = Recordings(roots, folder / "from-commands" if allow_commands else None)
    candidates = [_candidate(row, source, recordings) for row in source.text]
    known = {row.key for row in source.text}
    for row in (source.recordings if source.segments is None else source.segments).values():
        if row.key not in known:
            untold = Problem("no text", row.where, "not in text")
            candidates.append(Candidate(row.key, row.where, None, "", problems=(untold,)))
    return settle(candidates, source.notes)


def read_kaldi_splits(
    folder: Path, audio_root: Path | None = None, allow_commands: bool = False
) -> dict[str, DataSet]:
    """The splits train, heldout (also called dev, valid or validation) and test, as far as ``folder`` has them.

    A folder that is itself a split counts as train. UserError if there is no training split.
    """
    folder = Path(folder)
    if (folder / "wav.scp").exists():
        return {"train": read_kaldi(folder, audio_root, allow_commands)}
    names = {"train": ("train",), "heldout": HELDOUT_NAMES, "test": ("test",)}
    found = {
        s: next((folder / n for n in names[s] if (folder / n / "wav.scp").exists()), None)
        for s in names
    }
    if found["train"] is None:
        raise UserError(f"{folder}: no Kaldi data directory: neither wav.scp nor train/wav.scp")
    return {
        split: read_kaldi(path, audio_root, allow_commands) for split, path in found.items() if path
    }


@dataclass(frozen=True)
class _Row:
    """A line: its first field, the rest, and what is wrong with it."""

    key: str
    rest: str
    where: str
    problem: Problem | None = None


@dataclass(frozen=True)
class _Source:
    """The tables of one split; ``text`` keeps repeated lines, the others their first one, marked if they contradict."""

    text: list[_Row]
    recordings: dict[str, _Row]
    segments: dict[str, _Row] | None
    speakers: dict[str, _Row] | None
    notes: list[str]

    @classmethod
    def read(cls, folder: Path) -> "_Source":
        notes: list[str] = []
        for name in ("wav.scp", "text"):
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name}: no such file; a Kaldi data directory needs wav.scp and text"
                )
        optional = {name: (folder / name).is_file() for name in ("segments", "utt2spk")}
        if not optional["utt2spk"]:
            notes.append(
                f"{folder / 'utt2spk'}: no such file; every utterance is taken for a speaker of its own"
            )
        segments, speakers = (
            _table(folder / name, notes) if there else None for name, there in optional.items()
        )
        return cls(
            list(_rows(folder / "text")),
            _table(folder / "wav.scp", notes),
            segments,
            speakers,
            notes,
        )


def _candidate(row: _Row, source: _Source, recordings: Recordings) -> Candidate:
    """The utterance of a line of ``text``, with everything that the tables have against it."""
    problems = [row.problem] if row.problem else []
    audio, start, end = _audio(row, source, recordings, problems)
    path, header = audio or (None, None)
    speaker = _speaker(row, source, problems)
    return Candidate(
        row.key,
        row.where,
        split_words(row.rest),
        speaker,
        path,
        header,
        start,
        end,
        tuple(problems),
    )


def _speaker(row: _Row, source: _Source, problems: list[Problem]) -> str:
    if source.speakers is None:
        return row.key
    found = source.speakers.get(row.key)
    if found is None or not found.rest:
        problems.append(
            Problem(
                "missing speaker", row.where, "not in utt2spk" if found is None else found.where
            )
        )
    elif found.problem:
        problems.append(found.problem)
    return found.rest if found else ""


def _audio(
    row: _Row, source: _Source, recordings: Recordings, problems: list[Problem]
) -> tuple[tuple[Path, Header] | None, float, float | None]:
    """Path and header, start and end; what cannot be found is added to ``problems``."""
    start, end, entry = 0.0, None, source.recordings.get(row.key)
    if source.segments is not None:
        segment = source.segments.get(row.key)
        if segment is None or segment.problem:
            problems.append(
                segment.problem if segment and segment.problem else _missing(row, "segments")
            )
            return None, 0.0, None
        fields = segment.rest.split()
        entry = source.recordings.get(fields[0]) if fields else None
        if entry is None:
            problems.append(
                Problem(
                    "unknown recording",
                    segment.where,
                    f"{fields[0] if fields else 'none'}: not in wav.scp",
                )
            )
            return None, 0.0, None
        start, end = _times(fields[1:])
    if entry is None or entry.problem:
        problems.append(entry.problem if entry and entry.problem else _missing(row, "wav.scp"))
        return None, 0.0, None
    found = recordings.open(entry.rest, entry.where)
    if isinstance(found, Problem):
        problems.append(found)
        return None, start, end
    return found, start, end


def _missing(row: _Row, table: str) -> Problem:
    return Problem("missing audio", row.where, f"{row.key}: not in {table}")


def _times(fields: list[str]) -> tuple[float, float | None]:
    """Start and end of a segment; NaN, which is refused later with the place, where they are no numbers."""
    try:
        start, end = (float(field) for field in fields[:2])
    except ValueError:
        return math.nan, math.nan
    return start, None if end == -1 else end


def _table(path: Path, notes: list[str]) -> dict[str, _Row]:
    """Rows by key; a key with different rows gets a problem, one that is only repeated a note."""
    table: dict[str, _Row] = {}
    for row in _rows(path):
        first = table.setdefault(row.key, row)
        if first is row:
            continue
        if first.rest == row.rest:
            notes.append(f"{row.where}: {row.key} repeats {first.where}")
        else:
            twice = Problem("duplicate id", row.where, f"{row.key}: contradicts {first.where}")
            table[row.key] = _Row(row.key, first.rest, first.where, first.problem or twice)
    return table


def _rows(path: Path) -> Iterator[_Row]:
    """The lines of a table that are not blank."""
    name = f"{path.resolve().parent.name}/{path.name}"
    try:
        lines = path.read_bytes().removeprefix(BOM).split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        key, rest = (*line.split(maxsplit=1), b"", b"")[:2]
        if key:
            where = f"{name}:{number}"
            try:
                yield _Row(key.decode(), rest.strip().decode(), where)
            except UnicodeDecodeError as error:
                problem = Problem("invalid UTF-8", where, f"byte 0x{error.object[error.start]:02x}")
                yield _Row(
                    key.decode(errors="backslashreplace"),
                    rest.decode(errors="replace").strip(),
                    where,
                    problem,
                )
