"""A laboratory: corpus, networks and sweeps of one size for a whole notebook."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Unpack

from workbench.notebook.calls import prepare, sweep, train
from workbench.prepare.corpus import Corpus
from workbench.settings import Settings, UserError, Value, preset
from workbench.storage.run import Run
from workbench.sweeping import Results, Sweep, read_recipe
from workbench.sweeping.recipes import recipe_start, starts_trained
from workbench.sweeping.spec import SweepChanges

STATES = {"tiny": 150, "smoke": 300, "demo": 900, "default": 1800}  # tied states, by size

# Settings that differ from the preset "laptop".
TINY: dict[str, Value] = {
    "hidden_layers": 1,
    "hidden_units": 32,
    "epochs": 1.0,
    "evaluate_every": 0.5,
    "checkpoint_every": 1.0,
}
SMOKE: dict[str, Value] = {"hidden_layers": 2, "hidden_units": 128}
NETWORKS = {"tiny": TINY, "smoke": SMOKE}
CROSS_ENTROPY: dict[str, Value] = {
    "epochs": 8.0,
    "learning_rate": 0.1,
    "decays": 3,
    "patience": 1,
    "evaluate_every": 1.0,
    "checkpoint_every": 2.0,
}
SEQUENCE: dict[str, Value] = {
    "criterion": "mmi",
    "learning_rate": 0.005,
    "epochs": 2.0,
    "evaluate_every": 0.25,
}


@dataclass(frozen=True)
class Laboratory:
    """A corpus, and the size of everything that is computed with it; see `laboratory`."""

    size: str
    language: str = "is"

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, synthesised and prepared the first time."""
        name = f"notebook-{self.language}-{self.size}"
        return prepare(name, self.language, self.size, states=STATES[self.size])

    @property
    def network(self) -> dict[str, Value]:
        """Settings that make networks as small as this size needs."""
        return NETWORKS.get(self.size, {})

    def settings(self, **changes: Value) -> Settings:
        """Return settings of this size with ``changes``, by default for cross entropy."""
        cross_entropy = changes.get("criterion", "ce") == "ce"
        values = CROSS_ENTROPY if cross_entropy else SEQUENCE
        common = {"evaluate_utterances": 100, **self.network}
        return preset("laptop", **{**values, **common, **changes})

    @cached_property
    def ce(self) -> Run:
        """The run that sequence training starts from, trained by cross entropy the first time."""
        if self.size == "tiny":
            settings = self.settings(epochs=4.0)
        else:
            settings = preset("laptop", **recipe_start(self.scale))
        return train(self.corpus, settings, f"ce-{self.corpus.name}")

    @property
    def scale(self) -> str:
        """The size of recipes that suits this laboratory: ``laptop`` or ``watch``."""
        return "laptop" if self.size in ("demo", "default") else "watch"

    def train(self, name: str, **changes: Value) -> Run:
        """Return a run of this size, trained if missing; sequence training starts from `ce`."""
        settings = self.settings(**changes)
        init = self.ce if settings.sequence else None
        return train(self.corpus, settings, f"{name}-{self.corpus.name}", init)

    def recipe(self, which: str, **changes: Unpack[SweepChanges]) -> Sweep:
        """Return a ready-made sweep of this size; ``changes``: fields of `Sweep`."""
        if self.size != "tiny":
            return read_recipe(which, self.corpus.name, self.scale, **changes)

        init = self.ce if starts_trained(which) else None
        small: SweepChanges = {
            "seeds": [0],
            "settings": {**self.network, "evaluate_utterances": 8},
            **changes,
        }
        return read_recipe(which, self.corpus.name, "watch", init, **small)

    def sweep(self, which: str, **changes: Unpack[SweepChanges]) -> Results:
        """Run what is missing of a ready-made sweep; return its results.

        ``changes``: fields of `Sweep`.
        """
        return sweep(self.recipe(which, **changes))


def laboratory(size: str | None = None, language: str = "is") -> Laboratory:
    """Return a laboratory of size tiny (seconds), smoke (minutes), demo or default (hours).

    Demo has two hours of speech, default five.

    Without ``size`` the environment variable WORKBENCH_SIZE decides, else it is smoke. UserError
    for an unknown size.
    """
    size = size or os.environ.get("WORKBENCH_SIZE") or "smoke"
    if size not in STATES:
        raise UserError(f"no size {size!r}: choose one of {', '.join(STATES)}")
    return Laboratory(size, language)
