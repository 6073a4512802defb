"""What training made of the runs that it started from, one by one and over seeds."""

import pytest
from fake_runs import fake_run

from workbench.reports.improvements import change_text, improvements, verdict_sentences
from workbench.settings import Settings
from workbench.storage.run import Run

pytestmark = pytest.mark.usefixtures("data_folder")


def baseline_of_seeds(seeds: int, **changes: float) -> list[Run]:
    """Returns runs of cross entropy and of MMI from them, with settings that change after one."""
    runs = []
    for seed in range(seeds):
        settings = Settings.of(seed=seed)
        runs.append(fake_run(f"ce{seed}", settings, wrong=3))
        sequence = settings.replace(criterion="mmi", **(changes if seed else {}))
        runs.append(fake_run(f"mmi{seed}", sequence, wrong=2, parent=f"ce{seed}"))

    return runs


def test_a_change_says_its_direction_in_a_word() -> None:
    """Nothing is a negative gain, and equal rates have no share."""
    assert change_text(0.13, 0.109) == "13.0 → 10.9 % (16.2 % fewer errors)"
    assert change_text(0.75, 0.778) == "75.0 → 77.8 % (3.7 % more errors)"
    assert change_text(0.5, 0.5) == "50.0 → 50.0 %"
    assert change_text(0.0, 0.1) == "0.0 → 10.0 %"


def test_seeds_are_judged_one_by_one_and_together() -> None:
    """Three seeds have a sentence each, and one for all of them."""
    runs = baseline_of_seeds(3)
    sentences = verdict_sentences(runs)
    assert len(sentences) == 4
    assert sentences[-1].startswith("all 3 seeds: mmi against ce: test WER 18.8 → 12.5 %")
    assert "better (p < 0.001) (7 speakers" in sentences[-1]


def test_only_seeds_are_judged_together() -> None:
    """One seed has one sentence, and settings that differ otherwise are not added up."""
    assert len(verdict_sentences(baseline_of_seeds(1))) == 1
    assert len(verdict_sentences(baseline_of_seeds(2, learning_rate=0.003))) == 2


def test_a_seed_that_was_trained_twice_counts_once() -> None:
    """The same training under another name is no further seed, and neither is another corpus."""
    runs = baseline_of_seeds(1)
    settings = runs[1].settings
    again = fake_run("mmi-again", settings, wrong=2, parent="ce0")
    assert len(verdict_sentences([*runs, again])) == 2

    other = fake_run("mmi-other", settings.replace(seed=1), wrong=2, parent="ce0", corpus="d")
    assert len(verdict_sentences([*runs, other])) == 2


def test_seeds_without_transcripts_are_not_judged_together() -> None:
    """A test whose words are gone is named, and the sentences on single seeds stay."""
    runs = baseline_of_seeds(2)
    for file in runs[-1].folder.glob("test.*"):
        file.unlink()

    *single, joined = verdict_sentences(runs)
    assert len(single) == len(improvements(runs)) == 2
    assert "not comparable: mmi1: not tested" in joined
