"""Settings that have no effect given the others are known, and others are left alone."""

import pytest

from workbench.cli.train import Options
from workbench.settings import SETTINGS, Settings, idle_sentences, why_idle
from workbench.settings.idle import NEEDS

# For each setting, settings of others with which it acts.
ACTING: dict[str, dict[str, str | int | bool]] = {
    "momentum": {"optimizer": "momentum"},
    "boost": {"criterion": "bmmi"},
    "one_silence_class": {"criterion": "mpe"},
    "smoothing": {"criterion": "mmi"},
    "auxiliary": {"criterion": "mmi"},
    "denominator": {"criterion": "mmi"},
    "proximal": {"criterion": "mmi", "auxiliary": "proximal"},
    "channel": {"criterion": "smbr"},
    "decoder_fetch": {"criterion": "mmi"},
    "decoder_utterances": {"criterion": "mmi", "decoder_fetch": "utterances"},
    "decoder_seconds": {"criterion": "mmi", "decoder_fetch": "synchronous", "clock": "cost"},
    "drift_every": {"criterion": "mmi"},
    "staleness_bound": {"replicas": 2},
    "staleness_step": {"fetch_every": 2},
    "delay_compensation": {"prefetch": True},
    "consistent_fetch": {"shards": 2},
    "backups": {"synchronous": True},
    "machine": {"clock": "cost"},
}


def test_every_condition_has_an_example() -> None:
    """The examples of this test are those of the product, and all are settings."""
    assert ACTING.keys() == NEEDS.keys() <= SETTINGS.keys()


@pytest.mark.parametrize("name", NEEDS)
def test_each_acts_with_what_it_needs_and_not_without(name: str) -> None:
    """By default it is idle; with all that it needs it acts; without one of them it is idle."""
    assert why_idle(Settings(), name)
    given = ACTING[name]
    assert why_idle(Settings.of(**given), name) == ""
    for left_out in given:
        rest = {other: value for other, value in given.items() if other != left_out}
        assert why_idle(Settings.of(**rest), name)


def test_settings_without_conditions_always_act() -> None:
    """What is not listed is never called idle."""
    assert idle_sentences(Settings(), SETTINGS.keys() - NEEDS.keys()) == []


def test_a_cluster_has_a_clock_that_moves() -> None:
    """On a cluster T of decoder_fetch=seconds acts, though no clock was named."""
    given = ["criterion=mmi", "decoder_fetch=seconds", "decoder_seconds=5", "momentum=0.5"]
    fields = dict.fromkeys(Options.__dataclass_fields__)
    options = Options(**{**fields, "preset": "tiny", "changes": given})
    alone = "decoder_seconds has no effect: it needs a clock that moves, e.g. clock=cost"
    idle = "momentum has no effect: it needs optimizer=momentum"
    assert options.idle_sentences() == [alone, idle]
    on_cluster = Options(**{**fields, "preset": "tiny", "changes": given, "cluster": "local"})
    assert on_cluster.idle_sentences() == [idle]
