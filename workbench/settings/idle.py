"""Settings that have no effect, given the others.

Two runs that differ in such a setting only are the same run. Only settings of which this is certain
are listed; values that users add (`workbench.settings.alternatives`) may use any setting.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from workbench.settings.experiment import Settings

BUILT_IN_RULES = ("sgd", "adagrad")
CRITERIA_WITHOUT_BOOST = ("ce", "mmi", "mpe", "smbr")
CRITERIA_WITHOUT_ACCURACY = ("ce", "mmi", "bmmi")


class Need(NamedTuple):
    """What a setting needs in order to act, in words, and whether that is so."""

    what: str
    met: Callable[[Settings], bool]


def _has_stale_gradients(settings: Settings) -> bool:
    asynchrony = settings.asynchrony
    return asynchrony.replicas > 1 or asynchrony.fetch_every > 1 or asynchrony.prefetch


def _fetches_by_time(settings: Settings) -> bool:
    return settings.asynchrony.decoder_fetch in ("seconds", "synchronous")


SEQUENCE = Need("a sequence criterion, e.g. criterion=mmi", lambda s: s.sequence)
STALE = Need("replicas, fetch_every above 1 or prefetch", _has_stale_gradients)

NEEDS: Mapping[str, tuple[Need, ...]] = {
    "momentum": (Need("optimizer=momentum", lambda s: s.updates.optimizer not in BUILT_IN_RULES),),
    "boost": (Need("criterion=bmmi", lambda s: s.criterion.name not in CRITERIA_WITHOUT_BOOST),),
    "one_silence_class": (
        Need("criterion=mpe or smbr", lambda s: s.criterion.name not in CRITERIA_WITHOUT_ACCURACY),
        Need("denominator=lattice", lambda s: s.criterion.denominator == "lattice"),
    ),
    "smoothing": (SEQUENCE,),
    "auxiliary": (SEQUENCE,),
    "denominator": (SEQUENCE,),
    "proximal": (
        SEQUENCE,
        Need("auxiliary=proximal", lambda s: s.criterion.auxiliary == "proximal"),
    ),
    "channel": (SEQUENCE,),
    "decoder_fetch": (SEQUENCE,),
    "decoder_utterances": (
        SEQUENCE,
        Need("decoder_fetch=utterances", lambda s: s.asynchrony.decoder_fetch == "utterances"),
    ),
    "decoder_seconds": (
        SEQUENCE,
        Need("decoder_fetch=seconds or synchronous", _fetches_by_time),
        Need("a clock that moves, e.g. clock=cost", lambda s: s.clock.kind != "free"),
    ),
    "drift_every": (SEQUENCE,),
    "staleness_bound": (STALE,),
    "staleness_step": (STALE,),
    "delay_compensation": (STALE,),
    "consistent_fetch": (Need("several shards", lambda s: s.asynchrony.shards > 1),),
    "backups": (Need("synchronous=true", lambda s: s.asynchrony.synchronous),),
    "machine": (Need("clock=cost", lambda s: s.clock.kind == "cost"),),
}


def why_idle(settings: Settings, name: str) -> str:
    """Return what the setting ``name`` lacks in order to have an effect; empty if it has one."""
    for need in NEEDS.get(name, ()):
        if not need.met(settings):
            return need.what
    return ""


def idle_sentence(name: str, need: str) -> str:
    """Return that the setting ``name`` has no effect because it lacks ``need``, as a sentence."""
    return f"{name} has no effect: it needs {need}"


def idle_sentences(settings: Settings, names: Iterable[str]) -> list[str]:
    """Return a sentence for each setting among ``names`` that has no effect."""
    reasons = {name: why_idle(settings, name) for name in names}
    return [idle_sentence(name, need) for name, need in reasons.items() if need]
