"""Completion: what Tab offers is what the command takes."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.cli import main
from workbench.cli.completion import SCRIPTS, candidates, join_assignments
from workbench.settings import SETTINGS, Settings
from workbench.storage.home import existing_data_folder


@pytest.fixture
def home(data_folder: Path) -> Path:
    """A data folder with two runs and a corpus."""
    fake_run("ce-00000000", Settings())
    fake_run("mmi-00000000", Settings())
    (data_folder / "corpora" / "digits").mkdir(parents=True)
    (data_folder / "corpora" / "digits" / "corpus.json").write_text("{}")
    return data_folder


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["tra"], ["train"]),
        (["train", "di"], ["digits"]),
        (["train", "digits", "--crit"], ["--criterion"]),
        (["train", "digits", "--init", ""], ["ce-00000000", "mmi-00000000"]),
        (["train", "digits", "--set", "batch=8", "crit"], ["criterion="]),
        (["train", "digits", "--set", "criterion=m"], ["criterion=mmi", "criterion=mpe"]),
        (["train", "--preset", "ti"], ["tiny"]),
        (["report", "mm"], ["mmi-00000000"]),
        (["runs", "del"], ["delete"]),
        (["runs", "delete", "c"], ["ce-00000000"]),
        (["runs", "delete", "--with"], ["--with-dependants"]),
        (["nonsense", ""], []),
        (["train", "--set", "nonsense=1"], []),
    ],
)
def test_words_are_completed(home: Path, words: list[str], found: list[str]) -> None:
    """Commands, options, actions, runs, corpora, settings and their values are offered."""
    assert candidates(words) == found


def test_nothing_offered_is_unknown(home: Path) -> None:
    """Every offered option belongs to the command, and every setting exists."""
    assert candidates([""]) == sorted(main.COMMANDS)
    assert candidates(["train", "x", "--set", ""]) == sorted(f"{name}=" for name in SETTINGS)
    for name in main.COMMANDS:
        parser = main.command_parser(name, main.load(name))
        options = set(re.findall(r"(?<!\w)--?[\w-]+", parser.format_help()))
        assert set(candidates([name, "--"])) <= options


def test_tab_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no data folder yet, completion offers no names and makes none."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "none"))
    assert candidates(["report", ""]) == []
    assert existing_data_folder() is None
    assert list(tmp_path.iterdir()) == []


def test_bash_gets_assignments_in_parts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """bash hands over FIELD, = and VALUE apart, and takes back only the value."""
    assert join_assignments(["--set", "criterion", "=", "m"]) == ["--set", "criterion=m"]
    words = ["completion", "bash", "--", "train", "d", "--set", "criterion", "=", "m"]
    assert main.main(words) == 0
    assert capsys.readouterr().out.split() == ["mmi", "mpe"]


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_the_scripts_are_valid(shell: str) -> None:
    """Each shell that is installed accepts its script."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", "-c", SCRIPTS[shell]], check=True)


def test_bash_completes(home: Path, tmp_path: Path) -> None:
    """In bash, the script offers what the command prints."""
    command = tmp_path / "workbench"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m workbench "$@"\n')
    command.chmod(0o755)
    program = (
        f"{SCRIPTS['bash']}\nPATH={tmp_path}:$PATH\nCOMP_WORDS=(workbench train --crit)\n"
        'COMP_CWORD=2\n_workbench\necho "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--criterion"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tra", "train "),
        ("train di", "train digits "),
        ("train digits --crit", "train digits --criterion "),
        ("train digits --set crit", "train digits --set criterion="),
        ("train digits --set criterion=mm", "train digits --set criterion=mmi "),
        ("report ce", "report ce-00000000 "),
        ("report not", "report notes.txt "),
    ],
)
def test_zsh_completes(home: Path, tmp_path: Path, typed: str, completed: str) -> None:
    """In a zsh at a terminal, Tab writes the rest of the word; files where nothing is known."""
    command = tmp_path / "workbench"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m workbench "$@"\n')
    command.chmod(0o755)
    (tmp_path / "notes.txt").write_text("")
    buffer = tmp_path / "buffer"
    program = [
        "autoload -Uz compinit && compinit -D -u",
        SCRIPTS["zsh"],
        f"path=({tmp_path} $path); cd {tmp_path}",
        f"keep-buffer() {{ print -rn -- $BUFFER >{buffer}.new && mv {buffer}.new {buffer} }}",
        "zle -N keep-buffer; bindkey '^Xk' keep-buffer; bindkey '^I' complete-word",
    ]
    (tmp_path / ".zshrc").write_text("\n".join(program) + "\n")
    (tmp_path / ".zshenv").write_text("setopt no_global_rcs\n")

    # At a terminal of its own: zsh has no completion elsewhere.
    mine, its = pty.openpty()
    environment = {**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    with subprocess.Popen(
        ["zsh", "-i"], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    ) as shell:
        os.close(its)
        os.write(mine, f"workbench {typed}\t\x18k".encode())
        deadline = time.monotonic() + 60
        while not buffer.exists() and time.monotonic() < deadline:
            read_some(mine)
        shell.kill()
    os.close(mine)
    assert buffer.read_text() == f"workbench {completed}"


def read_some(terminal: int) -> None:
    """Takes what a terminal shows, so that the program that writes there never waits."""
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if ready:
        os.read(terminal, 4096)


@pytest.mark.parametrize("columns", [80, 100])
def test_help_is_not_wider_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of any help is longer than the terminal is wide, but for single long words."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in main.COMMANDS:
        with pytest.raises(SystemExit):
            main.main([name, "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if len(line) > columns and " " in line.strip()] == [], name
    main.main(["--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_exit_codes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The overview says what each exit code means."""
    main.main(["--help"])
    told = capsys.readouterr().out
    assert all(f" {code} " in told for code in (0, 1, 2, 130))
