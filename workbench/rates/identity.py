"""What a learning rate depends on, and so what a search can be used again for.

Seeds, measuring and the later fall of the rate do not count: runs that differ in nothing else share
a search.
"""

import hashlib
import json

from workbench.prepare.corpus import Corpus
from workbench.runs import Transfer, corpus_digest, parent_run
from workbench.settings import Settings, identity_of
from workbench.storage.run import Run, find_run

NOT_COUNTED = (
    "learning_rate",
    "seed",
    "evaluate_every",
    "evaluate_utterances",
    "checkpoint_every",
    "drift_every",
    "decay_factor",
    "decays",
    "patience",
    "flat",
)
"""Settings on which the largest stable rate does not depend, or which begin to act later."""

MMI_TOO = ("mpe", "smbr")
"""Criteria whose trials are measured by MMI too."""

SCRATCH = "random parameters"


def search_settings(settings: Settings) -> Settings:
    """Return the settings that a search depends on; all others have their defaults.

    Trials run in this thread, so a clock of real time becomes the one with a model of it.
    """
    default = Settings().to_dict()
    changes = {name: default[name] for name in NOT_COUNTED}
    if settings.clock.kind in ("measured", "wall"):
        changes["clock"] = "cost"
    return settings.replace(**changes)


def describe_start(init: Run | Transfer | None) -> str:
    """Return in words what training starts from, the same for runs that differ in their seed."""
    if init is None:
        return SCRATCH
    run = init.run if isinstance(init, Transfer) else init
    what = "hidden layers of" if isinstance(init, Transfer) else "model of"
    record = run.record
    parent = record.parent
    transferred = Transfer(find_run(parent.transfer)) if parent and parent.transfer else None
    before = describe_start(transferred or parent_run(run))
    settings = search_settings(run.settings).digest()
    return f"{what} {record.settings['criterion']} ({settings}) from {before}"


def search_key(corpus: Corpus, settings: Settings, start: str) -> str:
    """Return ten hexadecimal digits that name a search on a corpus.

    ``settings`` are those of `search_settings`.
    """
    identity = [corpus_digest(corpus), identity_of(settings.to_dict()), start]
    if settings.criterion.name in MMI_TOO:
        identity.append("mmi too")  # searches of before looked at their own criterion alone
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
