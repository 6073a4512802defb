"""The command line: quick answers, suggestions, exit codes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType, SimpleNamespace

import pytest

from workbench.cli import main
from workbench.cli.exit_codes import INTERRUPTED

HEAVY = ("torch", "numba", "scipy", "pandas", "matplotlib", "dask", "distributed", "ipywidgets")
LOADED = "import sys; print(*(m for m in {heavy!r} if m in sys.modules))"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["sweep", "--help"], ["trian"]])
def test_help_and_mistakes_load_nothing_heavy(words: list[str]) -> None:
    """Help and a misspelt command are answered without importing what commands need."""
    program = (
        "from workbench.cli.main import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit:\n"
        "    pass\n"
    ) + LOADED.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has help, and its options make its record of options complete."""
    command = main.load(name)
    with pytest.raises(SystemExit) as ended:
        main.main([name, "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert main.COMMANDS[name] in told
    assert command.run.__doc__


def test_misspelt_words_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command or setting is answered with the nearest one."""
    assert main.main(["trian"]) == main.WRONG_USAGE
    assert "did you mean train?" in capsys.readouterr().err
    assert main.main(["train", "c", "--set", "leaning_rate=1"]) == main.FAILED
    assert "did you mean learning_rate?" in capsys.readouterr().err


def test_no_command_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the list is printed as an error, with `--help` as an answer."""
    assert main.main([]) == main.WRONG_USAGE
    listed = capsys.readouterr().err
    assert main.main(["--help"]) == 0
    assert capsys.readouterr().out == listed
    assert all(f"\n  {name} " in listed for name in main.COMMANDS)


def test_an_interrupt_in_compiled_code_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python then raises a SystemError from it; any other SystemError is a fault of the program."""
    command = main.load("info")
    for cause in (KeyboardInterrupt(), None):

        def run(options: object, cause: BaseException | None = cause) -> int:
            raise SystemError("a result with an exception set") from cause

        monkeypatch.setattr(command, "run", run)
        if cause is None:
            with pytest.raises(SystemError):
                main.main(["info"])
        else:
            assert main.main(["info"]) == INTERRUPTED


def command_that(act: Callable[[], object]) -> SimpleNamespace:
    """A command without options that does something."""
    return SimpleNamespace(
        EXAMPLES="",
        Options=SimpleNamespace,
        add_options=lambda parser: None,
        run=lambda options: act(),
    )


def test_termination_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kill` and batch systems end a command as Ctrl-C does; the handler is ours for no longer."""

    def not_handled(number: int, frame: FrameType | None) -> None:
        raise AssertionError("SIGTERM ends the process")

    command = command_that(lambda: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(main, "load", lambda name: command)
    before = signal.signal(signal.SIGTERM, not_handled)
    try:
        assert main.main(["info"]) == INTERRUPTED
        assert signal.getsignal(signal.SIGTERM) is not_handled
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "what was done is kept" in capsys.readouterr().err


def test_commands_run_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the main thread, where no signal can be handled, a command runs all the same."""
    codes: list[int] = []
    monkeypatch.setattr(main, "load", lambda name: command_that(lambda: None))
    thread = threading.Thread(target=lambda: codes.append(main.main(["info"])))
    thread.start()
    thread.join()
    assert codes == [0]
