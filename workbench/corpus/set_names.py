"""Which sets of a source become train, heldout and test: by their names, or as the user says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.settings import UserError

BEGINNINGS = {
    "train": ("train",),
    "heldout": ("heldout", "dev", "valid"),
    "test": ("test", "eval"),
}
"""For each split, how the names of its sets begin, in lower case; the first one goes first."""


@dataclass(frozen=True)
class SetNames:
    """The sets that a user named; None: the set is found by its name."""

    train: str | None = None
    heldout: str | None = None
    test: str | None = None

    def of(self, split: str) -> str | None:
        """Return the name of the set for ``split``."""
        return {"train": self.train, "heldout": self.heldout, "test": self.test}[split]

    def split_of(self, name: str) -> str | None:
        """Return the split of a set with this name; None if it is used for nothing."""
        for split, beginnings in BEGINNINGS.items():
            named = self.of(split)
            if named == name:
                return split
            if named is None and name not in self.all() and name.lower().startswith(beginnings):
                return split
        return None

    def all(self) -> list[str]:
        """Return the names that were given."""
        return [name for name in (self.train, self.heldout, self.test) if name is not None]


def list_beginnings(split: str) -> str:
    """Return "heldout..., dev... or valid...", for messages."""
    shown = [f"{beginning}..." for beginning in BEGINNINGS[split]]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def require_train(where: object, splits: Mapping[str, object], found: Sequence[str]) -> None:
    """Raise UserError if no set of a source became train; ``found``: the names of all its sets."""
    if "train" not in splits:
        names = ", ".join(found) or "none"
        raise UserError(
            f"{where}: no set is called {list_beginnings('train')}; found: {names}; "
            "name one with --train NAME"
        )
