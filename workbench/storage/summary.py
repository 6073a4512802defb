"""The summary of a run, ``summary.json``: the numbers of `workbench table`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields

from workbench.storage.files import Json

Number = int | float | str | None  # a digest is a number in text


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What training and the test of a run came to; None stands for what was not measured.

    Error rates are fractions of the reference words or frames, F_MMI is per frame. Staleness is in
    updates, or in seconds where the name says so.
    """

    updates: int | None = None  # pushes that the run reported
    updates_applied: int | None = None  # by the parameter server
    divergences: int | None = None  # each halved the learning rate
    heldout_mmi: float | None = None
    heldout_wer: float | None = None
    heldout_sub: float | None = None
    heldout_del: float | None = None
    heldout_ins: float | None = None
    heldout_no_path: int | None = None  # utterances in which the search found no path
    frame_error: float | None = None
    staleness_inner_mean: float | None = None
    staleness_outer_mean: float | None = None
    staleness_outer_seconds: float | None = None
    frames_seen: int | None = None
    frames_kept: int | None = None
    frames_rejected: int | None = None
    utterances_set_aside: int | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)  # utterances, by reason
    seconds: float | None = None  # of training, on the run's clock
    rows_digest: str | None = None
    parameters_digest: str | None = None

    test_wer: float | None = None
    test_wer_low: float | None = None  # 95 % interval over speakers, or utterances
    test_wer_high: float | None = None
    test_unit: str | None = None  # what the interval is over
    test_speakers: int | None = None
    test_utterances: int | None = None
    test_no_path: int | None = None  # utterances in which the search found no path
    p_value: float | None = None  # of the difference to the run that this one started from
    comparison: Mapping[str, Json] | None = None  # with that run, see `comparison_with_parent`
    not_compared: str | None = None  # why there is no comparison
    test_search: str | None = None  # None: the first kind of search
    test_language: str | None = None  # digest of lexicon and language models
    lm_scale: float | None = None
    test_acoustic_scale: float | None = None
    test_sub: int | None = None  # words
    test_del: int | None = None
    test_ins: int | None = None
    test_words: int | None = None  # of the references

    @property
    def tested(self) -> bool:
        """Whether the run's model was tested."""
        return self.test_wer is not None

    def numbers(self) -> dict[str, Number]:
        """Return everything that is one number or text, by name."""
        several = ("set_aside", "comparison")
        return {name: value for name, value in asdict(self).items() if name not in several}

    def to_dict(self) -> dict[str, Json]:
        """Return this for JSON, without what was not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, numbers: Mapping[str, Json]) -> "RunSummary":
        """Make a summary from JSON; numbers that this version does not know are left out."""
        known = {each.name for each in fields(cls)}
        make: Callable[..., RunSummary] = cls
        return make(**{name: value for name, value in numbers.items() if name in known})
