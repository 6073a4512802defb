"""The drift of a study: its points by run and by colour, and what is said of them."""

from workbench.metrics.drift import DriftPoint, gain_sentence
from workbench.studies.rows import StudyDrift, StudyResults

FROZEN = "frozen"


def points_by_run(results: StudyResults) -> dict[str, list[DriftPoint]]:
    """Return the points of each run, called by its label and seed."""
    runs: dict[str, list[DriftPoint]] = {}
    for row in results.drifts:
        runs.setdefault(_run_name(row), []).append(row)
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
    by_function: dict[str, dict[str, list[DriftPoint]]] = {}
    for row in results.drifts:
        runs = by_function.setdefault(auxiliaries[row.label], {})
        runs.setdefault(_run_name(row), []).append(row)

    sentences = [gain_sentence(name, runs) for name, runs in by_function.items()]
    return [sentence for sentence in sentences if sentence]


def auxiliaries_of(results: StudyResults) -> dict[str, str]:
    """Return the auxiliary function of each label."""
    known = {cell.label: cell.auxiliary for cell in results.cells}
    return {row.label: known.get(row.label, FROZEN) for row in results.drifts}


def _run_name(row: StudyDrift) -> str:
    return f"{row.label} {row.seed}"
