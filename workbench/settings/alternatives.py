"""The functions that a setting can name, and how a user adds one.

A name that was added is a value of the setting: on the command line, in files, in widgets, as an
axis of a sweep. Where it is not known yet, the modules that the environment variable
WORKBENCH_EXTENSIONS names (with commas between) are imported first, so that detached runs, sweeps
and Dask workers know it too.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Generic, TypeVar, cast

from workbench.settings.errors import UserError
from workbench.settings.user_code import defined_at, guarded, import_problem

EXTENSIONS = "WORKBENCH_EXTENSIONS"
EXTENSIBLE = ("criterion", "optimizer", "shuffling")  # settings whose values users can add
EXTENSIONS_HINT = f"; if a module of yours adds it, name the module in {EXTENSIONS}"

Function = TypeVar("Function", bound=Callable[..., object])

_added: dict[str, list[str]] = {}  # by setting: the names that users added
_all: "list[Alternatives[Callable[..., object]]]" = []


class Alternatives(Generic[Function]):
    """The functions that one setting can name."""

    def __init__(self, setting: str, **known: Function):
        """``setting``: its flat name. ``known``: the functions that come with the package, ``_``
        for ``-``.
        """
        self.setting = setting
        self._functions = {name.replace("_", "-"): function for name, function in known.items()}
        self._own = frozenset(self._functions)
        _all.append(cast("Alternatives[Callable[..., object]]", self))

    def add(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator that adds a function under ``name``; a cell that is run again replaces
        it.

        The decorator raises UserError if the package has a function of that name. An error that the
        function raises later becomes a UserError that names the choice, its file and line.
        """
        choice = f"{self.setting}={name}"

        def register(function: Function) -> Function:
            if name in self._own:
                raise UserError(
                    f"{choice} exists already; choose another name in {defined_at(function)}"
                )
            self._functions[name] = guarded(choice, function)
            names = _added.setdefault(self.setting, [])
            if name not in names:
                names.append(name)
            return function

        return register

    def __getitem__(self, name: str) -> Function:
        """Return the function of this name; raises UserError if there is none."""
        if name not in self._functions:
            load_extensions()
        if name not in self._functions:
            raise UserError(
                f"{self.setting}={name}: choose one of {', '.join(self)}{EXTENSIONS_HINT}"
            )
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)


@contextmanager
def passing_choices() -> Iterator[None]:
    """Take back, at the end, the names that are added meanwhile; for tests of added functions."""
    functions = {id(each): dict(each._functions) for each in _all}
    added = {setting: list(names) for setting, names in _added.items()}
    try:
        yield
    finally:
        for each in _all:
            own = {name: each._functions[name] for name in each._own}
            each._functions = functions.get(id(each), own)
        _added.clear()
        _added.update(added)


def added_choices(setting: str) -> tuple[str, ...]:
    """The names that users added to a setting."""
    return tuple(_added.get(setting, ()))


def extensions_hint(setting: str) -> str:
    """Return what to do about an unknown value of a setting to which users can add values."""
    return EXTENSIONS_HINT if setting in EXTENSIBLE else ""


@cache
def load_extensions() -> None:
    """Import the modules that WORKBENCH_EXTENSIONS names, once; UserError if one cannot be
    imported.
    """
    for module in filter(None, os.environ.get(EXTENSIONS, "").split(",")):
        try:
            importlib.import_module(module.strip())
        except ModuleNotFoundError as error:
            raise UserError(
                f"{EXTENSIONS}={module}: {error}; is its folder in PYTHONPATH?"
            ) from None
        except UserError as error:
            raise UserError(f"{EXTENSIONS}={module}: {error}") from error
        except Exception as error:
            raise UserError(f"{EXTENSIONS}={module}: {import_problem(error)}") from error
