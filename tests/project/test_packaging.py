"""The lock, pyproject.toml, environment.yml, Makefile and README tell one story."""

import ast
import platform
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from sources import ROOT, package

K2_HASH = "5b5f709b12b9cd092b583984d0b7d940c9f898101259c998d68d1f4adefa48d4"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = {
    name: (ROOT / f"requirements{name}.lock").read_text() for name in ("", "-cpu", "-cuda", "-k2")
}
SETS = {"current": FILES[""] + FILES["-cuda"], "cpu": FILES[""] + FILES["-cpu"], "k2": FILES["-k2"]}
PIN = re.compile(r"^([a-z0-9.-]+)==([^\s;]+)(?: ; (.+))? \\$", re.MULTILINE)
LACKING = {"current": "k2", "cpu": "k2", "k2": "docs"}  # the extra that a set leaves out


def pins(lock: str, python: str = "3.11.0") -> dict[str, str]:
    """Versions by package, of those that this Python would install on Linux."""
    environment = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return {
        name: version
        for name, version, marker in PIN.findall(lock)
        if not marker or Marker(marker).evaluate(environment)
    }


def groups() -> dict[str, list[Requirement]]:
    """All requirements of pyproject.toml by group."""
    project = PROJECT["project"]
    lists = {"build": PROJECT["build-system"]["requires"], "core": project["dependencies"]}
    lists |= project["optional-dependencies"]
    return {name: [Requirement(text) for text in texts] for name, texts in lists.items()}


def entries(lock: str) -> dict[str, list[str]]:
    """The hashes of each pin of a lock."""
    blocks = re.split(r"\n(?=[a-z0-9])", "\n" + lock)[1:]
    return {
        block.partition(" \\")[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block)
        for block in blocks
    }


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
@pytest.mark.parametrize("name", SETS)
def test_every_requirement_is_locked(name: str, python: str) -> None:
    """Each requirement of pyproject.toml stands in each set, in a version that its bound admits."""
    locked = pins(SETS[name], python)
    for group, requirements in groups().items():
        for wanted in requirements:
            if group == LACKING[name]:
                continue
            version = locked.get(canonicalize_name(wanted.name))
            assert version, f"{wanted.name} of {group} is not in the set {name}"
            assert wanted.specifier.contains(Version(version)), f"{group}: {wanted}, not {version}"


def test_bounds_are_honest() -> None:
    """Each requirement has a lower bound, and none is newer than what one of the sets runs."""
    oldest = [pins(lock) for lock in SETS.values()]
    for requirements in groups().values():
        for wanted in requirements:
            name = canonicalize_name(wanted.name)
            bounds = [s for s in wanted.specifier if s.operator in (">=", "==")]
            locked = min(Version(found[name]) for found in oldest if name in found)
            assert [Version(bound.version) <= locked for bound in bounds] == [True], wanted


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_a_hash(name: str) -> None:
    """Every entry of a lock is pinned and has a hash, and nothing else stands there."""
    lock = FILES[name]
    assert all(entries(lock).values())
    assert len(entries(lock)) == len(PIN.findall(lock))
    known = re.compile(r"#|    --hash=|[a-z0-9.-]+==|$")
    assert [line for line in lock.splitlines() if not known.match(line)] == []


def test_the_environment_is_the_lock() -> None:
    """What is installed here is what one of the sets names, in these versions."""
    here = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    python = platform.python_version()
    wrong = {
        name: [
            f"{p}: {here.get(p)}, not {v}"
            for p, v in pins(lock, python).items()
            if here.get(p) != v
        ]
        for name, lock in SETS.items()
    }
    assert min(map(len, wrong.values())) == 0, min(wrong.values(), key=len)


def test_k2_has_one_hash() -> None:
    """k2's files cannot be told apart by name, so the lock admits exactly the one for
    Python 3.11.
    """
    (hashes,) = (h for pin, h in entries(FILES["-k2"]).items() if pin.startswith("k2=="))
    assert hashes == [K2_HASH]


def test_the_pair_of_torch_and_k2() -> None:
    """The set with k2 has the torch that k2 is built for, with a numpy older than 2, as that torch
    wants.
    """
    locked = pins(FILES["-k2"])
    assert (locked["k2"], locked["torch"]) == ("1.23.4", "1.13.1")
    assert Version(locked["numpy"]) < Version("2")


def test_the_current_set_is_current() -> None:
    """The other sets have one torch, without k2 and with a numpy of today; only one has CUDA
    libraries.
    """
    versions = {pins(FILES[name])["torch"].partition("+")[0] for name in ("-cpu", "-cuda")}
    assert len(versions) == 1
    assert Version(versions.pop()) >= Version("2.13")
    assert Version(pins(FILES[""])["numpy"]) >= Version("2.4")
    assert "k2" not in pins(SETS["current"])
    assert [name for name in pins(SETS["cpu"]) if name.startswith(("nvidia-", "cuda-"))] == []


@pytest.mark.parametrize("name", FILES)
def test_a_lock_names_no_place(name: str) -> None:
    """No address, index or file name of one machine stands in a lock."""
    places = r"://|--index|--extra-index|--find-links|--trusted|\.whl|file:"
    assert not re.search(places, FILES[name])


def test_conda_installs_the_lock() -> None:
    """environment.yml takes the same Python and, through pip, the same lock."""
    text = (ROOT / "environment.yml").read_text()
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    assert {"channels: [conda-forge]", "- python=3.12", "- pip:", "- -r requirements.lock"} <= set(
        lines
    )
    assert 'python_version = "3.11"' in (ROOT / "pyproject.toml").read_text()


def test_the_second_way_names_real_extras() -> None:
    """The extras that environment.yml and the README name exist."""
    for path in ("environment.yml", "README.md"):
        for named in re.findall(r"(?:\.|workbench)\[([a-z0-9,]+)\]", (ROOT / path).read_text()):
            assert set(named.split(",")) <= set(groups()), path


@pytest.mark.slow
def test_what_is_imported_is_required() -> None:
    """Every package that the code imports is one that pyproject.toml asks for, in the core or an
    extra.
    """
    asked = {canonicalize_name(r.name) for requirements in groups().values() for r in requirements}
    owners = packages_distributions()
    for module in package():
        for imported in module.imports:
            name = imported.module.split(".")[0]
            if name in sys.stdlib_module_names or name == "workbench":
                continue
            assert asked & {canonicalize_name(d) for d in owners.get(name, [name])}, module.where(
                imported.line
            )


def test_readme_commands_exist() -> None:
    """`make demo` and `make test` of the README are targets, and every `make` command it shows is
    one.
    """
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    shown = re.findall(r"^ {4}make ([a-z]+)", readme, re.M) + re.findall(r"`make ([a-z]+)`", readme)
    assert {"demo", "test"} <= set(shown) <= set(targets)


def test_make_lists_its_targets() -> None:
    """Bare `make` lists every target with a line of explanation and makes nothing."""
    listed = subprocess.run(
        ["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("demo", "test", "bench", "lab", "check"):
        assert re.search(rf"^make {target} +\w", listed, re.M)


def test_console_script_exists() -> None:
    """The command `workbench` points at a function that is there."""
    module, _, name = PROJECT["project"]["scripts"]["workbench"].partition(":")
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the set-up alone."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/setup").write_text((ROOT / ".ci/setup").read_text())
    return tmp_path


def stub(folder: Path, name: str, script: str) -> None:
    """A command of this name that runs a shell script."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "commands, told",
    [
        (
            {f"python3{n}": "exit 1" for n in ("", ".11", ".12", ".13")},
            "needs Python 3.11, 3.12 or 3.13",
        ),
        ({"python3": 'case "$2" in *ensurepip*) exit 1; esac'}, "no venv module"),
        (
            {"python3": "exit 0", "df": "echo head; echo disk 9 9 2097152 1% /"},
            "and there are 2",
        ),
        ({"python3": "exit 0", "uname": "echo Plan9"}, "for Linux on x86-64, not Plan9"),
    ],
)
def test_a_machine_that_will_not_do(copy: Path, commands: dict[str, str], told: str) -> None:
    """A wrong Python, no venv module, too little disk, another platform: one line that says so, a
    failure, no .venv.
    """
    for name, script in commands.items():
        stub(copy, name, script)
    path = f"{copy / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", ".ci/setup"],
        cwd=copy,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 1)
    assert lines[0].startswith("set-up: ")
    assert told in lines[0]
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize(
    "build, free, enough",
    [("cpu", 3, False), ("cpu", 4, True), ("cuda", 9, False), ("cuda", 10, True)],
)
def test_the_disk_that_is_asked_for_is_that_of_the_build(
    copy: Path, build: str, free: int, enough: bool
) -> None:
    """Torch for CPUs is installed on a disk where its CUDA libraries have no room, since less is
    asked for; what has no room is refused before pip begins.
    """
    for lock in ("requirements.lock", f"requirements-{build}.lock"):
        (copy / lock).touch()

    # A Python whose environment has a pip that only writes down what it was asked to install.
    (copy / "environment").write_text('#!/bin/sh\necho "$@" >> asked\n')
    make = (
        'case "$*" in *"-m venv"*) mkdir -p .venv/bin; install environment .venv/bin/python;; esac'
    )
    stub(copy, "python3", make)
    stub(copy, "df", f"echo head; echo disk 9 9 {free * 1_048_576} 1% /")

    done = subprocess.run(
        ["sh", ".ci/setup"],
        cwd=copy,
        env={"PATH": f"{copy / 'bin'}:/usr/bin:/bin", "TORCH": build},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = (copy / "asked").read_text() if (copy / "asked").exists() else ""
    assert (f"requirements-{build}.lock" in asked) is enough
    assert (done.returncode == 0) is enough
    assert enough or done.stderr.splitlines()[-1].endswith(f"and there are {free}")
