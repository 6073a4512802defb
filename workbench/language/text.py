"""Text files: read as bytes, split at ASCII white space only, decoded as UTF-8 and brought to Unicode's form NFC.

Bytes, because Python's own splitting also breaks at U+0085 or U+00A0, which other tools take for letters: line numbers
and words would then differ from theirs. What is wrong with a file is collected, so that a user sees all of it at once.
"""

import gzip
import unicodedata
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError

SHOWN = 20  # faults listed in one message
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Text:
    """Sentences of a text file, and how many of its lines held no words."""

    sentences: tuple[tuple[str, ...], ...]
    blank: int


@dataclass(frozen=True)
class Coverage:
    """How much of a text a vocabulary covers; ``unknown`` are the words outside it, most frequent first."""

    sentences: int
    tokens: int
    unknown_tokens: int
    unknown: tuple[tuple[str, int], ...]


def read_text(path: Path, ids: bool = False) -> Text:
    """A sentence a line; ``ids``: its first field is an utterance, as in Kaldi's ``text``, and is left out.

    Marks <s> and </s> around a sentence are dropped: every sentence has a beginning and an end anyway. UserError,
    naming all lines concerned, if the file is missing or not UTF-8.
    """
    wrong: list[str] = []
    found = [_sentence(fields[1:] if ids else fields) for _, fields in rows(Path(path), wrong)]
    refuse(wrong, Path(path))
    sentences = tuple(sentence for sentence in found if sentence)
    return Text(sentences, len(found) - len(sentences))


def _sentence(fields: list[str]) -> tuple[str, ...]:
    first = 1 if fields[:1] == ["<s>"] else 0
    last = len(fields) - 1 if fields[-1:] == ["</s>"] else len(fields)
    return tuple(fields[first:last])


def coverage(sentences: Iterable[Sequence[str]], words: Collection[str]) -> Coverage:
    """Counts what of a text lies outside the vocabulary ``words``; ties in frequency go in order of the words."""
    known, total, tokens = set(words), 0, Counter[str]()
    for sentence in sentences:
        total += 1
        tokens.update(sentence)
    unknown = sorted(
        ((w, n) for w, n in tokens.items() if w not in known), key=lambda pair: (-pair[1], pair[0])
    )
    return Coverage(total, tokens.total(), sum(n for _, n in unknown), tuple(unknown))


def rows(path: Path, wrong: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every line of a file (``.gz``: unpacked), blank lines with no fields.

    A line that is not UTF-8 is not yielded but described in ``wrong``. UserError if the file cannot be read.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text = [
                        field.decode()
                        for field in (line.removeprefix(BOM) if number == 1 else line).split()
                    ]
                except UnicodeDecodeError as error:
                    wrong.append(
                        f"{path}:{number}: not UTF-8: byte 0x{error.object[error.start]:02x}"
                    )
                    continue
                yield (
                    number,
                    text
                    if line.isascii()
                    else [unicodedata.normalize("NFC", field) for field in text],
                )
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


def refuse(wrong: list[str], path: Path) -> None:
    """Raises one UserError that lists all faults of a file, if there are any."""
    if wrong:
        more = [f"... and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        count = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
        raise UserError("\n  ".join([f"{path}: {count}", *wrong[:SHOWN], *more]))
