"""``workbench info``: facts about this machine and installation, with advice where something is
wrong.
"""

import argparse
import importlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from workbench.cli.table_text import print_lines
from workbench.settings import UserError

EXAMPLES = ""
PACKAGES = (
    "torch",
    "k2",
    "numpy",
    "numba",
    "pandas",
    "pyarrow",
    "safetensors",
    "soundfile",
)
OPTIONAL = {
    "k2": "k2",
    "espeakng_loader": "data",
    "icegrams": "data",
    "jupyterlab": "notebooks",
    "distributed": "cluster",
}
GIB = 2**30
LITTLE_DISK = 5 * GIB
LITTLE_MEMORY = 4 * GIB
SAFE_LOAD = (2, 10)  # the first torch without a known way to run code through torch.load


@dataclass(frozen=True)
class Fact:
    """One line of the list: a name, its value, and advice where something is wrong."""

    name: str
    value: str
    advice: str = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's option."""
    parser.add_argument("--json", action="store_true", help="print a list with an object per fact")


def run(options: Options) -> None:
    """Print all facts."""
    if options.json:
        print(json.dumps([asdict(fact) for fact in facts()], indent=1))
    else:
        print_lines(describe())


def describe() -> str:
    """All facts as text, one per line, with advice below the fact that it is about."""
    known = list(facts())
    width = max(len(fact.name) for fact in known)
    lines = []
    for fact in known:
        lines.append(f"{fact.name:{width}}  {fact.value}")
        if fact.advice:
            lines.append(f"{'':{width}}  -> {fact.advice}")
    return "\n".join(lines)


def facts() -> Iterator[Fact]:
    """Every fact, in the order in which a person would ask."""
    from workbench.storage.home import data_folder

    yield Fact("python", f"{platform.python_version()} on {platform.platform()}")
    yield from (Fact(name, find_version(name)) for name in PACKAGES)
    yield from (fact for fact in map(check_import, OPTIONAL) if fact.advice)
    yield torch_load(find_version("torch"))
    yield from arithmetic()
    yield memory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), os.cpu_count() or 1)
    yield disk(data_folder())
    yield list_names("corpora", "corpus.json")
    yield list_names("runs", "settings.json")
    yield list_names("sweeps", "sweep.json")


def torch_load(release: str) -> Fact:
    """Whether this release of torch has the known holes of torch.load, which this package never
    calls.
    """
    numbers = tuple(int(part) for part in release.split("+")[0].split(".")[:2] if part.isdigit())
    if numbers >= SAFE_LOAD:
        return Fact("torch.load", "never called here: models are safetensors")
    return Fact(
        "torch.load",
        f"torch {release} is older than 2.10, where a file given to torch.load can run code; "
        "never called here",
        "do not call torch.load on files of others in your own code beside this package",
    )


def memory(total: int, processors: int) -> Fact:
    """Processors and memory; advice where there is too little for two processes."""
    advice = (
        "close other programs, or take --jobs 1 and a smaller preset"
        if total < LITTLE_MEMORY
        else ""
    )
    return Fact("machine", f"{processors} processors, {total / GIB:.0f} GB of memory", advice)


def disk(folder: Path) -> Fact:
    """Free space where corpora and runs go; advice where 60 h of speech would not fit."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    advice = (
        "make room, or set WORKBENCH_DATA to a folder on a larger disk"
        if free < LITTLE_DISK
        else ""
    )
    return Fact("data folder", f"{folder}, {free / GIB:.0f} GB free", advice)


def arithmetic() -> Iterator[Fact]:
    """Processor, kernel and its speed, as a run records them."""
    from workbench.model import kernels

    try:
        known = kernels.describe()
    except UserError as error:
        yield Fact("arithmetic", "not chosen", str(error))
        return
    speeds = ", ".join(f"{name} {speed} GFLOP/s" for name, speed in known.gflops.items())
    yield Fact("processor", f"{known.processor} ({' '.join(known.flags)})")
    yield Fact("arithmetic", f"{known.kernel} on {known.device}: {speeds} ({known.reason})")


def find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def check_import(module: str, load: Callable[[str], object] = importlib.import_module) -> Fact:
    """Whether an optional package loads; if not, why, and the extra that brings it."""
    try:
        load(module)
    except ModuleNotFoundError as error:
        return Fact(
            module,
            f"not here ({error})",
            f"pip install 'workbench[{OPTIONAL[module]}]' if you want it",
        )
    except (
        ImportError,
        OSError,
    ) as error:  # a wheel for another Python or torch, or a missing system library
        advice = (
            "apt install libpython3.11 on Debian and Ubuntu"
            if "libpython" in str(error)
            else "install it anew"
        )
        return Fact(module, f"does not load ({str(error).splitlines()[0]})", advice)
    return Fact(module, "loads")


def list_names(kind: str, mark: str) -> Fact:
    """The names of what lies in a folder of the data folder."""
    from workbench.storage.home import data_folder

    names = sorted(path.parent.name for path in (data_folder() / kind).glob(f"*/{mark}"))
    return Fact(kind, ", ".join(names) or "none yet")
