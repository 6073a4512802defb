"""What a study trains: a sweep for each arm, and how far all of them are."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.settings import Value
from workbench.storage.files import is_file
from workbench.storage.home import data_folder
from workbench.studies.study import (
    Arm,
    CorpusOfSize,
    Study,
    StudySize,
    corpus_of,
    find_size,
    find_study,
)
from workbench.sweeping import CellState, PlannedCell, Sweep, SweepFields, plan_cells
from workbench.sweeping.known_runs import run_name
from workbench.sweeping.spec import Rates
from workbench.sweeping.starting_run import start_prefix

PRESET = "laptop"
DIGITS = 6


@dataclass(frozen=True)
class ArmPlan:
    """An arm of a study at a size: its sweep, and the corpora that it needs."""

    arm: Arm
    sweep: Sweep
    corpora: tuple[CorpusOfSize, ...]

    @property
    def prepared(self) -> bool:
        """Whether all of its corpora exist."""
        return all(corpus_exists(corpus) for corpus in self.corpora)

    def label(self, cell_label: str) -> str:
        """Return how a study calls a setting of this arm."""
        alone = not self.sweep.axes
        return self.arm.name if alone else f"{self.arm.name}: {cell_label}"

    def cells(self) -> list[PlannedCell]:
        """Return all cells and how they stand."""
        return plan_cells(self.sweep)


@dataclass(frozen=True)
class StudyPlan:
    """A study at a size with its seeds, arm by arm."""

    study: Study
    size_name: str
    size: StudySize
    seeds: tuple[int, ...]
    arms: tuple[ArmPlan, ...]

    @property
    def command(self) -> str:
        """The command that runs this study, or goes on with it."""
        seeds = ",".join(str(seed) for seed in self.seeds)
        return f"workbench study {self.study.name} --size {self.size_name} --seeds {seeds}"


def plan_study(name: str, size_name: str, seeds: Sequence[int] | None = None) -> StudyPlan:
    """Return the plan of a study; ``seeds`` are by default those of the size.

    Raises UserError for an unknown study or size.
    """
    study = find_study(name).of_size(size_name)
    size = find_size(size_name)
    chosen = tuple(size.seeds if seeds is None else seeds)
    arms = tuple(_plan_arm(study, arm, size_name, size, chosen) for arm in study.arms)
    return StudyPlan(study, size_name, size, chosen, arms)


def _plan_arm(
    study: Study, arm: Arm, size_name: str, size: StudySize, seeds: Sequence[int]
) -> ArmPlan:
    """The sweep of an arm."""
    corpus = corpus_of(size, arm, arm.corpus)
    corpora = [corpus]
    transfer = ""
    if arm.transfer:
        source = corpus_of(size, arm, arm.transfer)
        corpora.append(source)
        transfer = source.name

    start: dict[str, Value] = {**size.network, **size.frame} if study.starts else {}
    finds_rates = study.finds_rates(size_name, size)
    settings = _settings(study, arm, size, finds_rates)
    if study.starts and not finds_rates:
        settings.setdefault("learning_rate", arm.rate_factor * size.rate)

    fields: SweepFields = {
        "name": "",
        "corpus": corpus.name,
        "preset": PRESET,
        "settings": settings,
        "axes": dict(arm.axes),
        "seeds": list(seeds),
        "start": start,
        "start_per_seed": study.starts,
        "transfer": transfer,
        "rates": Rates.AUTO if finds_rates else Rates.GIVEN,
        "test": study.test,
        "question": study.question,
        "paper": study.paper,
    }
    if finds_rates:
        fields |= _found_rates(study, arm)
    fields["run_prefix"] = _prefix(fields) if study.starts else start_prefix(corpus.name)
    fields["name"] = _name(study, size_name, arm, fields)
    return ArmPlan(arm, Sweep(**fields), tuple(corpora))


def _found_rates(study: Study, arm: Arm) -> SweepFields:
    """The fields of a sweep that say where its rates are found, as far as these are unusual."""
    fields: SweepFields = {}
    if arm.times_found != 1.0:
        fields["rate_factor"] = arm.times_found
    if study.rates_at:
        fields["rates_at"] = dict(study.rates_at)
    return fields


def _settings(study: Study, arm: Arm, size: StudySize, finds_rates: bool) -> dict[str, Value]:
    """The settings that all cells of an arm share."""
    chosen = {**study.settings, **arm.settings}
    frame = chosen.get("criterion") == "ce" and not study.starts
    of_size = {**size.network, **(size.frame if frame else size.sequence)}
    if finds_rates:
        of_size.pop("learning_rate", None)
    return {**of_size, **chosen}


def _prefix(fields: SweepFields) -> str:
    """The prefix of the runs of all arms that have this corpus, start and way to find rates."""
    shared: dict[str, object] = {
        "start": dict(fields["start"]),
        "transfer": fields["transfer"],
        "rates": str(fields["rates"]),
    }
    shared |= {name: fields[name] for name in ("rate_factor", "rates_at") if name in fields}
    return f"study-{fields['corpus']}-{_digest(shared)}"


def _name(study: Study, size_name: str, arm: Arm, fields: SweepFields) -> str:
    """The name of the sweep of an arm; an arm that is declared anew is another sweep."""
    declared = {name: value for name, value in fields.items() if name not in ("name", "seeds")}
    words = f"study-{study.name}-{size_name}-{arm.name}".replace(" ", "-")
    return f"{words}-{_digest(declared)}"


def _digest(value: object) -> str:
    """Some digits that are a function of a value of JSON."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def corpus_exists(corpus: CorpusOfSize) -> bool:
    """Return whether a corpus is prepared."""
    return is_file(data_folder() / "corpora" / corpus.name / "corpus.json")


# --- how far a study is


@dataclass(frozen=True)
class StudyState:
    """The cells of a study as they stood, and what one takes.

    ``by_arm``: the cells of each arm, in the order of the plan.
    """

    plan: StudyPlan
    by_arm: Sequence[Sequence[PlannedCell]]
    minutes_each: float
    unprepared: tuple[str, ...]  # corpora that are to be prepared first

    @property
    def cells(self) -> int:
        """The number of cells."""
        return sum(len(cells) for cells in self.by_arm)

    @property
    def done(self) -> int:
        """The number of cells that have ended."""
        return sum(planned.state.ended for cells in self.by_arm for planned in cells)

    @property
    def failed(self) -> int:
        """The number of cells that have failed."""
        states = [planned.state for cells in self.by_arm for planned in cells]
        return states.count(CellState.FAILED)

    @property
    def complete(self) -> bool:
        """Whether every cell has ended."""
        return self.done == self.cells

    @property
    def minutes(self) -> float:
        """What the cells take that have not ended, one after another."""
        return self.minutes_each * (self.cells - self.done)

    @property
    def by_run(self) -> dict[str, PlannedCell]:
        """The cells by the names of their runs, which studies may share."""
        return {
            run_name(arm.sweep, planned.cell): planned
            for arm, cells in zip(self.plan.arms, self.by_arm, strict=True)
            for planned in cells
        }


def study_state(plan: StudyPlan) -> StudyState:
    """Return how far a study is; what a run takes is the figure of its size."""
    missing = [c.name for arm in plan.arms for c in arm.corpora if not corpus_exists(c)]
    return StudyState(
        plan=plan,
        by_arm=[arm.cells() for arm in plan.arms],
        minutes_each=plan.size.minutes,
        unprepared=tuple(dict.fromkeys(missing)),
    )
