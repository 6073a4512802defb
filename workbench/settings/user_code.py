"""Functions that users add: an error in one becomes a line that names setting, file and line."""

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from types import CodeType, TracebackType
from typing import TypeVar, cast

from workbench.settings.errors import UserError

Function = TypeVar("Function", bound=Callable[..., object])

LONGEST = 200  # characters of an error's text that a message repeats
CELLS = ("ipykernel_", "<ipython-input")  # in the file names of notebook cells
READ_ONLY_HINT = "; the arguments are read-only, so change a copy"


class UserCodeError(UserError):
    """An error in a function that a user added; its cause is the error itself."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the way through the user's function, and the line."""
        cause = self.__cause__
        inner = cause.__traceback__.tb_next if cause and cause.__traceback__ else None
        return [*traceback.format_tb(inner), *super()._render_traceback_()]


def guarded(choice: str, function: Function) -> Function:
    """Return a function that does the same, and raises UserCodeError where ``function`` fails.

    ``choice``: the setting and its value, for the message. An iterator that the function returns
    is guarded too. A UserError has a line of its own and passes, and so do interrupts.
    """

    @functools.wraps(function)
    def call(*arguments: object, **named: object) -> object:
        try:
            made = function(*arguments, **named)
        except UserError:
            raise
        except Exception as error:
            raise UserCodeError(describe_error(choice, function, error)) from error

        if isinstance(made, Iterable) and not isinstance(made, Sized):
            return _guarded_items(choice, function, made)
        return made

    return cast(Function, call)


def _guarded_items(
    choice: str, function: Callable[..., object], items: Iterable[object]
) -> Iterator[object]:
    try:
        yield from items
    except UserError:
        raise
    except Exception as error:
        raise UserCodeError(describe_error(choice, function, error)) from error


def describe_error(choice: str, function: Callable[..., object], error: Exception) -> str:
    """Return one line: what was chosen, where the user's module failed, and the error."""
    where = error_place(function, error.__traceback__)
    hint = READ_ONLY_HINT if isinstance(error, ValueError) and "read-only" in str(error) else ""
    return f"{choice}: {where}{error_text(error)}{hint}"


def error_text(error: Exception) -> str:
    """Return type and text of an error in one line."""
    text = " ".join(str(error).split())
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def error_place(function: Callable[..., object], trace: TracebackType | None) -> str:
    """Return ``FILE line N: `` of the innermost frame in the file of ``function``.

    It is where the function begins if none of the frames is there, as with a wrong number of
    arguments, and empty for a function without Python code.
    """
    code = code_of(function)
    if code is None:
        return ""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(trace)
        if frame.filename == code.co_filename and frame.lineno
    ]
    return f"{place(code.co_filename, lines[-1] if lines else code.co_firstlineno)}: "


def import_problem(error: Exception) -> str:
    """Return one line about a module that cannot be imported: the innermost place, and the error.

    A SyntaxError has its place in its text.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return error_text(error)
    last = frames[-1]
    return f"{place(last.filename, last.lineno or 0)}: {error_text(error)}"


def defined_at(function: Callable[..., object]) -> str:
    """Return ``FILE line N`` where a function begins, or the name of its module."""
    code = code_of(function)
    if code is None:
        return str(getattr(function, "__module__", None) or "a module")
    return place(code.co_filename, code.co_firstlineno)


def place(file: str, line: int) -> str:
    """Return a file and a line in words; cells of notebooks have no file name worth reading."""
    if any(mark in file for mark in CELLS):
        return f"notebook cell line {line}"
    return f"{Path(file).name} line {line}"


def code_of(function: Callable[..., object]) -> CodeType | None:
    """Return the code behind a function, method, partial or object that can be called."""
    plain: object = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = plain.func
    if not inspect.isfunction(plain) and not inspect.ismethod(plain):
        plain = getattr(type(plain), "__call__", None)  # noqa: B004
    code = getattr(plain, "__code__", None)
    return code if isinstance(code, CodeType) else None
