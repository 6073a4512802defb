"""A study as a thing: its question, its arms, what the paper says, and how the answer is judged.

Each study is one JSON file under workbench/data/studies; the sizes that all of them share are in
workbench/data/study-sizes.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from workbench.data import STUDIES, STUDY_SIZES
from workbench.metrics.verdicts import MARGIN, VerdictOutcome
from workbench.prepare.reading import Source
from workbench.settings import UserError, Value, no_such
from workbench.storage.files import read_json
from workbench.storage.records import object_of, record_of

START = "start"
"""The label of the cross-entropy runs that all arms of a study start from."""

MAIN = "main"
"""The corpus of an arm that names none."""


class StudyFigure(StrEnum):
    """The kinds of figures that a study may have."""

    INTERVAL = "interval"  # what an interval costs, like figure 5
    CURVES = "curves"  # held-out curves against audio seen, like figure 7
    TIME = "time"  # held-out curves against time, like figure 4
    SCATTER = "scatter"  # frame errors against word errors, like figure 6
    BARS = "bars"  # test word errors with the paper's beside them
    STALENESS = "staleness"  # ages against the number of replicas, with the closed form
    DRIFT = "drift"  # cosines of stale and fresh outer gradients against age and distance


@dataclass(frozen=True)
class Arm:
    """A part of a study: a grid of settings from one start on one corpus.

    ``rate_factor``: the learning rate as a multiple of that of the size, where rates are not found.
    ``times_found``: the same of the rate that is found. ``transfer``: the corpus from whose start
    the start takes over its hidden layers.
    """

    name: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    rate_factor: float = 1.0
    times_found: float = 1.0
    corpus: str = MAIN
    transfer: str = ""


@dataclass(frozen=True)
class Expected:
    """What the paper leads one to expect of the test word errors of one label against another."""

    label: str
    against: str
    outcome: VerdictOutcome


@dataclass(frozen=True)
class Faster:
    """One label takes less time for its epochs than another."""

    label: str
    than: str


@dataclass(frozen=True)
class Rising:
    """A held-out measure is larger for one label than for another."""

    label: str
    measure: str
    against: str = START


@dataclass(frozen=True)
class Harmless:
    """The longest harmless interval of an arm in seconds; ``paper`` is None where it is open."""

    arm: str
    paper: float | None = None


@dataclass(frozen=True)
class IntervalRatio:
    """The harmless interval of one arm as a multiple of another's."""

    arm: str
    to: str
    paper: float | None = None


@dataclass(frozen=True)
class PaperAges:
    """The paper's outer staleness, as ranges, with so many replicas.

    ``within``: the relative error up to which the closed form holds.
    """

    replicas: int
    updates: Sequence[float]
    seconds: Sequence[float]
    within: float


@dataclass(frozen=True)
class SizeChanges:
    """What a size changes in a study: axes by name, and the arms that it has, by default all.

    ``finds_rates``: a study that wants own rates gets them, though the size finds none as a rule.
    """

    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    arms: Sequence[str] = ()
    finds_rates: bool = False


@dataclass(frozen=True)
class Study:
    """A question to the method, with the runs that answer it.

    ``claim``: what the paper says. ``starts``: whether runs start from a trained network.
    ``own_rates``: whether each setting is compared at its own best rate, at sizes that find rates.
    ``rates_at``: settings at which these are found, in place of those of each run.
    ``stable_rates``: arms whose found rates are told, as multiples of the first one's. ``margin``:
    the difference of word error rates that still counts as equivalent. ``against``: the label that
    all others are compared with as well; by default the first of each arm.
    ``paper_wer``: the paper's test word errors in percent, by label.
    """

    name: str
    title: str
    question: str
    claim: str
    arms: Sequence[Arm]
    figures: Sequence[StudyFigure]
    sizes: Mapping[str, SizeChanges]
    paper: str = ""
    settings: Mapping[str, Value] = field(default_factory=dict)
    starts: bool = True
    own_rates: bool = False
    rates_at: Mapping[str, Value] = field(default_factory=dict)
    stable_rates: Sequence[str] = ()
    margin: float = MARGIN
    test: bool = True
    against: str = ""
    expected: Sequence[Expected] = ()
    faster: Sequence[Faster] = ()
    rising: Sequence[Rising] = ()
    harmless: Sequence[Harmless] = ()
    ratios: Sequence[IntervalRatio] = ()
    ages: PaperAges | None = None
    paper_wer: Mapping[str, float] = field(default_factory=dict)

    def of_size(self, size: str) -> "Study":
        """Return the study with the arms and axes that it has at a size, and its claims on them."""
        changes = self.sizes.get(size, SizeChanges())
        kept = [arm for arm in self.arms if not changes.arms or arm.name in changes.arms]
        names = [arm.name for arm in kept]
        return replace(
            self,
            arms=tuple(_changed_arm(arm, changes) for arm in kept),
            expected=[each for each in self.expected if arm_name(each.label) in names],
            faster=[each for each in self.faster if arm_name(each.label) in names],
            rising=[each for each in self.rising if arm_name(each.label) in names],
            harmless=[each for each in self.harmless if each.arm in names],
            ratios=[each for each in self.ratios if each.arm in names and each.to in names],
        )

    def finds_rates(self, size_name: str, size: "StudySize") -> bool:
        """Return whether each setting gets a rate of its own at a size."""
        changes = self.sizes.get(size_name, SizeChanges())
        return self.own_rates and (size.finds_rates or changes.finds_rates)


@dataclass(frozen=True)
class CorpusOfSize:
    """A corpus of a size: a synthetic one that is prepared if it is missing, or one to be given."""

    name: str
    language: str = ""
    size: str = ""
    states: int = 0

    @property
    def source(self) -> Source | None:
        """Where it comes from; None for a corpus that a person has to prepare."""
        return Source(synthetic=self.language, size=self.size) if self.language else None


@dataclass(frozen=True)
class StudySize:
    """What all studies of a size share.

    ``minutes``: what a run takes, as long as none has ended. ``frame`` and ``sequence``: settings
    of cross entropy and of what follows. ``rate``: the learning rate of sequence training with
    several replicas. ``finds_rates``: whether studies that want own rates get them.
    """

    minutes: float
    seeds: Sequence[int]
    network: Mapping[str, Value]
    frame: Mapping[str, Value]
    sequence: Mapping[str, Value]
    rate: float
    finds_rates: bool
    corpora: Mapping[str, CorpusOfSize]


def study_names() -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in STUDIES.glob("*.json"))


def find_study(name: str) -> Study:
    """Return the study of this name; raises UserError that lists the names."""
    names = study_names()
    if name not in names:
        raise no_such("study", name, names)
    path = STUDIES / f"{name}.json"
    return record_of(Study, {"name": name, **object_of(read_json(path), path)}, path)


def find_size(name: str) -> StudySize:
    """Return the size of this name; raises UserError that lists the sizes."""
    sizes = object_of(read_json(STUDY_SIZES), STUDY_SIZES)
    if name not in sizes:
        raise no_such("size of studies", name, sizes)
    return record_of(StudySize, sizes[name], STUDY_SIZES)


def size_names() -> list[str]:
    """Return the names of all sizes, from the smallest."""
    return list(object_of(read_json(STUDY_SIZES), STUDY_SIZES))


def arm_name(label: str) -> str:
    """Return the arm of a label, which goes on with the setting of a cell where there are axes."""
    return label.partition(": ")[0]


def _changed_arm(arm: Arm, changes: SizeChanges) -> Arm:
    """The arm with the values that a size gives to axes, where the arm has them at all."""
    axes = {name: changes.axes.get(name, values) for name, values in arm.axes.items()}
    return replace(arm, axes=axes)


def corpus_of(size: StudySize, arm: Arm, which: str) -> CorpusOfSize:
    """Return a corpus that an arm names; UserError if the size has none."""
    if which not in size.corpora:
        raise UserError(f"arm {arm.name}: this size has no corpus {which}")
    return size.corpora[which]
