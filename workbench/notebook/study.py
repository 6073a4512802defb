"""Studies in a cell: what is kept of one, its verdict first, and the same again at another size."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from workbench.notebook.work_line import work_line
from workbench.reports.page import Paragraph
from workbench.settings import UserError
from workbench.studies.collect import collect_study
from workbench.studies.page import study_document, write_study
from workbench.studies.plan import plan_study
from workbench.studies.rows import StudyResults, kept_sizes, read_results_of
from workbench.studies.run import run_study
from workbench.studies.study import find_study, size_names


@dataclass(frozen=True)
class ShownStudy:
    """A study as a cell shows it: verdict, findings, figures, table, and how it was made."""

    results: StudyResults

    def _repr_html_(self) -> str:
        document = study_document(self.results)
        parts = [Markup("<h3>{}</h3>").format(document.title)]
        parts += [block.html() for block in document.introduction]
        for section in document.sections:
            if section.blocks:
                parts.append(Markup("<h4>{}</h4>").format(section.title))
            parts += [block.html() for block in section.blocks]

        return str(Markup("\n").join(parts))


@dataclass(frozen=True)
class MissingStudy:
    """A study of which nothing is kept: its question, and how to run it."""

    name: str

    def _repr_html_(self) -> str:
        study = find_study(self.name)
        text = (
            f"{study.question} Nothing is kept of this study yet: "
            f"`workbench study {self.name}` runs it."
        )
        return str(Paragraph(text).html())


def study(
    name: str,
    run: str | None = None,
    seeds: Sequence[int] | None = None,
    budget: float = 0.0,
    jobs: int = 1,
) -> ShownStudy | MissingStudy:
    """Return what is kept of a study at its largest size, without training anything.

    ``run``: a size (tiny, small or laptop) at which what is missing of it is run first, with these
    ``seeds``, for at most ``budget`` seconds (0: as long as it takes), ``jobs`` runs at a time.
    """
    find_study(name)
    if run is None:
        sizes = [size for size in size_names() if size in kept_sizes(name)]
        return ShownStudy(read_results_of(name, sizes[-1])) if sizes else MissingStudy(name)

    plan = plan_study(name, run, seeds)
    with work_line() as progress:
        run_study(plan, jobs, budget, progress=progress)
    results = collect_study(plan)
    if not results.cells:
        raise UserError(f"study {name}: no run has ended; run this cell again to go on")

    write_study(results)
    return ShownStudy(results)
