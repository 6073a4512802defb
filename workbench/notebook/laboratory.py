"""One size for a whole notebook: its corpus, its networks, its sweeps, from seconds (tiny) to hours (default)."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workbench.notebook.calls import prepare, sweep, train
from workbench.prepare.corpus import Corpus
from workbench.settings import Settings, UserError, preset
from workbench.storage.run import Run
from workbench.sweeping import Results, Sweep, recipe
from workbench.sweeping.recipes import start, starts_trained

TINY: dict[str, Any] = dict(
    hidden_layers=1, hidden_units=32, epochs=1.0, evaluate_every=0.5, checkpoint_every=1.0
)
SMALL: dict[str, Any] = dict(hidden_layers=2, hidden_units=128)
STATES = {"tiny": 150, "smoke": 300, "demo": 900, "default": 1800}
CE = dict(
    epochs=8.0, learning_rate=0.1, decays=3, patience=1, evaluate_every=1.0, checkpoint_every=2.0
)
MMI = dict(criterion="mmi", learning_rate=0.005, epochs=2.0, evaluate_every=0.25)


@dataclass(frozen=True)
class Laboratory:
    """A corpus and how large everything on it is; see ``laboratory``."""

    size: str
    language: str = "is"

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, synthesised and prepared the first time."""
        return prepare(
            f"notebook-{self.language}-{self.size}",
            self.language,
            self.size,
            states=STATES[self.size],
        )

    @property
    def network(self) -> dict[str, Any]:
        return {"tiny": TINY, "smoke": SMALL}.get(self.size, {})

    def settings(self, **changes: Any) -> Settings:
        """Settings for this size: cross entropy, or what ``changes`` say."""
        usual = MMI if changes.get("criterion", "ce") != "ce" else CE
        return preset("laptop", **{**usual, "evaluate_utterances": 100, **self.network, **changes})

    @cached_property
    def ce(self) -> Run:
        """The network that sequence training starts from, trained with cross entropy the first time."""
        settings = (
            self.settings(epochs=4.0)
            if self.size == "tiny"
            else preset("laptop", **start(self.scale))
        )
        return train(self.corpus, settings, f"ce-{self.corpus.name}")

    @property
    def scale(self) -> str:
        """The size of ready-made sweeps that suits."""
        return "laptop" if self.size in ("demo", "default") else "watch"

    def train(self, name: str, **changes: Any) -> Run:
        """A run of this size; sequence criteria start from ``ce``."""
        settings = self.settings(**changes)
        return train(
            self.corpus,
            settings,
            f"{name}-{self.corpus.name}",
            self.ce if settings.sequence else None,
        )

    def recipe(self, which: str, **changes: Any) -> Sweep:
        """A ready-made sweep at this size."""
        if self.size != "tiny":
            return recipe(which, self.corpus.name, self.scale, **changes)
        init = self.ce.name if starts_trained(which) else None
        small = {**self.network, "evaluate_utterances": 8}
        return recipe(
            which, self.corpus.name, "watch", init, **{"seeds": [0], "settings": small, **changes}
        )

    def sweep(self, which: str, **changes: Any) -> Results:
        """Carry out what is missing of a ready-made sweep."""
        return sweep(self.recipe(which, **changes))


def laboratory(size: str | None = None, language: str = "is") -> Laboratory:
    """A laboratory of ``size`` tiny (seconds), smoke (minutes), demo (two hours of speech) or default (five).

    Without ``size``: what the environment variable WORKBENCH_SIZE says, else smoke.
    """
    size = size or os.environ.get("WORKBENCH_SIZE") or "smoke"
    if size not in STATES:
        raise UserError(f"no size {size!r}: choose one of {', '.join(STATES)}")
    return Laboratory(size, language)
