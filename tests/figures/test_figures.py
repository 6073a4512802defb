"""Figures and the tables behind them: what each reads from rows, and the units of axes."""

import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run, leave_example
from fake_sweeps import sweep_table
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from workbench.figures.compare import pairwise, settings_difference
from workbench.figures.curves import (
    Band,
    bands,
    curves,
    draw_bands,
    draw_curves,
    draw_measured,
    draw_shares,
    draw_word_errors,
    fate_shares,
    limits_without_start,
    logarithmic_from,
)
from workbench.figures.example import (
    draw_lattice,
    draw_occupancies,
    draw_spectrogram,
)
from workbench.figures.staleness import age_text, ages, draw_staleness, staleness_table
from workbench.figures.style import COLOURS, DASHES, figure_with_panel, png
from workbench.figures.sweep_matrix import (
    EQUAL_COLOURS,
    FAILED_COLOURS,
    LONGEST_CAUSE,
    Colours,
    ColumnHead,
    Range,
    matrix,
    square_colours,
)
from workbench.figures.sweep_plots import draw_effects, draw_scatter, paper_values
from workbench.figures.sweep_squares import draw_matrix
from workbench.figures.tables import display_rows, text_table
from workbench.figures.timeline import (
    draw_queues,
    draw_timeline,
    draw_usage,
    link_load,
    queues,
    stretches,
    usage,
)
from workbench.settings import Settings
from workbench.storage.example import read_example
from workbench.storage.rows import DecodeRow, PushRow, UsageRow
from workbench.storage.run import Run


@pytest.fixture
def runs(data_folder: Path) -> list[Run]:
    """Two runs of one experiment with different seeds."""
    settings = Settings.of(criterion="mmi", replicas=3, clock="cost")
    return [fake_run(f"r{i}", settings.replace(seed=i), wrong=i + 1) for i in range(2)]


def test_curves_are_the_evaluations(runs: list[Run]) -> None:
    """A curve has one point per evaluation, in percent, against any of the three axes."""
    for against, last in (("updates", 40), ("seconds", 80.0), ("epochs", 2.0)):
        curve = curves(runs, "wer", against)[0]
        assert curve.x[-1] == last
        assert curve.y[0] == 50.0
        assert len(curve.x) == 5
    assert curves(runs, "ce")[0].y[-1] == pytest.approx(-1.2)


def test_bands_take_seeds_together(runs: list[Run]) -> None:
    """The mean of two equal curves is that curve; low <= mean <= high; one seed has no width."""
    band = bands({"both": runs}, "wer")[0]
    alone = bands({"one": runs[:1]}, "wer")[0]
    assert band.runs == 2
    assert (band.low <= band.mean).all()
    assert (band.mean <= band.high).all()
    assert np.allclose(np.interp(alone.x, band.x, band.mean), alone.mean, atol=1e-6)
    assert (alone.low == alone.high).all()


def a_band(x: list[float], y: list[float]) -> Band:
    """Returns the band of a single run."""
    mean = np.array(y)
    return Band("b", np.array(x), mean, mean, mean, 1)


def test_time_is_logarithmic_where_runs_differ_much_in_length() -> None:
    """Runs of similar length need no logarithmic axis; else it begins at the first time, or at a
    hundredth of the shortest run."""
    short = a_band([0.0, 5.0, 10.0], [3.0, 2.0, 1.0])
    long = a_band([2.0, 900.0], [3.0, 1.0])
    early = a_band([0.001, 900.0], [0.0, 0.0])
    assert logarithmic_from([short, short]) is None
    assert logarithmic_from([]) is None
    assert logarithmic_from([short, long]) == 2.0
    assert logarithmic_from([short, early]) == 0.1


def test_a_random_networks_value_flattens_nothing() -> None:
    """The first evaluation is outside the limits if it is far off; else there are no limits."""
    short = a_band([0.0, 5.0, 10.0], [3.0, 2.0, 1.0])
    learnt = a_band([0.0, 1.0, 2.0, 3.0], [100.0, 20.0, 15.0, 10.0])
    tuned = a_band([0.0, 1.0], [9.0, 8.0])
    assert limits_without_start([learnt, tuned]) == pytest.approx((8.0 - 0.6, 20.0 + 0.6))
    assert limits_without_start([tuned, short]) is None
    assert limits_without_start([]) is None


def test_what_a_panel_leaves_out_is_marked() -> None:
    """Each point outside of the limits has a mark at the edge, and its value is written there."""
    for values, marker, edge in (
        ([90.0, 20.0, 15.0, 10.0], "^", 1),
        ([-9.0, 2.0, 2.5, 3.0], "v", 0),
    ):
        learnt = a_band([0.0, 1.0, 2.0, 3.0], values)
        ax = draw_measured({"wer": [learnt, learnt]}, ["b"]).axes[0]
        marked = [
            line for line in ax.lines if line.get_marker() == marker and len(line.get_xdata())
        ]
        assert len(marked) == 2
        for line in marked:
            assert not line.get_clip_on()
            assert line.get_ydata()[0] == ax.get_ylim()[edge]
        assert [text.get_text() for text in ax.texts] == [f"{values[0]:g}"]

    shown = draw_measured({"wer": [a_band([0.0, 1.0], [9.0, 8.0])]}, ["b"]).axes[0]
    assert not shown.texts


def test_bars_that_leave_the_panel_are_marked() -> None:
    """Where an interval is cut off, a mark stands at the edge; one that is inside has none."""
    rates = {1: [0.20, 0.21, 0.22], 2: [0.15, 0.27]}
    rows = [
        {"batch": batch, "seed": seed, "state": "done", "heldout_wer": rate}
        for batch, seeds in rates.items()
        for seed, rate in enumerate(seeds)
    ]
    ax = draw_effects(pd.DataFrame(rows), ["batch"], "heldout_wer").axes[0]
    for marker in ("v", "^"):
        (cut,) = [line for line in ax.lines if line.get_marker() == marker]
        assert cut.get_xdata().tolist() == [1]
        assert cut.get_ydata()[0] in ax.get_ylim()
        assert not cut.get_clip_on()


def test_staleness_counts_every_push_once(runs: list[Run]) -> None:
    """Histograms hold all pushes that have the number, and the summary is of the same numbers."""
    pushes = runs[0].table(PushRow)
    for a in ages(pushes, "r"):
        assert a.histogram.counts.sum() == len(pushes) == a.summary.count
        assert a.summary.mean == pytest.approx(pushes[a.column].mean())

    said = [age_text(age) for age in (0.4345, 99.96, 602.7, 1240.0)]
    assert said == ["0.434", "100", "603", "1,240"]

    without_outer = pushes.drop(columns=["staleness_outer", "outer_seconds"])
    assert ages(without_outer)[0].column == "staleness_inner"
    assert {"inner gradient", "outer gradient"} <= set(staleness_table(runs)["of"])


def test_stretches_fill_the_time_without_overlap(runs: list[Run]) -> None:
    """The stretches of a process follow each other without gap and end with its last row."""
    rows = runs[0].table()
    found = stretches(rows)
    for process in {s.process for s in found}:
        own = sorted((s for s in found if s.process == process), key=lambda s: s.start)
        assert own[0].start == 0.0
        assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(own))
        kinds = rows[(rows.process == process) & rows.kind.isin(["push", "decode"])]
        assert own[-1].end == kinds.seconds.max()

    waited = sum(s.end - s.start for s in found if s.what == "wait for frames")
    assert waited == pytest.approx(runs[0].table(PushRow).idle_seconds.sum())


def test_queues_and_usage_are_read_as_written(runs: list[Run]) -> None:
    """Queue lengths come per decoder in order of time; usage adds up several rows."""
    found = queues(runs[0].table(DecodeRow))
    assert set(found) == {"decoder 0", "decoder 1", "decoder 2"}
    assert all((np.diff(queue.seconds) > 0).all() for queue in found.values())
    assert found["decoder 1"].length.tolist()[:3] == [1, 0, 3]

    table = usage(pd.concat([runs[0].table(UsageRow)] * 2))
    assert table.loc["replica 0", "work"] == 120
    assert table.loc["decoder 0", "put"] == 50


def test_the_load_of_a_link_is_that_of_the_busiest_direction(runs: list[Run]) -> None:
    """Two stretches of a shard add up; processes without links, and other clocks, have no load."""
    assert link_load(runs[0].table(UsageRow)) is None
    rows = [
        UsageRow(process="server 0", seconds=40.0, sending_seconds=10.0, receiving_seconds=30.0),
        UsageRow(process="server 0", seconds=80.0, sending_seconds=10.0, receiving_seconds=34.0),
        UsageRow(process="server 1", seconds=80.0, sending_seconds=30.0, receiving_seconds=1.0),
        UsageRow(process="replica 0", seconds=80.0, work_seconds=80.0),
    ]
    assert link_load(pd.DataFrame([row.to_dict() for row in rows])) == 0.8


def test_shares_add_up(runs: list[Run]) -> None:
    """Kept, cancelled and rejected frames are all frames."""
    shares = fate_shares(runs[0].table(DecodeRow))
    assert np.allclose(shares[["kept", "cancelled", "rejected"]].sum(axis=1), 100)
    assert shares.frames.iloc[-1] == 4000


def test_matrix_averages_seeds_and_names_what_is_missing() -> None:
    """A square is the mean of the seeds that ended, in percent; one without shows the states."""
    m = matrix(sweep_table(), ["shuffling", "batch"], reached={"full-2-1": "at 40%"})
    assert (m.row_axis, m.rows) == ("shuffling", ["none", "full"])
    assert (m.column_axes, m.columns) == (("batch",), [("1",), ("2",)])
    assert [s.value for s in m.squares[0]] == pytest.approx([10.5, 20.5])
    assert [[s.ended for s in row] for row in m.squares] == [[2, 2], [2, 0]]

    unfinished = m.squares[1][1]
    assert np.isnan(unfinished.value)
    assert unfinished.states == ("diverged", "at 40%")
    assert unfinished.cells == ("full-2-0", "full-2-1")

    half = 12.7062 * 0.5  # Student's, of two values one apart: t(1, 0.975) · (1/√2) / √2
    assert m.squares[0][0].half == pytest.approx(half, rel=1e-4)
    assert m.squares[0][0].words("heldout_wer") == ["10.5", "2 of 2 seeds"]
    three = replace(m.squares[0][0], ended=3, planned=3)
    assert three.words("heldout_wer") == ["10.5 ± 6.4", "3 of 3 seeds"]
    assert unfinished.colours == FAILED_COLOURS


def test_equal_squares_have_no_scale() -> None:
    """Where all values are one, no square is the best or the worst."""
    shown = Range(12.0, 12.0)
    assert square_colours(12.0, shown, "test_wer") == EQUAL_COLOURS


def test_squares_are_dark_where_it_is_bad() -> None:
    """Colours go from the best to the worst value, for F_MMI the other way; text stands out."""
    shown = Range(10.0, 20.0)
    best, worst = (square_colours(x, shown, "test_wer") for x in shown)
    assert [worst, best] == [square_colours(x, shown, "heldout_mmi") for x in shown]
    assert [best.text, worst.text] == ["#000000", "#ffffff"]
    assert lightness(best) > lightness(worst) + 200
    assert square_colours(np.nan, shown, "test_wer").text == "#000000"


def lightness(colours: Colours) -> int:
    """Returns the sum of red, green and blue of a background."""
    return sum(bytes.fromhex(colours.background.removeprefix("#")))


def test_seeds_apart_have_squares_of_their_own() -> None:
    """With the seed as the last axis each run has a square; one without a cell is empty."""
    m = matrix(sweep_table().iloc[:-1], ["shuffling", "batch", "seed"])
    assert len(m.columns) == 4
    assert m.squares[0][3].value == pytest.approx(21.0)
    assert m.squares[1][3].planned == 0
    assert np.isnan(m.squares[0][0].half)


def test_heads_have_a_level_per_axis() -> None:
    """Of two axes that go across, a value of the first stands once, above those of the second."""
    table = sweep_table()
    table["seed"] = table.seed.astype(int)
    outer, inner = matrix(table, ["shuffling", "batch", "seed"]).levels
    assert (outer.axis, inner.axis) == ("batch", "seed")
    assert outer.heads == [ColumnHead("1", 0, 1), ColumnHead("2", 2, 3)]
    assert inner.heads == [ColumnHead(seed, n, n) for n, seed in enumerate(["0", "1", "0", "1"])]
    assert matrix(table, ["shuffling"]).levels == []


def test_columns_with_one_value_stand_side_by_side() -> None:
    """Whatever the order in which cells come, the columns of a head are neighbours."""
    table = sweep_table().iloc[[0, 6, 2, 4, 1, 3, 5, 7]]
    m = matrix(table, ["seed", "batch", "shuffling"])
    assert [values[0] for values in m.columns] == sorted(values[0] for values in m.columns)


def test_points_that_are_no_grid_go_down() -> None:
    """Settings that vary together make one row each, not a grid that is mostly empty."""
    table = sweep_table().iloc[[0, 1, 6, 7]]
    m = matrix(table, ["shuffling", "batch"])
    assert m.row_axis == "setting"
    assert m.rows == ["shuffling=none batch=1", "shuffling=full batch=2"]
    assert m.columns == [()]


def test_a_failed_square_says_why() -> None:
    """The cause of a failure stands on the square, cut to what fits; the whole is kept."""
    table = sweep_table()
    table["error"] = ""
    cause = "UserError: replicas=50: only 44 utterances to share among them; " + "long " * 20
    table.loc[table.state == "diverged", "error"] = cause
    square = matrix(table, ["shuffling", "batch"]).squares[1][1]
    assert square.causes == (cause.removeprefix("UserError: "),)
    *states, shown = square.words("heldout_wer")
    assert states == ["diverged", "missing"]
    assert shown.startswith("replicas=50: only 44")
    assert len(shown) <= LONGEST_CAUSE


def test_the_papers_numbers_stand_beside_ours() -> None:
    """Shuffling has three rates in the paper and layers two; other axes have none."""
    shuffling = {"none": 15.2, "on-the-fly": 14.5, "full": 14.4}
    assert paper_values("shuffling", "shuffling") == shuffling
    assert paper_values("layers", "trained") == {"last": 10.9, "all": 10.9}
    assert paper_values("", "batch") == {}

    fig = draw_effects(sweep_table(), ["shuffling"], paper="shuffling")
    labels = [text.get_text() for legend in fig.legends for text in legend.texts]
    assert "paper, its own data" in labels


def axes_without_unit(fig: Figure) -> list[str]:
    """Returns which axes of the figure's panels have neither a label nor words at their ticks.

    The title of a panel, or the label of the first one beside it, counts as a label of y.
    """
    unnamed = []
    first_label = fig.axes[0].get_ylabel()
    for number, ax in enumerate(fig.axes):
        if not is_named(ax.xaxis):
            unnamed.append(f"panel {number}: x")
        if not (is_named(ax.yaxis) or ax.get_title(loc="left") or first_label):
            unnamed.append(f"panel {number}: y")

    return unnamed


def is_named(axis: Axis) -> bool:
    """Whether an axis has a label, or words at its ticks."""
    ticks = [label.get_text() for label in axis.get_ticklabels()]
    return bool(axis.get_label_text()) or any(c.isalpha() for text in ticks for c in text)


@pytest.mark.slow
def test_every_figure_has_units(runs: list[Run]) -> None:
    """Every figure draws to a PNG, and both axes of every panel name what they show."""
    groups = {"a": runs[:1], "b": runs[1:]}
    figures = {
        "curves": draw_curves(runs),
        "bands": draw_bands(groups, against="seconds"),
        "word errors": draw_word_errors(runs),
        "shares": draw_shares(runs[0]),
        "staleness": draw_staleness(runs),
        "timeline": draw_timeline(runs[0], 0, 20),
        "queues": draw_queues(runs[0]),
        "usage": draw_usage(runs[0]),
        "scatter": draw_scatter(groups),
        "matrix": draw_matrix(sweep_table(), ["shuffling", "batch"]),
        "effects": draw_effects(sweep_table(), ["shuffling", "batch"], "heldout_wer"),
    }
    for name, fig in figures.items():
        assert png(fig, dpi=50)[:4] == b"\x89PNG"
        assert axes_without_unit(fig) == [], name

    bare, _ = figure_with_panel(3.0, 2.0)
    assert axes_without_unit(bare) == ["panel 0: x", "panel 0: y"]


def test_figures_leave_matplotlib_as_it_was(runs: list[Run]) -> None:
    """Drawing changes no global parameter, and a figure shows itself in a notebook as a PNG."""
    before = dict(matplotlib.rcParams)
    fig, _ = figure_with_panel(3.0, 2.0)
    assert fig._repr_png_()[:4] == b"\x89PNG"
    assert draw_curves(runs)._repr_png_()[:4] == b"\x89PNG"
    assert dict(matplotlib.rcParams) == before


def test_figures_of_a_run_that_has_only_begun(data_folder: Path) -> None:
    """Every figure of a run without rows has empty axes instead of failing."""
    run = fake_run("new", Settings.of(criterion="mmi"), state="running", steps=0)
    for path in run.folder.glob("rows-*"):
        path.unlink()
    for draw in (draw_shares, draw_queues, draw_usage, draw_timeline):
        assert isinstance(draw(run), Figure)
    for draw_many in (draw_curves, draw_staleness, draw_word_errors):
        assert isinstance(draw_many([run]), Figure)


def test_an_example_is_drawn_as_it_was_left(runs: list[Run]) -> None:
    """Pieces and lattice words come back as written; rivals in time stand above each other."""
    run = runs[0]
    assert read_example(run) is None
    leave_example(run, "alpha")
    example = read_example(run)
    assert example is not None
    assert example.words[0].end == 9
    assert example.frames == 20

    for draw in (draw_spectrogram, draw_occupancies):
        assert png(draw(example), dpi=50)[:4] == b"\x89PNG"

    bars = draw_lattice(example).axes[0].collections[0].get_segments()
    assert [bar[0].tolist() for bar in bars] == [[0, 0], [0.05, 1], [0.12, 0]]


def test_lines_are_distinct_without_colour() -> None:
    """There is a dash for every colour, all different, so that seven lines are distinct in grey."""
    assert len(COLOURS) == len(DASHES) == len({str(dash) for dash in DASHES})


def test_comparison_shows_only_differences(runs: list[Run]) -> None:
    """Runs with different seeds differ in nothing else; both tested, they get a verdict."""
    assert list(settings_difference(runs).index) == ["seed"]
    assert settings_difference(runs[:1]).empty
    verdicts = pairwise(runs)
    assert len(verdicts) == 1
    assert verdicts.verdict[0].startswith(("undecided", "worse", "better"))


def test_a_text_table_has_a_line_per_run(runs: list[Run]) -> None:
    """Names are to the left, numbers to the right, as wide as the widest cell of their column."""
    lines = text_table(runs).splitlines()
    assert len(lines) == 1 + len(runs)
    assert lines[0].split()[:2] == ["run", "criterion"]
    assert lines[1].split()[:2] == ["r0", "mmi"]
    assert lines[1].endswith("0.210  undecided")
    assert len({len(line) for line in lines}) == 1
    assert display_rows(runs)[0]["95 % interval"] in lines[1]
    assert text_table([]) == "no runs yet"


def test_a_table_tells_what_never_will_be_measured(data_folder: Path) -> None:
    """Diverged, failed and lost runs have their state; where all are done there is no column."""
    done = fake_run("one", Settings())
    assert "state" not in display_rows([done])[0]
    others = [fake_run(state, Settings(), state=state) for state in ("diverged", "failed", "new")]
    rows = display_rows([done, *others])
    assert [row["state"] for row in rows] == ["done", "diverged", "failed", "new"]
