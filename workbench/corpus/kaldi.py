"""Kaldi data directories: wav.scp, text, and optionally segments and utt2spk.

    wav.scp   RECORDING path | RECORDING command |      text     UTTERANCE word word ...
    segments  UTTERANCE RECORDING start end [channel]   utt2spk  UTTERANCE speaker
                                                        spk2utt  speaker UTTERANCE UTTERANCE ...

Without segments, an utterance is a recording. Relative paths are looked up under ``audio_root``,
then in the folder of wav.scp, then in its parent: the first under which the file exists. An end of
-1 means the end of the recording; an end up to 0.5 s after it is cut, as Kaldi does. Without
utt2spk speakers are those of spk2utt; without either every utterance is its own speaker, and a note
states that. White space is ASCII only; words
are brought to Unicode's form NFC. No fault of a single utterance stops the reading.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.corpus.audio import Recording
from workbench.corpus.candidate import Candidate, Problem, build_data_set, split_words
from workbench.corpus.recordings import Recordings
from workbench.corpus.set_names import BEGINNINGS, SetNames, require_train
from workbench.corpus.utterances import DataSet, Seconds
from workbench.settings import UserError

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How files in UTF-16 begin; no text in UTF-8 does."""

END_OF_RECORDING = -1

COLUMNS_OF_SEGMENTS = 3
"""Recording, start and end; a further column names the channel."""


def read_kaldi(
    folder: Path, audio_root: Path | None = None, allow_commands: bool = False
) -> DataSet:
    """Return the utterances of one split in the order of its ``text``, then those without a text.

    ``allow_commands`` runs "command |" entries of wav.scp and keeps the audio in
    ``folder``/from-commands. Raise UserError only if a table cannot be read at all.
    """
    folder = Path(folder)
    tables = _read_tables(folder)
    recordings = Recordings.of(folder, audio_root, allow_commands)

    candidates = [_to_candidate(row, tables, recordings) for row in tables.text]
    in_text = {row.key for row in tables.text}
    utterances = tables.recordings if tables.segments is None else tables.segments
    for row in utterances.values():
        if row.key not in in_text:
            problem = Problem("no text", row.where, "not in text")
            candidates.append(Candidate(row.key, row.where, None, problems=(problem,)))

    return replace(build_data_set(candidates, tables.notes), origin=folder.name or str(folder))


def read_kaldi_splits(
    folder: Path,
    audio_root: Path | None = None,
    allow_commands: bool = False,
    names: SetNames | None = None,
) -> dict[str, DataSet]:
    """Return the splits train, heldout and test, as far as ``folder`` has them.

    A split is the folder that ``names`` gives, in ``folder`` or elsewhere; else the one called
    train, heldout, dev, ...; else the only one whose name begins so, such as train_clean_5. A
    folder that is itself a split counts as train. Raise UserError if there is no training split,
    or several folders could be one split.
    """
    folder = Path(folder)
    sets = _find_sets(folder, names or SetNames())
    there = [path.parent.name for path in sorted(folder.glob("*/wav.scp"))]
    where = f"{folder}: no Kaldi data directory (a folder with wav.scp)"
    deeper = sorted({path.parent.parent for path in folder.glob("*/*/wav.scp")})
    if not there and deeper:
        raise UserError(f"{where}, but {', '.join(map(str, deeper))} has some: give that folder")
    require_train(where, sets, there)
    return {split: read_kaldi(path, audio_root, allow_commands) for split, path in sets.items()}


def _find_sets(folder: Path, names: SetNames) -> dict[str, Path]:
    """Return the folder of each split that there is."""
    found: dict[str, Path] = {}
    for split in BEGINNINGS:
        named = names.of(split)
        if named is not None:
            found[split] = _find_named_set(folder, named, split)
        elif not (folder / "wav.scp").exists():
            candidates = _find_candidates(folder, split, names)
            if len(candidates) > 1:
                listed = ", ".join(path.name for path in candidates)
                raise UserError(
                    f"{folder}: several folders could be {split}: {listed}; "
                    f"name one with --{split} FOLDER"
                )

            if candidates:
                found[split] = candidates[0]
        elif split == "train":
            found[split] = folder

    return found


def _find_named_set(folder: Path, name: str, split: str) -> Path:
    """Return the folder that a user named, in ``folder`` or elsewhere."""
    for path in (folder / name, Path(name)):
        if (path / "wav.scp").exists():
            return path

    there = ", ".join(sorted(path.parent.name for path in folder.glob("*/wav.scp")))
    others = f"; there are {there}" if there else ""
    raise UserError(f"--{split} {name}: no wav.scp in {folder / name}{others}")


def _find_candidates(folder: Path, split: str, names: SetNames) -> list[Path]:
    """Return the folders that could be ``split``; only one if it has just the name of a split."""
    for name in (*BEGINNINGS[split], "validation"):
        if (folder / name / "wav.scp").exists() and names.split_of(name) == split:
            return [folder / name]

    sets = (path.parent for path in sorted(folder.glob("*/wav.scp")))
    return [path for path in sets if names.split_of(path.name) == split]


@dataclass(frozen=True)
class _Row:
    """A line of a table: its first field, the rest, its place, and what is wrong with it."""

    key: str
    rest: str
    where: str
    problem: Problem | None = None


@dataclass(frozen=True)
class _Tables:
    """The tables of one split.

    ``text`` keeps all lines of a key; the others keep the first, marked if a later one contradicts
    it.
    """

    text: list[_Row]
    recordings: dict[str, _Row]
    segments: dict[str, _Row] | None
    speakers: dict[str, _Row] | None
    notes: list[str]


def _read_tables(folder: Path) -> _Tables:
    for name in ("wav.scp", "text"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: no such file; a Kaldi data directory needs wav.scp and text"
            )

    notes: list[str] = []
    segments = None
    if (folder / "segments").is_file():
        segments = _read_table(folder / "segments", notes)
    speakers = _read_speakers(folder, notes)
    recordings = _read_table(folder / "wav.scp", notes)
    return _Tables(list(_read_rows(folder / "text")), recordings, segments, speakers, notes)


def _read_speakers(folder: Path, notes: list[str]) -> dict[str, _Row] | None:
    """Return the speaker of each utterance, from either table; None, and a note, without both."""
    if (folder / "utt2spk").is_file():
        return _read_table(folder / "utt2spk", notes)
    if not (folder / "spk2utt").is_file():
        notes.append(f"{folder / 'utt2spk'}: no such file; every utterance is its own speaker")
        return None

    turned = [
        replace(row, key=utterance, rest=row.key)
        for row in _read_rows(folder / "spk2utt")
        for utterance in row.rest.split()
    ]
    return _to_table(turned, notes)


def _to_candidate(row: _Row, tables: _Tables, recordings: Recordings) -> Candidate:
    """Return the utterance of a line of ``text``, with all problems that the tables show."""
    problems = [row.problem] if row.problem else []
    segment = _find_segment(row, tables, recordings, problems)
    speaker = _find_speaker(row, tables, problems)
    return Candidate(
        id=row.key,
        where=row.where,
        words=split_words(row.rest),
        speaker=speaker,
        recording=segment.recording,
        start=segment.start,
        end=segment.end,
        channel=segment.channel,
        problems=tuple(problems),
    )


def _find_speaker(row: _Row, tables: _Tables, problems: list[Problem]) -> str:
    """Return the speaker of an utterance, or "" and one more of ``problems``."""
    if tables.speakers is None:
        return row.key

    entry = tables.speakers.get(row.key)
    if entry is None:
        problems.append(Problem("missing speaker", row.where, "not in utt2spk"))
        return ""
    if not entry.rest:
        problems.append(Problem("missing speaker", row.where, entry.where))
    elif entry.problem:
        problems.append(entry.problem)
    elif len(entry.rest.split()) > 1:
        detail = f"{entry.rest!a}: one word is expected"
        problems.append(Problem("bad speaker id", row.where, detail))
    return entry.rest


@dataclass(frozen=True)
class _Segment:
    """The place of an utterance; without a recording if that was not found."""

    recording: Recording | None = None
    start: Seconds = 0.0
    end: Seconds | None = None
    channel: int | None = None


def _find_segment(
    row: _Row, tables: _Tables, recordings: Recordings, problems: list[Problem]
) -> _Segment:
    """Return recording, start and end of an utterance; append to ``problems`` what is missing."""
    start: Seconds = 0.0
    end: Seconds | None = None
    channel: int | None = None
    if tables.segments is None:
        entry = tables.recordings.get(row.key)
    else:
        segment = tables.segments.get(row.key)
        if segment is None or segment.problem:
            problems.append(_problem_of(segment, row, "segments"))
            return _Segment()

        fields = segment.rest.split()
        entry = tables.recordings.get(fields[0]) if fields else None
        if entry is None:
            name = fields[0] if fields else "none"
            problems.append(Problem("unknown recording", segment.where, f"{name}: not in wav.scp"))
            return _Segment()
        start, end = _parse_times(fields[1:])
        if len(fields) > COLUMNS_OF_SEGMENTS:
            channel = _parse_channel(fields[COLUMNS_OF_SEGMENTS], segment.where, problems)

    if entry is None or entry.problem:
        problems.append(_problem_of(entry, row, "wav.scp"))
        return _Segment()

    recording = recordings.open(entry.rest, entry.where)
    if isinstance(recording, Problem):
        problems.append(recording)
        return _Segment(None, start, end)
    return _Segment(recording, start, end, channel)


def _problem_of(entry: _Row | None, row: _Row, table: str) -> Problem:
    """Return the problem of ``entry``, or that ``table`` has no entry for ``row``."""
    if entry is not None and entry.problem is not None:
        return entry.problem
    return Problem("missing audio", row.where, f"{row.key}: not in {table}")


def _parse_channel(field: str, where: str, problems: list[Problem]) -> int | None:
    """Return the channel in the last column of segments, counted from 0 as Kaldi does."""
    if field.isascii() and field.isdigit():
        return int(field)
    problems.append(Problem("unknown channel", where, f"{field}: not a number"))
    return None


def _parse_times(fields: list[str]) -> tuple[Seconds, Seconds | None]:
    """Return start and end of a segment.

    Both are NaN if they are not numbers, which is refused later, with the place.
    """
    try:
        start, end = (float(field) for field in fields[:2])
    except ValueError:
        return math.nan, math.nan
    return start, None if end == END_OF_RECORDING else end


def _read_table(path: Path, notes: list[str]) -> dict[str, _Row]:
    """Return the rows of a file by key, see `_to_table`."""
    return _to_table(_read_rows(path), notes)


def _to_table(rows: Iterable[_Row], notes: list[str]) -> dict[str, _Row]:
    """Return rows by key: a key with different rows gets a problem, a repeated row a note."""
    table: dict[str, _Row] = {}
    for row in rows:
        first = table.setdefault(row.key, row)
        if first is row:
            continue
        if first.rest == row.rest:
            notes.append(f"{row.where}: {row.key} repeats {first.where}")
        else:
            detail = f"{row.key}: contradicts {first.where}"
            problem = first.problem or Problem("duplicate id", row.where, detail)
            table[row.key] = _Row(row.key, first.rest, first.where, problem)
    return table


def _read_rows(path: Path) -> Iterator[_Row]:
    """Yield the lines of a table that are not blank."""
    name = f"{path.resolve().parent.name}/{path.name}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if content.startswith(UTF_16):
        raise UserError(f"{path}: is UTF-16; write it again as UTF-8")
    lines = content.removeprefix(BOM).split(b"\n")

    for number, line in enumerate(lines, 1):
        fields = line.split(maxsplit=1)
        if fields:
            rest = fields[1] if len(fields) > 1 else b""
            yield _parse_row(fields[0], rest, f"{name}:{number}")


def _parse_row(key: bytes, rest: bytes, where: str) -> _Row:
    """Return the row; with a problem, and with what can be decoded, if it is not UTF-8."""
    try:
        return _Row(key.decode(), rest.strip().decode(), where)
    except UnicodeDecodeError as error:
        return _Row(
            key.decode(errors="backslashreplace"),
            rest.decode(errors="replace").strip(),
            where,
            Problem("invalid UTF-8", where, f"byte 0x{error.object[error.start]:02x}"),
        )
