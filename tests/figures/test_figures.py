"""Tables behind the pictures: what each view reads from a run's rows, and that every figure names its units."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run
from matplotlib.figure import Figure

from workbench.figures.compare import pairwise, settings_difference
from workbench.figures.curves import (
    Band,
    bands,
    curves,
    draw_bands,
    draw_curves,
    draw_shares,
    draw_word_errors,
    shares,
    stretched,
    window,
)
from workbench.figures.staleness import ages, draw_staleness, staleness_table
from workbench.figures.style import COLOURS, LINES, png
from workbench.figures.sweep_matrix import colours, draw_matrix, matrix
from workbench.figures.sweep_plots import draw_effects, draw_scatter, paper_values
from workbench.figures.timeline import (
    draw_queues,
    draw_timeline,
    draw_usage,
    queues,
    stretches,
    usage,
)
from workbench.settings import Settings
from workbench.storage.run import Run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Two runs of one experiment with different seeds."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    settings = Settings.of(criterion="mmi", replicas=3, clock="cost")
    return [fake_run(f"r{i}", settings.replace(seed=i), wrong=i + 1) for i in range(2)]


def units(fig: Figure) -> list[str]:
    """Labels of the axes of every panel that shows numbers."""
    return [ax.get_xlabel() for ax in fig.axes if ax.get_xlabel()] + [
        ax.get_ylabel() for ax in fig.axes
    ]


def test_curves_are_the_evaluations(runs: list[Run]) -> None:
    """A curve has one point per evaluation, in percent, against any of the three axes."""
    for against, last in (("updates", 40), ("seconds", 80.0), ("epochs", 2.0)):
        curve = curves(runs, "wer", against)[0]
        assert curve.x[-1] == last and curve.y[0] == 50.0 and len(curve.x) == 5
    assert curves(runs, "ce")[0].y[-1] == pytest.approx(-1.2)


def test_bands_take_seeds_together(runs: list[Run]) -> None:
    """The mean of two equal curves is that curve; low <= mean <= high; one seed has no width."""
    band = bands({"both": runs}, "wer")[0]
    alone = bands({"one": runs[:1]}, "wer")[0]
    assert band.runs == 2 and (band.low <= band.mean).all() and (band.mean <= band.high).all()
    assert np.allclose(np.interp(alone.x, band.x, band.mean), alone.mean, atol=1e-6)
    assert (alone.low == alone.high).all()


def a_band(x: list[float], y: list[float]) -> Band:
    mean = np.array(y)
    return Band("b", np.array(x), mean, mean, mean, 1)


def test_axes_show_what_is_worth_seeing() -> None:
    """Time is logarithmic where runs differ much in length; a random network's first value flattens nothing."""
    short, long = a_band([0.0, 5.0, 10.0], [3.0, 2.0, 1.0]), a_band([2.0, 900.0], [3.0, 1.0])
    assert stretched([short, short]) is None and stretched([]) is None
    assert (
        stretched([short, long]) == 2.0
        and stretched([short, a_band([0.001, 900.0], [0.0, 0.0])]) == 0.1
    )
    learnt, tuned = (
        a_band([0.0, 1.0, 2.0, 3.0], [100.0, 20.0, 15.0, 10.0]),
        a_band([0.0, 1.0], [9.0, 8.0]),
    )
    assert window([learnt, tuned]) == pytest.approx((8.0 - 0.6, 20.0 + 0.6))
    assert window([tuned, short]) is None and window([]) is None


def test_staleness_counts_every_push_once(runs: list[Run]) -> None:
    """Histograms hold all pushes that have the number; whole updates fall into whole bins."""
    pushes = runs[0].rows("push")
    for a in ages(pushes, "r"):
        assert a.histogram.counts.sum() == len(pushes) == a.summary.count
        assert a.summary.mean == pytest.approx(pushes[a.column].mean())
    assert (
        ages(pushes.drop(columns=["staleness_outer", "outer_seconds"]))[0].column
        == "staleness_inner"
    )
    assert {"inner gradient", "outer gradient"} <= set(staleness_table(runs)["of"])


def test_stretches_fill_the_time_without_overlap(runs: list[Run]) -> None:
    """The stretches of a process follow each other without gap or overlap and end with its last row."""
    rows = runs[0].rows()
    found = stretches(rows)
    for process in {s.process for s in found}:
        own = sorted((s for s in found if s.process == process), key=lambda s: s.start)
        assert own[0].start == 0.0
        assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(own))
        kinds = rows[(rows.process == process) & rows.kind.isin(["push", "decode"])]
        assert own[-1].end == kinds.seconds.max()
    waited = sum(s.end - s.start for s in found if s.what == "wait for frames")
    assert waited == pytest.approx(runs[0].rows("push").idle_seconds.sum())


def test_queues_and_usage_are_read_as_written(runs: list[Run]) -> None:
    """Queue lengths come per decoder in order of time; usage adds up the seconds of all segments."""
    found = queues(runs[0].rows("decode"))
    assert set(found) == {"decoder 0", "decoder 1", "decoder 2"}
    assert all((np.diff(seconds) > 0).all() for seconds, _ in found.values())
    table = usage(pd.concat([runs[0].rows("usage")] * 2))
    assert table.loc["replica 0", "work"] == 120 and table.loc["decoder 0", "put"] == 50


def test_shares_add_up(runs: list[Run]) -> None:
    """Kept, cancelled and rejected frames are all frames."""
    found = shares(runs[0].rows("decode"))
    assert np.allclose(found[["kept", "cancelled", "rejected"]].sum(axis=1), 100)
    assert found.frames.iloc[-1] == 4000


def table() -> pd.DataFrame:
    """A sweep of 2 x 2 cells of which one has not been run."""
    rows = [
        {
            "cell": f"{s}-{b}-{seed}",
            "label": f"shuffling={s} batch={b}",
            "shuffling": s,
            "batch": b,
            "seed": seed,
            "state": "done",
            "heldout_wer": 0.1 * b + seed / 100,
            "test_wer": 0.1,
        }
        for s in ("none", "full")
        for b in (1, 2)
        for seed in (0, 1)
    ]
    rows[-1] |= {"state": "missing", "heldout_wer": np.nan}
    rows[-2] |= {"state": "diverged", "heldout_wer": np.nan}
    return pd.DataFrame(rows)


def test_matrix_averages_seeds_and_names_what_is_missing() -> None:
    """A field of the matrix is the mean of the seeds that ended, in percent; one without says why."""
    m = matrix(table(), ["shuffling", "batch"], reached={"full-2-1": "at 40%"})
    assert m.rows == ["shuffling=none", "shuffling=full"] and m.columns == ["batch=1", "batch=2"]
    assert [s.value for s in m.squares[0]] == pytest.approx([10.5, 20.5]) and np.isnan(
        m.squares[1][1].value
    )
    assert m.squares[1][1].states == ("diverged", "at 40%") and m.squares[1][1].cells == (
        "full-2-0",
        "full-2-1",
    )
    assert [[s.ended for s in row] for row in m.squares] == [[2, 2], [2, 0]]
    half = 12.7062 * 0.5  # Student's, of two values one apart: t(1, 0.975) · (1/√2) / √2
    assert m.squares[0][0].half == pytest.approx(half, rel=1e-4)
    assert m.squares[0][0].words("heldout_wer") == ["10.5 ± 6.4", "2 of 2 seeds"]


def test_squares_are_dark_where_it_is_bad() -> None:
    """The colours go from the best to the worst value, for F_MMI the other way round; text stands out."""
    ends = [colours(x, 10.0, 20.0, "test_wer") for x in (10.0, 20.0)]
    assert ends == list(reversed([colours(x, 10.0, 20.0, "heldout_mmi") for x in (10.0, 20.0)]))
    assert [text for _, text in ends] == ["#000000", "#ffffff"]
    grey = [sum(int(back[i : i + 2], 16) for i in (1, 3, 5)) for back, _ in ends]
    assert grey[0] > grey[1] + 200
    assert colours(np.nan, 10.0, 20.0, "test_wer")[1] == "#000000"


def test_seeds_apart_have_squares_of_their_own() -> None:
    """With the seed as the last axis each run stands by itself; a combination that no cell has stays empty."""
    m = matrix(table().iloc[:-1], ["shuffling", "batch", "seed"])
    assert len(m.columns) == 4 and m.squares[0][3].value == pytest.approx(21.0)
    assert m.squares[1][3].planned == 0 and np.isnan(m.squares[0][0].half)


def test_the_papers_numbers_stand_beside_ours() -> None:
    """Effects of shuffling show the paper's three rates, of layers its two; an unknown axis shows none."""
    assert paper_values("shuffling", "shuffling") == {
        "none": 15.2,
        "on-the-fly": 14.5,
        "full": 14.4,
    }
    assert paper_values("layers", "trained") == {"last": 10.9, "all": 10.9}
    assert paper_values("", "batch") == {}
    fig = draw_effects(table(), ["shuffling"], paper="shuffling")
    labels = [text.get_text() for legend in fig.legends for text in legend.texts]
    assert "paper, its own data" in labels


def test_every_figure_has_units(runs: list[Run]) -> None:
    """Every figure draws to a PNG and every panel says what it shows."""
    groups = {"a": runs[:1], "b": runs[1:]}
    figures = [
        draw_curves(runs),
        draw_bands(groups, against="seconds"),
        draw_word_errors(runs),
        draw_shares(runs[0]),
        draw_staleness(runs),
        draw_timeline(runs[0], 0, 20),
        draw_queues(runs[0]),
        draw_usage(runs[0]),
        draw_scatter(groups),
        draw_matrix(table(), ["shuffling", "batch"]),
        draw_effects(table(), ["shuffling", "batch"], "heldout_wer"),
    ]
    for fig in figures:
        assert png(fig, dpi=50)[:4] == b"\x89PNG"
        assert units(fig)


def test_views_of_a_run_that_has_only_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every view of a run without rows draws empty axes instead of failing."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    run = fake_run("new", Settings.of(criterion="mmi"), state="running", steps=0)
    for path in run.folder.glob("rows-*"):
        path.unlink()
    for draw in (draw_shares, draw_queues, draw_usage, draw_timeline):
        assert isinstance(draw(run), Figure)
    for draw_many in (draw_curves, draw_staleness, draw_word_errors):
        assert isinstance(draw_many([run]), Figure)


def test_lines_are_told_apart_without_colour() -> None:
    """There is a line style for every colour, all different, so that seven lines are distinct in grey."""
    assert len(COLOURS) == len(LINES) == len({str(style) for style in LINES})


def test_comparison_shows_only_differences(runs: list[Run]) -> None:
    """The difference of two runs is their seed; two tested runs are compared in words."""
    assert list(settings_difference(runs).index) == ["seed"]
    assert settings_difference(runs[:1]).empty
    verdicts = pairwise(runs)
    assert len(verdicts) == 1 and "significant" in verdicts.verdict[0]
