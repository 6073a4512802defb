"""What is said about a name that nothing has: what it may have meant, and where to find others."""

import pytest

from workbench.settings import UserError, no_such
from workbench.settings.errors import LISTED, LISTING_COMMANDS, SUGGESTED

RUNS = [f"{kind}-{n}-{n:08x}" for kind in ("ce-tiny", "mmi-tiny") for n in range(40)]


def test_few_names_are_listed() -> None:
    """Or that there are none yet."""
    assert str(no_such("preset", "x", ["b", "a"])) == "x: no such preset; known: a, b"
    assert str(no_such("run", "x", [])) == "x: no such run; known: none yet"


@pytest.mark.parametrize("kind", LISTING_COMMANDS)
def test_of_many_names_the_command_is_told(kind: str) -> None:
    """And not thirty names, of which none is what was meant."""
    said = str(no_such(kind, "zzz", RUNS))
    assert f"{len(RUNS)} are known, which `{LISTING_COMMANDS[kind]}` lists" in said
    assert not any(name in said for name in RUNS)


def test_a_kind_without_such_a_command_lists_some() -> None:
    """And how many more there are."""
    said = str(no_such("recipe", "zzz", RUNS))
    assert said.count(", ") == LISTED - 1
    assert said.endswith(f"and {len(RUNS) - LISTED} more")


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("mmi-tyni-7", "mmi-tiny-7-00000007"),  # without the digest
        ("mmi-tiny-7-0000007", "mmi-tiny-7-00000007"),
        ("TINY-39", "ce-tiny-39-00000027"),  # a part of the name
    ],
)
def test_near_names_are_suggested(typed: str, meant: str) -> None:
    """A few, the nearest first."""
    said = str(no_such("run", typed, RUNS))
    suggested = said.partition("did you mean ")[2].partition("?")[0].split(" or ")
    assert meant in suggested
    assert len(suggested) <= SUGGESTED


def test_names_that_are_no_text_are_shown_as_escapes() -> None:
    """And long ones are cut; a user's mistake stays one line."""
    said = [str(no_such("run", name, RUNS)) for name in ("", "\x1b[2J", "x" * 400)]
    assert all(line.isprintable() for line in said)
    assert max(map(len, said)) < 300
    with pytest.raises(UserError):
        raise no_such("run", "", RUNS)
