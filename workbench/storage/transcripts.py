"""The transcripts that a test leaves in the folder of its run, as Kaldi writes text.

test.ref       UTTERANCE and its reference words
test.hyp       UTTERANCE and the words that were recognised
test.utt2spk   UTTERANCE and its speaker; tests made before speakers were kept lack it
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.files import write_file

REFERENCES = "test.ref"
HYPOTHESES = "test.hyp"
SPEAKERS = "test.utt2spk"

Words = tuple[str, ...]


@dataclass(frozen=True)
class Transcripts:
    """The transcripts of a test set, by utterance; ``speakers`` is None where nobody knows them."""

    references: Mapping[str, Words]
    hypotheses: Mapping[str, Words]
    speakers: Mapping[str, str] | None


def has_transcripts(folder: Path) -> bool:
    """Return whether the run in ``folder`` was tested."""
    return (folder / HYPOTHESES).exists() and (folder / REFERENCES).exists()


def write_transcripts(folder: Path, transcripts: Transcripts) -> None:
    """Write the files of ``transcripts``, in the order of the references."""
    utterances = transcripts.references
    _write(folder / REFERENCES, utterances.items())
    if transcripts.speakers is None:
        (folder / SPEAKERS).unlink(missing_ok=True)
    else:
        speakers = transcripts.speakers
        _write(folder / SPEAKERS, ((utterance, (speakers[utterance],)) for utterance in utterances))
    # Last, because their presence is what marks a run as tested.
    hypotheses = transcripts.hypotheses
    _write(folder / HYPOTHESES, ((utterance, hypotheses[utterance]) for utterance in utterances))


def read_transcripts(folder: Path) -> Transcripts:
    """Return the transcripts that `write_transcripts` wrote.

    Raises UserError if one is missing: the run was not tested, or a file was damaged.
    """
    references = _read(folder / REFERENCES)
    hypotheses = _read(folder / HYPOTHESES)
    missing = references.keys() ^ hypotheses.keys()
    if missing:
        raise UserError(
            f"{folder / HYPOTHESES}: its utterances are not those of {REFERENCES} "
            f"({min(missing)} is in one of them only); test the run again"
        )
    if not (folder / SPEAKERS).exists():
        return Transcripts(references, hypotheses, None)

    speakers = {utterance: row[0] for utterance, row in _read(folder / SPEAKERS).items() if row}
    without = references.keys() - speakers.keys()
    if without:
        raise UserError(f"{folder / SPEAKERS}: no speaker of {min(without)}; test the run again")
    return Transcripts(references, hypotheses, speakers)


def _write(path: Path, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    lines = [" ".join((utterance, *words)) for utterance, words in rows]
    write_file(path, "".join(f"{line}\n" for line in lines).encode())


def _read(path: Path) -> dict[str, Words]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; test the run first") from None
    rows = {}
    for line in text.splitlines():
        fields = line.split()
        if fields:
            rows[fields[0]] = tuple(fields[1:])
    return rows
