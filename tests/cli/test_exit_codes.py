"""Exit codes are those that `workbench --help` documents."""

from pathlib import Path

import pytest
from fake_runs import fake_run
from fake_sweeps import small

from workbench.cli import main
from workbench.cli.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE
from workbench.settings import UserError
from workbench.storage.files import write_json
from workbench.sweeping import Sweep, plan_cells
from workbench.sweeping.known_runs import run_name
from workbench.sweeping.plan import record_path

ENDS = [
    (None, 0),
    (UserError("a mistake"), FAILED),
    (MemoryError(), FAILED),
    (OSError(28, "No space left on device"), FAILED),
    (BrokenPipeError(), FAILED),
    (KeyboardInterrupt(), INTERRUPTED),
]


@pytest.mark.parametrize("error, code", ENDS, ids=repr)
def test_each_end_of_a_command_has_its_code(
    error: BaseException | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What went wrong is at most one paragraph on the error output, and no traceback."""

    def run(options: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(main.load("info"), "run", run)
    monkeypatch.setattr(main.os, "dup2", lambda *_: None)  # the output of the tests stays open
    assert main.main(["info"]) == code
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("words", [["trian"], ["train", "--preset", "huge"], ["report"], []])
def test_wrong_usage_has_a_code_of_its_own(words: list[str]) -> None:
    """Whether argparse or the list of commands finds it."""
    try:
        code = main.main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == WRONG_USAGE


# (how each of the four cells ended, the code of the command)
SWEEPS = [
    (["done"] * 4, 0),
    (["done", "done", "done", "diverged"], 0),  # a result too: this setting diverges
    (["diverged"] * 4, FAILED),
    (["done", "done", "done", "failed"], FAILED),
    (["done", "done", "stopped", "missing"], INTERRUPTED),
]


@pytest.mark.parametrize("states, code", SWEEPS)
def test_a_sweep_ends_as_its_cells_did(
    states: list[str], code: int, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 where there is something to compare, 1 where a cell failed, 130 where some are left."""
    sweep = small().save()

    def run_nothing(given: Sweep, *_: object) -> list[object]:
        for planned, state in zip(plan_cells(given), states, strict=True):
            cell = planned.cell
            if state == "failed":
                record_path(given, cell).parent.mkdir(parents=True, exist_ok=True)
                write_json(record_path(given, cell), {"error": "boom"})
            elif state != "missing":
                fake_run(f"{run_name(given, cell)}-0", cell.settings, state=state)
        return list(plan_cells(given))

    monkeypatch.setattr("workbench.sweeping.run_sweep", run_nothing)
    monkeypatch.setattr("workbench.sweeping.estimate_sweep", lambda *_: "soon")
    assert main.main(["sweep", "--name", sweep.name]) == code
