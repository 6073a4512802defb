"""The modules that WORKBENCH_EXTENSIONS names: known to help and completion, wrong ones refused."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.cli.completion import candidates
from workbench.cli.doctor import environment
from workbench.cli.options import settings_help
from workbench.settings.alternatives import load_extensions

RULE = """from workbench.training.updates import update_rules


@update_rules.add({name!r})
def rule(updates, gradient, memory):
    return gradient, None
"""
WRONG = [
    ("", "No module named 'wrong'; is its folder in PYTHONPATH?"),
    ("import os\n\nos.nothing\n", "wrong.py line 3: AttributeError: "),
    ("def (:\n", "SyntaxError: invalid syntax (wrong.py, line 1)"),
    (RULE.format(name="sgd"), "sgd exists already; choose another name in wrong.py line 4"),
]


@pytest.fixture
def extend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """A function that writes a module, none for an empty text, and names it in the variable."""

    def write(module: str, text: str) -> None:
        if text:
            (tmp_path / f"{module}.py").write_text(text)
        monkeypatch.setenv("WORKBENCH_EXTENSIONS", module)
        monkeypatch.delitem(sys.modules, module, raising=False)
        load_extensions.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    load_extensions.cache_clear()


def test_completion_and_help_know_added_names(
    extend: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The names stand beside those of the package."""
    extend("lookahead_rules", RULE.format(name="lookahead"))
    assert candidates(["train", "t", "--set", "optimizer=l"]) == ["optimizer=lookahead"]
    with pytest.raises(SystemExit):
        main.main(["train", "--help"])
    # Other tests of this process may have added names too.
    assert re.search(r"sgd \| momentum \| adagrad[| \w-]* \| lookahead", settings_help())


@pytest.mark.parametrize(("text", "message"), WRONG)
@pytest.mark.parametrize("command", ["train", "sweep", "baseline"])
def test_what_trains_refuses_a_wrong_module(
    command: str,
    text: str,
    message: str,
    extend: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line names variable and module, though no setting has a name from it."""
    extend("wrong", text)
    assert main.main([command, "no-corpus"]) == main.FAILED
    told = capsys.readouterr().err
    assert "WORKBENCH_EXTENSIONS=wrong: " in told
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_module_breaks_no_help_and_doctor_names_it(
    text: str,
    message: str,
    extend: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Help and completion say it as a warning."""
    extend("wrong", text)
    with pytest.raises(SystemExit) as ended:
        main.main(["train", "--help"])
    assert ended.value.code == 0
    assert "warning: WORKBENCH_EXTENSIONS=wrong: " in capsys.readouterr().err
    assert "optimizer=sgd" in candidates(["train", "t", "--set", "optimizer="])
    found = [finding for finding in environment() if finding.where == "WORKBENCH_EXTENSIONS"]
    assert [message in finding.what for finding in found] == [True]
