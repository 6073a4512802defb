"""What is concluded from the runs of a sweep."""

from pathlib import Path

import numpy as np
import pytest
from fake_sweeps import Outcomes, small

from workbench.cli.sweep import describe_results
from workbench.metrics.means import mean_interval
from workbench.sweeping import plan_cells, read_results, run_sweep
from workbench.sweeping.results import effect_table, headline, verdict_frame


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for every test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def test_results_take_seeds_together_and_judge() -> None:
    """Results are means over seeds, effects of factors, and verdicts in words."""
    run_sweep(small(), executor=Outcomes())
    found = read_results(small())
    assert list(found.groups.label) == ["shuffling=none", "shuffling=full"]
    assert list(found.groups.n) == [2, 2]
    table = found.table
    mean = table[table.shuffling == "none"].test_wer.mean()
    assert found.groups.test_wer[0] == pytest.approx(mean)

    (verdict,) = found.verdicts
    assert (verdict.against, verdict.seeds) == ("shuffling=none", 2)
    assert verdict.verdict.outcome == "worse"
    assert verdict.comparison.units == 7
    assert verdict.text in describe_results(found)
    assert "over 7 speakers" in describe_results(found)
    frame = verdict_frame(found.verdicts)
    assert frame.outcome[0] == "worse"
    assert 0 < frame.p[0] < 0.05

    effect = effect_table(table, ["shuffling"], "test_wer")
    assert list(effect["mean"]) == pytest.approx(list(found.groups.test_wer))
    assert set(found.runs) == {"shuffling=none", "shuffling=full"}
    assert len(found.runs["shuffling=none"]) == 2


def test_those_that_differ_are_named_first() -> None:
    """Of several settings the headline names those that differ, and counts the others."""
    sweep = small(axes={"shuffling": ["none", "full"], "batch": [8, 16, 32]}, seeds=[0])
    run_sweep(sweep, executor=Outcomes())
    found = read_results(sweep)
    assert len(found.verdicts) == 5
    first, rest, method = headline(found.verdicts)
    assert first.startswith("3 of 5 settings differ from shuffling=none batch=8 in test WER: ")
    assert first.count("is worse") == 3
    assert rest == "The others: 2 identical."
    assert "corrected for 3 comparisons (Holm)" in method


def test_at_most_five_that_differ_are_named() -> None:
    """The first sentence stays short; how many more differ is said."""
    axes = {"shuffling": ["none", "full"], "batch": list(range(8, 16))}
    sweep = small(axes=axes, seeds=[0])
    run_sweep(sweep, executor=Outcomes())
    first = headline(read_results(sweep).verdicts)[0]
    assert first.startswith("8 of 15 settings differ")
    assert first.count("is worse") == 5
    assert first.endswith("and 3 more.")


def test_tests_on_other_utterances_have_no_verdict(data: Path) -> None:
    """A label that was tested on another test set is listed with the reason."""
    sweep = small(seeds=[0])
    run_sweep(sweep, executor=Outcomes())
    run = plan_cells(sweep)[1].run
    for name in ("test.ref", "test.hyp", "test.utt2spk"):
        path = run.folder / name
        path.write_text(path.read_text().replace("u1", "v1"))
    (verdict,) = read_results(sweep).verdicts
    assert verdict.verdict is None
    assert "different utterances" in verdict.text
    assert verdict_frame([verdict]).verdict[0] == verdict.text


def test_interval_is_students() -> None:
    """Mean and 95 % interval of 1, 2, 3: 2 ± 4.303·1/√3; one value has no interval."""
    half = 4.30265 / 3**0.5
    interval = mean_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert interval == pytest.approx((2.0, 2 - half, 2 + half), rel=1e-5)

    single = mean_interval(np.array([1.0]))
    assert single.mean == 1.0
    assert np.isnan(single.low)
    assert np.isnan(single.high)
