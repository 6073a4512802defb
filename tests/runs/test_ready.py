"""A process that is ready runs one command, and ends when nobody needs it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from workbench.cli import train
from workbench.cli.main import command_parser
from workbench.runs import launch
from workbench.runs.launch import Launched, dismiss_ready, get_ready
from workbench.runs.ready import MODULE, ReadyProcess
from workbench.settings import Settings, preset

WAIT_SECONDS = 300.0  # at most, on a machine that is busy


@pytest.fixture(autouse=True)
def nothing_is_ready(data_folder: Path) -> Iterator[None]:
    """No process is ready before and after a test."""
    dismiss_ready()
    yield
    dismiss_ready()


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until ``condition()``; fails if it takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_of_the_ready(launched: Launched) -> bool:
    """Whether a command runs in a process that was ready."""
    words = launched.process.args
    return isinstance(words, list) and MODULE in words


@pytest.mark.slow
def test_what_is_ready_runs_the_next_command_only(data_folder: Path) -> None:
    """Its output is in the log of the command, the folder is that of the launch; one at a time."""
    get_ready()
    get_ready()
    first = launch.launch(["runs", "no-such-run"], "first")
    second = launch.launch(["completion", "nothing"], "second")
    wait_until(lambda: not first.running and not second.running)
    assert is_of_the_ready(first)
    assert not is_of_the_ready(second)
    for launched in (first, second):
        assert launched.log.parent == data_folder / "logs"
        assert launched.process.returncode == 2
        assert "workbench" in launched.last_lines()


@pytest.mark.slow
def test_a_command_does_not_need_what_has_ended() -> None:
    """Where the process that was ready is gone, another one runs the command."""
    ready = get_ready()
    ready.process.kill()
    wait_until(lambda: ready.process.poll() is not None)
    launched = launch.launch(["--help"], "help")
    wait_until(lambda: not launched.running)
    assert not is_of_the_ready(launched)
    assert "commands" in launched.last_lines(100)


@pytest.mark.slow
def test_it_ends_with_whom_it_waits_for() -> None:
    """The end of the process that started it, or of its wish, ends it without a word."""
    parent = "from workbench.runs.ready import ReadyProcess; print(ReadyProcess().process.pid)"
    pid = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, check=True
    ).stdout.strip()
    dismissed = ReadyProcess()
    dismissed.dismiss()
    wait_until(lambda: not Path("/proc", pid).exists())
    assert dismissed.process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize(
    "settings",
    [
        preset("laptop"),
        preset("tiny", replicas=3, seed=7),
        preset("tiny", criterion="mmi", clock="cost", momentum=0.5),
    ],
    ids=["laptop", "tiny", "mmi"],
)
def test_start_says_what_differs_and_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words give these settings, and no warning about a setting that nobody has chosen."""
    words: list[str] = []

    def keep(arguments: Sequence[str], name: str) -> None:
        words.extend(arguments)

    monkeypatch.setattr(launch, "launch", keep)
    launch.launch_run("c", settings, "mine")
    parsed = command_parser("train", train).parse_args(words[1:])
    options = train.Options(**vars(parsed))
    assert options.settings == settings
    chosen = ["momentum has no effect"] if settings.updates.momentum == 0.5 else []
    assert [sentence.split(":")[0] for sentence in options.idle_sentences()] == chosen
