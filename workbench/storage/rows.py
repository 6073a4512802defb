"""The rows that a run writes: one class per kind, and how each becomes one line of JSON.

A component emits a row with what it knows; the executor adds which process emitted it and when::

    yield Emit(RateRow(decays=1, updates=400))

On disk a row is one JSON object: ``process``, ``seconds``, ``kind``, then one column per field in
the order of the class. A field that defaults to None has no column while it is None; any other
None is written as null.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, TypeVar

from workbench.settings import UserError
from workbench.storage.files import Json, read_json_lines
from workbench.system.unchanging import unchanging

KINDS: dict[str, type["Row"]] = {}  # by the word in the column ``kind``


def column(name: str) -> Mapping[str, str]:
    """Return metadata of a field whose column has another name than the field."""
    return {"column": name}


def spread(part: type) -> Mapping[str, type]:
    """Return metadata of a field whose fields are columns; ``dict``: all other columns."""
    return {"spread": part}


@unchanging(kw_only=True, slots=False)
class Row:
    """What all rows have in common.

    ``process``: the component that emitted it. ``seconds``: when, virtual or real, since the run
    began. A subclass names its kind: ``class RateRow(Row, kind="rate")``.
    """

    kind: ClassVar[str]

    process: str = ""
    seconds: float = 0.0

    def __init_subclass__(cls, kind: str, **options: object) -> None:
        super().__init_subclass__(**options)
        cls.kind = kind
        KINDS[kind] = cls

    def stamp(self, process: str, seconds: float) -> Self:
        """Return the row with who emitted it and when."""
        # Rows are many, and ``dataclasses.replace`` would set and check every field again.
        stamped = object.__new__(type(self))
        vars(stamped).update(vars(self), process=process, seconds=seconds)
        return stamped

    def to_dict(self) -> dict[str, Json]:
        """Return the columns in the order in which they are written, tuples as lists."""
        columns: dict[str, Json] = {
            "process": self.process,
            "seconds": self.seconds,
            "kind": self.kind,
        }
        _add_columns(self, columns)
        return columns

    @staticmethod
    def from_dict(columns: Mapping[str, Json]) -> "Row":
        """Return the row with these columns; ValueError if they are not those of a known kind."""
        remaining = dict(columns)
        kind = remaining.pop("kind", None)
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"unknown kind of row: {kind!r}")
        make: Callable[..., Row] = KINDS[kind]
        row = make(**_take_values(KINDS[kind], remaining))
        if remaining:
            raise ValueError(f"a row of kind {kind} has no column {', '.join(remaining)}")
        return row


R = TypeVar("R", bound=Row)


@unchanging(kw_only=True, slots=False)
class OuterAge:
    """The age of the decoders' parameters over the frames of a push (paper section 3.2).

    Versions and staleness in updates, averaged over shards. Mean, least and greatest over frames.
    """

    version: float = field(metadata=column("outer_version"))
    version_min: float = field(metadata=column("outer_version_min"))
    version_max: float = field(metadata=column("outer_version_max"))
    staleness: float = field(metadata=column("staleness_outer"))
    staleness_min: float = field(metadata=column("staleness_outer_min"))
    staleness_max: float = field(metadata=column("staleness_outer_max"))
    seconds: float = field(metadata=column("outer_seconds"))
    seconds_min: float = field(metadata=column("outer_seconds_min"))
    seconds_max: float = field(metadata=column("outer_seconds_max"))


@unchanging(kw_only=True, slots=False)
class PushRow(Row, kind="push"):
    """A replica's push, and what became of it.

    ``versions`` are those of the shards just before the push; ``inner_versions`` those that the
    replica had fetched. ``staleness_inner``: updates by others in between, the mean over shards.
    ``skew``: newest minus oldest version among the shards of one fetch. ``outer`` is None if the
    targets were fixed beforehand. ``sums``: cross entropy and frame errors, summed over the batch.
    """

    replica: int  # the number of its subset of the data
    step: int  # the number of the push among those of the subset
    status: str  # the value of a `workbench.training.PushStatus`
    batch: int  # frames that the gradient was summed over
    version: int  # of the first shard
    versions: tuple[int, ...]
    inner_versions: tuple[int, ...]
    staleness_inner: float
    inner_seconds: float  # age of the replica's parameters
    skew: int
    gradient_norm: float | None = None  # Euclidean, per frame; of every 50th push of a replica
    outer: OuterAge | None = field(default=None, metadata=spread(OuterAge))
    sums: Mapping[str, float] = field(default_factory=dict, metadata=spread(dict))
    frames: int  # of the corpus that were visited since the last push
    refused: int = 0  # times that it was too stale and computed again
    idle_seconds: float  # spent waiting for batches since the last push


@unchanging(kw_only=True, slots=False)
class DecodeRow(Row, kind="decode"):
    """An utterance that was decoded; ``queue`` and ``put_seconds`` are of the one before."""

    decoder: str
    utterance: int
    frames: int
    rejected: int  # frames
    cancelled: int  # frames
    kept: int  # frames
    value: float | None  # of the criterion; None if it is not finite
    num: float | None  # log total of the numerator
    den: float | None  # log total of the denominator
    beam: float | None  # of the search
    reason: str | None  # why the utterance was set aside
    version: int  # of the first shard, in the decoder's parameters
    versions: tuple[int, ...]
    age_seconds: float  # of the decoder's parameters when it started
    queue: int  # utterances waiting for the replica
    put_seconds: float  # spent waiting for room in the channel


@unchanging(kw_only=True, slots=False)
class Drift:
    """How far a replica's parameters θ are from its decoder's θ', and how far o has turned.

    One number per layer, the output last. ``cosine``: of the whole outer gradients of an utterance
    at θ' and at θ, at the input of the softmax; None if either is zero. ``auxiliary_cosine``: of
    what the auxiliary function makes of the first at θ, where that is another.
    """

    distances: tuple[float, ...]  # ‖θ - θ'‖
    norms: tuple[float, ...]  # ‖θ'‖
    stale_norm: float  # of the outer gradient at θ'
    fresh_norm: float  # of that at θ
    cosine: float | None
    auxiliary_cosine: float | None = None


@unchanging(kw_only=True, slots=False)
class DriftRow(Row, kind="drift"):
    """An utterance on which a replica compared the decoder's outer gradient with a fresh one.

    ``versions`` and ``outer_versions`` are those of θ and θ'. ``staleness``: the updates between
    them, the mean over shards. ``age_seconds``: between the times at which they were current.
    """

    utterance: int
    frame: int  # at which they were compared, when the replica trained on it
    version: int  # of the first shard
    versions: tuple[int, ...]
    outer_versions: tuple[int, ...]
    staleness: float
    age_seconds: float
    drift: Drift = field(metadata=spread(Drift))


@unchanging(kw_only=True, slots=False)
class Measurement:
    """What one evaluation measured on held-out data; None, and no column, if it was not measured.

    ``criterion`` is what training maximises: None if no utterance has a value, NaN if the model's
    scores are broken. Error rates are fractions of the reference words.
    """

    criterion: float | None  # per frame, the higher the better
    mmi: float | None = None  # F_MMI per frame, over all utterances
    ce: float | None = None  # F_CE per frame
    wer: float | None = None
    substitutions: float | None = field(default=None, metadata=column("sub"))
    deletions: float | None = field(default=None, metadata=column("del"))
    insertions: float | None = field(default=None, metadata=column("ins"))
    wer_low: float | None = None  # 95 % interval over utterances
    wer_high: float | None = None
    frame_error: float | None = None
    set_aside: int | None = None  # utterances without a value of the criterion
    mmi_inside: float | None = None  # F_MMI per frame over utterances that keep their reference
    outside: int | None = None  # utterances whose lattice lost the reference
    no_path: int | None = None  # utterances in which the search found no path, so no words
    broken: int | None = None  # utterances whose scores are NaN, infinite or too large


@unchanging(kw_only=True, slots=False)
class EvaluateRow(Row, kind="evaluate"):
    """One evaluation: where in training it was made, and what it measured."""

    index: int
    updates: int  # version of the first shard
    versions: tuple[int, ...]
    frames: int  # of the training data, visited so far
    epochs: float
    decays: int  # of the learning rate, before this evaluation
    measured: Measurement = field(metadata=spread(Measurement))


@unchanging(kw_only=True, slots=False)
class RateRow(Row, kind="rate"):
    """The learning rate was divided by the decay factor for the ``decays``-th time."""

    decays: int
    updates: int


@unchanging(kw_only=True, slots=False)
class EndRow(Row, kind="end"):
    """The evaluator ended training after ``updates``."""

    updates: int


@unchanging(kw_only=True, slots=False)
class UsageRow(Row, kind="usage"):
    """How a process spent its time in one stretch of the run, or how long a service was busy.

    On virtual clocks also for how long a service's link was sending and receiving.
    """

    work_seconds: float | None = None
    ask_seconds: float | None = None
    put_seconds: float | None = None
    take_seconds: float | None = None
    busy_seconds: float | None = None
    sending_seconds: float | None = None
    receiving_seconds: float | None = None


@unchanging(kw_only=True, slots=False)
class PaceRow(Row, kind="pace"):
    """How much of the work of a process took longer than it should (`workbench.engine.pace`)."""

    pieces: int  # of work that it did
    late_seconds: float  # by which these took longer, together


@unchanging(kw_only=True, slots=False)
class TraceRow(Row, kind="trace"):
    """A part of a recorded schedule: answers that a process got (`workbench.engine.trace`)."""

    segment: int  # of the run, from one rest to the next
    entries: tuple[Sequence[Json], ...]  # (name of the effect, answer)


@unchanging(kw_only=True, slots=False)
class RecoveryRow(Row, kind="recovery"):
    """A worker was lost, and the run went back to a checkpoint."""

    epochs: float
    updates: int
    lost: str  # which workers
    checkpoint: str
    recovery_seconds: float
    updates_undone: int
    text: str  # all of it as one sentence


@unchanging(kw_only=True, slots=False)
class DivergenceRow(Row, kind="divergence"):
    """Training diverged, and the run went back to a checkpoint with half the learning rate.

    ``segment`` is the stretch of the run that begins anew with this rate.
    """

    epochs: float
    updates: int
    segment: int
    halvings: int  # of the learning rate, this one included
    learning_rate: float  # from here on, before decays
    cause: str
    checkpoint: str
    updates_undone: int
    text: str  # all of it as one sentence


def read_columns(path: Path) -> Iterator[dict[str, Json]]:
    """Yield the columns of each row of a file, as they were written.

    A last line that is still being written is left out. UserError names a damaged line.
    """
    for number, columns in read_json_lines(path, growing=True):
        if not _has_common_columns(columns):
            raise UserError(f"{path}:{number}: damaged row: no process, seconds and kind")
        yield columns


def _has_common_columns(columns: object) -> bool:
    """Return whether a value is an object with the columns that every row has."""
    return (
        isinstance(columns, dict)
        and isinstance(columns.get("process"), str)
        and isinstance(columns.get("seconds"), float | int)
        and isinstance(columns.get("kind"), str)
    )


def read_rows(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the rows of one kind in a file; ``Row``: of all. UserError names a line that is no row.

    Rows of other kinds are not made, which takes longer than reading them.
    """
    wanted = {each for each in KINDS.values() if issubclass(each, kind)} | {kind}
    for number, columns in read_json_lines(path, growing=True):
        try:
            if KINDS.get(columns.get("kind"), kind) not in wanted:
                continue
            row = Row.from_dict(columns)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}:{number}: damaged row: {error}") from None
        if isinstance(row, kind):
            yield row


class _Columns(NamedTuple):
    """Neighbouring fields of a row that are one column each."""

    names: tuple[str, ...]
    values: Callable[[object], tuple[Json, ...]]
    optional: tuple[str, ...]  # no column while the field is None
    lists: tuple[str, ...]  # tuples, written as lists


class _Spread(NamedTuple):
    """A field of a row whose own fields, or items, are columns."""

    attribute: str


@cache
def _written_parts(kind: type) -> tuple[_Columns | _Spread, ...]:
    """Return the fields of a class of rows, or of a part; looked up once, since rows are many."""
    parts: list[_Columns | _Spread] = []
    for spread, group in groupby(fields(kind), key=lambda each: "spread" in each.metadata):
        members = list(group)
        parts += [_Spread(each.name) for each in members] if spread else [_columns_of(members)]

    return tuple(parts)


def _columns_of(members: Sequence[Field[Json]]) -> _Columns:
    """Return the columns of neighbouring fields."""
    names = {each.name: str(each.metadata.get("column", each.name)) for each in members}
    values = attrgetter(*names)
    return _Columns(
        names=tuple(names.values()),
        values=values if len(names) > 1 else lambda record: (values(record),),
        optional=tuple(names[each.name] for each in members if each.default is None),
        lists=tuple(names[each.name] for each in members if "tuple[" in str(each.type)),
    )


def _add_columns(record: object, columns: dict[str, Json]) -> None:
    """Add the columns of a row, or of a part of one."""
    kind: type = type(record)
    for part in _written_parts(kind):
        if isinstance(part, _Columns):
            columns.update(zip(part.names, part.values(record), strict=True))
            for name in part.optional:
                if columns[name] is None:
                    del columns[name]
            for name in part.lists:
                values = columns.get(name)
                if isinstance(values, tuple):
                    columns[name] = [*values]
            continue

        value = getattr(record, part.attribute)
        if isinstance(value, dict):
            columns |= value
        elif value is not None:
            _add_columns(value, columns)


def _take_values(record: type, columns: dict[str, Json]) -> dict[str, object]:
    """Return the fields of a record of this class, whose columns are removed from ``columns``."""
    values: dict[str, object] = {}
    others = ""  # the field that takes all columns without a field

    for each in fields(record):
        part = each.metadata.get("spread")
        name = each.metadata.get("column", each.name)
        if part is dict:
            others = each.name
        elif part is not None:
            names = {f.metadata.get("column", f.name) for f in fields(part)}
            if each.default is MISSING or not names.isdisjoint(columns):
                values[each.name] = part(**_take_values(part, columns))
        elif name in columns:
            value = columns.pop(name)
            values[each.name] = tuple(value) if isinstance(value, list) else value

    if others:
        values[others] = dict(columns)
        columns.clear()
    return values
