"""What differs between runs: settings, corpus, starting point, versions and results."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.settings import Value
from workbench.storage.run import Run

LACKING = "(lacks it)"  # of a run that is older than a setting


@dataclass(frozen=True)
class Differing:
    """One thing in which runs differ, with its value in each of them."""

    name: str
    values: list[Value]


def differences(runs: Sequence[Run], versions: bool = True) -> list[Differing]:
    """Return everything in which runs differ; ``versions``: those of packages too."""
    described = [_description(run, versions) for run in runs]
    names = dict.fromkeys(name for description in described for name in description)
    found = []
    for name in names:
        values = [description.get(name, LACKING) for description in described]
        if len(set(values)) > 1:
            found.append(Differing(name, values))
    return found


def _description(run: Run, versions: bool) -> dict[str, Value]:
    record = run.record
    parent = record.parent
    described: dict[str, Value] = {
        "corpus": record.corpus.name,
        "corpus digest": record.corpus.digest,
        "started from": (parent.run or parent.transfer if parent else None) or "nothing",
        **record.settings,
    }
    if versions:
        described |= {f"version of {name}": text for name, text in record.versions.items()}
    return described
