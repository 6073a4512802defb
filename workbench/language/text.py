"""Text files: read as bytes, split at ASCII white space only, decoded as UTF-8 in form NFC.

They are split as bytes because Python's own splitting also breaks at U+0085 or U+00A0, which other
tools take for letters: line numbers and words would then differ from theirs. All faults of a file
are collected, so that a user sees them at once.
"""

import gzip
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from workbench.language.backoff import BEGIN, END
from workbench.settings import UserError

FAULTS_LISTED = 20  # in one message

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Text:
    """Sentences of a text file, and how many of its lines held no words."""

    sentences: tuple[tuple[str, ...], ...]
    blank: int


def read_text(path: Path, ids: bool = False) -> Text:
    """Return the sentences of a file with one sentence a line.

    With ``ids``, the first field of each line is an utterance, as in Kaldi's ``text``, and is left
    out. The marks <s> and </s> around a sentence are dropped, since every sentence has a beginning
    and an end anyway. Raises a UserError that names all lines concerned if the file is missing or
    not UTF-8.
    """
    path = Path(path)
    faults: list[str] = []
    lines = [_strip_marks(fields[1:] if ids else fields) for _, fields in iter_lines(path, faults)]
    raise_faults(faults, path)
    sentences = tuple(sentence for sentence in lines if sentence)
    return Text(sentences, blank=len(lines) - len(sentences))


def _strip_marks(fields: list[str]) -> tuple[str, ...]:
    """Return the words of a sentence without the marks of its beginning and end."""
    if fields[:1] == [BEGIN]:
        fields = fields[1:]
    if fields[-1:] == [END]:
        fields = fields[:-1]
    return tuple(fields)


def iter_lines(path: Path, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number, from 1, and the fields of every line; blank lines have no fields.

    The file is unpacked if its name ends in ``.gz``.

    A line that is not UTF-8 is left out and described in ``faults``. Raises UserError if the file
    cannot be read.
    """
    try:
        with _open_bytes(path) as file:
            for number, content in enumerate(file, 1):
                if number == 1:
                    content = content.removeprefix(BYTE_ORDER_MARK)
                try:
                    fields = [field.decode() for field in content.split()]
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    faults.append(f"{path}:{number}: not UTF-8: byte 0x{byte:02x}")
                    continue
                if not content.isascii():
                    fields = [unicodedata.normalize("NFC", field) for field in fields]
                yield number, fields
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read: {reason}") from None


def _open_bytes(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return open(path, "rb")


def raise_faults(faults: list[str], path: Path) -> None:
    """Raise one UserError that lists the faults of a file, if there are any."""
    if not faults:
        return
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [f"{path}: {count}", *faults[:FAULTS_LISTED]]
    if len(faults) > FAULTS_LISTED:
        lines.append(f"... and {len(faults) - FAULTS_LISTED} more")
    raise UserError("\n  ".join(lines))
