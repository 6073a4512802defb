"""The studies as they are declared, and how they run, stop, go on and are drawn again."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from workbench.rates.identity import search_settings
from workbench.settings import UserError
from workbench.storage.rows import DriftRow
from workbench.storage.run import all_runs
from workbench.studies import collect
from workbench.studies.collect import collect_study
from workbench.studies.overview import all_states, total_minutes
from workbench.studies.page import (
    BEGIN,
    END,
    answer_lines,
    study_document,
    write_all_studies,
    write_study,
)
from workbench.studies.plan import StudyPlan, plan_study, study_state
from workbench.studies.rows import kept_sizes, read_results_of, rows_folder
from workbench.studies.run import run_study
from workbench.studies.study import START, find_study, size_names, study_names
from workbench.sweeping import refuse_idle_axes
from workbench.sweeping.spec import Rates


@pytest.fixture(scope="module")
def home(prepared_tiny: Path, tmp_path_factory: pytest.TempPathFactory):
    """A data folder with the corpus that studies of size tiny use."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(prepared_tiny, folder / "corpora" / "icelandic-tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder))
        yield folder


def labels_of(plan: StudyPlan) -> set[str]:
    """The labels of all cells of a study."""
    return {arm.label(planned.cell.label) for arm in plan.arms for planned in arm.cells()}


@pytest.mark.slow
@pytest.mark.parametrize("size", size_names())
@pytest.mark.parametrize("name", study_names())
def test_every_study_can_be_planned(data_folder: Path, name: str, size: str) -> None:
    """Its settings exist and act, its claims name labels and arms that it has at the largest
    size, and a comparison that it wants is between runs of one corpus.
    """
    plan = plan_study(name, size)
    for arm in plan.arms:
        refuse_idle_axes(arm.sweep)
        assert len(arm.cells()) == len({p.cell.id for p in arm.cells()})

    if size != "laptop":
        return
    labels = labels_of(plan)
    arms = {arm.arm.name for arm in plan.arms}
    assert set(plan.study.stable_rates) <= arms
    study = plan.study
    named = {e.label for e in study.expected} | {e.against for e in study.expected}
    named |= {f.label for f in study.faster} | {f.than for f in study.faster}
    named |= {r.label for r in study.rising} | {r.against for r in study.rising}
    named |= set(study.paper_wer) | ({study.against} if study.against else set())
    assert named - {START} <= labels
    assert {h.arm for h in study.harmless} | {r.arm for r in study.ratios} <= arms
    assert {r.to for r in study.ratios} <= {h.arm for h in study.harmless} | {"last"} & arms


@pytest.mark.slow
def test_studies_share_their_cells(data_folder: Path) -> None:
    """Equal settings from one start are one run, whichever study asks for it."""

    def runs_of(name: str) -> set[tuple[str, str]]:
        plan = plan_study(name, "laptop", [0])
        return {(a.sweep.run_prefix, p.cell.id) for a in plan.arms for p in a.cells()}

    assert runs_of("e3") < runs_of("e3a")
    assert runs_of("e3") < runs_of("e3b")
    assert runs_of("e3a") < runs_of("auxiliary")
    both = sum(state.cells for state in all_states("laptop", [0]))
    assert total_minutes(all_states("laptop", [0])) < 12.0 * both


def test_rates_are_found_for_each_auxiliary_function_and_multiplied(data_folder: Path) -> None:
    """Found where nothing waits, for each function and layer; no two arms with other rates share.

    Where sizes find none, the multiple is of the rate of the size.
    """
    plan = plan_study("auxiliary", "laptop", [0])
    searched = set()
    for arm in plan.arms:
        sweep = arm.sweep
        assert sweep.rates == "auto"
        assert "learning_rate" not in sweep.settings
        assert sweep.rate_factor == {"x2": 2.0, "x4": 4.0}.get(arm.arm.name[-2:], 1.0)
        for planned in arm.cells():
            at = planned.cell.settings.replace(**sweep.rates_at)
            searched.add(search_settings(at).digest())

    functions = 3
    layers = 2
    with_fifty_replicas = functions
    assert len(searched) == functions * layers + with_fifty_replicas
    rates = {(arm.sweep.run_prefix, arm.sweep.rate_factor) for arm in plan.arms}
    assert len({prefix for prefix, _ in rates}) == len(rates) == 3

    given = plan_study("auxiliary", "small", [0])
    chosen = {arm.arm.name: arm.sweep.settings["learning_rate"] for arm in given.arms}
    assert chosen["reweighted all x4"] == 4 * chosen["reweighted all x1"] == 4 * given.size.rate
    assert {arm.sweep.rate_factor for arm in given.arms} == {1.0}


@pytest.mark.parametrize("name", ["e1", "e8"])
def test_rates_are_found_where_they_decide_the_answer(data_folder: Path, name: str) -> None:
    """Also at a size that gives rates as a rule; then no rate of the size is left over."""
    given = plan_study(name, "tiny", [0])
    for size in ("small", "laptop"):
        for arm in plan_study(name, size, [0]).arms:
            assert arm.sweep.rates == Rates.AUTO
            assert "learning_rate" not in arm.sweep.settings
    assert all(arm.sweep.rates == Rates.GIVEN for arm in given.arms)


def test_a_transfer_is_another_start(data_folder: Path) -> None:
    """Runs from a start with the hidden layers of another corpus are kept apart."""
    arms = {arm.arm.name: arm for arm in plan_study("e6", "laptop", [0]).arms}
    assert arms["icelandic by transfer"].sweep.transfer == "english-default"
    assert arms["icelandic by transfer"].sweep.run_prefix != arms["icelandic"].sweep.run_prefix


def test_an_unknown_study_or_size_is_named() -> None:
    """The message lists what there is."""
    with pytest.raises(UserError, match=r"e33: no such study; did you mean e3"):
        plan_study("e33", "tiny")
    with pytest.raises(UserError, match=r"huge: no such size of studies; known: laptop"):
        plan_study("e3", "huge")
    assert find_study("e3").margin == 0.005


def test_real_speech_is_not_synthesised(home: Path) -> None:
    """A corpus that a person has to prepare is asked for by its command."""
    plan = plan_study("e6", "laptop", [0])
    real = tuple(arm for arm in plan.arms if arm.arm.corpus == "real")
    with pytest.raises(UserError, match="workbench prepare ocean --kaldi DIR"):
        run_study(dataclasses.replace(plan, arms=real))


@pytest.mark.slow
def test_a_study_stops_goes_on_and_is_drawn_again(home: Path) -> None:
    """Stopped by its budget, a study goes on where it was; another one uses what it has run, and
    its pages are drawn again when its runs are gone.
    """
    plan = plan_study("e3", "tiny")
    assert not run_study(plan, budget=1.0)
    assert study_state(plan).done == 0
    assert run_study(plan)
    assert study_state(plan).complete
    trained = {run.name for run in all_runs()}
    assert len(trained) == 3  # the start and two intervals

    assert run_study(plan)
    wider = plan_study("e3a", "tiny")
    assert study_state(wider).done == 2
    assert {run.name for run in all_runs()} == trained

    more_seeds = collect_study(plan_study("e3", "tiny", [0, 1])).record
    assert (more_seeds.seeds, more_seeds.done, more_seeds.cells) == ([0], 2, 4)
    assert more_seeds.versions.startswith("Python 3.")
    results = collect_study(plan)
    page = write_study(results)
    answer = "Fetch interval of the decoders, last layer: this study"
    assert f"{answer} is undecided" in page.read_text()
    assert results.compare("last: decoder_seconds=60.0", "last: decoder_seconds=0.0") is not None
    assert results.compare("last: decoder_seconds=60.0", START) is not None
    assert answer_lines(results)[0].startswith(answer)

    shutil.rmtree(home / "runs")
    figures = {path: path.read_bytes() for path in rows_folder().glob("*.png")}
    assert len(figures) == 2
    for path in figures:
        path.unlink()
    table = rows_folder().parent / "RESULTS.md"
    table.write_text(f"# Results\n\n{BEGIN}\nold\n{END}\n\n## Older\n")
    assert table in write_all_studies()
    again = {path: path.read_bytes() for path in rows_folder().glob("*.png")}
    assert again == figures  # two settings are too few for the figure of all gains
    text = table.read_text()
    assert "old\n" not in text and "## Older" in text and "last: the longest harmless" in text
    for name in study_names():
        assert f"| {name}" in text  # those that were not run say so


@pytest.mark.slow
def test_drift_of_runs_is_kept_and_drawn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each run some utterances are kept, evenly over its training, and drawn again from those.

    Runs of size tiny are so short that more utterances than a study's must be measured.
    """
    plan = plan_study("auxiliary", "tiny", [0])
    arms = []
    for arm in plan.arms:
        settings = {**arm.sweep.settings, "drift_every": 2}
        own = {"name": f"{arm.sweep.name}-often", "run_prefix": f"{arm.sweep.run_prefix}-often"}
        sweep = dataclasses.replace(arm.sweep, settings=settings, **own)
        arms.append(dataclasses.replace(arm, sweep=sweep))
    plan = dataclasses.replace(plan, arms=tuple(arms))
    assert run_study(plan)

    measured = {
        run.name: len(list(run.rows(DriftRow)))
        for run in all_runs()
        if run.record.settings["drift_every"] == 2
    }
    assert len(measured) == 4
    monkeypatch.setattr(collect, "DRIFTS_KEPT", 5)
    results = collect_study(plan)
    assert len(results.drifts) == sum(min(number, 5) for number in measured.values()) > 10
    for row in results.drifts:
        cosines = (row.cosine, row.auxiliary_cosine)
        assert all(cosine is None or -1 <= cosine <= 1 for cosine in cosines)
        assert row.hidden_distance == 0  # the last layer alone was trained
        assert (row.distance > 0) == (row.output_distance > 0)

    write_study(results)
    kept = read_results_of("auxiliary", "tiny")
    assert [row.label for row in kept.drifts] == [row.label for row in results.drifts]
    assert (rows_folder() / "auxiliary-tiny-drift.png").is_file()
    assert "reweighted" in {row.label.split()[0] for row in kept.drifts}


@pytest.mark.slow
def test_rows_come_back_as_they_were(home: Path) -> None:
    """What is kept of a study is read again, to six digits, and reports the same."""
    if "tiny" not in kept_sizes("e3"):
        run_study(plan_study("e3", "tiny"))
        write_study(collect_study(plan_study("e3", "tiny")))
    kept = read_results_of("e3", "tiny")
    assert [cell.label for cell in kept.cells] == [
        "last: decoder_seconds=0.0",
        "last: decoder_seconds=60.0",
    ]
    assert kept.cells[0].decoder_seconds == 0.0 and kept.cells[0].state == "done"
    assert kept.compared[0].unit == "speakers"
    assert kept.record.done == 2 and kept.record.corpora[0].startswith("icelandic-tiny: ")
    assert "Findings" in study_document(kept).html()
    with pytest.raises(UserError, match=r"e3-laptop: no such kept study; .*e3-tiny"):
        read_results_of("e3", "laptop")
    path = rows_folder() / "e3-tiny-cells.csv"
    path.write_text(path.read_text().replace(",done,", ",done"))
    with pytest.raises(UserError, match=r"e3-tiny-cells.csv:2: damaged row"):
        read_results_of("e3", "tiny")
