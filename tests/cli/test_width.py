"""On a terminal no line of any command is wider than the terminal; in a pipe nothing is cut."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from data_directories import make_corpus_directory
from fake_runs import fake_run
from fake_sweeps import small

from workbench import baseline
from workbench.baseline import Request
from workbench.baseline.job import MakeTable, Out
from workbench.cli import table_text
from workbench.cli.main import main
from workbench.recognise import evaluate
from workbench.settings import Settings
from workbench.sweeping.known_runs import run_name

COMMANDS = [
    ["info"],
    ["doctor"],
    ["runs"],
    ["runs", "disk"],
    ["runs", "compare", "first", "second"],
    ["table"],
    ["check", "{folder}"],
    ["study", "list"],
    ["sweep", "--name", "s", "--dry-run"],
    ["sweep", "--name", "s"],
    ["sweep", "c", "--recipe", "list"],
    ["paper", "--hours", "60", "--foretell"],
]


@pytest.fixture
def folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs, a sweep that is done, and a data directory, whose folder this is."""
    fake_run("first-run-of-a-long-name-00000000", Settings())
    fake_run("second-run-of-a-long-name-00000000", Settings(), state="failed", error="word " * 40)
    sweep = small(axes={"shuffling": ["none", "full"], "learning_rate": [0.1, 0.025]}).save()
    for number, cell in enumerate(sweep.cells()):
        fake_run(f"{run_name(sweep, cell)}-0", cell.settings, wrong=1 + number % 3)
    monkeypatch.setattr("workbench.sweeping.estimate_sweep", lambda *_: "about " * 40)
    return make_corpus_directory(data_folder / "source")


def too_wide(lines: Sequence[str], width: int) -> list[str]:
    """Returns the lines that are wider, though they could have been broken at a space."""
    return [line for line in lines if len(line) > width and " " in line.strip()[:width]]


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_is_wider_than_the_terminal(
    words: list[str],
    width: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sentences go on in the next line, tables leave columns out and name them."""
    monkeypatch.setattr(table_text, "terminal_width", lambda *_: width)
    for module in ("calibrate", "runs_actions"):
        monkeypatch.setattr(f"workbench.cli.{module}.terminal_width", lambda *_: width)
    main([word.format(folder=folder) for word in words])
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert too_wide(lines, width) == []


def test_a_narrow_table_of_a_test_keeps_its_result(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`test` leaves out the columns that `table` does, and not those at the right."""
    tested = fake_run("tested", Settings())
    monkeypatch.setattr(table_text, "terminal_width", lambda *_: 80)
    monkeypatch.setattr(evaluate, "test", lambda *given: tested)
    main(["test", tested.name])
    lines = capsys.readouterr().out.splitlines()
    assert "test WER %" in lines[0]
    assert too_wide(lines, 80) == []


def test_a_baseline_says_nothing_that_is_wider(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its lines, nor the table with which it ends."""
    runs = (fake_run("ce", Settings()), fake_run("mmi", Settings.of(criterion="mmi")))

    def make(request: Request, *, out: Out, make_table: MakeTable, **given: object) -> None:
        out("a sentence that is longer than a terminal " * 4)
        out(make_table(runs))

    monkeypatch.setattr(table_text, "terminal_width", lambda *_: 80)
    monkeypatch.setattr(baseline, "make_baseline", make)
    main(["baseline", "mine"])
    lines = capsys.readouterr().out.splitlines()
    assert any("test WER %" in line for line in lines)
    assert too_wide(lines, 80) == []


def test_in_a_pipe_lines_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """What is searched or cut by other programs is one line."""
    line = "a sentence that is longer than any terminal " * 9
    table_text.print_lines(f"{line}\n  and {line}")
    assert capsys.readouterr().out == f"{line}\n  and {line}\n"


def test_what_a_line_goes_on_with_is_further_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So one sees where the next one begins; a long word is never broken."""
    monkeypatch.setattr(table_text, "terminal_width", lambda *_: 20)
    table_text.print_lines("  fact: one two three four\n/a/path/that/is/longer/than/this")
    assert capsys.readouterr().out.splitlines() == [
        "  fact: one two",
        "      three four",
        "/a/path/that/is/longer/than/this",
    ]
