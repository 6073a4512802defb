"""The drift of a study: its points by run and by colour, and what is said of them."""

from dataclasses import replace

from workbench.metrics.drift import DriftPoint, auxiliary_sentence
from workbench.studies.rows import StudyResults


def points_by_run(results: StudyResults) -> dict[str, list[DriftPoint]]:
    """Return the points of each run, called by its label and seed."""
    runs: dict[str, list[DriftPoint]] = {}
    for row in results.drifts:
        runs.setdefault(f"{row.label} {row.seed}", []).append(row)
    return runs


def points_by_colour(results: StudyResults) -> dict[str, list[DriftPoint]]:
    """Return the points of each auxiliary function, or of each arm where there is one only."""
    auxiliaries = auxiliaries_of(results)
    several = len({auxiliaries[row.label] for row in results.drifts}) > 1
    groups: dict[str, list[DriftPoint]] = {}
    for row in results.drifts:
        groups.setdefault(auxiliaries[row.label] if several else row.arm, []).append(row)
    return groups


def auxiliary_sentences(results: StudyResults) -> list[str]:
    """Return for each auxiliary function whether what it makes of an outer gradient is fresher."""
    auxiliaries = auxiliaries_of(results)
    sentences = []
    for name in dict.fromkeys(auxiliaries[row.label] for row in results.drifts):
        own = [row for row in results.drifts if auxiliaries[row.label] == name]
        sentences.append(auxiliary_sentence(name, points_by_run(replace(results, drifts=own))))
    return [sentence for sentence in sentences if sentence]


def auxiliaries_of(results: StudyResults) -> dict[str, str]:
    """Return the auxiliary function of each label."""
    return {cell.label: cell.auxiliary for cell in results.cells}
