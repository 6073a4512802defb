"""``workbench doctor``: what is wrong, and what to do."""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import FAILED
from workbench.cli.table_text import print_lines
from workbench.settings import UserError
from workbench.settings.alternatives import EXTENSIONS, load_extensions

if TYPE_CHECKING:
    from workbench.cli.findings import Finding

EXAMPLES = """examples:
  workbench doctor                    the installation and the data folder, but no large files
  workbench doctor icelandic mmi      every file of a corpus and of a run
  workbench doctor tls://host:8786    a Dask cluster
  workbench doctor --remove           remove what is left over

The exit code is 0 if nothing is wrong, else 1."""
SCHEMES = ("tcp://", "tls://")


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    names: list[str]
    remove: bool
    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("names", nargs="*", metavar="RUN|CORPUS|SWEEP|CLUSTER")
    parser.add_argument("--remove", action="store_true", help="remove what is left over")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(options: Options) -> int:
    """Print what is wrong; return the exit code."""
    found = list(examine(options.names))
    if options.remove:
        found = [finding for finding in found if not remove(finding)]

    if options.json:
        print(json.dumps([finding.to_dict() for finding in found], indent=1))
    else:
        print_lines(describe(found))
    return FAILED if found else 0


def examine(names: list[str]) -> "Iterator[Finding]":
    """Yield what is wrong with these, or with everything; UserError if there is no such thing."""
    from workbench.cli import findings

    if not names:
        yield from environment()
        yield from findings.data_findings()
    for name in names:
        yield from examine_one(name)


def examine_one(name: str) -> "Iterator[Finding]":
    """Yield what is wrong with the run, corpus, sweep or cluster of this name."""
    from workbench.cli import findings
    from workbench.prepare.corpus import corpora_folder
    from workbench.storage.files import is_file
    from workbench.storage.run import find_run
    from workbench.sweeping.spec import saved_sweeps

    if name.startswith(SCHEMES):
        yield from examine_cluster(name)
        return
    for folder in (corpora_folder() / name, Path(name)):
        if is_file(folder / "corpus.json"):
            yield from findings.corpus_findings(folder, thorough=True)
            return
    if name in saved_sweeps():
        yield from findings.sweep_findings(saved_sweeps()[name])
        return
    yield from findings.run_findings(find_run(name), thorough=True)


def examine_cluster(address: str) -> "Iterator[Finding]":
    """Yield what is wrong with the Dask cluster at an address."""
    from workbench.cli.findings import Finding, FindingKind
    from workbench.runs.execution import needs_dask

    with needs_dask():
        from workbench.engine.dask import connected
    if address.startswith("tcp://"):
        advice = "give the cluster certificates, and use tls://"
        what = "plain TCP: everybody who reaches the scheduler can run code on its workers"
        yield Finding(FindingKind.ENVIRONMENT, address, what, advice)
    with connected(address, 1, 1) as cluster:
        if not cluster.workers(0):
            advice = f"start some: dask worker {address}"
            yield Finding(FindingKind.ENVIRONMENT, address, "has no workers", advice)
        different = cluster.different_versions()
        if different:
            what = f"workers have other versions than this process: {', '.join(different)}"
            yield Finding(
                FindingKind.ENVIRONMENT, address, what, "install the same versions everywhere"
            )


def environment() -> "Iterator[Finding]":
    """Yield the facts of this machine and installation that need advice."""
    from workbench.cli.findings import Finding, FindingKind
    from workbench.cli.info import facts

    for fact in facts():
        if fact.advice:
            yield Finding(FindingKind.ENVIRONMENT, fact.name, fact.value, fact.advice)

    try:
        load_extensions()
    except UserError as error:
        advice = f"mend the module, or change {EXTENSIONS}; no command trains until then"
        yield Finding(FindingKind.ENVIRONMENT, EXTENSIONS, str(error), advice)


def remove(finding: "Finding") -> bool:
    """Remove what a finding says is left over; return whether there was anything."""
    path = finding.leftover
    if path is None:
        return False
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True


def describe(found: "list[Finding]") -> str:
    """The findings as text, with what to do below each."""
    if not found:
        return "nothing is wrong"
    lines = []
    for finding in found:
        lines.append(f"{finding.kind}: {finding.where}: {finding.what}")
        lines.append(f"  -> {finding.advice}")
    return "\n".join(lines)
