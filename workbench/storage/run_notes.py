"""notes.json: what a person has written about a run; no number and no identity depends on it."""

import re
from dataclasses import asdict, dataclass

from workbench.settings import UserError
from workbench.storage.files import read_json, write_json
from workbench.storage.run import Run

NOTES = "notes.json"
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class RunNotes:
    """The notes about a run; ``title`` is shown beside its name, which stays what it is."""

    title: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""


def read_notes(run: Run) -> RunNotes:
    """Return the notes about a run, empty ones if there are none."""
    path = run.folder / NOTES
    if not path.exists():
        return RunNotes()

    written = read_json(path)
    try:
        return RunNotes(str(written["title"]), tuple(written["tags"]), str(written["text"]))
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged: {error!r}; remove it to write notes anew") from None


def write_notes(run: Run, notes: RunNotes) -> RunNotes:
    """Write the notes about a run and return them, with each tag once and in order."""
    for tag in notes.tags:
        if not TAG.fullmatch(tag):
            raise UserError(
                f"{tag!r}: a tag is made of letters, digits, dots, dashes and underscores"
            )

    title = " ".join(notes.title.split())  # a title is one line of a table
    kept = RunNotes(title, tuple(sorted(set(notes.tags))), notes.text.strip())
    write_json(run.folder / NOTES, asdict(kept))
    return kept
