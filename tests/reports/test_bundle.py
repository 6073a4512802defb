"""What stands beside a report: a bundle for a paper, an interactive page, sentences and a name."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run
from matplotlib.figure import Figure

from workbench.figures.style import PngFigure
from workbench.reports.bundle import figure_bytes, file_name, latex_text, parquet_bytes, table_latex
from workbench.reports.interactive import interactive_page
from workbench.reports.methods import methods_text, methods_texts
from workbench.reports.page import Document, Note, Picture, Section, table_html
from workbench.reports.report import Extras, report_name, write_report
from workbench.settings import Settings, UserError
from workbench.storage.run import Run

pytestmark = pytest.mark.usefixtures("data_folder")


def two_runs() -> list[Run]:
    """Returns a run, and one that started from it."""
    ce = fake_run("ce-00000000", Settings(), wrong=3)
    mmi = fake_run("mmi-00000000", Settings.of(criterion="mmi", replicas=3), parent=ce.name)
    return [ce, mmi]


@pytest.mark.slow
def test_a_bundle_has_every_figure_table_and_number() -> None:
    """Each picture is there as SVG and PDF, each table as CSV and LaTeX, all rows as Parquet."""
    runs = two_runs()
    out = write_report(runs, extras=Extras(bundle=True))
    folder = out.with_suffix("")
    pictures = out.read_text().count("<img ")
    tables = out.read_text().count("<table>")
    for kind in ("svg", "pdf"):
        assert len(list(folder.glob(f"figures/*.{kind}"))) == pictures > 3
    for kind in ("csv", "tex"):
        assert len(list(folder.glob(f"tables/*.{kind}"))) == tables > 2

    for run in runs:
        rows = pd.read_parquet(folder / "numbers" / f"{run.name}.parquet")
        assert len(rows) == len(run.table())
    numbers = pd.read_parquet(folder / "numbers" / "runs.parquet")
    assert list(numbers["run"]) == [run.name for run in runs]
    assert numbers["test_wer"][0] == runs[0].summary.test_wer


def test_figures_are_the_same_bytes() -> None:
    """A figure's file is a function of the figure and of no date."""
    for kind in ("svg", "pdf"):
        first, second = (figure_bytes(Figure(), kind) for _ in range(2))
        assert b"2026" not in first
        assert len(first) == len(second)


def test_tables_are_latex_that_commands_nothing() -> None:
    """Tables have the rules of booktabs, one line per row, and no command from data."""
    rows = [{"": r"a_b & 5 %", "x→y": r"\input{secret} $x$ #1 ~^<>"}]
    text = table_latex(rows, "Results_1")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lr}"):
        assert rule in text
    assert r"a\_b \& 5 \%" in text
    assert r"\input" not in text
    assert r"\textbackslash{}input\{secret\} \$x\$ \#1" in text
    assert r"Results\_1" in text
    assert latex_text("a\nb") == "a b"


def test_parquet_keeps_numbers_and_makes_lists_text() -> None:
    """Columns of numbers stay numbers; lists and mixtures become text, as CSV has them."""
    table = pd.DataFrame({"n": [1.5, None], "l": [[1, 2], None], "m": ["a", 3]})
    read = pd.read_parquet(io.BytesIO(parquet_bytes(table)))
    assert read["n"][0] == 1.5
    assert read["l"][0] == "[1, 2]"
    assert list(read["m"]) == ["a", "3"]


def test_names_of_files_are_plain() -> None:
    """A caption becomes letters, digits and dashes, whatever it holds."""
    assert file_name("Frames of ../a b_c: 50 %") == "frames-of-a-b-c-50"
    assert len(file_name("x" * 500)) == 60


@pytest.mark.parametrize("count", [1, 2, 30])
def test_reports_on_other_runs_have_other_names(count: int) -> None:
    """The name is a function of all runs, in order, and short enough for a file system."""
    names = [f"run-{number:08d}" for number in range(count)]
    own = report_name(names)
    others = [names[:-1], [*names, "more"], [f"{name}x" for name in names]]
    assert own not in [report_name(other) for other in others if other]
    assert len(own) < 200
    assert names[-1] in own


@pytest.mark.slow
def test_a_report_of_parent_and_child_does_not_replace_the_parents() -> None:
    """Three reports on a parent, its child, and both are three files."""
    ce, mmi = two_runs()
    files = {write_report(runs) for runs in ([ce], [mmi], [ce, mmi])}
    assert len(files) == 3
    assert write_report([ce]) in files


@pytest.mark.slow
def test_an_interactive_page_needs_no_network() -> None:
    """The page has the scripts and every run inside it, and asks for nothing."""
    runs = two_runs()
    page = interactive_page({run.name: [run] for run in runs}, "Title <b>")
    assert all(run.name in page for run in runs)
    assert not re.search(r"<(?:script|link)[^>]+(?:src|href)=", page)
    assert "<title>Title &lt;b&gt;</title>" in page


def test_runs_without_measurements_have_no_interactive_page() -> None:
    """Where nothing was measured, a sentence says so."""
    run = fake_run("new-00000000", Settings(), state="stopped")
    for path in run.row_files():
        path.unlink()
    with pytest.raises(UserError, match="nothing was measured"):
        interactive_page({run.name: [run]}, "Title")


def test_methods_say_what_the_settings_say() -> None:
    """Each setting that a reader needs is in the paragraph; equal runs share one."""
    run = fake_run(
        "m-00000000",
        Settings.of(criterion="mmi", replicas=7, shards=2, clock="cost", learning_rate=0.125),
        parent="ce-00000000",
        corpus="digits",
    )
    text = methods_text(run)
    for part in (
        "digits",
        "MMI",
        "ce-00000000",
        "7 replicas",
        "2 shards",
        "0.125",
        "virtual clock",
    ):
        assert part in text, part
    single = methods_text(fake_run("s-00000000", Settings.of(hidden_layers=1)))
    assert "one hidden layer" in single
    assert "single replica" in single
    assert "lattices" not in single
    same = [fake_run(f"{name}-00000000", Settings()) for name in "ab"]
    assert len(methods_texts(same)) == 1


@pytest.mark.slow
def test_pictures_say_what_they_show(data_folder: Path) -> None:
    """The alternative text of a picture is its caption, with its content in words, escaped."""
    picture = Picture("Curves", PngFigure((4, 2)), 'ends at 5 for "x"')
    html = Document("T", [], [Section("S", [picture]), Section("empty", [])]).html()
    assert 'alt="Curves: ends at 5 for &#34;x&#34;"' in html
    assert 'width="360" height="180"' in html
    assert "empty" not in html
    curves = write_report(two_runs()).read_text()
    assert re.search(r'alt="Held-out curves[^"]*ends at [^"]*for ce-00000000', curves)


def test_a_page_has_one_main_part_with_its_sections_linked() -> None:
    """Each section has a heading that the list of sections links to."""
    html = Document("T", [], [Section(name, [Note("x")]) for name in ("A", "B")]).html()
    targets = re.findall(r'<a href="#([^"]+)">', html)
    assert targets == re.findall(r'<h2 id="([^"]+)">', html)
    assert len(targets) == 2
    assert html.count("<h1>") == html.count("<main>") == 1


def test_words_begin_at_the_left_and_numbers_end_at_the_right() -> None:
    """A column with a word in it is one of words, also where other cells begin with a number."""
    rows = [
        {"setting": "batch", "p": "< 0.001", "reason": "726,476 frames", "WER": "15.2"},
        {"setting": "flat", "p": "–", "reason": "as in the paper", "WER": ""},
    ]
    html = str(table_html(rows))
    assert re.findall(r'<th scope="col"( class="words")?>(.*?)</th>', html) == [
        (' class="words"', "setting"),
        ("", "p"),
        (' class="words"', "reason"),
        ("", "WER"),
    ]
    assert re.search(r'<td class="words short">\s*726,476 frames', html)
