"""The files of a corpus beside its frame stores: their digests, and what to do about damage."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.files import FileRecord, is_file
from workbench.storage.manifest import Manifest, digest_file
from workbench.storage.records import record_of

UNIGRAM = "lm-1.arpa"
"""The file of the language model of training."""

TEST_MODEL = "lm-[2-9].arpa"
"""The file of the test's language model, by its order; a unigram of the test is called lm-2."""

PATTERNS = (
    "lexiconp.txt",
    UNIGRAM,
    TEST_MODEL,
    "states.npz",
    "priors.npy",
    "denominator.safetensors",
)
ADVICE = "prepare the corpus again: remove its folder and repeat `workbench prepare`"

# What readers of damaged files raise where no digest was written yet that names them first.
DAMAGE = (ValueError, KeyError, IndexError, TypeError, EOFError, OSError, zipfile.BadZipFile)


def language_model_file(order: int) -> str:
    """Return the name of the file of a language model."""
    return f"lm-{order}.arpa"


def file_records(folder: Path) -> dict[str, dict[str, object]]:
    """Return size and digest of each file, for corpus.json."""
    paths = [path for pattern in PATTERNS for path in sorted(folder.glob(pattern))]
    return {path.name: asdict(digest_file(path)) for path in paths}


def corpus_manifest(folder: Path, info: Mapping[str, object]) -> Manifest:
    """Return the manifest in corpus.json; corpora of older releases have none of their files."""
    given = info.get("files", {})
    path = folder / "corpus.json"
    if not isinstance(given, dict):
        raise UserError(f"{path}: files must be an object {{...}}; {ADVICE}")
    files = {name: record_of(FileRecord, record, path) for name, record in given.items()}
    return Manifest(folder, info, files, ADVICE)


def check_complete(manifest: Manifest) -> None:
    """Raise UserError if a file of the corpus is missing."""
    for pattern in PATTERNS:
        if not any(manifest.folder.glob(pattern)):
            raise manifest.problem(pattern, "missing")


@contextmanager
def opened(manifest: Manifest, name: str) -> Iterator[Path]:
    """Yield the path of a file of the corpus after its digest was checked.

    UserError names the file if it is missing, was changed, or cannot be read.
    """
    path = manifest.folder / name
    if name in manifest.files:
        manifest.verify_file(name)
    elif not is_file(path):
        raise manifest.problem(name, "missing")
    try:
        yield path
    except UserError as error:
        raise UserError(f"{error}; {ADVICE}") from None
    except DAMAGE as error:
        raise manifest.problem(name, f"damaged: {error}") from None
