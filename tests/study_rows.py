"""Rows of studies that tests make by hand."""

from workbench.studies.rows import StudyCell, StudyRecord

RECORD = StudyRecord("e3", "laptop", "", [0], "2026-11-28", "", "", [], 0, 0)


def cell(arm: str, label: str, **changes: float | int | str | None) -> StudyCell:
    """A run of a study, MMI with ten replicas."""
    numbers = dict.fromkeys(StudyCell.__dataclass_fields__)
    given = {
        "arm": arm,
        "label": label,
        "seed": 0,
        "state": "done",
        "criterion": "mmi",
        "trained": "last",
        "auxiliary": "frozen",
        "shuffling": "on-the-fly",
        "replicas": 10,
        "batch": 32,
        "channel": 4,
        "learning_rate": 0.0025,
    }
    return StudyCell(**{**numbers, **given, **changes})
