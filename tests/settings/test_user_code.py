"""Errors in functions that users add: one line with setting, file and line."""

import re

import pytest

from workbench.settings import Alternatives, UserError

HERE = "test_user_code.py"


class Shape:
    """An object that can be called, and whose call fails."""

    def __call__(self, size):
        """Fail."""
        raise KeyError("width")


def broken(size):
    """Fail in a function of this file."""
    return inner(size)


def inner(size):
    """Fail here."""
    return size.missing


def broken_stream(size):
    """Fail after the first item."""
    yield 1
    yield size.missing


def interrupted(size):
    """Be interrupted."""
    raise KeyboardInterrupt


def explained(size):
    """Say what is wrong."""
    raise UserError("size=3: too small")


def rules_with(function) -> Alternatives:
    """A setting with one added function."""
    rules: Alternatives = Alternatives("form", square=len)
    rules.add("mine")(function)
    return rules


def line_of(text: str) -> int:
    """The number of the line of this file that has a text."""
    with open(__file__) as file:
        return next(number for number, line in enumerate(file, 1) if text in line)


@pytest.mark.parametrize(
    ("function", "line", "error"),
    [
        (broken, "return size.missing", "AttributeError: 'int' object has no attribute 'missing'"),
        (Shape(), 'raise KeyError("width")', "KeyError: 'width'"),
        (lambda: 1, "(lambda: 1,", "TypeError: .* takes 0 positional arguments but 1 was given"),
        (sorted, "", "TypeError: 'int' object is not iterable"),
    ],
)
def test_an_error_in_an_added_function_is_one_line(function, line: str, error: str) -> None:
    """It names the setting, the innermost line of the user's file, and the error, which is its
    cause.
    """
    with pytest.raises(UserError) as failed:
        rules_with(function)["mine"](3)
    where = f"{HERE} line {line_of(line)}: " if line else ""
    assert re.fullmatch(f"form=mine: {where}{error}", str(failed.value))
    assert failed.value.__cause__ is not None
    shown = failed.value._render_traceback_()
    assert shown[-1].endswith(str(failed.value))
    assert HERE in "".join(shown) or not line or "lambda" in line
    assert "user_code.py" not in "".join(shown).replace(HERE, "")


def test_an_error_in_an_added_stream_is_one_line() -> None:
    """Also where it comes long after the function has returned."""
    stream = iter(rules_with(broken_stream)["mine"](3))
    assert next(stream) == 1
    with pytest.raises(UserError, match=f"form=mine: {HERE} line .*: AttributeError"):
        next(stream)


def test_interrupts_and_explained_errors_pass() -> None:
    """An interrupt is no mistake of the function, and a line of its own is kept."""
    with pytest.raises(KeyboardInterrupt):
        rules_with(interrupted)["mine"](3)
    with pytest.raises(UserError, match=r"^size=3: too small$"):
        rules_with(explained)["mine"](3)


def test_a_notebook_cell_is_named_as_one() -> None:
    """The files behind cells have names that say nothing."""
    names: dict = {}
    text = "def cell(size):\n    return size.missing\n"
    exec(compile(text, "ipykernel_17/1234.py", "exec"), names)
    with pytest.raises(UserError, match="form=mine: notebook cell line 2: AttributeError"):
        rules_with(names["cell"])["mine"](3)
