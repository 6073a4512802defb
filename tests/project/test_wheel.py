"""The package works outside a checkout: built as a wheel, installed elsewhere, run in an empty
folder.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from sources import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools writes beside what it builds
    shutil.copytree(
        ROOT / "workbench", source / "workbench", ignore=shutil.ignore_patterns("*.pyc")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "-w", str(folder), str(source))
    (wheel,) = folder.glob("workbench-*.whl")

    place = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (packages,) = place.glob("lib/python3.*/site-packages")
    pip("install", str(wheel), python=place / "bin/python")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    lend_compiled_code(packages / "workbench")
    return place / "bin"


def lend_compiled_code(package: Path) -> None:
    """Give an installed package what numba has compiled for this one, whose sources are equal.

    Numba takes it for sources of the same time and size. Compiling anew takes a minute.
    """
    for compiled in (ROOT / "workbench").rglob("*.nb[ic]"):
        place = package / compiled.relative_to(ROOT / "workbench")
        place.parent.mkdir(exist_ok=True)
        shutil.copy(compiled, place)
    for installed in package.rglob("*.py"):
        shutil.copystat(ROOT / "workbench" / installed.relative_to(package), installed)


def pip(*words: str, python: Path | None = None) -> None:
    """Run pip without the index and without dependencies, for another Python if one is given."""
    command = [sys.executable, "-m", "pip", *(["--python", str(python)] if python else [])]
    options = ["--quiet", "--no-deps", "--no-index"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([*command, words[0], *options, *words[1:]], check=True, env=environment)


# All commands in one process: to start another takes longer than most of them.
COMMANDS = """
import json, sys
from workbench.cli.main import main
for words in json.loads(sys.argv[1]):
    print("$", *words, flush=True)
    code = main(words)
    if code:
        sys.exit(code)
"""
TINY = ["--preset", "tiny", "--set", "epochs=1", "hidden_units=16", "evaluate_utterances=5"]


def run(command: list[str | Path], folder: Path) -> str:
    """Run a command in ``folder`` without a data folder in the environment; its output."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "WORKBENCH_DATA")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_complete(installed: Path, tmp_path: Path) -> None:
    """Prepare, train, test and report work from the wheel, and data go to ./data; recipes are
    there.
    """
    recipes = run([installed / "workbench", "sweep", "--recipe", "list"], tmp_path)
    assert "e1-shuffling" in recipes

    commands = [
        ["prepare", "tiny", "--synthetic", "is", "--size", "tiny", "--states", "150"],
        ["train", "tiny", "--name", "ce", *TINY],
        ["test", "ce"],
        ["report", "ce"],
    ]
    output = run([installed / "python", "-c", COMMANDS, json.dumps(commands)], tmp_path)
    tested, reported = output.split("$ test ce\n")[1].split("$ report ce\n")
    assert "test WER" in tested
    report = Path(reported.strip().splitlines()[-1])
    assert report.is_relative_to(tmp_path / "data") or (tmp_path / report).exists()
    assert (tmp_path / "data/corpora/tiny/corpus.json").exists()
