"""What identifies a run: corpus, parameters, versions, and the command that repeats it."""

import hashlib
import platform
import shlex
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from workbench.prepare.corpus import Corpus
from workbench.settings import Settings, preset

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

IDENTIFYING_FILES = (
    "lexiconp.txt",
    "states.npz",
    "priors.npy",
    "train/manifest.json",
    "heldout/manifest.json",
)
"""The files of a corpus that training depends on."""


def parameters_digest(theta: np.ndarray) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of parameters, float32 [parameters]."""
    return hashlib.sha256(np.ascontiguousarray(theta).tobytes()).hexdigest()[:16]


def corpus_digest(corpus: Corpus) -> str:
    """Return 16 hexadecimal digits that identify the content of a prepared corpus."""
    content = b"".join((corpus.folder / name).read_bytes() for name in IDENTIFYING_FILES)
    return hashlib.sha256(content).hexdigest()[:16]


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of every package in `PACKAGES`."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


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

    usual = preset("laptop", criterion=settings.criterion.name).to_dict()
    changed = []
    for field, chosen in settings.to_dict().items():
        implied = field == "clock" and cluster
        if chosen != usual[field] and not implied:
            changed.append(f"{field}={chosen}")

    if changed:
        words += ["--set", *changed]
    return shlex.join(words)
