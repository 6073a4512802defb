"""What identifies a run: corpus, parameters, versions, and the command that repeats it."""

import hashlib
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from workbench.prepare.corpus import Corpus, corpora_folder
from workbench.prepare.files import TEST_MODEL, UNIGRAM
from workbench.settings import Settings, UserError, changes_from_laptop
from workbench.storage.run import CorpusIdentity, Run

PACKAGES = (
    "workbench",
    "torch",
    "k2",
    "numpy",
    "numba",
    "dask",
    "distributed",
    "pandas",
    "kaldialign",
    "safetensors",
)
"""The packages whose versions are recorded, because numbers depend on them."""

ARITHMETIC = "2"
"""The number of the package's own arithmetic, raised by what gives the same run other numbers.

2: where a lattice has lost the reference, MMI and boosted MMI have it in the denominator.
"""

TIED_STATES = "tied states"

PARTS = {
    "lexicon": "lexiconp.txt",
    TIED_STATES: "states.npz",
    "state priors": "priors.npy",
    "unigram": UNIGRAM,
    "n-gram": TEST_MODEL,
    "search graph": "denominator.safetensors",
    "training data": "train/manifest.json",
    "held-out data": "heldout/manifest.json",
    "test data": "test/manifest.json",
}
"""The files of a corpus that training and tests use, by what they are."""

SILENCE = "probability of silence"

LANGUAGE = ("lexicon", "unigram", "n-gram")
"""The parts on which the words of a test depend, the model aside."""

FIRST_PARTS = ("lexicon", TIED_STATES, "state priors", "training data", "held-out data")
"""The parts that the digests of the first runs covered, which kept no digest of each part."""


def parameters_digest(theta: np.ndarray) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of parameters, float32 [parameters]."""
    return hashlib.sha256(np.ascontiguousarray(theta).tobytes()).hexdigest()[:16]


def corpus_identity(corpus: Corpus) -> CorpusIdentity:
    """Return what identifies the content of a prepared corpus, as a whole and part by part.

    The folder is named only if the corpus is not under data/corpora.
    """
    parts = {part: _digest(_part_content(corpus, part)) for part in PARTS}
    parts[SILENCE] = str(corpus.silence_probability)
    whole = "".join(f"{part}: {digest}\n" for part, digest in parts.items())
    folder = corpus.argument if corpus.argument != corpus.name else None
    return CorpusIdentity(corpus.name, _digest(whole.encode()), parts, folder)


def corpus_digest(corpus: Corpus) -> str:
    """Return 16 hexadecimal digits that identify the content of a prepared corpus."""
    return corpus_identity(corpus).digest


def part_digest(corpus: Corpus, part: str) -> str:
    """Return the digest of one of the `PARTS` of a corpus."""
    return _digest(_part_content(corpus, part))


def language_digest(corpus: Corpus, language: Path | None = None) -> str:
    """Return the digest of what a test uses beside the model: lexicon and language models.

    ``language``: an ARPA file that takes the place of the corpus's n-gram.
    """
    digest = _digest("".join(part_digest(corpus, part) for part in LANGUAGE).encode())
    return _digest(digest.encode() + language.read_bytes()) if language else digest


def same_corpus(recorded: CorpusIdentity, corpus: CorpusIdentity, now: Corpus) -> bool:
    """Return whether ``now``, whose identity is ``corpus``, is the corpus that was recorded."""
    if recorded.parts:
        return recorded.digest == corpus.digest
    content = b"".join(_part_content(now, part) for part in FIRST_PARTS)
    return recorded.digest == _digest(content)


def require_same_corpus(run: str, recorded: CorpusIdentity, now: Corpus) -> None:
    """Raise UserError that says what has changed, unless ``now`` is the corpus of the run."""
    identity = corpus_identity(now)
    if same_corpus(recorded, identity, now):
        return
    changed = [
        part for part, digest in identity.parts.items() if recorded.parts.get(part) != digest
    ]
    which = f" ({', '.join(changed)} changed)" if recorded.parts else ""
    raise UserError(
        f"{run}: the corpus {now.name} is not the one that it was trained on{which}; "
        "prepare that corpus again, or train a new run"
    )


def _part_content(corpus: Corpus, part: str) -> bytes:
    """The bytes of the file that is this part; UserError if it is missing."""
    found = sorted(corpus.folder.glob(PARTS[part]))
    if not found:
        raise UserError(f"{corpus.folder}: the {part} ({PARTS[part]}) is missing; prepare it again")
    return b"".join(path.read_bytes() for path in found)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def corpus_of(run: Run) -> Corpus:
    """Return the corpus that a run was trained on.

    A run that came from another computer may name a folder that is not here; then it is the same
    corpus under data/corpora. Raises UserError if it is in neither place.
    """
    identity = run.record.corpus
    if identity.folder is None:
        return Corpus.open(identity.name)
    if (identity.place / "corpus.json").exists():
        return Corpus(identity.place)

    moved = Corpus(corpora_folder() / identity.name)
    if (moved.folder / "corpus.json").exists() and same_corpus(
        identity, corpus_identity(moved), moved
    ):
        return moved
    raise UserError(
        f"{run.name}: its corpus {identity.folder} is gone; put it back there, or into "
        f"{moved.folder}"
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of our arithmetic, of Python and of every package in `PACKAGES`."""
    versions = {"arithmetic": ARITHMETIC, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def changed_versions(recorded: Mapping[str, str]) -> list[str]:
    """Return what has another version than a run ``recorded``, in words; what it lacks is left out.

    The first arithmetic was not recorded.
    """
    before = {"arithmetic": "1", **recorded}
    return [
        f"{name} {version} in place of {before[name]}"
        for name, version in installed_versions().items()
        if before.get(name, version) != version
    ]


def train_command(
    corpus: str,
    settings: Settings,
    name: str | None = None,
    init: str | None = None,
    transfer_from: str | None = None,
    cluster: str | None = None,
    recorded: bool = False,
) -> str:
    """Return the command line that trains the same run, however it was started.

    It lists every setting that differs from the preset that the command starts from. ``init`` and
    ``transfer_from`` name runs, ``cluster`` is the address of a Dask scheduler or ``local``.
    """
    words = ["workbench", "train", corpus]
    if settings.sequence:
        words += ["--criterion", settings.criterion.name]
    options = {
        "--name": name,
        "--init": init,
        "--transfer": transfer_from,
        "--cluster": cluster,
    }
    for option, value in options.items():
        if value:
            words += [option, value]
    if recorded and not cluster:  # on a cluster the schedule is always recorded
        words.append("--record")

    implied = ("clock",) if cluster else ()
    changed = changes_from_laptop(settings, implied)
    if changed:
        words += ["--set", *changed]
    return shlex.join(words)
